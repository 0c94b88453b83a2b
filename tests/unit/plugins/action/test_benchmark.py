# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's half of benchmark: a call of the module for each step, and what it makes of them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleActionSkip
from support.action import act
from support.benchmarks import step

from ansible_collections.llmops.gpu_inference.plugins.action import benchmark

TARGET: dict[str, Any] = {
    "name": "chat",
    "unit": "vllm@chat",
    "generator": "vllm",
    "watch": [{"url": "http://127.0.0.1:8070/metrics", "gauges": ["running"]}],
    "image": "engine:1",
    "steps": [{"concurrency": number, "requests": 16, "command": ["x"]} for number in (1, 4, 16)],
}


class Host:
    """Answers each call with the next of what is given, and remembers what it was asked."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def __call__(self, arguments: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(arguments)
        number = len(self.asked)
        common = {"started": f"2026-11-28T10:0{number}:00Z", "used": False, "gave_way": False, "failure": None, "invocation": {}}
        return {**common, **self.answers[number - 1]}


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(benchmark, "say", lines.append)
    return lines


def run(host: Host, target: Any = TARGET, **more: Any) -> dict[str, Any]:
    return act(benchmark, host, {"inventory_hostname": "gpu01"}, target=target, api_key="key", **more)


def test_a_call_and_two_lines_for_each_step(said: list[str]) -> None:
    host = Host(*({"steps": [step(number)]} for number in (1, 4, 16)))
    found = run(host)
    assert [one["concurrency"] for one in found["steps"]] == [1, 4, 16]
    assert (found["started"], "invocation" in found, found["failure"]) == ("2026-11-28T10:01:00Z", False, None)
    assert [asked["target"]["steps"] for asked in host.asked] == [[one] for one in TARGET["steps"]]
    assert {asked["api_key"] for asked in host.asked} == {"key"}
    given = host.asked[0]["target"]
    assert ("unit" in given, "generator" in given, "tokenizer/tokenizer.json" in given["files"]) == (False, False, True)
    assert said[:2] == [
        "gpu01: chat: measures 16 requests, 1 at once",
        "gpu01: chat: 1 at once: 0.44 requests/s, 56.9 tokens/s, first token 45 ms (p99 107 ms), whole answer 1350 ms (p99 2138 ms)",
    ]
    assert len(said) == 6


@pytest.mark.parametrize("end", [{"used": True}, {"gave_way": True}, {"failure": "no such image"}])
def test_what_was_measured_before_the_end_stays(said: list[str], end: dict[str, Any]) -> None:
    found = run(Host({"steps": [step(1)]}, {"steps": [], **end}))
    assert [one["concurrency"] for one in found["steps"]] == [1]
    assert {key: found[key] for key in end} == end
    assert len(said) == 4


def test_a_module_that_fails(said: list[str]) -> None:
    found = run(Host({"failed": True, "msg": "target.image: no text"}))
    assert (found["failed"], found["msg"]) == (True, "target.image: no text")
    assert len(said) == 1


def test_a_look_alone(said: list[str]) -> None:
    host = Host({"steps": [], "used": True})
    assert run(host, {"name": "chat", "watch": TARGET["watch"]})["used"] is True
    assert host.asked[0]["target"]["steps"] == []
    assert said == []


def test_nothing_in_check_mode_or_without_a_target(said: list[str]) -> None:
    host = Host()
    with pytest.raises(AnsibleActionSkip):
        run(host, task_check_mode=True)
    assert run(host, "chat")["failed"] is True
    assert (host.asked, said) == ([], [])
