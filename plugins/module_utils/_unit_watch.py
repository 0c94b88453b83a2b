# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What systemd and the launcher say about a unit: one `systemctl show` for all units, and one state file each."""

from __future__ import annotations

import json
import os
import typing as t
from dataclasses import dataclass, replace
from pathlib import Path

from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import NOT_FOUND
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import Paths, holder_of, is_locked
from ansible_collections.llmops.gpu_inference.plugins.module_utils._systemd import Systemd, SystemdError

STATE_DIR = "/run/gpu-inference/state"
_PROPERTIES = ("Id", "LoadState", "ActiveState", "SubState", "Result", "NRestarts", "MainPID", "ExecMainStatus", "Job")


class WatchError(Exception):
    """systemd could not be asked."""


@dataclass(frozen=True)
class LauncherState:
    phase: str
    percent: int | None = None
    detail: str = ""
    since: float = 0.0  # seconds since the boot; 0 where the launcher is too old to tell
    failures: int = 0
    config_hash: str | None = None
    cause: str | None = None
    message: str | None = None
    remedy: str | None = None
    log_lines: tuple[str, ...] = ()
    permanent: bool = False
    pid: int | None = None
    silent: int = 0  # seconds without any sign of life during a start, once they are worth a word


@dataclass(frozen=True)
class Run:
    """The last run that brought the units of this host to their state."""

    by: str
    active: bool = False


@dataclass(frozen=True)
class UnitView:
    unit: str
    load_state: str = "loaded"
    active_state: str = "inactive"
    sub_state: str = "dead"
    result: str = "success"
    restarts: int = 0
    main_pid: int = 0
    exit_status: int = 0
    run: Run | None = None
    job: bool = False  # systemd has a start or stop of this unit queued or running; a notify unit's lasts until it is ready
    state: LauncherState | None = None

    @property
    def kind(self) -> str:
        return self.unit.split("@", 1)[0]

    @property
    def own_state(self) -> LauncherState | None:
        """The launcher's state, unless an earlier process than the running one left it behind."""
        if self.state is None or (self.main_pid and self.state.pid and self.state.pid != self.main_pid):
            return None
        return self.state


def _whole(value: t.Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0


def _since(data: t.Mapping[str, t.Any]) -> float:
    monotonic = data.get("monotonic")
    return float(monotonic.get("since") or 0.0) if isinstance(monotonic, dict) else 0.0


def read_state(text: str) -> LauncherState | None:
    try:
        data = json.loads(text)
    except ValueError:
        return None
    if not isinstance(data, dict) or not isinstance(data.get("phase"), str):
        return None
    percent = data.get("percent")
    return LauncherState(
        phase=data["phase"],
        percent=_whole(percent) if percent is not None else None,
        detail=str(data.get("detail") or ""),
        since=_since(data),
        failures=_whole(data.get("failures")),
        config_hash=data.get("config_hash"),
        cause=data.get("cause"),
        message=data.get("message"),
        remedy=data.get("remedy"),
        log_lines=tuple(str(line) for line in data.get("log_lines") or ()),
        permanent=bool(data.get("permanent")),
        pid=_whole(data.get("pid")) or None,
        silent=_whole(data.get("silent")),
    )


def view_of(unit: str, shown: t.Mapping[str, str]) -> UnitView:
    """From its properties."""
    return UnitView(
        unit=unit,
        load_state=shown.get("LoadState", "not-found"),
        active_state=shown.get("ActiveState", "inactive"),
        sub_state=shown.get("SubState", "dead"),
        result=shown.get("Result", "success"),
        restarts=_whole(shown.get("NRestarts")),
        main_pid=_whole(shown.get("MainPID")),
        exit_status=_whole(shown.get("ExecMainStatus")),
        job=bool(_whole(str(shown.get("Job") or "0").split(" ", 1)[0])),
    )


def state_path(unit: str, state_dir: str) -> str:
    name = unit[: -len(".service")] if unit.endswith(".service") else unit
    return os.path.join(state_dir, os.path.basename(name) + ".json")


@dataclass(frozen=True)
class UnitWatch:
    state_dir: str = STATE_DIR

    def __call__(self, units: t.Sequence[str]) -> dict[str, UnitView]:
        try:
            shown = Systemd().show(units, _PROPERTIES)
        except SystemdError as error:
            if error.rc == NOT_FOUND:
                raise WatchError("systemctl does not exist on this host, so units cannot be watched; leave out 'unit'") from error
            raise WatchError(f"systemctl show failed (exit status {error.rc}): {error}") from error
        run = self._run() if units else None
        return {unit: replace(view_of(unit, block), run=run, state=self._state(unit)) for unit, block in shown.items()}

    def _run(self) -> Run | None:
        lock = Paths(runtime=Path(self.state_dir).parent).run_lock
        by = holder_of(lock)
        return Run(by, is_locked(lock)) if by else None

    def _state(self, unit: str) -> LauncherState | None:
        try:
            with open(state_path(unit, self.state_dir), encoding="utf-8") as handle:
                return read_state(handle.read())
        except OSError:
            return None


def journal_tail(unit: str, lines: int = 60) -> list[str]:
    """The unit's last journal lines; nothing where the journal may not be read."""
    return [line for line in Systemd().journal(unit, "--all", f"--lines={lines}").split("\n") if line]
