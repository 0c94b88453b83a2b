# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils._duration import duration
from ansible_collections.llmops.gpu_inference.plugins.module_utils._endpoint_ready import GATHER, Limits, Polled, Since, poll
from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe import Endpoint, Observation
from ansible_collections.llmops.gpu_inference.plugins.module_utils._ready_judge import (
    SETTLE,
    UNKNOWN_NAME,
    Baseline,
    Target,
    judge,
    unit_is_ready,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._ready_tell import (
    Outcome,
    failure_message,
    progress_text,
    with_log,
    without_secrets,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_watch import LauncherState, Run, UnitView

WALL = 1_800_000_000.0
OK = Observation(True, "answer", None, "", False, 0.2, ("chat",), None)
OPEN = Observation(True, "open")
REFUSED = Observation(False, None, "refused", "GET http://h/health: connection refused")
WRONG_KEY = Observation(False, "health", "auth", "GET http://h/v1/models: the key was refused", True)
UNIT = "vllm@chat.service"

READY = UnitView(UNIT, active_state="active", sub_state="running", main_pid=10, state=LauncherState("ready", pid=10))
# The start job of a notify unit lasts until it is ready.
STARTING = UnitView(
    UNIT, active_state="activating", sub_state="start", main_pid=10, job=True, state=LauncherState("loading_weights", 43, pid=10)
)
FAILED = UnitView(
    UNIT,
    active_state="failed",
    sub_state="failed",
    result="exit-code",
    state=LauncherState(
        "failed", since=WALL + 3, failures=1, cause="bad_model", message="no such path", log_lines=("l1",), permanent=True, pid=10
    ),
)


@dataclass
class World:
    """A clock that moves only when somebody waits, and what is seen at which time."""

    # per endpoint: (from which second, what a probe started then sees, how long the probe takes)
    seen: dict[str, list[tuple[float, Observation, float]]]
    units: dict[str, list[tuple[float, UnitView]]] = field(default_factory=dict)
    now: float = 0.0
    asked: list[tuple[float, str, str]] = field(default_factory=list)
    under_way: list[tuple[float, int, Observation]] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def wall(self) -> float:
        return WALL + self.now

    def watch(self, units: t.Sequence[str]) -> dict[str, UnitView]:
        return {unit: [view for since, view in self.units[unit] if since <= self.now][-1] for unit in units}

    def start(self, number: int, endpoint: Endpoint) -> None:
        self.asked.append((self.now, endpoint.name, endpoint.level))
        _since, observation, takes = [row for row in self.seen[endpoint.name] if row[0] <= self.now][-1]
        self.under_way.append((self.now + takes, number, observation))

    def finished(self, wait: float) -> list[tuple[int, Observation]]:
        until = self.now + wait
        due = min((row[0] for row in self.under_way), default=until)
        self.now = max(self.now, min(due, until))
        done = [row for row in self.under_way if row[0] <= self.now]
        self.under_way = [row for row in self.under_way if row[0] > self.now]
        return [(number, observation) for _when, number, observation in done]

    def poll(self, *targets: Target, timeout: float = 600.0, interval: float = 1.0, **more: t.Any) -> Polled:
        return poll(targets, self, self.watch, self.clock, self.wall, Limits(timeout, interval), **more)


def target(name: str = "a", unit: str | None = None, **more: t.Any) -> Target:
    return Target(Endpoint(name, f"http://{name}/v1"), unit, **more)


def test_ready_at_the_first_look() -> None:
    world = World({"a": [(0, OK, 0.1)]})
    result = world.poll(target())
    assert (result.outcomes[0].ready, result.outcomes[0].phase, result.finished) == (True, "ready", True)
    assert result.outcomes[0].waited == pytest.approx(0.1)
    assert len(world.asked) == 1


def test_ready_is_noticed_within_an_interval_and_nobody_waits_for_the_slower_one() -> None:
    world = World({"a": [(0, REFUSED, 0), (40.3, OK, 0.1)], "b": [(0, OK, 0.1)]})
    result = world.poll(target("a"), target("b"))
    assert [one.ready for one in result.outcomes] == [True, True]
    assert 40.3 < result.outcomes[0].waited < 41.6
    assert result.outcomes[1].waited == pytest.approx(0.1)
    assert [name for _when, name, _level in world.asked].count("b") == 1


def test_a_hung_endpoint_does_not_hold_up_the_others() -> None:
    world = World({"a": [(0, REFUSED, 30.0)], "b": [(0, REFUSED, 0), (2, OK, 0.1)]})
    result = world.poll(target("a", required=False), target("b"))
    assert result.outcomes[1].waited < 3.5
    world = World({"a": [(0, OK, 30.0)], "b": [(0, WRONG_KEY, 0)]})
    assert world.poll(target("a"), target("b")).since.waited <= GATHER + 0.2


def test_the_deadline_holds_and_the_last_word_is_told() -> None:
    world = World({"a": [(0, REFUSED, 0)]})
    result = world.poll(target(), timeout=20)
    assert world.now == pytest.approx(20, abs=0.1)
    assert (result.outcomes[0].cause, result.outcomes[0].message) == ("refused", REFUSED.message)
    assert result.failed == result.outcomes


def test_no_answer_at_all_before_the_deadline() -> None:
    world = World({"a": [(0, OK, 100.0)]})
    assert world.poll(target(), timeout=5).outcomes[0].cause == "timeout"


def test_a_certain_cause_ends_the_wait_and_gathers_the_other_certain_ones() -> None:
    world = World({"a": [(0, REFUSED, 0), (3, WRONG_KEY, 0)], "b": [(0, REFUSED, 0)], "c": [(0, REFUSED, 0.4), (2.9, WRONG_KEY, 0.1)]})
    result = world.poll(target("a"), target("b"), target("c"), timeout=900)
    assert world.now < 3 + 2
    assert [one.cause for one in result.outcomes] == ["auth", None, "auth"]
    text = failure_message(result.outcomes)
    assert text.startswith("3 of 3 endpoints are not ready after 3 s.")
    assert text.endswith(
        "No longer waited for (units continue by themselves):\n  b: not listening yet; last: GET http://h/health: connection refused"
    )


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (LauncherState("waiting_for_gpu", detail="held by vllm@a.service", since=WALL - 41, pid=10), "(held by vllm@a.service), for 44 s"),
        (
            LauncherState("loading_weights", 43, "shard 3 of 7", WALL, pid=10),
            "b (vllm@b.service): loading weights 43 % (shard 3 of 7), for 3 s",
        ),
        (LauncherState("downloading", 12, since=WALL - 177, silent=125, pid=10), "12 %, no sign of life for 2 m 5 s, for 3 m 0 s"),
    ],
)
def test_one_failing_engine_does_not_hide_where_the_others_stand(state: LauncherState, told: str) -> None:
    busy = replace(STARTING, unit="vllm@b.service", state=state)
    views = {"vllm@a.service": [(0.0, replace(STARTING, unit="vllm@a.service")), (2.0, replace(FAILED, unit="vllm@a.service"))]}
    world = World({"a": [(0, REFUSED, 0)], "b": [(0, REFUSED, 0)]}, {**views, "vllm@b.service": [(0.0, busy)]})
    result = world.poll(target("a", "vllm@a.service"), target("b", "vllm@b.service"), timeout=900)
    text = failure_message(result.outcomes)
    assert "a (http://a/v1, unit vllm@a.service): bad_model" in text
    assert told in text


