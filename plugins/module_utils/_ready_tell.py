# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What a wait for endpoints tells, while it lasts and at its end."""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass, replace

from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import Cause, classify_log, redact
from ansible_collections.llmops.gpu_inference.plugins.module_utils._duration import duration
from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe import Observation
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_watch import UnitView

PHASE_TEXT: t.Mapping[str, str] = {
    "pulling": "pulling the image",
    "downloading": "downloading the model",
    "waiting_for_gpu": "waiting for the GPU",
    "waiting_for_members": "waiting for the other hosts",
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
        lines += ["", "No longer waited for (units continue by themselves):"]
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
