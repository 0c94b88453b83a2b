# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run did, out of the results of its tasks."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._screen.run import Run, Touched, run_of


def unit(name: str, action: str, reason: str = "") -> dict[str, str]:
    return {"unit": f"{name.replace('/', '@')}.service", "action": action, "reason": reason}


def seen(*results: Any, wait: Any = None) -> Run:
    return run_of({"n0": results}, {"n0": wait}, ["n0"], [], [], check_mode=False)


WAIT = {
    "endpoints": [
        {"name": "chat", "unit": "vllm@chat.service", "ready": True, "waited": 71.5},
        {"name": "ocr", "unit": "vllm@ocr.service", "ready": False, "waited": 99.0},
        {"name": "old", "unit": "vllm@old.service", "ready": True, "waited": 0.1},
    ]
}


@pytest.mark.parametrize(
    ("action", "instance", "expected"),
    [
        ("start", "vllm/chat", 71.5),
        ("restart", "vllm/chat", 71.5),
        ("start", "vllm/ocr", None),  # it did not become ready
        ("reload", "vllm/old", None),  # its container went on
        ("start", "litellm/gateway", None),  # nobody waited for it
    ],
)
def test_how_long_it_took_is_told_of_what_was_started(action: str, instance: str, expected: float | None) -> None:
    found = seen({"units": {instance: unit(instance, action, "why")}}, wait=WAIT)
    assert found.touched == (Touched("n0", instance, action, "why", expected),)


def test_what_is_kept_is_counted_and_its_live_files_are_told() -> None:
    units = {name: unit(name, "keep") for name in ("vllm/chat", "vllm/ocr", "litellm/gateway")}
    found = seen({"units": units, "replaced": ["litellm/gateway"]})
    assert (found.kept, [(one.instance, one.action) for one in found.touched]) == (2, [("litellm/gateway", "replace")])


def test_what_an_earlier_turn_did_is_told_once() -> None:
    earlier = {"units": {"vllm/chat": unit("vllm/chat", "restart", "new image")}}
    last = {"units": {"vllm/chat": unit("vllm/chat", "keep"), "vllm/old": unit("vllm/old", "keep")}}
    found = seen(earlier, last, wait=WAIT)
    assert (found.kept, found.touched) == (1, (Touched("n0", "vllm/chat", "restart", "new image", 71.5),))


@pytest.mark.parametrize("result", [{}, {"skipped": True}, {"failed": True, "msg": "no Docker"}, {"unreachable": True}, "", None])
def test_a_task_that_did_not_run_says_nothing(result: Any) -> None:
    found = seen(result, wait=result)
    assert (found.touched, found.kept) == ((), 0)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("n0", ""), ("n1", "failed"), ("n2", "not in this run"), ("n3", "failed")],
    ids=["serves", "both", "none", "failed"],
)
def test_a_host_that_failed_does_not_serve(host: str, expected: str) -> None:
    found = run_of({}, {}, ["n0", "n1"], [], ["n1", "n3"], check_mode=False)
    assert found.trouble(host, found.engines) == expected
