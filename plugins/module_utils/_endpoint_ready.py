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
from dataclasses import asdict, dataclass, replace

from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import (
    Cause,
    Diagnosis,
    classify_log,
    diagnosis,
    redact,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe import (
    CAPABILITIES,
    LEVELS,
    Endpoint,
    Observation,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_watch import STATE_DIR, LauncherState, UnitView

#: A stopped or crashed unit may be about to be started by whoever runs this; so long it is given.
SETTLE = 2.0
#: After the first failure that is certain: so long others may add theirs to the same message, if they have not all spoken before.
GATHER = 1.0
#: A container's name that stays unknown so long will not appear.
UNKNOWN_NAME = 30.0
#: The launcher itself waits for a daemon that restarts; after so long somebody should know.
WITHOUT_DOCKER = 5.0
#: How often the units are looked at, at least.
WATCH = 0.5
#: How often a port is looked at whose unit is still starting.
STARTING_INTERVAL = 5.0

OUTDATED_REMEDY = (
    "If somebody else's run has changed it meanwhile, agree on one configuration and run with it. "
    "Otherwise it was not restarted after a change: systemctl restart {}"
)

PHASE_TEXT: t.Mapping[str, str] = {
    "pulling": "pulling the image",
    "downloading": "downloading the model",
    "waiting_for_gpu": "waiting for the GPU",
    "starting": "starting",
    "loading_weights": "loading weights",
    "compiling": "compiling",
    "capturing_graphs": "capturing CUDA graphs",
    "warming_up": "warming up",
    "ready": "ready",
    "stopping": "stopping",
    "stopped": "stopped",
    "failed": "failed",
}


def argument_spec() -> dict[str, t.Any]:
    """The options, for the module and for its action plugin."""
    return {
        "endpoints": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {
                "name": {"type": "str", "required": True},
                "base_url": {"type": "str", "required": True},
                "health_path": {"type": "str", "default": "/health"},
                "level": {"type": "str", "choices": list(LEVELS), "default": "answer"},
                "capability": {"type": "str", "choices": list(CAPABILITIES), "default": "chat"},
                "modalities": {"type": "list", "elements": "str", "default": []},
                "model": {"type": "str"},
                "api_key": {"type": "str", "no_log": True},
                "dimension": {"type": "int"},
                "unit": {"type": "str"},
                "config_hash": {"type": "str"},
                "required": {"type": "bool", "default": True},
                "validate_certs": {"type": "bool", "default": True},
                "ca_path": {"type": "path"},
            },
        },
        "timeout": {"type": "int", "default": 900},
        "interval": {"type": "float", "default": 1.0},
        "request_timeout": {"type": "float", "default": 30.0},
        "container": {"type": "str"},
        "progress": {"type": "bool", "default": True},
        "state_dir": {"type": "path", "default": STATE_DIR},
    }


@dataclass(frozen=True)
class Target:
    endpoint: Endpoint
    unit: str | None = None
    required: bool = True
    config_hash: str | None = None


@dataclass(frozen=True)
class Limits:
    timeout: float = 900.0
    interval: float = 1.0


@dataclass(frozen=True)
class Baseline:
    """What was already counted against a unit when the wait began."""

    failures: int | None = None
    restarts: int = 0


def next_baseline(before: Baseline | None, view: UnitView) -> Baseline:
    """The launcher's count is only known once it has written it, and begins anew after a permanent failure."""
    restarts = view.restarts if before is None else min(before.restarts, view.restarts)
    if view.state is None:
        return Baseline(before.failures if before else None, restarts)
    known = before.failures if before is not None else None
    return Baseline(view.state.failures if known is None else min(known, view.state.failures), restarts)


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
class Outcome:
    name: str
    base_url: str
    ready: bool
    level: str | None
    cause: str | None
    message: str
    remedy: str
    log_lines: tuple[str, ...]
    phase: str | None
    percent: int | None
    waited: float
    latency: float | None
    models: tuple[str, ...]
    dimension: int | None
    required: bool
    unit: str | None

    def as_result(self) -> dict[str, t.Any]:
        data = asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in data.items()}


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


@dataclass(frozen=True)
class Verdict:
    """Not ready, and it will stay so; counts once it has been true for `after` seconds without a break."""

    diagnosis: Diagnosis
    after: float = 0.0


# --- judging ---------------------------------------------------------------------------------------------------------


def unit_is_ready(view: UnitView) -> bool:
    """systemd calls it active, and the launcher's own word, if there is one, comes from the process that runs."""
    if view.active_state != "active":
        return False
    return view.state is None or (view.own_state is not None and view.own_state.phase == "ready")


def same_process(before: UnitView | None, after: UnitView) -> bool:
    return before is not None and unit_is_ready(before) and before.main_pid == after.main_pid


