# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An engine on probation, with a clock of its own: deaths and errors under traffic, and what is none of its doing."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils._probation import Answers, Probation, answers_of
from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe_http import Reply, Request, TransportError

METRICS = """# HELP http_requests_total Total number of requests by method, status and handler.
# TYPE http_requests_total counter
http_requests_total{handler="/health",method="GET",status="5xx"} 70.0
http_requests_total{handler="/v1/chat/completions",method="POST",status="2xx"} 120.0
http_requests_total{handler="/v1/chat/completions",method="POST",status="4xx"} 5.0
http_requests_total{handler="/v1/chat/completions",method="POST",status="5xx"} 3.0
vllm:num_requests_running{engine="0"} 1.0
"""
READY = {"phase": "ready", "container_id": "a"}


class Engine:
    """Its state file and its counters, by the seconds since it replaced another one."""

    def __init__(
        self, well: int = 0, errors: int = 0, dies_at: float = 1e9, counts: bool = True, told: dict[str, t.Any] | None = None
    ) -> None:
        self.now = 0.0
        self.well, self.errors, self.dies_at, self.counts, self.told = well, errors, dies_at, counts, told

    def state(self) -> dict[str, t.Any]:
        if self.now < self.dies_at:
            return READY
        return self.told or {"phase": "failed", "container_id": "a", "cause": "out_of_memory", "message": "killed"}

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def __call__(self, request: Request) -> Reply:
        assert request.url == "http://127.0.0.1:8070/metrics"
        if not self.counts:
            raise TransportError("refused", "connection refused")
        over = self.now > 0
        line = 'http_requests_total{{handler="/v1/chat/completions",method="POST",status="{}"}} {}\n'
        # What it had answered before, the questions of the proof among it, is none of this.
        return Reply(200, (line.format("2xx", 50 + self.well * over) + line.format("5xx", 2 + self.errors * over)).encode())

    def watch(self, seconds: float = 60.0) -> str:
        return Probation("http://127.0.0.1:8070/v1", self.state, seconds, self, lambda: self.now, self.sleep).watch()


def test_the_metrics_of_vllm_are_read() -> None:
    assert answers_of(METRICS) == Answers(128.0, 3.0)
    assert answers_of("llamacpp:requests_processing 0\n") == Answers()


@pytest.mark.parametrize(
    "engine",
    [
        Engine(),
        Engine(well=1000),
        Engine(errors=2),  # two requests that nothing could answer
        Engine(well=96, errors=4),
        Engine(counts=False),
    ],
)
def test_one_that_lasts(engine: Engine) -> None:
    assert engine.watch() == ""
    assert engine.now == 60.0


def test_one_that_dies_is_told_with_its_cause() -> None:
    engine = Engine(dies_at=20.0)
    assert engine.watch() == "it died on probation, after it had proved itself: out_of_memory: killed"
    assert engine.now == 20.0  # and nobody waits on


def test_one_that_has_come_again_has_died_too() -> None:
    again = {"phase": "ready", "container_id": "b", "last_failure": {"cause": "gpu_lost", "message": "no NVML"}}
    assert Engine(dies_at=5.0, told=again).watch() == "it died on probation, after it had proved itself: gpu_lost: no NVML"
    assert Engine(dies_at=5.0, told={"phase": "starting", "container_id": None}).watch().endswith("proved itself")


def test_one_that_answers_with_errors() -> None:
    engine = Engine(well=20, errors=3)
    assert engine.watch() == "3 of 23 requests of clients were answered with an error of the server on probation"
    assert engine.now == 5.0


def test_without_a_probation_it_is_looked_at_once() -> None:
    assert Engine().watch(0.0) == ""