def test_what_is_not_required_neither_fails_nor_delays() -> None:
    world = World({"a": [(0, REFUSED, 0)], "b": [(0, REFUSED, 0), (4, OK, 0)], "c": [(0, WRONG_KEY, 0)]})
    result = world.poll(target("a", required=False), target("b"), target("c", required=False))
    assert world.now < 6
    assert [one.ready for one in result.outcomes] == [False, True, False]
    assert result.failed == ()
    world = World({"a": [(0, REFUSED, 0)]})
    world.poll(target("a", required=False))
    assert world.now < 1


def test_a_container_name_may_appear_for_a_while() -> None:
    unknown = Observation(False, None, "dns", "cannot be resolved", False)
    world = World({"a": [(0, unknown, 0), (12, OK, 0)]})
    assert world.poll(target()).outcomes[0].ready
    world = World({"a": [(0, unknown, 0)]})
    assert world.poll(target()).outcomes[0].cause == "dns"
    assert UNKNOWN_NAME <= world.now < UNKNOWN_NAME + 3


def test_a_name_that_cannot_exist_ends_the_wait_even_while_the_unit_starts() -> None:
    world = World({"a": [(0, Observation(False, None, "dns", "no", True), 0)]}, {UNIT: [(0, STARTING)]})
    assert world.poll(target(unit=UNIT)).outcomes[0].cause == "dns"
    assert world.now < 2


