# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from support.inventories import cpu, dgpu, gpu, jetson, one, service, spark

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines import ollama_unit
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.vllm_unit import container_unit
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.main_memory import Tenant, bounds, docker_mib
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import PlanError, build_plan


@pytest.mark.parametrize(
    ("text", "mib"),
    [
        ("16g", 16384),
        ("16G", 16384),
        ("16GiB", 16384),
        ("1.5gb", 1536),
        ("512m", 512),
        ("1048576", 1),
        ("2097152b", 2),
        ("1t", 2**20),
        ("x", None),
        ("", None),
        ("-1", None),
    ],
)
def test_sizes_in_dockers_form(text: str, mib: float | None) -> None:
    assert docker_mib(text) == mib


@pytest.mark.parametrize(
    ("tenants", "usable", "unified", "expected"),
    [
        ([Tenant(4096)], None, False, [None]),
        ([Tenant(4096)], 59000, False, [57]),  # all that is for services
        ([Tenant(4096), Tenant(4096)], 59000, False, [53, 53]),  # less what the other one needs
        ([Tenant(4096), Tenant(20000, ours=False)], 59000, False, [38, None]),
        ([Tenant(4096)] * 4, 14745, False, [8, 8, 8, 8]),  # estimates end no engine
        ([Tenant(4096 + 48 * 1024), Tenant(4096)], 59000, False, [56, 8]),
        ([Tenant(4096)], 7000, False, [6.75]),  # never more than there is
        ([Tenant(100)], 100, False, [0.25]),
        # Shared with the GPU: what the others were given of it is theirs.
        ([Tenant(4096, 60 * 1024)], 112000, True, [109]),
        ([Tenant(4096, 60 * 1024), Tenant(4096, 20 * 1024)], 112000, True, [85, 45]),
        ([Tenant(2048, 3000), Tenant(2048, 1000)], 7000, True, [4.75, 2.75]),
    ],
)
def test_bounds(tenants: list[Tenant], usable: float | None, unified: bool, expected: list[float | None]) -> None:
    assert bounds(tenants, usable, unified) == [None if value is None else value * 1024 for value in expected]


def bound_of(hardware: dict[str, Any] | None, *services: Any, **changes: Any) -> dict[str, Any]:
    (plan,) = build_plan(one(*services, hardware=hardware, **changes))["hosts"].values()
    return {item["name"]: item["host_memory_mib"] for item in (*plan["vllm"], *plan["ollama"])}


def refused(*services: Any, hardware: Any, **changes: Any) -> list[str]:
    with pytest.raises(PlanError) as caught:
        build_plan(one(*services, hardware=hardware, **changes))
    return [str(finding) for finding in caught.value.findings]


def test_every_engine_on_a_gpu_is_bounded() -> None:
    assert bound_of(dgpu(), service(memory=0.5)) == {"chat": 57 * 1024}
    assert bound_of(dgpu(), service(memory=0.4), service("embedding", 8090, memory=0.4)) == {"chat": 53 * 1024, "embedding": 53 * 1024}
    assert bound_of(dgpu(), service(memory=0.5), service("embedding", 8090, device="cpu", memory="20GiB")) == {
        "chat": 37 * 1024,
        "embedding": None,
    }
    assert bound_of(dgpu(memory_mib=None), service(memory=0.5)) == {"chat": None}
    assert bound_of(cpu(), service(memory="4GiB")) == {"chat": None}
    assert bound_of(spark(), service(memory=0.5)) == {"chat": 109 * 1024}


