# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.llmops.gpu_inference.plugins import filter as filters
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._init.connection import without_warning
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.groups import check_groups

# Ansible loads the first action of a playbook before it forks a process for each task. Each of those would load all of these files, because
# Ansible looks in them for any filter, its own too.
for found in pkgutil.iter_modules(filters.__path__, f"{filters.__name__}."):
    importlib.import_module(found.name)


class ActionModule(ActionBase):
    """Looks at the groups of the inventory, on the controller."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables: Mapping[str, Any] = task_vars or {}
        _result, arguments = self.validate_argument_spec(argument_spec={"strict": {"type": "bool", "default": True}})
        groups = {str(name): [str(host) for host in hosts] for name, hosts in (variables.get("groups") or {}).items()}
        hostvars = variables["hostvars"]
        found = check_groups(
            groups, [host for host in groups.get("all") or () if "inference_services" in hostvars[host]], arguments["strict"]
        )
        if found.errors:
            raise AnsibleActionFail("The groups of the inventory: " + "; ".join(found.errors) + ".")
        python = without_warning(str(constants.config.get_config_value("INTERPRETER_PYTHON")))
        return {"changed": False, "python": python, **({"warnings": found.warnings} if found.warnings else {})}