# --- with a unit ---


def test_an_old_process_that_answers_is_never_ready() -> None:
    """The new start fails because the old server holds the port."""
    failed = replace(
        FAILED, state=LauncherState("failed", since=WALL + 20, failures=1, cause="port_in_use", message="port 8070 is taken", pid=10)
    )
    world = World({"a": [(0, OPEN, 0)]}, {UNIT: [(0, STARTING), (20, failed)]})
    result = world.poll(target(unit=UNIT), timeout=900)
    assert (result.outcomes[0].ready, result.outcomes[0].cause) == (False, "port_in_use")
    assert world.now < 22
    assert {level for _when, _name, level in world.asked} == {"open"}


@pytest.mark.parametrize("state", ["failed", "inactive"])
def test_a_server_on_the_port_of_a_dead_unit_is_stale(state: str) -> None:
    dead = UnitView(UNIT, active_state=state, sub_state="dead")
    world = World({"a": [(0, OPEN, 0)]}, {UNIT: [(0, dead)]})
    result = world.poll(target(unit=UNIT))
    assert (result.outcomes[0].ready, result.outcomes[0].cause) == (False, "stale_server")
    assert "http://a/v1" in result.outcomes[0].message
    assert world.now < SETTLE + GATHER + 1


def test_an_answer_during_a_restart_does_not_count() -> None:
    """Asked while the old process ran, answered when the new one had become active."""
    after = replace(READY, main_pid=11, state=LauncherState("ready", pid=11))
    world = World({"a": [(0, OK, 5.0), (5, OK, 0.1)]}, {UNIT: [(0, READY), (2, replace(STARTING, main_pid=11)), (4, after)]})
    result = world.poll(target(unit=UNIT))
    assert result.outcomes[0].ready
    assert world.now > 5.0
    assert len(world.asked) == 2


def test_the_state_file_of_an_earlier_process_proves_nothing() -> None:
    stale = replace(READY, main_pid=11)
    assert not unit_is_ready(stale)
    world = World({"a": [(0, OK, 0)]}, {UNIT: [(0, stale), (7, READY)]})
    result = world.poll(target(unit=UNIT))
    assert result.outcomes[0].ready
    assert result.outcomes[0].waited >= 7


@pytest.mark.parametrize("before", [READY, STARTING], ids=["ready", "starting"])
def test_another_configuration_is_never_ready(before: UnitView) -> None:
    by = "ansible-playbook site.yml of alice on control1"
    old = replace(before, state=LauncherState("ready", config_hash="aaa", pid=10), run=Run(by))
    world = World({"a": [(0, OK, 0)]}, {UNIT: [(0, old)]})
    result = world.poll(target(unit=UNIT, config_hash="bbb"))
    assert (result.outcomes[0].ready, result.outcomes[0].cause) == (False, "stale_server")
    assert f"The last run on this host: {by}" in result.outcomes[0].message
    assert "systemctl restart" in result.outcomes[0].remedy
    assert world.now < SETTLE + GATHER + 1


