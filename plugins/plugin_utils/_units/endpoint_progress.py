# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""One wait made of several short module calls, with a line on the terminal for each endpoint that changed in between."""

from __future__ import annotations

import time
import typing as t

from ...module_utils._ready_tell import duration

Result = dict[str, t.Any]


class Progress:
    """Shows what is new about an endpoint, once."""

    def __init__(self, host: str | None, show: t.Callable[[str], None]) -> None:
        self.host = host
        self.show = show
        self.shown: dict[str, str] = {}

    def tell(self, endpoints: t.Sequence[t.Mapping[str, t.Any]]) -> None:
        for one in endpoints:
            text = "ready" if one["ready"] else one["cause"] or one["message"]
            if self.shown.get(one["name"]) == text:
                continue
            self.shown[one["name"]] = text
            subject = f"{self.host} {one['name']}" if self.host else one["name"]
            self.show(f"{subject}: {text} ({duration(one['waited'])})")


def in_slices(
    arguments: t.Mapping[str, t.Any],
    call: t.Callable[[t.Mapping[str, t.Any]], Result],
    progress: Progress,
    clock: t.Callable[[], float] = time.monotonic,
) -> Result:
    """Call the module until it has finished; what is ready is not asked again; the deadline spans all calls and what lies between."""
    began = clock()
    order = [one["name"] for one in arguments["endpoints"]]
    settled: dict[str, t.Mapping[str, t.Any]] = {}
    part: t.Mapping[str, t.Any] = {"since": None, "known": {}}
    while True:
        waiting = [one for one in arguments["endpoints"] if one["name"] not in settled]
        result = call({**arguments, "endpoints": waiting, "_slice": part})
        seen = result.get("endpoints")
        if not isinstance(seen, list):
            return result  # refused options, an unreachable host, a missing library
        progress.tell(seen)
        part = result.pop("_slice", None) or {}
        settled.update({one["name"]: one for one in seen if one["ready"]})
        if part and len(settled) < len(order):
            part = {**part, "ready": list(settled), "since": {**part["since"], "waited": round(clock() - began, 3)}}
            continue
        latest = {**{one["name"]: one for one in seen}, **settled}
        result["endpoints"] = [latest[name] for name in order if name in latest]
        result.get("invocation", {}).get("module_args", {}).pop("_slice", None)
        return result
