# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from support.instances import container, spec

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _launch_rules as rules
from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import Cause, Diagnosis
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import Container
from ansible_collections.llmops.gpu_inference.plugins.module_utils._engine_signs import signs_of
from ansible_collections.llmops.gpu_inference.plugins.module_utils._launch_rules import Watch


@pytest.mark.parametrize(
    ("found", "decision"),
    [
        (None, rules.ABSENT),
        (container(), rules.ADOPT),
        (container(running=False), rules.REPLACE),
        (container(labels={"config_hash": "old"}), rules.REPLACE),
        (container(labels={"owner": "me"}), rules.FOREIGN),
        (container(labels={"instance": "vllm/other"}), rules.FOREIGN),
    ],
)
def test_decide_existing(found: Container | None, decision: str) -> None:
    assert rules.decide_existing(found, spec()) == decision


LOADING = {"container_id": "c1", "phase": "loading_weights", "loading": True}
NEIGHBOUR = {"instance": "vllm/ocr"}


@pytest.mark.parametrize(
    ("neighbour", "state", "alive", "disturbs"),
    [
        (container(labels=NEIGHBOUR), LOADING, True, True),
        (container(labels=NEIGHBOUR), LOADING, False, True),
        (container(labels=NEIGHBOUR), {**LOADING, "phase": "ready", "loading": False}, True, False),
        # Its launcher was killed while it served: the engine has long got its memory.
        (container(labels=NEIGHBOUR), {**LOADING, "phase": "ready", "loading": False}, False, False),
        # The state speaks of an earlier container.
        (container(labels=NEIGHBOUR), {**LOADING, "phase": "ready", "container_id": "c0"}, True, True),
        # Ollama's server runs, and gets its models without the GPU.
        (container(labels=NEIGHBOUR), {**LOADING, "phase": "downloading", "loading": False}, True, False),
        (container(labels=NEIGHBOUR), {**LOADING, "phase": "downloading", "loading": False}, False, True),
        (container(labels=NEIGHBOUR), None, False, True),
        (container(labels=NEIGHBOUR, running=False), LOADING, True, False),
        (container(labels={**NEIGHBOUR, "locks": "GPU-c"}), LOADING, True, False),
        (container(labels={**NEIGHBOUR, "locks": ""}), LOADING, True, False),
        (container(), LOADING, True, False),  # our own
    ],
)
def test_may_disturb(neighbour: Container, state: dict[str, t.Any] | None, alive: bool, disturbs: bool) -> None:
    assert rules.may_disturb(neighbour, spec(), state, alive) is disturbs


def test_backoff_grows_to_a_limit() -> None:
    backoff = rules.Backoff()
    assert [backoff.delay(failures) for failures in (0, 1, 2, 3, 4, 5, 6, 7, 50)] == [0, 0, 10, 20, 40, 80, 160, 300, 300]


@pytest.mark.parametrize(("before", "ready_for", "after"), [(0, 0, 1), (3, 0, 4), (3, 299, 4), (3, 300, 1)])
def test_count_failure(before: int, ready_for: float, after: int) -> None:
    assert rules.count_failure(before, ready_for) == after


@pytest.mark.parametrize(
    ("cause", "permanent", "failures", "expected"),
    [
        (Cause.OUT_OF_MEMORY, False, 4, (Cause.OUT_OF_MEMORY, False)),
        (Cause.OUT_OF_MEMORY, False, 5, (Cause.OUT_OF_MEMORY, True)),  # the true cause says more than that it came often
        (Cause.UNKNOWN, False, 5, (Cause.CRASH_LOOP, True)),
        (Cause.BAD_FLAG, True, 1, (Cause.BAD_FLAG, True)),
    ],
)
def test_verdict(cause: Cause, permanent: bool, failures: int, expected: tuple[Cause, bool]) -> None:
    found = rules.verdict(Diagnosis(cause, "text", permanent=permanent), failures, 5)
    assert (found.cause, found.permanent) == expected


