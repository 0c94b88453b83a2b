# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.llmops.gpu_inference.plugins.module_utils._keys import shared_keys
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._secret_store import SecretError, SecretStore


def given_text(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)


class ActionModule(ActionBase):
    """Controller half of the documentation in plugins/modules/secrets.py; nothing of it runs on a node."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(
            argument_spec={
                "directory": {"type": "path", "required": True},
                "engine_hosts": {"type": "list", "elements": "str", "default": []},
                "engine_keys": {"type": "dict", "default": {}, "no_log": True},
                "master_key": {"type": "str", "no_log": True},
                "client_keys": {"type": "dict", "default": {}, "no_log": True},
                "external_keys": {"type": "dict", "default": {}, "no_log": True},
                "redis_password": {"type": "str", "no_log": True},
                "gateway": {"type": "bool", "default": True},
            }
        )
        store = SecretStore(Path(args["directory"]), write=not self._task.check_mode)
        problems: list[str] = []

        def key(variable: str, *path: str, given: Any = None, prefix: str = "") -> str | None:
            try:
                return store.get(variable, *path, given=given_text(given), prefix=prefix)
            except SecretError as error:
                problems.append(str(error))
                return None

        hostvars = (task_vars or {}).get("hostvars", {})

        def engine_key(host: str) -> str | None:
            given = args["engine_keys"].get(host)
            if given is None and host in hostvars:
                given = hostvars[host].get("inference_engine_key")
            return key(f"inference_engine_key of {host}", "engine_keys", host, given=given)

        master = key("inference_master_key", "master_key", given=args["master_key"], prefix="sk-") if args["gateway"] else None
        clients = {
            name: key(f"inference_gateway.client_keys.{name}", "client_keys", name, given=given, prefix="sk-")
            for name, given in args["client_keys"].items()
        }
        keys = {
            "master_key": master,
            "engine_keys": {host: engine_key(host) for host in args["engine_hosts"]},
            "client_keys": clients,
            # Somebody else's servers have somebody else's keys: never generated, never judged.
            "external_keys": {name: str(value) for name, value in args["external_keys"].items() if given_text(value)},
            "redis_password": given_text(args["redis_password"]),
        }
        known = {name: value for name, value in clients.items() if value is not None}
        for name, trouble in shared_keys(master, known).items():
            problems.append(f"inference_gateway.client_keys.{name}: {trouble}; null has one of its own generated")
        if problems:
            raise AnsibleActionFail("Unusable keys:\n" + "\n".join(f"- {problem}" for problem in problems))
        # Hidden here and not by the task's no_log: a failure above has to stay readable. And no fact, which a cache would keep.
        return {"changed": bool(store.created), "secrets": keys, "_ansible_no_log": True}
