# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""One wait made of several short module calls, with a line for each endpoint that changed in between."""

from __future__ import annotations

import time
import typing as t

from ...module_utils._duration import duration

Result = dict[str, t.Any]

#: Into a log: so long nothing is told, and then no endpoint more often than this.
_FIRST = 10.0
_THEN = 60.0


class Progress:
    """Shows what is new about an endpoint, once. C(log): phases only, and nothing of an endpoint that nobody had to wait for."""

    def __init__(self, host: str | None, show: t.Callable[[str], None], log: bool = False) -> None:
        self.host = host
        self.show = show
        self.log = log
        self.shown: dict[str, str] = {}

    def tell(self, endpoints: t.Sequence[t.Mapping[str, t.Any]], last: bool = False) -> None:
        for one in endpoints:
            text = "ready" if one["ready"] else one["cause"] or one["message"]
            news = one["phase"] if self.log and not one["cause"] and one.get("percent") is not None else text
            if self.shown.get(one["name"]) == news or (self.log and last and one["name"] not in self.shown):
                continue
            self.shown[one["name"]] = news
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
    part: t.Mapping[str, t.Any] = {"since": None, "known": {}, **({"least": _FIRST} if progress.log else {})}
    while True:
        waiting = [one for one in arguments["endpoints"] if one["name"] not in settled]
        result = call({**arguments, "endpoints": waiting, "_slice": part})
        seen = result.get("endpoints")
        if not isinstance(seen, list):
            return result  # refused options, an unreachable host, a missing library
        part = result.pop("_slice", None) or {}
        progress.tell(seen, last=not part)
        settled.update({one["name"]: one for one in seen if one["ready"]})
        if part and len(settled) < len(order):
            since = {**part["since"], "waited": round(clock() - began, 3)}
            part = {**part, "ready": list(settled), "since": since, **({"least": _THEN} if progress.log else {})}
            continue
        latest = {**{one["name"]: one for one in seen}, **settled}
        result["endpoints"] = [latest[name] for name in order if name in latest]
        result.get("invocation", {}).get("module_args", {}).pop("_slice", None)
        return result