@pytest.mark.parametrize(
    ("cause", "permanent", "failures", "seconds"),
    [
        (Cause.BAD_FLAG, True, 1, 5),
        (Cause.KV_CACHE_TOO_SMALL, True, 2, 15),
        (Cause.UNKNOWN, False, 5, 85),
        (Cause.UNKNOWN, False, 5000, 305),
    ],
)
def test_what_has_served_is_never_given_up(cause: Cause, permanent: bool, failures: int, seconds: int) -> None:
    found = rules.verdict(Diagnosis(cause, "text", permanent=permanent), failures, 5, served=True)
    assert (found.cause, found.permanent) == (cause, False)
    assert found.message == f"text; has served before, trying again in {seconds} s"


def test_watch_knows_busy_idle_and_hung_engines() -> None:
    watch = Watch(limit=30, last_sign=0).observe(10, True, 100.0)
    assert not watch.hung(40)
    assert watch.hung(41)
    busy = watch.observe(40, False, 120.0)  # no answer in time, but its counters move
    assert not busy.hung(70)
    hung = busy.observe(60, False, 120.0)
    assert hung.hung(71)
    assert not hung.excuse(71).hung(100)
    assert not Watch(limit=0, last_sign=0).hung(10**6)


def test_activity_sums_the_work_counters() -> None:
    metrics = """# HELP vllm:prompt_tokens_total Number of prefill tokens processed.
vllm:prompt_tokens_total{engine="0",model_name="chat"} 21.0
vllm:generation_tokens_total{engine="0",model_name="chat"} 4.0
vllm:prompt_tokens_created{engine="0",model_name="chat"} 1.79e+09
vllm:num_requests_running{engine="0"} 1.0
"""
    assert rules.activity(metrics, signs_of("vllm").counted) == 25.0
    assert rules.activity("nothing 1", signs_of("vllm").counted) is None


@pytest.mark.parametrize(
    ("present", "wanted", "missing"),
    [
        (["qwen3-vl:4b-instruct"], ["qwen3-vl:4b-instruct"], []),
        (["llama3:latest"], ["llama3"], []),
        (["llama3:8b"], ["llama3"], ["llama3"]),
        (["hf.co/a/b:Q4"], ["hf.co/a/b:Q4", "x:1"], ["x:1"]),
        ([], ["registry:5000/a/b"], ["registry:5000/a/b"]),
    ],
)
def test_missing_models(present: list[str], wanted: list[str], missing: list[str]) -> None:
    assert rules.missing_models({"models": [{"name": name} for name in present]}, wanted) == missing


@pytest.mark.parametrize(
    ("models", "share"),
    [([], 0), ([{"size": 100, "size_vram": 100}], 0), ([{"size": 100, "size_vram": 40}], 60), ([{"size": 10}], 100)],
)
def test_cpu_share(models: list[dict[str, int]], share: int) -> None:
    assert rules.cpu_share({"models": models}) == share


@pytest.mark.parametrize(
    ("rc", "lines", "expected"),
    [
        pytest.param(0, ["GPU 0: NVIDIA GB10 (UUID: GPU-1)"], None, id="there"),
        pytest.param(0, ["No devices found."], "lists no GPU", id="none-listed"),
        pytest.param(255, ["Failed to initialize NVML: Unknown Error"], "NVML: Unknown Error", id="taken-by-a-daemon-reload"),
        pytest.param(18, ["Failed to initialize NVML: Driver/library version mismatch"], "mismatch", id="driver-updated"),
        pytest.param(127, ['exec: "nvidia-smi": executable file not found in $PATH: unknown'], None, id="image-without-it"),
        pytest.param(1, ["Error response from daemon: container f3f3 is not running"], None, id="container-is-going"),
        pytest.param(137, [], None, id="killed"),
    ],
)
def test_lost_gpu(rc: int, lines: list[str], expected: str | None) -> None:
    found = rules.lost_gpu(rc, lines)
    assert (found is None) is (expected is None)
    assert expected is None or expected in str(found)