def test_what_another_run_stops_is_not_concluded_from() -> None:
    """It stops the engine that this run has started, and starts its own."""
    mine = replace(STARTING, state=LauncherState("loading_weights", config_hash="mine", pid=10))
    between = UnitView(UNIT, state=LauncherState("stopped", config_hash="mine", pid=10), run=Run("bob", active=True))
    others = replace(STARTING, main_pid=11, state=LauncherState("starting", config_hash="other", pid=11), run=Run("bob"))
    world = World({"a": [(0, REFUSED, 0)]}, {UNIT: [(0, mine), (5, between), (40, others)]})
    result = world.poll(target(unit=UNIT, config_hash="mine"))
    assert "another configuration than this run asked for. The last run on this host: bob" in result.outcomes[0].message
    assert 40 + SETTLE <= world.now < 40 + SETTLE + GATHER + 1


def test_the_wanted_configuration_is_ready() -> None:
    old = replace(READY, state=LauncherState("ready", config_hash="aaa", pid=10))
    world = World({"a": [(0, OK, 0)]}, {UNIT: [(0, old)]})
    assert world.poll(target(unit=UNIT, config_hash="aaa")).outcomes[0].ready


def test_readiness_is_asked_for_as_soon_as_the_unit_is_active() -> None:
    world = World({"a": [(0, REFUSED, 0), (30.2, OK, 0.1)]}, {UNIT: [(0, STARTING), (30.2, READY)]})
    result = world.poll(target(unit=UNIT))
    assert result.outcomes[0].ready
    assert result.outcomes[0].waited < 31.7
    assert len(world.asked) <= 8  # a loading engine is left alone


@pytest.mark.parametrize(
    ("views", "cause", "latest"),
    [
        # the launcher recorded a failure after the wait began
        ([(0, STARTING), (3, FAILED)], "bad_model", 4.1 + GATHER),
        # it recorded the failure and still cleans up
        ([(0, STARTING), (3, replace(STARTING, state=replace(FAILED.state, failures=0)))], "bad_model", 4.1 + GATHER),  # type: ignore[type-var]
        # it had failed before: someone may be about to start it
        ([(0, replace(FAILED, state=replace(FAILED.state, since=WALL - 50)))], "bad_model", SETTLE + GATHER + 0.2),  # type: ignore[type-var]
        # it failed and is already being tried again
        (
            [
                (0, STARTING),
                (3, replace(STARTING, main_pid=12, state=LauncherState("starting", failures=1, cause="out_of_memory", pid=12))),
            ],
            "out_of_memory",
            4.1 + GATHER,
        ),
        # a unit without a launcher
        ([(0, UnitView(UNIT, active_state="failed", result="oom-kill"))], "out_of_memory", SETTLE + GATHER + 0.2),
        ([(0, UnitView(UNIT, active_state="failed", result="start-limit-hit"))], "crash_loop", SETTLE + GATHER + 0.2),
        (
            [(0, UnitView(UNIT, active_state="activating", sub_state="auto-restart", result="exit-code"))],
            "unit_failed",
            SETTLE + GATHER + 0.2,
        ),
        (
            [(0, UnitView(UNIT, active_state="active", main_pid=5)), (3, UnitView(UNIT, active_state="active", main_pid=6, restarts=1))],
            "unit_failed",
            4.1 + GATHER,
        ),
        ([(0, UnitView(UNIT, load_state="not-found"))], "unit_failed", SETTLE + GATHER + 0.2),
        ([(0, UnitView(UNIT, load_state="masked"))], "unit_failed", SETTLE + GATHER + 0.2),
    ],
)
def test_a_failed_unit_ends_the_wait_at_once(views: list[tuple[float, UnitView]], cause: str, latest: float) -> None:
    world = World({"a": [(0, REFUSED, 0)]}, {UNIT: views})
    result = world.poll(target(unit=UNIT), timeout=900)
    assert (result.outcomes[0].ready, result.outcomes[0].cause) == (False, cause)
    assert world.now <= latest
    assert UNIT in result.outcomes[0].message


