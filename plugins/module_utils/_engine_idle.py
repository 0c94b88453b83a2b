# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Waits until engines have no request in work. Not every engine tells how many it has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ansible_collections.llmops.gpu_inference.plugins.module_utils._engine_signs import signs_of
from ansible_collections.llmops.gpu_inference.plugins.module_utils._launch_rules import activity
from ansible_collections.llmops.gpu_inference.plugins.module_utils._local_http import fetch, server_root

#: One that no longer gets requests may have got the last of them a moment ago.
TIMES = 2
STEP = 1.0
IDLE, BUSY, STOPPED, UNKNOWN = "idle", "busy", "stopped", "unknown"


@dataclass(frozen=True)
class Engine:
    unit: str
    kind: str
    base_url: str
    key: str | None = None


@dataclass
class Found:
    """C(requests): in work or waiting for it; None where the engine does not tell."""

    unit: str
    state: str
    requests: int | None = None
    idle_looks: int = 0

    @property
    def over(self) -> bool:
        return self.state == STOPPED or self.idle_looks >= TIMES


def look(engine: Engine, ask: Callable[[str, str | None], str]) -> Found:
    signs = signs_of(engine.kind)
    if not signs.busy:
        return Found(engine.unit, UNKNOWN)
    try:
        told = activity(ask(server_root(engine.base_url) + signs.counters, engine.key), "|".join(signs.busy))
    except ConnectionRefusedError:
        return Found(engine.unit, STOPPED)
    except (OSError, ValueError):
        return Found(engine.unit, UNKNOWN)
    if told is None:
        return Found(engine.unit, UNKNOWN)
    return Found(engine.unit, BUSY if told > 0 else IDLE, int(told))


def ask_engine(url: str, key: str | None) -> str:
    try:
        with fetch(url, 5.0, key=key) as answer:
            return str(answer.read().decode("utf-8", "replace"))
    except OSError as error:
        # urllib wraps it.
        reason = getattr(error, "reason", None)
        raise reason if isinstance(reason, ConnectionRefusedError) else error from None


def wait_idle(
    engines: Sequence[Engine],
    *,
    timeout: float,
    quiet: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    ask: Callable[[str, str | None], str] = ask_engine,
) -> list[Found]:
    """How each of them is at the end. C(quiet): seconds for those that do not tell."""
    began = clock()
    last = {engine.unit: Found(engine.unit, UNKNOWN) for engine in engines}
    while True:
        for engine in engines:
            before = last[engine.unit]
            if not before.over:
                now = look(engine, ask)
                now.idle_looks = before.idle_looks + 1 if now.state == IDLE else 0
                last[engine.unit] = now
        waited = clock() - began
        open_ones = [one for one in last.values() if not one.over and not (one.state == UNKNOWN and waited >= quiet)]
        if not open_ones or waited >= timeout:
            return list(last.values())
        sleep(min(STEP, max(0.0, timeout - waited)))