def _of_state(view: UnitView, state: LauncherState, trouble: str) -> Diagnosis:
    try:
        cause = Cause(state.cause) if state.cause else None
    except ValueError:
        cause = None
    tried = f"unit {view.unit}: {trouble}"
    if cause is None or cause is Cause.UNKNOWN:
        cause = Cause.CRASH_LOOP if state.failures >= 3 or view.result == "start-limit-hit" else Cause.UNIT_FAILED
    told = f"{tried}. {state.message}" if state.message else tried
    return diagnosis(cause, told, state.log_lines, state.remedy)


def _of_unit(view: UnitView, trouble: str) -> Diagnosis:
    state = view.own_state
    if state is not None and (state.cause or state.message) and state.phase != "ready":
        return _of_state(view, state, trouble)
    tried = f"unit {view.unit}: {trouble} (systemd: {view.active_state}/{view.sub_state}, result {view.result}"
    tried += f", exit status {view.exit_status}, {view.restarts} restarts)" if view.exit_status or view.restarts else ")"
    if view.result == "oom-kill":
        return diagnosis(Cause.OUT_OF_MEMORY, tried)
    if view.result == "start-limit-hit" or view.restarts >= 3:
        return diagnosis(Cause.CRASH_LOOP, tried)
    return diagnosis(Cause.UNIT_FAILED, tried)


def is_outdated(target: Target, view: UnitView) -> bool:
    """The unit runs what another configuration says, an earlier one or that of another run."""
    state = view.own_state
    return bool(target.config_hash and view.main_pid and state is not None and state.config_hash != target.config_hash)


def at_work(view: UnitView) -> bool:
    """Somebody may be about to start the unit: systemd itself, or another run on this host."""
    return view.job or (view.run is not None and view.run.active)


def judge_unit(view: UnitView, baseline: Baseline, wall_began: float) -> Verdict | None:
    """Whether the unit can still become ready by itself."""
    if view.load_state != "loaded" and view.active_state in ("inactive", "failed"):
        words = {"not-found": "does not exist on this host", "masked": f"is masked; 'systemctl unmask {view.unit}' lets it start"}
        told = words.get(view.load_state, f"systemd cannot use it ({view.load_state})")
        return Verdict(diagnosis(Cause.UNIT_FAILED, f"unit {view.unit}: {told}"), SETTLE)
    state = view.own_state
    if state is not None and state.phase == "failed":
        if state.since >= wall_began or view.main_pid != 0:
            return Verdict(_of_state(view, state, "the start failed"))
        # A failure from before; the next start may be on its way.
        return None if at_work(view) else Verdict(_of_state(view, state, "the start failed"), SETTLE)
    if state is not None and state.cause == str(Cause.DOCKER_DOWN) and state.phase != "ready":
        return Verdict(_of_state(view, state, "it waits for Docker"), WITHOUT_DOCKER)
    if state is not None and baseline.failures is not None and state.failures > baseline.failures:
        return Verdict(_of_unit(view, "it failed and was started again"))
    # A launcher that was killed comes back and adopts its container: only its own record of a failure counts, or a series.
    if view.restarts > baseline.restarts + (2 if view.state is not None else 0):
        return Verdict(_of_unit(view, "it died and was started again"))
    if at_work(view):
        return None
    if view.active_state == "failed":
        return Verdict(_of_unit(view, "it has failed"), SETTLE)
    if view.active_state == "activating" and view.sub_state == "auto-restart" and view.state is None:
        return Verdict(_of_unit(view, "it died and waits to be started again"), SETTLE)
    if view.active_state == "inactive":
        return Verdict(_of_unit(view, "it is not running"), SETTLE)
    return None


def judge(
    target: Target,
    observation: Observation | None,
    view: UnitView | None,
    baseline: Baseline,
    wall_began: float,
    squatted: bool = False,
) -> Verdict | None:
    """Why waiting is pointless, or None. `squatted`: a server answered although the unit has no process."""
    if view is not None:
        verdict = judge_unit(view, baseline, wall_began)
        if verdict is not None:
            return _with_squatter(verdict, target) if squatted else verdict
        if is_outdated(target, view):
            told = f"unit {view.unit}: it runs another configuration than this run asked for"
            if view.run is not None:
                told += f". The last run on this host: {view.run.by}"
            return Verdict(diagnosis(Cause.STALE_SERVER, told, remedy=OUTDATED_REMEDY.format(view.unit)), SETTLE)
    if observation is None or observation.ok or observation.cause is None:
        return None
    found = diagnosis(Cause(observation.cause), observation.message)
    if found.cause is Cause.DNS:
        return Verdict(found, 0.0 if observation.certain else UNKNOWN_NAME)
    if observation.certain and (view is None or unit_is_ready(view)):
        return Verdict(found)
    return None


def _with_squatter(verdict: Verdict, target: Target) -> Verdict:
    """Something answers on the port of a unit that does not run: that is no sign of life, but often the cause."""
    found = verdict.diagnosis
    told = f"{found.message}. Yet a server answers at {target.endpoint.base_url}: an older or foreign process"
    if found.cause in (Cause.UNIT_FAILED, Cause.CRASH_LOOP):
        return Verdict(diagnosis(Cause.STALE_SERVER, told, found.log_lines), verdict.after)
    return Verdict(replace(found, message=told), verdict.after)


