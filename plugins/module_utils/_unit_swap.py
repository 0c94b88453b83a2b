# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Stops what goes or changes, then starts what is wanted."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence

from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import Docker
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Run
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import FileLock, read_json
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_decision import HELD, REFUSED, RELOAD, RESTART, START
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_handover import Handover
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_report import Report
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_strays import Stray, remove_what_is_left
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_systemctl import Systemctl
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_wanted import Wanted
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_work import Settings, Work


class Swap:
    def __init__(
        self, settings: Settings, run: Run, systemctl: Systemctl, clock: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self._settings = settings
        self._paths = settings.paths
        self._docker = Docker(settings.paths.docker, run)
        self._systemctl = systemctl
        self._clock = clock
        self._sleep = sleep
        self.handover = Handover(settings, run, systemctl, clock, sleep)

    def carry_out(self, work: Work) -> None:
        self.handover.carry_out(work)
        strays = [stray for stray in work.strays if work.report.units[stray.instance]["action"] != HELD]
        stopping: list[Wanted | Stray] = [*work.with_action(RESTART), *(stray for stray in strays if work.units[stray.unit].up)]
        self._stop(stopping, max([item.stop_timeout for item in work.wanted] + [60.0]), work.report)
        # Whatever it was before: one that is stopped while it starts ends as failed, and systemd would list it for ever.
        if strays:
            self._systemctl.forget_failure([stray.unit for stray in strays])
        for stray in strays:
            self._systemctl.disable(stray.unit)
            remove_what_is_left(stray, work.containers_of(stray), self._paths, self._docker)
        self._start(work)
        # Last, since one may have ended meanwhile.
        problem = self._systemctl.reload([item.unit for item in work.with_action(RELOAD)])
        if problem:
            work.report.warnings.append(problem)

    def _stop(self, stopping: Sequence[Wanted | Stray], longest: float, report: Report) -> None:
        """Memory that a stopping engine frees misleads a neighbour that measures the GPU at that moment. So engines that are ready
        stop only while nobody else loads on their GPUs."""
        if not stopping:
            return
        idle, serving, locks = [], [], set()
        for item in stopping:
            state = read_json(self._paths.state(item.kind, item.name)) or {}
            if state.get("phase") == "ready" and item.locks:
                serving.append(item.unit)
                locks |= set(item.locks)
            else:
                idle.append(item.unit)
        self._systemctl.stop(idle, longest)
        held: list[FileLock] = []
        deadline = self._clock() + self._settings.gpu_lock_timeout
        try:
            for name in sorted(locks):
                lock = FileLock(self._paths.gpu_lock(name))
                while not lock.try_lock(f"reconciler {os.getpid()}\n"):
                    if self._clock() >= deadline:
                        report.warnings.append(f"an engine still loads on GPU {name}; stopped its neighbours all the same")
                        break
                    self._sleep(0.5)
                held.append(lock)
            self._systemctl.stop(serving, longest)
        finally:
            for lock in held:
                lock.release()

    def _start(self, work: Work) -> None:
        for item in work.wanted:
            if not self._systemctl.enabled(item.unit) and work.actions[item.instance] not in (REFUSED, HELD):
                self._systemctl.enable(item.kind, item.unit)
        starting = work.with_action(START, RESTART)
        if not starting:
            return
        for item in starting:
            for file in (self._paths.state(item.kind, item.name), self._paths.history(item.kind, item.name)):
                with contextlib.suppress(FileNotFoundError):
                    file.unlink()
        self._systemctl.start([item.unit for item in starting])
