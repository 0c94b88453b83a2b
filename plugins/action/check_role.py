# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.role_variables import misspelt_variables


class ActionModule(ActionBase):
    """Looks at the variables of roles, on the controller."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _result, arguments = self.validate_argument_spec(
            argument_spec={
                "roles": {"type": "list", "elements": "str", "default": []},
                "strict": {"type": "bool", "default": True},
                "units": {"type": "list", "elements": "dict"},
                "checks": {
                    "type": "list",
                    "elements": "dict",
                    "default": [],
                    "options": {"that": {"type": "bool", "required": True}, "fail_msg": {"type": "str", "required": True}},
                },
            }
        )
        wrong = []
        units = arguments["units"]
        for role in dict.fromkeys([*arguments["roles"], *(unit["kind"] for unit in units or ())]):
            misspelt = misspelt_variables(role, task_vars or {}, strict=arguments["strict"])
            if misspelt:
                wrong.append(f"The role {role} has no such variable: {', '.join(misspelt)}. See roles/{role}/README.md for the list.")
        wrong += [check["fail_msg"].strip() for check in arguments["checks"] if not check["that"]]
        if wrong:
            raise AnsibleActionFail("\n".join(wrong))
        # Hidden here and not by the task's no_log, so that a failure stays readable: units hold keys.
        return {"changed": False} if units is None else {"changed": False, "units": units, "_ansible_no_log": True}