# --- polling ---------------------------------------------------------------------------------------------------------


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
    "The unit goes on by itself: run the play again to wait on, or raise the time to wait (engines_ready_timeout in site.yml). "
    "Images and models come beforehand with playbooks/prefetch.yml."
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
            return _of_state(one.view, state, f"still {progress_text(one.view, seen)} after {duration(waited)}")
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
        failure = _of_state(one.view, state, "ready, but with a drawback") if one.view else None
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


# --- telling ---------------------------------------------------------------------------------------------------------


def duration(seconds: float) -> str:
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} m"


def progress_text(view: UnitView | None, seen: Observation | None) -> str:
    """Where an endpoint stands that is not ready, in a few words."""
    if view is not None:
        state = view.own_state
        if state is not None:
            text = PHASE_TEXT.get(state.phase, state.phase)
            text = f"{text} {state.percent} %" if state.percent is not None else text
            return f"{text}, no sign of life for {duration(state.silent)}" if state.silent else text
        if view.active_state != "active":
            return "not started" if view.active_state == "inactive" else view.active_state
    if seen is None or (seen.cause is None and seen.level_reached is None):
        return "asking"
    return {
        "refused": "not listening yet",
        "timeout": "not answering yet",
        "dns": "name not resolved yet",
        "bad_answer": "not healthy yet",
        "wrong_model": "model not listed yet",
    }.get(seen.cause or "", "not ready yet")


def waiting_text(view: UnitView | None, seen: Observation, wall: float) -> str:
    """Where an endpoint stands when nobody waits for it any longer: its phase, for how long, and what it waits for."""
    text = progress_text(view, seen)
    state = view.own_state if view is not None else None
    if state is None:
        return f"{text}; last: {seen.message}" if seen.message else text
    if state.phase == "ready":
        return f"{text}, but no answer has come yet{'; last: ' + seen.message if seen.message else ''}"
    if state.detail:
        text += f" ({state.detail})"
    return f"{text}, for {duration(max(0.0, wall - state.since))}" if state.since else text


def failure_message(outcomes: t.Sequence[Outcome], where: str | None = None, ready_before: t.Sequence[str] = ()) -> str:
    """What a person reads when the task fails: per endpoint what was tried, what came back, the remedy, the log."""
    bad = [one for one in outcomes if not one.ready and one.required]
    ready = [*ready_before, *(one.name for one in outcomes if one.ready)]
    total = len(bad) + len(ready)
    waited = max((one.waited for one in bad), default=0.0)
    seen_from = f" (seen from inside container {where})" if where else ""
    subject = "The endpoint is" if total == 1 else f"{len(bad)} of {total} endpoints {'is' if len(bad) == 1 else 'are'}"
    lines = [f"{subject} not ready after {duration(waited)}{seen_from}."]
    # The failures first that are more than "still waiting".
    for one in sorted((one for one in bad if one.cause), key=lambda outcome: outcome.cause == "timeout"):
        served = f"{one.base_url}, unit {one.unit}" if one.unit else one.base_url
        lines += ["", f"{one.name} ({served}): {one.cause}", f"  {one.message}"]
        if one.remedy:
            lines.append(f"  Remedy: {one.remedy}")
        if one.log_lines:
            lines.append("  Log:")
            lines += [f"    {line}" for line in one.log_lines]
        if one.unit:
            lines.append(f"  More: journalctl -u {one.unit}")
    undecided = [one for one in bad if not one.cause]
    if undecided:
        lines += ["", "Not waited for any longer (units go on by themselves):"]
        lines += [f"  {one.name}{f' ({one.unit})' if one.unit else ''}: {one.message}" for one in undecided]
    if ready:
        lines += ["", "Ready: " + ", ".join(ready)]
    return "\n".join(lines)


def with_log(outcome: Outcome, lines: t.Sequence[str]) -> Outcome:
    """A failure whose unit left no word of its own: what the journal says about it."""
    if not lines or not outcome.unit or outcome.log_lines:
        return outcome
    told = classify_log(outcome.unit.split("@", 1)[0], lines)
    if told.cause is Cause.UNKNOWN:
        return replace(outcome, log_lines=told.log_lines)
    if outcome.cause in (str(Cause.UNIT_FAILED), str(Cause.CRASH_LOOP)):
        return replace(
            outcome,
            cause=str(told.cause),
            message=f"{outcome.message}. {told.message}",
            remedy=told.remedy,
            log_lines=told.log_lines,
        )
    return replace(outcome, log_lines=told.log_lines)


def without_secrets(outcome: Outcome, secrets: t.Sequence[str]) -> Outcome:
    return replace(
        outcome,
        message=redact(outcome.message, secrets),
        remedy=redact(outcome.remedy, secrets),
        log_lines=tuple(redact(line, secrets) for line in outcome.log_lines),
    )
