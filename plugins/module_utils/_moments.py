# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""Moments on a node: shown to people by the wall clock, compared by the monotonic one.

The wall clock is set back and forth (a battery that is empty, NTP, a virtual machine that was paused). CLOCK_MONOTONIC is not, and is
the same for all processes of one boot, so it may stand in files below /run, which a boot empties.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable


@dataclass(frozen=True)
class Moment:
    wall: float  # seconds since the epoch
    monotonic: float  # seconds since the boot


@dataclass(frozen=True)
class Clock:
    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic

    def now(self) -> Moment:
        return Moment(self.wall(), self.monotonic())

    def stamp(self, ahead: float = 0.0) -> str:
        """Now, or so many seconds later, as Docker writes the times of log lines."""
        return time.strftime("%Y-%m-%dT%H:%M:%S.000000000Z", time.gmtime(self.wall() + ahead))


def read(document: Mapping[str, Any], key: str, now: Moment) -> Moment | None:
    """A moment in a state file, which has it twice: C(key), and C(key) below C(monotonic). An older launcher wrote the first only."""
    try:
        wall = float(document[key])
    except (KeyError, TypeError, ValueError):
        return None
    try:
        return Moment(wall, float(document["monotonic"][key]))
    except (KeyError, TypeError, ValueError):
        return Moment(wall, now.monotonic - max(0.0, now.wall - wall))


def seconds_since(document: Mapping[str, Any], key: str, now: Moment) -> float | None:
    """How long ago that was; None where it is not told."""
    moment = read(document, key, now)
    return None if moment is None else max(0.0, now.monotonic - moment.monotonic)


def age_of_process(pid: int, root: str = "/") -> float | None:
    """Seconds since a process was started; None where it is gone. The kernel counts them from the boot (proc(5), starttime)."""
    try:
        with open(os.path.join(root, f"proc/{pid}/stat"), encoding="ascii", errors="replace") as file:
            started = float(file.read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started)