@pytest.mark.parametrize(
    "before",
    [
        UnitView(UNIT, active_state="inactive", job=True),
        replace(FAILED, job=True, state=replace(FAILED.state, since=WALL - 50)),  # type: ignore[type-var]
        UnitView(UNIT, active_state="deactivating", main_pid=10),
    ],
)
def test_a_unit_that_is_about_to_start_is_waited_for(before: UnitView) -> None:
    world = World({"a": [(0, REFUSED, 0), (4, OK, 0)]}, {UNIT: [(0, before), (1.5, STARTING), (4, READY)]})
    assert world.poll(target(unit=UNIT)).outcomes[0].ready


def test_a_killed_launcher_that_adopts_its_container_again_is_waited_for() -> None:
    killed = UnitView(UNIT, active_state="activating", sub_state="auto-restart", result="signal", state=LauncherState("ready", pid=10))
    adopting = replace(STARTING, main_pid=11, restarts=1, state=LauncherState("starting", pid=11))
    back = replace(READY, main_pid=11, restarts=1, state=LauncherState("ready", pid=11))
    world = World({"a": [(0, OK, 0)]}, {UNIT: [(0, killed), (10, adopting), (12, back)]})
    assert world.poll(target(unit=UNIT)).outcomes[0].ready


def test_a_count_of_failures_from_before_is_no_new_failure() -> None:
    """After a boot the state file appears later than the count that the launcher kept elsewhere."""
    unwritten = UnitView(UNIT, active_state="activating", sub_state="start", main_pid=10)
    trying = replace(STARTING, state=LauncherState("starting", failures=2, cause="registry_down", message="m", pid=10))
    world = World({"a": [(0, REFUSED, 0), (9, OK, 0)]}, {UNIT: [(0, unwritten), (2, trying), (9, READY)]})
    assert world.poll(target(unit=UNIT)).outcomes[0].ready
    world = World({"a": [(0, REFUSED, 0)]}, {UNIT: [(0, trying)]})
    result = world.poll(target(unit=UNIT), timeout=20)
    assert result.outcomes[0].cause == "registry_down"
    assert "still starting after 20 s. m" in result.outcomes[0].message


def test_a_count_that_began_anew_is_followed() -> None:
    given_up = replace(FAILED, job=True, state=LauncherState("failed", since=WALL - 9, failures=5, cause="unknown", permanent=True, pid=10))
    again = replace(STARTING, state=LauncherState("starting", failures=0, pid=10))
    failed_again = replace(STARTING, main_pid=11, state=LauncherState("starting", failures=1, cause="gpu_lost", message="m", pid=11))
    world = World({"a": [(0, REFUSED, 0)]}, {UNIT: [(0, given_up), (1, again), (9, failed_again)]})
    assert world.poll(target(unit=UNIT)).outcomes[0].cause == "gpu_lost"
    assert world.now < 12


def test_a_launcher_without_docker_is_not_waited_for_long() -> None:
    waiting = replace(STARTING, state=LauncherState("starting", cause="docker_down", message="docker version fails", pid=10))
    world = World({"a": [(0, REFUSED, 0)]}, {UNIT: [(0, STARTING), (3, waiting)]})
    assert world.poll(target(unit=UNIT)).outcomes[0].cause == "docker_down"
    assert world.now < 11


def test_another_host_that_ends_the_attempt_is_no_failure_until_it_does_so_again_and_again() -> None:
    ended = LauncherState("failed", since=WALL, cause="group_ended", message="its part on b has ended: out of memory", pid=10)
    failed = replace(STARTING, active_state="activating", sub_state="auto-restart", main_pid=0, state=ended, restarts=1)
    world = World({"a": [(0, REFUSED, 0), (30, OK, 0)]}, {UNIT: [(0, failed), (20, replace(READY, restarts=2))]})
    assert world.poll(target(unit=UNIT)).outcomes[0].ready
    again = replace(failed, restarts=9, main_pid=10)
    world = World({"a": [(0, REFUSED, 0)]}, {UNIT: [(0, failed), (9, again)]})
    outcome = world.poll(target(unit=UNIT)).outcomes[0]
    assert (outcome.cause, world.now < 14) == ("group_ended", True)
    assert "failed again and again. its part on b has ended: out of memory" in outcome.message


