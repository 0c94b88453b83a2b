# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""When to believe that an endpoint is ready, when to stop waiting, and what to tell.

Decisions only: probes, units, clock and log readers are passed in.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import Cause, Diagnosis, diagnosis
from ansible_collections.llmops.gpu_inference.plugins.module_utils._duration import duration
from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe import Endpoint, Observation
from ansible_collections.llmops.gpu_inference.plugins.module_utils._ready_judge import (
    WITHOUT_DOCKER,
    Baseline,
    Target,
    is_outdated,
    judge,
    next_baseline,
    of_state,
    same_process,
    unit_is_ready,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._ready_tell import Outcome, progress_text, waiting_text
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_watch import UnitView

#: After the first failure that is certain: so long others may add theirs to the same message, if they have not all spoken before.
GATHER = 1.0
#: How often the units are looked at, at least.
WATCH = 0.5
#: How often a port is looked at whose unit is still starting.
STARTING_INTERVAL = 5.0


@dataclass(frozen=True)
class Limits:
    timeout: float = 900.0
    interval: float = 1.0


@dataclass(frozen=True)
class Since:
    """The beginning of a wait that is made of several calls."""

    wall: float
    waited: float = 0.0
    baselines: t.Mapping[str, Baseline] | None = None

    @classmethod
    def from_mapping(cls, data: t.Mapping[str, t.Any]) -> Since:
        baselines = {unit: Baseline(**one) for unit, one in (data.get("baselines") or {}).items()}
        return cls(float(data["wall"]), float(data["waited"]), baselines)


@dataclass(frozen=True)
class Polled:
    outcomes: tuple[Outcome, ...]
    finished: bool  # False: paused to let the caller show progress
    since: Since

    @property
    def failed(self) -> tuple[Outcome, ...]:
        return tuple(one for one in self.outcomes if one.required and not one.ready)


class Prober(t.Protocol):
    def start(self, number: int, endpoint: Endpoint) -> None: ...

    def finished(self, wait: float) -> list[tuple[int, Observation]]:
        """What has been answered; waits up to `wait` seconds for the first answer."""


Watch = t.Callable[[t.Sequence[str]], t.Mapping[str, UnitView]]


@dataclass
class _Watched:
    """What is known about one target while the wait lasts."""

    target: Target
    due: float
    asked: bool = False
    asked_at: float = -1.0
    observation: Observation | None = None
    view: UnitView | None = None
    view_when_asked: UnitView | None = None
    suspect_since: float | None = None
    suspect_until: float | None = None
    failure: Diagnosis | None = None
    ready: bool = False
    settled_at: float | None = None

    @property
    def open(self) -> bool:
        return self.settled_at is None

    @property
    def current_observation(self) -> Observation | None:
        """What was seen of the process that runs now; a name that does not resolve says the same of any process."""
        seen = self.observation
        if seen is None or self.view is None or seen.cause == "dns" or same_process(self.view_when_asked, self.view):
            return seen
        return None

    @property
    def squatted(self) -> bool:
        """A server answered while the unit had no process at all."""
        return bool(
            self.observation is not None
            and self.observation.level_reached is not None
            and self.view is not None
            and self.view.main_pid == 0
            and self.view_when_asked is not None
            and self.view_when_asked.main_pid == 0
        )

    def accepts(self, answer: Observation) -> bool:
        """A good answer counts only if the unit ran the same, ready process before and after it."""
        if not answer.ok:
            return False
        if self.view is None:
            return True
        return unit_is_ready(self.view) and same_process(self.view_when_asked, self.view) and not is_outdated(self.target, self.view)


class _Wait:
    def __init__(
        self,
        targets: t.Sequence[Target],
        prober: Prober,
        watch: Watch,
        clock: t.Callable[[], float],
        wall: t.Callable[[], float],
        limits: Limits,
        since: Since | None,
    ) -> None:
        self.prober = prober
        self.watch = watch
        self.clock = clock
        self.limits = limits
        self.began = clock()
        self.before = since.waited if since else 0.0
        self.wall_began = since.wall if since else wall()
        self.watched = [_Watched(target, self.began) for target in targets]
        self.units = list(dict.fromkeys(one.unit for one in targets if one.unit))
        self.watch_interval = min(WATCH, limits.interval)
        self.first_failure: float | None = None
        self.views: t.Mapping[str, UnitView] = {}
        self.baselines = dict(since.baselines or {}) if since else {}
        self.looked_at = self.began
        self.look(self.began)

    def look(self, now: float) -> None:
        """Refresh what systemd and the launchers say."""
        self.looked_at = now
        if not self.units:
            return
        self.views = self.watch(self.units)
        for unit, seen in self.views.items():
            self.baselines[unit] = next_baseline(self.baselines.get(unit), seen)
        for one in self.watched:
            view = self.views.get(one.target.unit) if one.target.unit else None
            if view is not None and unit_is_ready(view) and not (one.view is not None and unit_is_ready(one.view)):
                one.due = now  # it has just become active: ask at once
            one.view = view

    def ask(self, now: float) -> None:
        for number, one in enumerate(self.watched):
            if not one.open or one.asked or now < one.due:
                continue
            # While the unit starts, its launcher asks the engine; here it only matters whether something answers.
            starting = one.view is not None and not unit_is_ready(one.view)
            endpoint = replace(one.target.endpoint, level="open") if starting else one.target.endpoint
            one.asked, one.asked_at, one.view_when_asked = True, now, one.view
            one.due = now + (max(self.limits.interval, STARTING_INTERVAL) if starting else self.limits.interval)
            self.prober.start(number, endpoint)

    def hear(self, now: float) -> None:
        """Take in the answers; wait for the first one as long as nothing else is due."""
        nearest = min((one.due for one in self.watched if one.open and not one.asked), default=now + WATCH)
        if self.first_failure is not None:
            nearest = min(nearest, self.first_failure + GATHER)
        until = min(nearest, self.began + self.limits.timeout, self.looked_at + self.watch_interval if self.units else now + WATCH)
        answers = self.prober.finished(min(max(until - now, 0.01), WATCH))
        now = self.clock()
        if any(answer.ok and self.watched[number].target.unit for number, answer in answers):
            self.look(now)
        for number, answer in answers:
            one = self.watched[number]
            one.asked, one.observation = False, answer
            if one.view_when_asked is None or unit_is_ready(one.view_when_asked):
                one.due = now + self.limits.interval
            if self.first_failure is not None and one.asked_at < self.first_failure:
                one.due = now
            if one.open and one.accepts(answer):
                one.ready, one.settled_at = True, now

    def settle(self, now: float) -> None:
        for one in self.watched:
            if not one.open:
                continue
            baseline = self.baselines.get(one.target.unit or "", Baseline())
            verdict = judge(one.target, one.current_observation, one.view, baseline, self.wall_began, one.squatted)
            if verdict is None:
                one.suspect_since = one.suspect_until = None
                continue
            if one.suspect_since is None:
                one.suspect_since = now
                if one.view is not None and one.view.main_pid == 0:
                    one.due = now  # is the port really free?
            one.suspect_until = one.suspect_since + verdict.after
            if now >= one.suspect_until:
                one.failure, one.settled_at = verdict.diagnosis, now
                if one.target.required and self.first_failure is None:
                    self.first_failure = now
                    for other in self.watched:
                        other.due = now  # a last look, so that one message tells all

    def is_about_to_fail(self, now: float) -> bool:
        """No time for a pause: it would begin the last grace anew."""
        soon = now + WITHOUT_DOCKER
        waited_for = [one for one in self.watched if one.target.required]
        return any(one.failure is not None or (one.suspect_until is not None and one.suspect_until <= soon) for one in waited_for)

    def is_over(self, now: float) -> bool:
        # What nobody requires is looked at while others are waited for, and once in any case.
        if all(not one.open or (not one.target.required and one.observation is not None) for one in self.watched):
            return True
        failed_at = self.first_failure
        if failed_at is not None and (
            now - failed_at >= GATHER or all(one.asked_at >= failed_at and not one.asked for one in self.watched if one.open)
        ):
            return True
        return now - self.began >= self.limits.timeout

    def outcomes(self, now: float, final: bool) -> tuple[Outcome, ...]:
        cut_short = self.first_failure is not None and now - self.began < self.limits.timeout
        wall = self.wall_began + self.before + now - self.began
        return tuple(_outcome(one, now, self.began, self.before, final, cut_short, wall) for one in self.watched)

    def polled(self, now: float, finished: bool) -> Polled:
        elapsed = round(self.before + now - self.began, 3)
        return Polled(self.outcomes(now, finished), finished, Since(self.wall_began, elapsed, self.baselines))


def poll(
    targets: t.Sequence[Target],
    prober: Prober,
    watch: Watch,
    clock: t.Callable[[], float],
    wall: t.Callable[[], float],
    limits: Limits,
    since: Since | None = None,
    pause: t.Callable[[t.Sequence[Outcome], float], bool] | None = None,
) -> Polled:
    """Wait until all required targets are ready, one cannot become ready, the time is up, or `pause` wants the word."""
    wait = _Wait(targets, prober, watch, clock, wall, limits, since)
    while True:
        now = clock()
        if now - wait.looked_at >= wait.watch_interval:
            wait.look(now)
        wait.ask(now)
        wait.hear(now)
        now = clock()
        wait.settle(now)
        if wait.is_over(now):
            return wait.polled(now, True)
        if pause is not None and not wait.is_about_to_fail(now) and pause(wait.outcomes(now, False), now - wait.began):
            return wait.polled(now, False)


STILL_BUSY_REMEDY = (
    "The unit continues by itself: run the playbook again to continue waiting, or raise the limit (engines_ready_timeout in site.yml). "
    "The playbook prefetch fetches images and models beforehand."
)


def _last_word(one: _Watched, waited: float) -> Diagnosis:
    """The time is up: the last thing that was seen."""
    seen = one.observation
    came = seen.message if seen is not None and seen.message else ""
    if one.view is not None and not unit_is_ready(one.view):
        told = f"unit {one.view.unit}: still {progress_text(one.view, seen)} after {duration(waited)}"
        if one.squatted:
            told += f"; the server that answers at {one.target.endpoint.base_url} is an older or foreign process"
            return diagnosis(Cause.STALE_SERVER, told)
        state = one.view.own_state
        if state is not None and state.cause:
            return of_state(one.view, state, f"still {progress_text(one.view, seen)} after {duration(waited)}")
        return diagnosis(Cause.TIMEOUT, told + (f"; last: {came}" if came else ""), remedy=STILL_BUSY_REMEDY)
    if seen is None:
        return diagnosis(Cause.TIMEOUT, f"GET {one.target.endpoint.base_url}: no answer within {duration(waited)}")
    if seen.ok:
        return diagnosis(Cause.STALE_SERVER, "an answer came, but not from the process that the unit runs now")
    return diagnosis(Cause(seen.cause or Cause.UNKNOWN), came)


def _outcome(one: _Watched, now: float, began: float, before: float, final: bool, cut_short: bool, wall: float) -> Outcome:
    seen = one.observation or Observation(False)
    state = one.view.own_state if one.view else None
    waited = round(before + (one.settled_at if one.settled_at is not None else now) - began, 3)
    failure = one.failure
    if failure is None and final and not one.ready:
        # Where another endpoint's failure ended the wait, nothing is wrong with this one yet.
        failure = None if cut_short else _last_word(one, waited)
    if one.ready and state is not None and state.cause and state.message:
        # Ready with a drawback, such as a model that lies partly on the CPU.
        failure = of_state(one.view, state, "ready, but with a drawback") if one.view else None
    phase = "ready" if one.ready else state.phase if state else None
    where = waiting_text(one.view, seen, wall) if final and cut_short else progress_text(one.view, seen)
    return Outcome(
        name=one.target.endpoint.name,
        base_url=one.target.endpoint.base_url,
        ready=one.ready,
        level=seen.level_reached,
        cause=str(failure.cause) if failure else None,
        message=failure.message if failure else "" if one.ready else where,
        remedy=failure.remedy if failure else "",
        log_lines=failure.log_lines if failure else (),
        phase=phase,
        percent=None if one.ready or state is None else state.percent,
        waited=waited,
        latency=seen.latency,
        models=seen.models,
        dimension=seen.dimension,
        required=one.target.required,
        unit=one.target.unit,
    )
