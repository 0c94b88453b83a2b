# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What an instance needs, by what is wanted and what is there."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Mapping
from dataclasses import dataclass

from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import SERVICE_FILE
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_changes import read_service, what_differs
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_folder import Folder
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_present import Container, Unit
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_wanted import Wanted

KEEP, RELOAD, START, RESTART = "keep", "reload", "start", "restart"
HANDED_OVER = "handed over"  # a restart without a stop
REFUSED, HELD = "refused", "held"  # what becomes of a start, restart or removal that would cost what serves


@dataclass(frozen=True)
class Decision:
    action: str
    reason: str


def decide(wanted: Wanted, unit: Unit, container: Container | None, state: Mapping[str, t.Any] | None, outdated: bool = False) -> Decision:
    """What an instance needs. The container's label decides.

    While there is no container yet, what the launcher has read counts: its state file says so or, before it has written one,
    the service.json that it is about to read. C(outdated): the launcher runs another program than the one that is installed.
    """
    right = container is not None and container.running and container.config_hash == wanted.config_hash
    known = (state or {}).get("config_hash") == wanted.config_hash
    steered = (state or {}).get("spec_hash") in (wanted.spec_hash, None, "")
    if unit.active in ("active", "reloading"):
        if right:
            if not steered:
                return Decision(RELOAD, "settings of the launcher differ")
            return Decision(RELOAD, "the launcher was upgraded") if outdated else Decision(KEEP, "runs as wanted")
        if container is None or not container.running:
            return Decision(RESTART, "the unit is active, but its container does not run")
        return Decision(RESTART, "the running container has another configuration")
    if unit.active == "activating":
        if (right or container is None or not container.running) and known and steered:
            # One that is loading takes the new program over when it is ready; one that waits for its next try has no process.
            if outdated and unit.sub == "start":
                return Decision(RELOAD, "the launcher was upgraded")
            return Decision(KEEP, "is starting")
        return Decision(RESTART, "is starting with another configuration")
    if unit.active == "deactivating":
        return Decision(RESTART, "is stopping")
    if unit.active == "failed":
        return Decision(START, "failed")
    return Decision(START, "not running")


def full_reason(decision: Decision, wanted: Wanted, folder: Folder, container: Container | None) -> str:
    """The reason of a decision, with what differs where that is known: its folder is what an old container was made from, unless a run
    was killed."""
    if decision.action == RELOAD:
        return _reload_reason(decision, wanted, folder)
    known = container is not None and container.config_hash == read_service(folder.texts).get("config_hash")
    differs = what_differs(folder.texts, wanted.files) if known and decision.action == RESTART else ""
    return f"{decision.reason}: {differs}" if differs else decision.reason


def _reload_reason(decision: Decision, wanted: Wanted, folder: Folder) -> str:
    """Why a unit's launcher reads its settings again: a bound on memory is named, since its change reaches a container that serves."""
    bounds = []
    for files in (folder.texts, wanted.files):
        try:
            bounds.append(json.loads(files[SERVICE_FILE]).get("memory_limit_mib"))
        except (KeyError, ValueError, AttributeError):
            return decision.reason
    if bounds[0] == bounds[1]:
        return decision.reason
    before, after = (f"{mib} MiB" if mib else "none" for mib in bounds)
    return f"the bound on its main memory changes from {before} to {after}, without a restart"