def test_a_host_that_has_given_up_is_not_waited_for() -> None:
    waits = LauncherState("waiting_for_members", cause="group_ended", message="b has given up: no such model", pid=10)
    world = World({"a": [(0, REFUSED, 0)]}, {UNIT: [(0, STARTING), (3, replace(STARTING, state=waits))]})
    assert world.poll(target(unit=UNIT)).outcomes[0].message.endswith("it waits for another host. b has given up: no such model")
    assert world.now < 11


def test_ready_with_a_drawback() -> None:
    slow = replace(READY, state=LauncherState("ready", cause="partly_on_cpu", message="35 % of the model lies on the CPU", pid=10))
    world = World({"a": [(0, OK, 0)]}, {UNIT: [(0, slow)]})
    result = world.poll(target(unit=UNIT))
    assert (result.outcomes[0].ready, result.outcomes[0].cause) == (True, "partly_on_cpu")
    assert result.failed == ()


def test_a_certain_cause_waits_for_the_unit_to_be_active() -> None:
    world = World({"a": [(0, WRONG_KEY, 0)]}, {UNIT: [(0, STARTING), (25, READY)]})
    result = world.poll(target(unit=UNIT))
    assert result.outcomes[0].cause == "auth"
    assert 25 <= world.now < 28


def test_the_deadline_tells_the_phase() -> None:
    world = World({"a": [(0, REFUSED, 0)]}, {UNIT: [(0, STARTING)]})
    result = world.poll(target(unit=UNIT), timeout=30)
    assert result.outcomes[0].cause == "timeout"
    assert "still loading weights 43 % after 30 s" in result.outcomes[0].message
    assert (result.outcomes[0].phase, result.outcomes[0].percent) == ("loading_weights", 43)


# --- in several calls ---


def test_a_pause_keeps_deadline_and_baseline() -> None:
    world = World(
        {"a": [(0, REFUSED, 0)]}, {UNIT: [(0, STARTING), (20, replace(STARTING, state=LauncherState("starting", failures=1, pid=10)))]}
    )
    first = world.poll(target(unit=UNIT), timeout=900, pause=lambda outcomes, elapsed: elapsed >= 10)
    assert not first.finished
    assert first.outcomes[0].cause is None
    assert first.since.waited == pytest.approx(10, abs=1.1)
    resumed = Since.from_mapping({"wall": WALL, "waited": first.since.waited, "baselines": {UNIT: {"failures": 0, "restarts": 0}}})
    world.now = 21.0  # the failure happened between the calls
    second = world.poll(target(unit=UNIT), timeout=880, since=resumed)
    assert second.outcomes[0].cause == "unit_failed"
    assert world.now < 23
    assert second.outcomes[0].waited >= 10


def test_a_failure_is_never_held_back_by_a_pause() -> None:
    world = World({"a": [(0, WRONG_KEY, 0)]})
    assert world.poll(target(), pause=lambda outcomes, elapsed: True).finished


def test_a_pause_does_not_begin_the_grace_of_a_dead_unit_anew() -> None:
    world = World({"a": [(0, REFUSED, 0)]}, {UNIT: [(0, UnitView(UNIT, active_state="failed"))]})
    result = world.poll(target(unit=UNIT), pause=lambda outcomes, elapsed: elapsed >= 1.0)
    assert result.finished
    assert world.now < SETTLE + GATHER + 0.2


# --- judging and telling ---


