# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Whether an inventory has the groups that the playbooks speak of: a play for a misspelt group has no hosts, and ends well."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .._platforms.registry import EXPECTATIONS
from .inventory import GROUPS

_OF_ANSIBLE = ("all", "ungrouped")


@dataclass
class GroupCheck:
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def check_groups(groups: Mapping[str, Sequence[str]], with_services: Sequence[str], strict: bool = True) -> GroupCheck:
    """C(groups): hosts by group, as Ansible has them. C(with_services): hosts that have C(inference_services).

    Not C(strict): a group that looks misspelt is only a warning, for playbooks that an operator needs whatever the inventory says.
    """
    found = GroupCheck()
    served = {host for group in GROUPS for host in groups.get(group) or ()}
    others = {name: list(groups[name]) for name in groups if name not in (*GROUPS, *EXPECTATIONS, *_OF_ANSIBLE)}
    meant = {name: likely(name) for name in others}
    for name, ours in meant.items():
        if ours is None:
            continue
        hosts = [host for host in others[name] if host not in (groups.get(ours) or ())]
        if ours in GROUPS and ours not in groups:
            (found.errors if strict else found.warnings).append(
                f"the inventory has a group {name}, which nothing here knows, and no group {ours}: rename it. If it means something else, "
                f"define an empty group {ours} beside it"
            )
        elif hosts:
            found.warnings.append(f"the group {name} is not the group {ours}; the settings of {ours} do not apply to {_list(hosts)}")
    if not served and not found.errors:
        near = [
            (name, match[0]) for name in others for match in (difflib.get_close_matches(name.lower(), GROUPS, n=1, cutoff=0.6),) if match
        ]
        guess = "".join(f". Was {ours} meant by {name}?" for name, ours in near if groups[name])
        there = [f"{name} ({_hosts(len(hosts))})" for name, hosts in groups.items() if name not in _OF_ANSIBLE]
        found.errors.append(
            f"none of the groups {', '.join(GROUPS)} has a host, so there is nothing to do. "
            + (f"The inventory has {_list(there)}{guess}" if there else "The inventory has no groups; give it with -i")
        )
    for name in EXPECTATIONS:
        outside = [host for host in groups.get(name) or () if host not in (groups.get("inference_nodes") or ())]
        if outside:
            found.warnings.append(
                f"the group {name} has hosts that are not in inference_nodes, so nothing runs on them: {_list(outside)}. "
                f"Make {name} a child of inference_nodes"
            )
    idle = [host for host in with_services if host not in served and not any(host in (groups.get(name) or ()) for name in EXPECTATIONS)]
    if idle and served:
        found.warnings.append(
            f"hosts with inference_services are in none of the groups {', '.join(GROUPS)}, so nothing runs on them: {_list(idle)}"
        )
    return found


def likely(name: str) -> str | None:
    """The group of this collection that a name was probably meant for."""
    plain = name.lower().replace("-", "_").replace(".", "_")
    for ours in (*GROUPS, *EXPECTATIONS):
        if plain.rstrip("s") == ours.rstrip("s") or (
            len(ours) > len("jetson") and plain in (f"inference_{ours}", f"inference_{ours}"[:-1])
        ):
            return ours
    close = difflib.get_close_matches(plain, GROUPS, n=1, cutoff=0.85)
    return close[0] if close else None


def _hosts(count: int) -> str:
    return f"{count} host{'' if count == 1 else 's'}"


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
