# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""From the options of endpoint_ready to its result, with the real clock, systemd and network."""

from __future__ import annotations

import time
import typing as t
import urllib.parse
from dataclasses import asdict, dataclass

from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import Cause
from ansible_collections.llmops.gpu_inference.plugins.module_utils._endpoint_ready import Limits, Polled, Prober, Since, poll
from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe import Endpoint
from ansible_collections.llmops.gpu_inference.plugins.module_utils._probers import (
    ContainerProber,
    ThreadProber,
    requests_transport,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._ready_judge import Target
from ansible_collections.llmops.gpu_inference.plugins.module_utils._ready_tell import Outcome, failure_message, with_log, without_secrets
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_watch import UnitWatch, WatchError, journal_tail

#: A pause that shows a new percentage only; a new phase is shown at once.
_PERCENT_PAUSE = 5.0
_SHOWN = (
    "name",
    "base_url",
    "health_path",
    "level",
    "capability",
    "modalities",
    "model",
    "further_models",
    "speaks",
    "dimension",
    "unit",
    "config_hash",
    "required",
)


class RunError(Exception):
    """The options make no sense, or the host cannot do what they ask."""


@dataclass(frozen=True)
class RunResult:
    values: t.Mapping[str, t.Any]
    failure: str | None = None
    warnings: tuple[str, ...] = ()


def targets_of(params: t.Mapping[str, t.Any]) -> list[Target]:
    problems: list[str] = []
    targets: list[Target] = []
    names: set[str] = set()
    for number, one in enumerate(params["endpoints"]):
        where = f"endpoints[{number}] ({one['name']})"
        if one["name"] in names:
            problems.append(f"{where}: the name is given twice")
        names.add(one["name"])
        if (one.get("unit") or "").startswith("-"):
            problems.append(f"{where}: unit is {one['unit']}, which is not a unit name")
        try:
            parts = urllib.parse.urlsplit(one["base_url"])
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            usable = False
        if not usable:
            problems.append(f"{where}: base_url is {one['base_url']}, expected something like http://127.0.0.1:8000/v1")
            continue
        targets.append(Target(Endpoint.from_mapping(one), one.get("unit") or None, one["required"], one.get("config_hash") or None))
    for option in ("timeout", "interval", "request_timeout"):
        if params[option] <= 0:
            problems.append(f"{option} is {params[option]}, expected a number above 0")
    if problems:
        raise RunError("The options of endpoint_ready cannot be used:\n" + "\n".join(f"- {one}" for one in problems))
    return targets


def would_poll(params: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    return [{key: one.get(key) for key in _SHOWN} for one in params["endpoints"]]


class _Pause:
    """Gives the word back as soon as there is something to show; with C(least) after so many seconds, and for no percentage."""

    def __init__(self, known: t.Mapping[str, t.Any], least: float = 0.0) -> None:
        self.known = known
        self.least = least

    def __call__(self, outcomes: t.Sequence[Outcome], elapsed: float) -> bool:
        # The first look of all is no news: most endpoints settle within a moment.
        return elapsed >= self.least and any(self._is_news(one, elapsed) for one in outcomes)

    def _is_news(self, one: Outcome, elapsed: float) -> bool:
        before = self.known.get(one.name) or {}
        if one.ready or (elapsed >= 1.0 and told_of(one)["told"] != before.get("told")):
            return True
        return not self.least and elapsed >= _PERCENT_PAUSE and one.percent != before.get("percent")


def told_of(outcome: Outcome) -> dict[str, t.Any]:
    return {"told": outcome.message if outcome.percent is None else outcome.phase, "percent": outcome.percent}


def run(
    params: t.Mapping[str, t.Any],
    clock: t.Callable[[], float] = time.monotonic,
    wall: t.Callable[[], float] = time.monotonic,  # as the launcher counts, which runs since the same boot
) -> RunResult:
    targets = targets_of(params)
    prober: Prober
    if params.get("container"):
        prober = ContainerProber(params["container"], params["request_timeout"])
    else:
        prober = ThreadProber(requests_transport, params["request_timeout"])
    part = params.get("_slice") or None
    since = Since.from_mapping(part["since"]) if part and part.get("since") else None
    remaining = max(0.0, params["timeout"] - since.waited) if since else float(params["timeout"])
    limits = Limits(remaining, params["interval"])
    pause = _Pause(part.get("known") or {}, float(part.get("least") or 0.0)) if part else None
    try:
        polled = poll(targets, prober, UnitWatch(params["state_dir"]), clock, wall, limits, since, pause)
    except WatchError as exc:
        raise RunError(str(exc)) from exc
    return _result(polled, params)


def _result(polled: Polled, params: t.Mapping[str, t.Any]) -> RunResult:
    secrets = [one["api_key"] for one in params["endpoints"] if one.get("api_key")]
    outcomes = polled.outcomes
    if polled.finished:
        outcomes = tuple(_with_journal(one) for one in outcomes)
    outcomes = tuple(without_secrets(one, secrets) for one in outcomes)
    values: dict[str, t.Any] = {"endpoints": [one.as_result() for one in outcomes], "waited": polled.since.waited}
    if not polled.finished:
        values["_slice"] = {"since": asdict(polled.since), "known": {one.name: told_of(one) for one in outcomes}}
        return RunResult(values)
    if polled.failed:
        return RunResult(values, failure_message(outcomes, params.get("container"), (params.get("_slice") or {}).get("ready") or ()))
    warnings = tuple(f"{one.name} ({one.base_url}) is not ready: {one.message}" for one in outcomes if not one.ready)
    warnings += tuple(f"{one.name}: {one.message}. {one.remedy}" for one in outcomes if one.ready and one.cause)
    return RunResult(values, None, warnings)


def _with_journal(outcome: Outcome) -> Outcome:
    if outcome.ready or outcome.log_lines or not outcome.unit:
        return outcome
    if outcome.cause in (str(Cause.UNIT_FAILED), str(Cause.CRASH_LOOP), str(Cause.OUT_OF_MEMORY), str(Cause.TIMEOUT)):
        return with_log(outcome, journal_tail(outcome.unit))
    return outcome
