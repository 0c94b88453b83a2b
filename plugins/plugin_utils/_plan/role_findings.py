# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What is wrong with the variables of roles that users have set, by the roles' argument specs, before any host is changed.

Ansible itself looks at them too, at the beginning of each role: in a task for every role and host. site.yml leaves that out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from .findings import Finding, Report
from .inventory import plain
from .role_variables import argument_specs

_EVERYWHERE = ("planning", "docker", "nvidia_container_toolkit", "network", "launcher")
#: The roles that site.yml runs on the hosts of a group.
ROLES: Mapping[str, tuple[str, ...]] = {
    "inference_nodes": (*_EVERYWHERE, "engines", "node_proxy"),
    "gateways": (*_EVERYWHERE, "litellm"),
    # Whatever their programs need of these is there.
    "inference_clients": (*_EVERYWHERE, "clients"),
}


def role_findings(hosts: Mapping[str, Mapping[str, Any]], hostvars: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    """Of all hosts of a plan's inventory; each mistake once, with the hosts that have it."""
    specs: dict[str, dict[str, Any]] = {}
    report = Report()
    for host, described in hosts.items():
        variables = hostvars[host]
        names = [str(name) for name in variables]
        for role in dict.fromkeys(role for group in described["groups"] for role in ROLES[group]):
            for name in [name for name in names if name.startswith(f"{role}_")]:
                option = specs.setdefault(role, _options(role)).get(name)
                for message in _against(option, name, variables) if option else ():
                    report.add(name, None, message, [host])
    return report.findings


def _options(role: str) -> dict[str, Any]:
    return dict(argument_specs(role).get("main", {}).get("options") or {})


def _against(option: Mapping[str, Any], name: str, variables: Mapping[str, Any]) -> Iterable[str]:
    try:
        value = plain(variables[name])
    except Exception:
        return  # It needs what only the role has, or is encrypted; whoever reads it says so.
    if isinstance(value, str) and "{{" in value:
        return  # ansible-core 2.17 hands a template on that it cannot resolve.
    errors = ArgumentSpecValidator({name: dict(option)}).validate({name: value}).error_messages
    if errors and option.get("no_log"):
        yield f"must be a {option['type']}, see the role's README; its value is not shown"
    elif errors:
        yield from errors