@pytest.mark.parametrize(
    ("observation", "view", "expected"),
    [
        (None, None, None),
        (OK, None, None),
        (REFUSED, None, None),
        (WRONG_KEY, None, ("auth", 0.0)),
        (WRONG_KEY, STARTING, None),
        (WRONG_KEY, READY, ("auth", 0.0)),
        (REFUSED, READY, None),
        (None, FAILED, ("bad_model", 0.0)),
    ],
)
def test_judging(observation: Observation | None, view: UnitView | None, expected: tuple[str, float] | None) -> None:
    verdict = judge(target(unit=UNIT if view else None), observation, view, Baseline(), WALL)
    assert (None if verdict is None else (str(verdict.diagnosis.cause), verdict.after)) == expected


def test_a_cause_that_this_version_does_not_know_is_told_all_the_same() -> None:
    odd = replace(FAILED, state=LauncherState("failed", since=WALL + 1, cause="from_the_future", message="told", pid=10))
    verdict = judge(target(unit=UNIT), None, odd, Baseline(), WALL)
    assert verdict is not None
    assert str(verdict.diagnosis.cause) == "unit_failed"
    assert "told" in verdict.diagnosis.message


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.2, "0 s"), (59.4, "59 s"), (72, "1 m 12 s"), (3600, "1 h 0 m"), (7265, "2 h 1 m"), (90061, "1 d 1 h")],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("view", "seen", "text"),
    [
        (STARTING, None, "loading weights 43 %"),
        (replace(STARTING, state=LauncherState("waiting_for_gpu", pid=10)), None, "waiting for the GPU"),
        (UnitView(UNIT, active_state="activating"), None, "activating"),
        (None, REFUSED, "not listening yet"),
        (None, None, "asking"),
    ],
)
def test_progress(view: UnitView | None, seen: Observation | None, text: str) -> None:
    assert progress_text(view, seen) == text


def outcome(**what: t.Any) -> Outcome:
    base = Outcome(
        "chat",
        "http://h:8070/v1",
        False,
        None,
        "unit_failed",
        "unit x: it has failed",
        "Do this.",
        (),
        None,
        None,
        3.2,
        None,
        (),
        None,
        True,
        UNIT,
    )
    return replace(base, **what)


def test_the_failure_message_says_what_was_tried_what_came_back_and_the_remedy() -> None:
    text = failure_message(
        [
            outcome(cause="out_of_memory", message="unit x: the start failed. CUDA out of memory", log_lines=("line one", "line two")),
            outcome(name="embedding", ready=True, cause=None),
            outcome(name="external", required=False),
        ],
        "litellm-gateway",
    )
    assert text == (
        "1 of 2 endpoints is not ready after 3 s (seen from inside container litellm-gateway).\n"
        "\n"
        f"chat (http://h:8070/v1, unit {UNIT}): out_of_memory\n"
        "  unit x: the start failed. CUDA out of memory\n"
        "  Remedy: Do this.\n"
        "  Log:\n"
        "    line one\n"
        "    line two\n"
        f"  More: journalctl -u {UNIT}\n"
        "\n"
        "Ready: embedding"
    )


def test_the_failure_message_counts_what_was_ready_before() -> None:
    assert failure_message([outcome()]).startswith("The endpoint is not ready after 3 s.\n")
    text = failure_message([outcome(), outcome(name="b")], ready_before=["x"])
    assert text.startswith("2 of 3 endpoints are not ready after 3 s.\n")
    assert text.endswith("Ready: x")


def test_the_journal_names_the_cause_where_the_launcher_did_not() -> None:
    found = with_log(outcome(), ["vllm: error: unrecognized arguments: --task"])
    assert found.cause == "bad_flag"
    assert "unrecognized arguments" in found.message
    assert found.log_lines
    assert with_log(outcome(), ["nothing special"]).cause == "unit_failed"
    assert with_log(outcome(cause="timeout"), ["torch.OutOfMemoryError: CUDA out of memory"]).cause == "timeout"


def test_secrets_leave_no_trace() -> None:
    clean = without_secrets(outcome(message="key my-own-key", log_lines=("Bearer abcdefgh", "my-own-key")), ["my-own-key"])
    assert "my-own-key" not in repr(clean)
    assert "abcdefgh" not in repr(clean)
