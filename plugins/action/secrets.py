# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.llmops.gpu_inference.plugins.module_utils._keys import shared_keys
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._given_secrets import GivenSecrets
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._secret_store import SecretError, SecretStore


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
                "gateway_host": {"type": "str"},
            }
        )
        store = SecretStore(Path(args["directory"]), write=not self._task.check_mode)
        given = GivenSecrets((task_vars or {}).get("hostvars", {}))
        problems = given.problems

        def key(variable: str, *path: str, given: str | None = None, prefix: str = "") -> str | None:
            try:
                return store.get(variable, *path, given=given, prefix=prefix)
            except SecretError as error:
                problems.append(str(error))
                return None

        gateway, engine_hosts = args["gateway_host"], args["engine_hosts"]
        engine_keys = {
            host: key(f"inference_engine_key of {host}", "engine_keys", host, given=given.of_host(host, "inference_engine_key"))
            for host in engine_hosts
        }
        tokens = {host: given.of_host(host, "inference_huggingface_token") for host in engine_hosts}
        environments = {host: given.environment(host) for host in engine_hosts}
        master, clients = None, {}
        if gateway:
            master = key("inference_master_key", "master_key", given=given.of_host(gateway, "inference_master_key"), prefix="sk-")
            clients = {
                name: key(f"inference_gateway.client_keys.{name}", "client_keys", name, given=own, prefix="sk-")
                for name, own in given.client_keys(gateway).items()
            }
        keys = {
            "master_key": master,
            "engine_keys": engine_keys,
            "client_keys": clients,
            # Somebody else's servers have somebody else's keys: never generated, never judged.
            "external_keys": given.external_keys(gateway) if gateway else {},
            "redis_password": given.redis_password(gateway) if gateway else None,
            "huggingface_tokens": {host: token for host, token in tokens.items() if token},
            "environments": {host: found for host, found in environments.items() if found},
        }
        for name, trouble in shared_keys(master, {name: own for name, own in clients.items() if own is not None}).items():
            problems.append(f"inference_gateway.client_keys.{name}: {trouble}; null has one of its own generated")
        if problems:
            raise AnsibleActionFail("Unusable keys:\n" + "\n".join(f"- {problem}" for problem in dict.fromkeys(problems)))
        # Hidden here and not by the task's no_log: a failure above has to stay readable. And no fact, which a cache would keep.
        return {"changed": bool(store.created), "secrets": keys, "_ansible_no_log": True}
