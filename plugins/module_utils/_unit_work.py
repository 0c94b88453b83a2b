# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What one run has before it: what is wanted of each instance, what is there, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import Diagnosis
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_flags import Port
from ansible_collections.llmops.gpu_inference.plugins.module_utils._live_files import LiveFolder
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import Instance, Paths
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_changes import Change, change_of, held_back, read_service
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_decision import HELD, REFUSED, RESTART, START
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_folder import Folder
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_present import Container, Unit
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_releases import Proof
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_report import Report, with_remedy
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_strays import Stray
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_wanted import Wanted


@dataclass(frozen=True)
class Settings:
    paths: Paths
    kinds: tuple[str, ...]
    systemctl: str = "systemctl"
    wants_dir: Path = Path("/etc/systemd/system/gpu-inference.target.wants")
    purge: bool = True
    restart: bool = True
    lock_timeout: float = 600.0
    gpu_lock_timeout: float = 900.0
    pull_timeout: float = 7200.0
    check_timeout: float = 300.0
    check_mode: bool = False
    later: frozenset[str] = frozenset()  # instances that stay as they run, for a call that follows
    checked: Mapping[str, str] = field(default_factory=dict)  # what a call before this one has fetched and tried, by its config hash
    proof: Proof | None = None  # how what is replaced is measured before; not at all without it
    boots_proved: bool = False  # whether a host that goes down before a change has proved itself comes up with what served before

    def is_checked(self, item: Wanted) -> bool:
        return self.checked.get(item.instance) == item.config_hash


@dataclass
class Work:
    """Folders, live files and actions by instance, containers and units by their own names."""

    wanted: Sequence[Wanted]
    folders: Mapping[str, Folder]
    live: Mapping[str, LiveFolder]
    containers: Mapping[str, Container]
    strays: Sequence[Stray]
    units: Mapping[str, Unit]
    actions: dict[str, str] = field(default_factory=dict)
    report: Report = field(default_factory=Report)

    def with_action(self, *actions: str) -> list[Wanted]:
        return [item for item in self.wanted if self.actions[item.instance] in actions]

    @property
    def leaving(self) -> list[Stray]:
        """What is wanted no more and still runs."""
        return [stray for stray in self.strays if self.units[stray.unit].up]

    def serving(self, item: Instance) -> Container | None:
        """Its container, where that runs."""
        container = self.containers.get(item.container)
        return container if container is not None and container.running else None

    def containers_of(self, item: Instance) -> list[Container]:
        """All that were made for it: after a handover another one than its own has the published port."""
        return [container for container in self.containers.values() if container.owned and container.instance == item.instance]

    def ports_of(self, item: Instance) -> frozenset[Port]:
        return frozenset(port for container in self.containers_of(item) for port in container.ports)

    def is_known(self, item: Wanted) -> bool:
        """Whether its folder already has this configuration."""
        return bool(read_service(self.folders[item.instance].texts).get("config_hash") == item.config_hash)

    def risked(self) -> list[Wanted]:
        """Changes for which something stops that serves: that of a running container, and a new one that may be to replace what leaves."""
        found = []
        for item in self.wanted:
            container, action = self.serving(item), self.actions[item.instance]
            if container is not None:
                changes = action == RESTART or item.instance in self.report.pending
                if changes and container.config_hash != item.config_hash:
                    found.append(item)
            elif action == START and self.leaving and not self.is_known(item):
                found.append(item)
        return found

    # -- what cannot be had

    def kept(self, item: Instance) -> str:
        if self.serving(item) is None:
            return "Nothing was started."
        # A unit is active when its model has answered.
        if self.units[item.unit].active == "active":
            return "The old container still serves with its old configuration; the next run tries again."
        return "The old container stays, with its old configuration, by which it does not serve so far; the next run tries again."

    def refuse(self, item: Wanted, reason: str) -> None:
        """Leaves an instance as it is."""
        self.actions[item.instance] = REFUSED
        self.report.units[item.instance].update(action=REFUSED, reason=reason)
        self.report.take_back(item.instance)

    def refuse_for(self, found: Diagnosis, what: str, item: Wanted) -> None:
        """Leaves an instance as it is, and tells the cause, what still serves, the remedy and the log."""
        self.refuse(item, f"{found.cause}: {found.message}")
        subject = f"{item.instance}: {found.cause}: {what}: {found.message}. {self.kept(item)}"
        self.report.failures.append(with_remedy(subject, found))

    def hold_back(self) -> None:
        """Leaves those changes for the next run that a refused one would make fail."""
        waiting = held_back(self.changes(), [instance for instance, action in self.actions.items() if action == REFUSED])
        for instance, why in waiting.items():
            self.report.units[instance].update(action=HELD, reason=why)
            self.report.pending.append(instance)
            if instance in self.actions:
                self.actions[instance] = HELD
            self.report.take_back(instance)
        if waiting:
            told = "; ".join(f"{instance} ({why})" for instance, why in waiting.items())
            self.report.failures.append(f"Left as they are until the next run, because of what was refused: {told}.")

    def changes(self) -> list[Change]:
        changes = []
        for item in self.wanted:
            action, serving = self.actions[item.instance], self.serving(item)
            new = not self.is_known(item) or (serving is not None and serving.config_hash != item.config_hash)
            if action == REFUSED or (action in (START, RESTART) and new):
                texts = self.folders[item.instance].texts
                changes.append(change_of(item.instance, texts, item.files, self.ports_of(item), serving is not None))
        leaving = self.leaving
        for stray in self.strays:
            changes.append(change_of(stray.instance, stray.folder.texts, {}, self.ports_of(stray), stray in leaving))
        return changes
