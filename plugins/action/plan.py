# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.checks import entry_findings, plan_findings
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.inventory import (
    collect_inventory,
    read_known_hardware,
    write_known_hardware,
)
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import Finding, PlanError, build_plan
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.role_findings import role_findings
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.table import render
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._screen.say import say
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._secrets.tls_files import findings
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._units import recordings

#: Earlier releases handed plan and keys on as facts, and a persistent fact cache kept them.
_ONCE_FACTS = ("inference_plan", "inference_secrets")


def _forget_cached(variables: Mapping[str, Any]) -> dict[str, Any]:
    """What makes the fact cache forget them: a fact can be replaced but not removed. Nothing where it has none."""
    hostvars = variables.get("hostvars") or {}
    kept = {name for host in hostvars for name in _ONCE_FACTS if (hostvars[host].get("ansible_facts") or {}).get(name) is not None}
    return {"ansible_facts": dict.fromkeys(sorted(kept))} if kept else {}


class ActionModule(ActionBase):
    """Computes the plan on the controller from the variables of all declared hosts."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables: Mapping[str, Any] = task_vars or {}
        _result, arguments = self.validate_argument_spec(
            argument_spec={
                "remember_hardware": {"type": "bool", "default": True},
                "show": {"type": "bool", "default": False},
                "offline": {"type": "bool", "default": False},
                "warn": {"type": "bool", "default": True},
            }
        )
        secrets_dir = self._secrets_dir(variables)
        cache = Path(secrets_dir) / "known_hardware.json" if secrets_dir else None
        known = read_known_hardware(cache) if cache else {}
        # Facts in a cache that outlives the run may be of a host that does not answer any more.
        lasting = constants.config.get_config_value("CACHE_PLUGIN") != "memory"
        inventory, unreadable = collect_inventory(variables, known, cached_facts_are_fresh=not lasting)
        unreadable += role_findings(inventory["hosts"], variables["hostvars"])
        try:
            plan = build_plan(inventory)
        except PlanError as error:
            clients = {
                name: host["vars"].get("inference_clients_config")
                for name, host in inventory["hosts"].items()
                if "inference_clients" in host["groups"]
            }
            unusable = [Finding(variable, None, message) for variable, message in entry_findings(clients)]
            raise AnsibleActionFail(str(PlanError([*unreadable, *error.findings, *unusable]))) from None
        # Here and not in the plan itself: what client programs read is the business of the controller's plugins.
        unusable = [Finding(variable, None, message) for variable, message in plan_findings(plan)]
        unusable += self._tls_findings(plan)
        unusable += [Finding(*found) for found in recordings.findings(plan)]
        if unreadable or unusable:
            raise AnsibleActionFail(str(PlanError([*unreadable, *unusable])))
        if cache and arguments["remember_hardware"] and not self._task.check_mode:
            fresh = {name: host["hardware"] for name, host in inventory["hosts"].items() if host["hardware"]}
            try:
                write_known_hardware(cache, known, fresh)
            except OSError as error:
                plan["warnings"].append(
                    f"the hardware of the hosts could not be kept in {cache} ({error.strerror}); check inference_secrets_dir"
                )
        running = set(variables.get("ansible_play_hosts_all") or ())
        unseen = [name for name, host in inventory["hosts"].items() if not host["hardware"]]
        unreached = [name for name in unseen if name in running and not arguments["offline"]]
        # Not as facts, which a cache would keep for later runs.
        result: dict[str, Any] = {"changed": False, "plan": plan, "unreached": unreached, **_forget_cached(variables)}
        if arguments["show"]:
            shown = render(plan, unreached, asked=not arguments["offline"])
            say(shown)
            result["lines"] = shown.split("\n")
        if plan["warnings"] and arguments["warn"] and not arguments["show"]:
            result["warnings"] = list(plan["warnings"])
        return result

    def _tls_findings(self, plan: Mapping[str, Any]) -> list[Finding]:
        """What stands against certificates that the user has on the controller."""
        files = (plan.get("tls") or {}).get("files")
        if files:
            return [Finding(*found) for found in findings(files, urlsplit(plan["gateway"]["url"]).hostname or "", self._loader)]
        return []

    def _secrets_dir(self, variables: Mapping[str, Any]) -> str | None:
        """Where the collection keeps its files on the controller; None where there is no place for them."""
        own = variables.get("inference_secrets_dir")
        if own:
            return str(Path(str(self._templar.template(own))).expanduser())
        directory = variables.get("inventory_dir")
        return str(Path(str(directory)) / ".secrets") if directory else None
