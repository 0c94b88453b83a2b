# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What is true is the label of the running container. So whatever an earlier run left half done, the next one sees and repairs.

A change is tried before anything stops for it: the image is fetched, reads its configuration, and Docker makes and starts a container with
the new settings beside the old one. What is refused by any of them is left as it is, files and container, so that also a reboot brings
back what served.

"""

from __future__ import annotations

import json
import os
import time
import typing as t
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _proved as proved
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import Docker
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Run, run_command
from ansible_collections.llmops.gpu_inference.plugins.module_utils._live_files import LiveFolder, place_live, read_live
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import (
    ENV_FILE,
    OWNER,
    SERVICE_FILE,
    FileLock,
    holder_of,
    is_ours,
    program_hash,
    read_json,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._ollama_api import OllamaApi
from ansible_collections.llmops.gpu_inference.plugins.module_utils._releases import newest as newest_release
from ansible_collections.llmops.gpu_inference.plugins.module_utils._systemd import Systemd
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_changes import joined, read_service, regrouped
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_decision import (
    HELD,
    KEEP,
    REFUSED,
    RELOAD,
    RESTART,
    START,
    Decision,
    decide,
    full_reason,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_diff import diff_of
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_errors import LockHeldError, UnitsError
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_fetch import ModelServer
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_folder import (
    Folder,
    Staged,
    commit,
    discard,
    read_folder,
    stage,
    unstage,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_present import check_startable, present_containers, present_units
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_releases import Prover
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_report import Report
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_strays import find_strays
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_swap import Swap
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_systemctl import Systemctl
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_trial import Trial
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_wanted import Wanted
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_work import Settings, Work


class Reconciler:
    def __init__(
        self,
        settings: Settings,
        run: Run = run_command,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        server: Callable[[str], ModelServer] = lambda url: OllamaApi(url, 600.0),
        prover: Prover | None = None,
    ) -> None:
        self.settings = settings
        self.paths = settings.paths
        self._run = run
        self._clock = clock
        self._sleep = sleep
        self._systemd = Systemd(run, settings.systemctl)
        self._systemctl = Systemctl(self._systemd, settings.wants_dir)
        self._trial = Trial(settings, run, server)
        self._swap = Swap(settings, run, self._systemctl, clock, sleep)
        self._prover = prover or (Prover(settings.paths, settings.proof, run) if settings.proof is not None else None)

    def apply(self, wanted: Sequence[Wanted], who: str = "") -> Report:
        if self.settings.check_mode:
            return self._apply(wanted)
        lock = self._lock(who)
        try:
            return self._apply(wanted)
        finally:
            lock.release()

    def place_live(self, wanted: Sequence[Wanted], who: str = "") -> Report:
        """Only the live files, and only of instances that have some: their containers mount the folder."""
        lock = None if self.settings.check_mode else self._lock(who)
        try:
            report = Report()
            for item in wanted:
                folder = self.paths.folder(item.kind, item.name)
                live = read_live(folder, item.live)
                if live.exists and live.differs and is_ours(read_json(folder / SERVICE_FILE)):
                    self._place(item, live, report)
            return report
        finally:
            if lock is not None:
                lock.release()

    def _place(self, item: Wanted, live: LiveFolder, report: Report) -> None:
        report.changed = True
        report.replaced.append(item.instance)
        report.diff += live.diff()
        if not self.settings.check_mode:
            place_live(live)

    def _lock(self, who: str) -> FileLock:
        """One run at a time on a host."""
        lock = FileLock(self.paths.run_lock)
        deadline = self._clock() + self.settings.lock_timeout
        text = json.dumps({"pid": os.getpid(), "by": who, "since": time.strftime("%Y-%m-%d %H:%M:%S %Z")}) + "\n"
        while not lock.try_lock(text):
            if self._clock() >= deadline:
                raise LockHeldError(holder_of(lock.path) or "unknown", lock.path)
            self._sleep(0.5)
        return lock

    def _apply(self, wanted: Sequence[Wanted]) -> Report:
        work = self._look(wanted)
        decisions = {item.instance: decision for item, decision in zip(wanted, self._decisions(work))}
        if not self.settings.check_mode:
            needed = [item.unit for item in wanted if decisions[item.instance].action in (START, RESTART)]
            check_startable({unit: work.units[unit] for unit in needed})
        self._tell(work, decisions)
        report = work.report
        report.joined = joined(work.changes())
        report.regrouped = {
            item.instance: hosts
            for item in work.with_action(RESTART)
            if (hosts := regrouped(work.folders[item.instance].texts, item.files))
        }
        if not self.settings.check_mode:
            self._trial.remove_leftovers(work)
            self._swap.handover.tidy(work)
        if (report.changed or work.with_action(HELD)) and not self.settings.check_mode:
            self._carry_out(work)
        elif self.settings.check_mode:
            for item in wanted:
                if work.live[item.instance].differs:
                    self._place(item, work.live[item.instance], report)
        if self._prover is not None:
            kept = [item for item in wanted if work.actions[item.instance] not in (REFUSED, HELD)]
            for item in kept:
                release = newest_release(self.paths, item)
                if release is None or release["config_hash"] != item.config_hash:
                    report.unproved[item.instance] = None if release is None else int(release["number"])
        return report

    # -- looking

    def _look(self, wanted: Sequence[Wanted]) -> Work:
        """Raises UnitsError where a folder or a container of that name is somebody else's."""
        forecast = self.settings.check_mode
        if not forecast:  # after a boot that is not long ago: a launcher may be about to do it
            for item in wanted:
                proved.put_back(self.paths, item)
        folders = {item.instance: read_folder(self.paths.folder(item.kind, item.name)) for item in wanted}
        live = {item.instance: read_live(self.paths.folder(item.kind, item.name), item.live) for item in wanted}
        for folder in folders.values():
            if folder.exists and not folder.owned and folder.texts:
                raise UnitsError(f"{folder.path} exists and is not ours: its service.json does not carry the owner marker {OWNER}")
        containers = present_containers(Docker(self.paths.docker, self._run), forecast=forecast)
        for item in wanted:
            container = containers.get(item.container)
            if container is not None and not (container.owned and container.instance == item.instance):
                raise UnitsError(
                    f"a container named {item.container} exists and is not ours. Remove or rename it, or rename {item.instance}."
                )
        strays = find_strays(self.paths, self.settings.kinds, folders, containers) if self.settings.purge else []
        names = [item.unit for item in wanted] + [stray.unit for stray in strays]
        units = present_units(self._systemd, names, forecast=forecast)
        return Work(wanted, folders, live, containers, strays, units)

    def _decisions(self, work: Work) -> list[Decision]:
        programs: dict[str, str] = {}
        decisions = []
        for item in work.wanted:
            state = self._launcher_knows(item)
            outdated = False
            if state is not None and "pid" in state:  # a launcher's own word, and not its service.json
                folder = str(state.get("program_dir") or "")
                if folder not in programs:
                    programs[folder] = program_hash(Path(folder)) if folder else ""
                outdated = not folder or state.get("program_hash") != programs[folder]
            decisions.append(decide(item, work.units[item.unit], work.containers.get(item.container), state, outdated))
        return decisions

    def _launcher_knows(self, item: Wanted) -> dict[str, t.Any] | None:
        state = self.paths.state(item.kind, item.name)
        return read_json(state) or read_json(self.paths.folder(item.kind, item.name) / SERVICE_FILE)

    # -- telling

    def _tell(self, work: Work, decisions: Mapping[str, Decision]) -> None:
        """Turns decisions into actions, and says what they are and why."""
        report = work.report
        for item in work.wanted:
            decision, folder = decisions[item.instance], work.folders[item.instance]
            differs = bool(
                folder.differing(item.files) or folder.surplus(item.files) or not folder.modes_right or work.live[item.instance].differs
            )
            action = decision.action
            if action != KEEP and not self.settings.restart:
                report.pending.append(item.instance)
                action = KEEP
            waits = action in (START, RESTART) and item.instance in self.settings.later
            if waits:
                report.pending.append(item.instance)
                action = HELD
            work.actions[item.instance] = action
            why = full_reason(decision, item, folder, work.containers.get(item.container))
            report.note(item, item.config_hash, action, why)
            if waits:
                continue
            report.diff += diff_of(item, folder)
            if action == KEEP and not differs and self._systemctl.enabled(item.unit):
                report.unchanged.append(item.instance)
            else:
                report.changed = True
        for stray in work.strays:
            report.changed = True
            report.removed.append(stray.instance)
            report.note(stray, "", "remove", "left the list of instances")
            header = str(stray.folder.path)
            report.diff.append({"before_header": header, "after_header": header, "before": "present\n", "after": "absent\n"})
        report.started = [item.instance for item in work.with_action(START)]
        report.restarted = [item.instance for item in work.with_action(RESTART)]
        report.reloaded = [item.instance for item in work.with_action(RELOAD)]
        report.stopped = report.restarted + [stray.instance for stray in work.leaving]

    # -- doing

    def _carry_out(self, work: Work) -> None:
        risked = [item for item in work.risked() if not self.settings.is_checked(item)]
        self._trial.fetch_and_check(work, risked)
        staged = self._stage([item for item in work.wanted if work.actions[item.instance] != REFUSED], work.folders)
        try:
            self._trial.ask_docker(work, risked, staged)
            self._swap.handover.prepare(work, staged)
            work.hold_back()
            # Only what all of it was asked of: what starts anew may be to replace what leaves, which only the later call knows.
            work.report.checked = {item.instance: item.config_hash for item in risked if work.actions[item.instance] == HELD}
        finally:
            left = {instance for instance, action in work.actions.items() if action in (REFUSED, HELD)}
            for instance in left & set(staged):
                discard(work.folders[instance], staged.pop(instance))
        if self._prover is not None:
            self._prover.measure_before([item for item in work.wanted if self._is_measured(item, work)])
        for item in work.wanted:
            if item.instance not in left:
                self._keep_what_is_proved(item, work.folders[item.instance])
                self._put_in_place(item, staged.get(item.instance, ()), work)
        self._swap.carry_out(work)

    @staticmethod
    def _is_measured(item: Wanted, work: Work) -> bool:
        """What is replaced is measured before; a part of an engine over several hosts while it is held, since by now others may be gone."""
        return work.actions[item.instance] == (HELD if item.is_part else RESTART) and work.units[item.unit].active == "active"

    def _keep_what_is_proved(self, item: Wanted, folder: Folder) -> None:
        """For a boot, until what replaces it has proved itself. One unproved configuration after another leaves what was kept before."""
        if self._prover is None or item.is_part:  # its other parts would not come up with it
            return
        release = newest_release(self.paths, item) if self.settings.boots_proved else None
        proved_hash = release["config_hash"] if release is not None else None
        if proved_hash in (None, item.config_hash):
            proved.forget(self.paths, item)
        elif read_service(folder.texts).get("config_hash") == proved_hash:
            proved.keep(self.paths, item, {*folder.listed, ENV_FILE, SERVICE_FILE} & set(folder.texts))

    def _put_in_place(self, item: Wanted, staged: Sequence[Staged], work: Work) -> None:
        folder, live = work.folders[item.instance], work.live[item.instance]
        kept = {temporary for temporary, _final in staged}
        unstage((folder.path / name, folder.path) for name in folder.staged if folder.path / name not in kept)
        surplus = folder.surplus(item.files)
        if staged or surplus:
            commit(folder.path, staged, surplus)
        # Before anything starts, since a container mounts the folder.
        if live.differs:
            self._place(item, live, work.report)

    def _stage(self, wanted: Sequence[Wanted], folders: Mapping[str, Folder]) -> dict[str, list[Staged]]:
        staged: dict[str, list[Staged]] = {}
        try:
            for item in wanted:
                folder = folders[item.instance]
                names = [name for name in item.files if not folder.modes_right or name in folder.differing(item.files)]
                if names or not folder.exists:
                    staged[item.instance] = stage(folder.path, {name: item.files[name] for name in names})
        except UnitsError:
            for instance, pairs in staged.items():
                discard(folders[instance], pairs)
            raise
        return staged
