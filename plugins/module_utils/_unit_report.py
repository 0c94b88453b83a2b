# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What a run over the units of a host did, or would do, and what it tells of failures."""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import Diagnosis
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import Instance, Paths, read_json
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_decision import HELD, KEEP, REFUSED, RELOAD, RESTART, START


def with_remedy(subject: str, found: Diagnosis) -> str:
    """A failure as a person reads it: what it is, what to do, and the log lines that show it."""
    return "\n".join([subject, f"  Remedy: {found.remedy}", "  Log:", *(f"    {line}" for line in found.log_lines)])


@dataclass
class Report:
    """What a run did, or would do."""

    changed: bool = False
    started: list[str] = field(default_factory=list)
    restarted: list[str] = field(default_factory=list)
    reloaded: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)  # live files
    stopped: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    joined: list[tuple[str, str]] = field(default_factory=list)
    #: What is left for a later call, and has been fetched, read by its image and tried by Docker, by its config hash.
    checked: dict[str, str] = field(default_factory=dict)
    #: Parts of engines over several hosts that can run with changed parts alone, with the hosts of these.
    regrouped: dict[str, list[str]] = field(default_factory=dict)
    #: Those whose newest release is not what they are to run, with its number; none where there is no release.
    unproved: dict[str, int | None] = field(default_factory=dict)
    units: dict[str, dict[str, str]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    diff: list[dict[str, str]] = field(default_factory=list)

    def note(self, instance: Instance, config_hash: str, action: str, reason: str) -> None:
        """What becomes of an instance, and why."""
        self.units[instance.instance] = {
            "unit": instance.unit,
            "container": instance.container,
            "config_hash": config_hash,
            "action": action,
            "reason": reason,
        }

    def take_back(self, instance: str) -> None:
        """It neither starts nor stops nor goes after all."""
        for names in (self.started, self.restarted, self.stopped, self.removed):
            if instance in names:
                names.remove(instance)


def told_of_failures(report: Report, paths: Paths) -> str:
    """The failures of a run, and of the instances that did not fail what was done and where they stand."""
    words = {KEEP: "unchanged", START: "started", RESTART: "restarted", RELOAD: "reloaded", HELD: "left as it is", "remove": "removed"}
    others = []
    for instance, unit in sorted(report.units.items()):
        if unit["action"] == REFUSED:
            continue
        kind, _slash, name = instance.partition("/")
        state = read_json(paths.state(kind, name)) or {}
        told = words.get(unit["action"], unit["action"])
        # Of one that has just been started only its next state tells.
        phase = state.get("phase") if unit["action"] in (KEEP, RELOAD, HELD) else None
        detail = f": {state.get('cause')}" if phase == "failed" and state.get("cause") else ""
        others.append(f"  {instance}: {told}{f', {phase}{detail}' if phase else ''}")
    rest = ["The other instances of this host, which continue by themselves:", *others] if others else []
    return "\n".join([*report.failures, *rest])
