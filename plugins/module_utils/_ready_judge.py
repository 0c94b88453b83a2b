# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Whether a unit and its endpoint can still become ready by themselves."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import Cause, Diagnosis, diagnosis
from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe import Endpoint, Observation
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_watch import LauncherState, UnitView

#: A stopped or crashed unit may be about to be started by whoever runs this; so long it is given.
SETTLE = 2.0
#: A container's name that stays unknown so long will not appear.
UNKNOWN_NAME = 30.0
#: The launcher itself waits for a daemon that restarts; after so long somebody should know.
WITHOUT_DOCKER = 5.0

OUTDATED_REMEDY = (
    "If somebody else's run has changed it meanwhile, agree on one configuration and run with it. "
    "Otherwise it was not restarted after a change: systemctl restart {}"
)


@dataclass(frozen=True)
class Target:
    endpoint: Endpoint
    unit: str | None = None
    required: bool = True
    config_hash: str | None = None


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
class Verdict:
    """Not ready, and it will stay so; counts once it has been true for `after` seconds without a break."""

    diagnosis: Diagnosis
    after: float = 0.0


def unit_is_ready(view: UnitView) -> bool:
    """systemd calls it active, and the launcher's own word, if there is one, comes from the process that runs."""
    if view.active_state != "active":
        return False
    return view.state is None or (view.own_state is not None and view.own_state.phase == "ready")


def same_process(before: UnitView | None, after: UnitView) -> bool:
    return before is not None and unit_is_ready(before) and before.main_pid == after.main_pid


def of_state(view: UnitView, state: LauncherState, trouble: str) -> Diagnosis:
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
        return of_state(view, state, trouble)
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
    if state is not None and state.cause == str(Cause.GROUP_ENDED):
        return _of_group(view, state, baseline)
    if state is not None and state.phase == "failed":
        if state.since >= wall_began or view.main_pid != 0:
            return Verdict(of_state(view, state, "the start failed"))
        # A failure from before; the next start may be on its way.
        return None if at_work(view) else Verdict(of_state(view, state, "the start failed"), SETTLE)
    if state is not None and state.cause == str(Cause.DOCKER_DOWN) and state.phase != "ready":
        return Verdict(of_state(view, state, "it waits for Docker"), WITHOUT_DOCKER)
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


def _of_group(view: UnitView, state: LauncherState, baseline: Baseline) -> Verdict | None:
    """Another host has ended the attempt of all, which happens when it is changed a moment later than this one: all begin again."""
    if state.phase != "failed":
        # It waits for a host that has given up.
        return Verdict(of_state(view, state, "it waits for another host"), SETTLE)
    if view.restarts > baseline.restarts + 2:
        return Verdict(of_state(view, state, "the start failed again and again"))
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
