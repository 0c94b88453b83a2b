# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._units.endpoint_progress import Progress, in_slices


def seen(
    name: str,
    message: str = "",
    ready: bool = False,
    cause: str | None = None,
    waited: float = 0.0,
    phase: str = "",
    percent: int | None = None,
) -> dict[str, t.Any]:
    return {"name": name, "message": message, "ready": ready, "cause": cause, "waited": waited, "phase": phase, "percent": percent}


def test_only_what_is_new_is_shown() -> None:
    lines: list[str] = []
    progress = Progress("node1", lines.append)
    progress.tell([seen("chat", "starting"), seen("ocr", "waiting for the GPU")])
    progress.tell([seen("chat", "loading weights 43 %", waited=72), seen("ocr", "waiting for the GPU", waited=72)])
    progress.tell([seen("chat", ready=True, waited=90), seen("ocr", cause="gpu_lost", message="long story", waited=91)])
    assert lines == [
        "node1 chat: starting (0 s)",
        "node1 ocr: waiting for the GPU (0 s)",
        "node1 chat: loading weights 43 % (1 m 12 s)",
        "node1 chat: ready (1 m 30 s)",
        "node1 ocr: gpu_lost (1 m 31 s)",
    ]


def test_a_log_has_one_line_for_each_endpoint_and_phase() -> None:
    lines: list[str] = []
    progress = Progress("node1", lines.append, log=True)
    for percent, waited in ((10, 10), (40, 70), (90, 130)):
        progress.tell([seen("chat", f"loading weights {percent} %", phase="loading_weights", percent=percent, waited=waited)])
    progress.tell([seen("chat", "compiling", phase="compiling", waited=190)])
    progress.tell([seen("chat", ready=True, waited=200), seen("quick", ready=True), seen("late", cause="timeout", message="x")], last=True)
    assert lines == [
        "node1 chat: loading weights 10 % (10 s)",
        "node1 chat: compiling (3 m 10 s)",
        "node1 chat: ready (3 m 20 s)",
    ], "who was never waited for has no line of its own: the result tells of it"


def test_for_a_log_the_module_comes_back_after_ten_seconds_and_then_once_a_minute() -> None:
    given: list[t.Any] = []

    def call(arguments: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        given.append(arguments["_slice"])
        paused = {"_slice": {"since": {"wall": 1.0, "waited": 1.0}, "known": {}}} if len(given) < 3 else {}
        return {"endpoints": [seen("a", "starting", ready=not paused)], **paused}

    in_slices({"endpoints": [{"name": "a"}]}, call, Progress(None, lambda line: None, log=True), lambda: 0.0)
    assert [one["least"] for one in given] == [10.0, 60.0, 60.0]


def test_what_is_ready_is_not_asked_again_and_time_between_calls_counts() -> None:
    calls: list[t.Mapping[str, t.Any]] = []
    answers: list[dict[str, t.Any]] = [
        {"endpoints": [seen("a", ready=True), seen("b", "starting")], "_slice": {"since": {"wall": 1.0, "waited": 0.2}, "known": {"b": 1}}},
        {"endpoints": [seen("b", ready=True)], "waited": 9.0, "invocation": {"module_args": {"timeout": 60, "_slice": {}}}},
    ]
    moments = iter([100.0, 107.5])

    def call(given: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        calls.append(given)
        return answers[len(calls) - 1]

    arguments = {"endpoints": [{"name": "a"}, {"name": "b"}], "timeout": 60}
    result = in_slices(arguments, call, Progress(None, lambda line: None), lambda: next(moments))
    assert [one["name"] for one in calls[0]["endpoints"]] == ["a", "b"]
    assert calls[0]["_slice"] == {"since": None, "known": {}}
    assert [one["name"] for one in calls[1]["endpoints"]] == ["b"]
    assert calls[1]["_slice"] == {"since": {"wall": 1.0, "waited": 7.5}, "known": {"b": 1}, "ready": ["a"]}
    assert [one["name"] for one in result["endpoints"]] == ["a", "b"]
    assert result["invocation"] == {"module_args": {"timeout": 60}}
    assert arguments == {"endpoints": [{"name": "a"}, {"name": "b"}], "timeout": 60}


def test_a_result_without_endpoints_is_passed_on() -> None:
    failed = {"failed": True, "unreachable": True, "msg": "no route"}
    assert in_slices({"endpoints": [{"name": "a"}]}, lambda given: failed, Progress(None, lambda line: None)) is failed