def test_ollama_is_bounded_once_per_instance() -> None:
    models = {"a": {"source": "qwen3:4b", "engine": "ollama"}, "b": {"source": "qwen3:8b", "engine": "ollama"}}
    both = [{"model": "a", "port": 11434, "memory": "4GiB"}, {"model": "b", "port": 11434, "memory": "6GiB"}]
    assert bound_of(dgpu(), *both, inference_models=models) == {"11434": 57 * 1024}
    assert bound_of(jetson(), *both, inference_models=models) == {"11434": 55 * 1024}
    (text,) = refused({**both[0], "host_memory": "8GiB"}, both[1], hardware=dgpu(), inference_models=models)
    assert "inference_services[1].host_memory" in text
    assert "use another port or make them equal" in text
    plan = build_plan(one(*both, hardware=dgpu(), inference_models=models))
    (instance,) = ollama_unit.read_instances(next(iter(plan["hosts"].values()))["ollama"])
    assert ollama_unit.container_unit(instance)["memory_limit_mib"] == 57 * 1024


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"host_memory": "20GiB"}, 20 * 1024),
        ({"host_memory": False}, None),
        ({"container_extra_arguments": ["--memory=20g"]}, None),
        ({"container_extra_arguments": ["-m", "20g"]}, None),
        ({"container_extra_arguments": ["--memory-swap", "64g"]}, None),
        ({"container_extra_arguments": ["--memory-reservation=1g"]}, None),
        ({"container_extra_arguments": ["--cpus=4"]}, 53 * 1024),
    ],
)
def test_the_user_has_the_last_word(changes: dict[str, Any], expected: int | None) -> None:
    found = bound_of(dgpu(), service(memory=0.4, **changes), service("embedding", 8090, memory=0.4))
    assert found["chat"] == expected
    # What the user allows to one is not the other's.
    given = "20GiB" in str(changes) or "20g" in str(changes)
    assert found["embedding"] == (38 if given else 53) * 1024 - (1024 if given else 0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"host_memory": "0.5GiB"}, 'host_memory (host node1) = "0.5GiB": must be a size of 1GiB at least'),
        ({"host_memory": 0.5}, "must be a size of 1GiB at least, such as 32GiB, or false for no bound"),
        ({"host_memory": True}, "must be a size of 1GiB at least"),
        ({"host_memory": "65GiB"}, 'inference_services[0].host_memory (host node1) = "65GiB": is more than the host has, 64.0 GiB'),
        (
            {"host_memory": "8GiB", "container_extra_arguments": ["-m16g"]},
            "container_extra_arguments has --memory too; keep one of the two",
        ),
        ({"host_memory": False, "container_extra_arguments": ["--memory-swap=16g"]}, "container_extra_arguments has --memory-swap too"),
        (
            {"host_memory": "8GiB", "engine_args": {"kv-offloading-size": 6, "cpu-offload-gb": 4}},
            "is less main memory than the engine is told to take: kv-offloading-size 6.0 GiB, cpu-offload-gb 4.0 GiB",
        ),
        (
            {"container_extra_arguments": ["--memory=8g"], "engine_args": {"cpu-offload-gb": 10}},
            "inference_services[0].container_extra_arguments (host node1)",
        ),
        (
            {"shm_size": "8g", "engine_args": {"kv-offloading-size": 10}},
            'inference_services[0].shm_size (host node1) = "8g": is less than the engine is told to take of /dev/shm: '
            "kv-offloading-size 10.0 GiB; leave it out",
        ),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], words: str) -> None:
    (text,) = refused(service(memory=0.4, **changes), hardware=dgpu())
    assert words in text


TWO = dgpu(gpu(0), gpu(1))
ON_CPU = service("embedding", 8090, device="cpu", memory="20GiB")


@pytest.mark.parametrize(
    ("hardware", "services", "model", "written", "words"),
    [
        (dgpu(), [service(memory=0.9)], {"engine_args": {"kv-offloading-size": 60}}, "engine_args.kv-offloading-size", "has 57.6 GiB"),
        (
            dgpu(),
            [service(memory=0.9)],
            {"env": {"LMCACHE_MAX_LOCAL_CPU_SIZE": "60"}},
            "env.LMCACHE_MAX_LOCAL_CPU_SIZE",
            "60.0 GiB does not",
        ),
        (
            TWO,
            [service(memory=0.9, gpus=[0, 1])],
            {"engine_args": {"cpu_offload_gb": 30}},
            "engine_args.cpu_offload_gb",
            "60.0 GiB does not",
        ),
        # With what runs on the CPU.
        (
            dgpu(),
            [ON_CPU, service(memory=0.9)],
            {"engine_args": {"kv-offloading-size": 40}},
            "engine_args.kv-offloading-size",
            "embedding 20",
        ),
        # Where CPU and GPU share the memory there is one sum.
        (spark(), [service(memory="60GiB")], {"engine_args": {"kv-offloading-size": 40}}, "engine_args.kv-offloading-size", "is 100.0 GiB"),
    ],
)
def test_more_than_there_is_is_refused_where_it_is_written(
    hardware: dict[str, Any], services: list[Any], model: dict[str, Any], written: str, words: str
) -> None:
    models = {"chat": {"source": "a/b", **model}, "embedding": {"source": "c/d", "capability": "embedding"}}
    (text,) = refused(*services, hardware=hardware, inference_models=models)
    assert text.startswith(f"inference_models.chat.{written} (host node1) = ")
    assert words in text
    assert text.endswith("Give less, or use another host")


def test_an_engine_that_takes_what_is_left_leaves_what_it_offloads() -> None:
    models = {"chat": {"source": "a/b", "engine_args": {"kv-offloading-size": 40}}}
    (row,) = build_plan(one(service(), hardware=spark(), inference_models=models))["table"]
    assert row["memory"] == pytest.approx(0.8 * 124610 / 1024 - 40, abs=0.1)


def test_a_bound_is_told_to_the_launcher_and_is_no_argument() -> None:
    """So that no running engine restarts for it."""
    plan = build_plan(one(service(memory=0.5), hardware=dgpu()))
    (instance,) = next(iter(plan["hosts"].values()))["vllm"]
    unit = container_unit(instance)
    assert unit.pop("memory_limit_mib") == 57 * 1024
    assert unit == container_unit({**instance, "host_memory_mib": None})


def test_a_host_that_is_too_small_is_told() -> None:
    small = dgpu(memory_mib=8192)
    services = [service(memory=0.3), service("embedding", 8090, memory=0.3)]
    (warning,) = build_plan(one(*services, hardware=small))["warnings"]
    assert warning.startswith("the engines need about 8.0 GiB of main memory, 4.0 GiB for each vLLM on a GPU")
    assert "there are 7.2 GiB for services" in warning
    assert build_plan(one(services[0], hardware=small))["warnings"] == []
    (warning,) = build_plan(one(service(device="cpu", memory="1GiB", host_memory="2GiB"), hardware=dgpu()))["warnings"]
    assert "host_memory has no use on the CPU" in warning
