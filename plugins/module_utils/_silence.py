# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""Tells a start that is slow from one that hangs: by lines of its log, and by what its processes compute, read and write.

A hub that accepts a connection and never answers keeps a download waiting for ever: measured, such a download uses no processor time at
all and moves no byte, while the slowest one that gets somewhere does both.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _progress as progress
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes_base import Cause
except ImportError:  # on the node the files lie side by side
    import _progress as progress  # type: ignore[import-not-found,no-redef]
    from _causes_base import Cause  # type: ignore[import-not-found,no-redef]

#: Seconds without a sign after which it is told.
TOLD_AFTER = 60.0
#: Seconds between two looks at the processes; while lines come, nobody looks.
LOOK_EVERY = 15.0
#: Of one core; an engine that waits, with its threads asleep, uses less than half of it.
LEAST_CPU = 0.02
#: Bytes a second that count as a sign: a connection that is tried again now and then moves less.
LEAST_BYTES = 4096.0


@dataclass(frozen=True)
class Vitals:
    """What processes have used since they began: seconds of processor time, bytes read and written."""

    processes: int = 0
    cpu: float = 0.0
    moved: int = 0


@dataclass(frozen=True)
class Silence:
    """Since when there has been no sign. C(limit): seconds after which the start has failed; 0 is never. Times are monotonic."""

    limit: float
    last: float
    looked: float
    vitals: Vitals | None = None

    def heard(self, now: float) -> Silence:
        """A line of the log, or progress that was told."""
        return replace(self, last=now, vitals=None)

    def due(self, now: float) -> bool:
        return now - max(self.last, self.looked) >= LOOK_EVERY

    def look(self, now: float, vitals: Vitals | None) -> Silence:
        """After a look at the processes. Where there are none to look at, nothing is concluded."""
        if vitals is None or vitals.processes == 0:
            return replace(self, last=now, looked=now, vitals=None)
        if self.vitals is None:
            return replace(self, looked=now, vitals=vitals)
        seconds = max(0.001, now - self.looked)
        alive = (
            vitals.processes != self.vitals.processes
            or abs(vitals.cpu - self.vitals.cpu) / seconds >= LEAST_CPU
            or abs(vitals.moved - self.vitals.moved) / seconds >= LEAST_BYTES
        )
        return replace(self, last=now if alive else self.last, looked=now, vitals=vitals)

    def seconds(self, now: float) -> int:
        """How long to tell of; 0 while it is not worth a word."""
        silent = now - self.last
        return int(silent) if silent >= TOLD_AFTER else 0

    def over(self, now: float) -> bool:
        return self.limit > 0 and now - self.last > self.limit


_LONGER = "Where such a pause is usual, raise silence_timeout of the service (0: no limit)."
_NOTHING_SENT = "Something accepted the connection and sends nothing: "


def told(phase: str, seconds: float) -> tuple[Cause, str, str]:
    """Cause, message and remedy of a start that was silent for too long."""
    what = {progress.PULLING: "pulling the image", progress.DOWNLOADING: "downloading the model"}.get(phase, progress.describe(phase))
    message = f"no sign of life for {seconds:.0f} s while {what}: no line of log, no processor time, no data"
    if phase == progress.PULLING:
        return (
            Cause.REGISTRY_DOWN,
            message,
            f"{_NOTHING_SENT}the registry, a proxy or a firewall. Check the Docker daemon's proxy. {_LONGER}",
        )
    if phase == progress.DOWNLOADING:
        way = "the hub, a proxy or a firewall. Check inference_proxy and HF_ENDPOINT, or give the path of a model on the node as source"
        return Cause.DOWNLOAD_FAILED, message, f"{_NOTHING_SENT}{way}. {_LONGER}"
    waits = "The engine waits for something that does not come: a network or storage that hangs (NFS), another rank, a lock, or the GPU"
    return Cause.TIMEOUT, message, f"{waits}. Read 'journalctl -u' of the unit and 'journalctl -k'. {_LONGER}"


# ---------------------------------------------------------------- processes

_PULLERS = ("dockerd", "containerd")


def _stat(folder: Path) -> tuple[str, int, float] | None:
    """Name, parent and seconds of processor time of a process."""
    try:
        name, _bracket, rest = (folder / "stat").read_text(encoding="utf-8", errors="replace").partition("(")[2].rpartition(")")
        fields = rest.split()
        return name, int(fields[1]), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


def _moved(folder: Path) -> int:
    """Bytes that a process has read and written: by its calls, and from disks and network file systems below mapped files."""
    try:
        pairs = (line.split(": ") for line in (folder / "io").read_text(encoding="ascii").split("\n"))
        counters = {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}
    except (OSError, ValueError):
        return 0
    return sum(counters.get(key, 0) for key in ("rchar", "wchar", "read_bytes"))


def vitals(wanted: Callable[[int, str], bool], proc: Path = Path("/proc")) -> Vitals:
    """Of the processes that are wanted, by id and name, with all that descends from them."""
    table: Mapping[int, tuple[str, int, float]] = {
        int(folder.name): found for folder in proc.glob("[0-9]*") for found in (_stat(folder),) if found is not None
    }
    children: dict[int, list[int]] = {}
    for pid, (_name, parent, _cpu) in table.items():
        children.setdefault(parent, []).append(pid)
    seen: set[int] = set()
    todo = [pid for pid, (name, _parent, _cpu) in table.items() if wanted(pid, name)]
    while todo:
        pid = todo.pop()
        if pid not in seen:
            seen.add(pid)
            todo += children.get(pid, [])
    return Vitals(len(seen), sum(table[pid][2] for pid in seen), sum(_moved(proc / str(pid)) for pid in seen))


def of_container(pids: Iterable[int]) -> Vitals | None:
    """Of a container's processes: whatever it starts descends from its first one."""
    first = frozenset(pid for pid in pids if pid > 0)
    return vitals(lambda pid, _name: pid in first) if first else None


def of_pull() -> Vitals | None:
    """Of whoever pulls images on this host; one pull cannot be told from another."""
    found = vitals(lambda _pid, name: name in _PULLERS)
    # With the number of processes left out: daemons start some for every container.
    return replace(found, processes=1) if found.processes else None
