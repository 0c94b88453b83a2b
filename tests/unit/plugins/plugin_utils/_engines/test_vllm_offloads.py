# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from support.inventories import dgpu, gpu, one, service

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.vllm_offloads import offloads
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.vllm_unit import container_unit
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import build_plan

GIB = 1024.0
TRANSFER = "kv-transfer-config"


def connector(name: str = "OffloadingConnector", **extra: Any) -> dict[str, Any]:
    return {TRANSFER: {"kv_connector": name, "kv_role": "kv_both", "kv_connector_extra_config": extra}}


@pytest.mark.parametrize(
    ("arguments", "env", "found"),
    [
        ({}, {}, []),
        ({"kv-offloading-size": 48}, {}, [("kv-offloading-size", 48, "shared")]),
        ({"kv-offloading-size": "48.5"}, {}, [("kv-offloading-size", 48.5, "shared")]),
        ({"kv-offloading-size": 48, "data-parallel-size": 2}, {}, [("kv-offloading-size", 96, "shared")]),
        ({"kv-offloading-size": 48, "kv-offloading-backend": "native"}, {}, [("kv-offloading-size", 48, "shared")]),
        ({"kv-offloading-size": 48, "kv-offloading-backend": "lmcache"}, {}, []),
        ({"kv-offloading-size": 48}, {"VLLM_USE_SIMPLE_KV_OFFLOAD": "1"}, [("kv-offloading-size", 48, "pinned")]),
        ({"kv-offloading-size": "much"}, {}, []),
        ({"kv-offloading-size": True}, {}, []),
        ({"kv-offloading-size": -1}, {}, []),
        ({"kv-offloading-size": float("nan")}, {}, []),
        ({"kv-offloading-size": 0}, {}, []),
        (connector(cpu_bytes_to_use=2**33), {}, [(TRANSFER, 8, "shared")]),
        (connector(cpu_bytes_to_use="8G"), {}, [(TRANSFER, 8, "shared")]),
        (
            {TRANSFER: '{"kv_connector": "OffloadingConnector", "kv_connector_extra_config": {"cpu_bytes_to_use": 8G}}'},
            {},
            [(TRANSFER, 8, "shared")],
        ),
        (
            {f"{TRANSFER}.kv_connector": "OffloadingConnector", f"{TRANSFER}.kv_connector_extra_config.cpu_bytes_to_use": "8G"},
            {},
            [(f"{TRANSFER}.kv_connector", 8, "shared")],
        ),
        ({**connector(cpu_bytes_to_use=2**33), "kv-offloading-size": 5}, {}, [("kv-offloading-size", 5, "shared")]),
        (connector("SimpleCPUOffloadConnector"), {}, [(TRANSFER, 8, "pinned")]),
        (connector("SimpleCPUOffloadConnector", cpu_bytes_to_use_per_rank=2**32), {}, [(TRANSFER, 8, "pinned")]),
        (connector("SimpleCPUOffloadConnector", kv_offload_backend="disk", disk_path="/x"), {}, []),
        (connector("NixlConnector", cpu_bytes_to_use=2**33), {}, []),
        (
            connector("MultiConnector", connectors=[connector(cpu_bytes_to_use=2**33)[TRANSFER], {"kv_connector": "NixlConnector"}]),
            {},
            [(TRANSFER, 8, "shared")],
        ),
        (connector(cpu_bytes_to_use=None), {}, []),
        ({TRANSFER: "no mapping"}, {}, []),
        ({TRANSFER: {"kv_connector": "MultiConnector", "kv_connector_extra_config": {"connectors": "none"}}}, {}, []),
        ({"cpu-offload-gb": 10}, {}, [("cpu-offload-gb", 20, "pinned")]),
        ({"swap-space": 4}, {}, [("swap-space", 8, "pinned")]),
        ({"mm-processor-cache-gb": 6}, {}, [("mm-processor-cache-gb", 12, "")]),
        ({"mm-processor-cache-gb": 6, "api-server-count": 3}, {}, [("mm-processor-cache-gb", 24, "")]),
        ({"mm-processor-cache-gb": 0}, {}, []),
        ({"mm-processor-cache-type": "shm"}, {}, [("mm-processor-cache-type", 4, "shared")]),
        ({"mm-processor-cache-type": "shm", "mm-processor-cache-gb": 6}, {}, [("mm-processor-cache-gb", 6, "shared")]),
        ({"mm-processor-cache-type": "shm", "mm-processor-cache-gb": 0}, {}, []),
        ({}, {"LMCACHE_MAX_LOCAL_CPU_SIZE": "20"}, [("LMCACHE_MAX_LOCAL_CPU_SIZE", 40, "variable")]),
        ({}, {"LMCACHE_MAX_LOCAL_CPU_SIZE": "{{ x }}"}, []),
    ],
)
def test_what_an_engine_is_told_to_take(arguments: dict[str, Any], env: dict[str, Any], found: list[tuple[str, float, str]]) -> None:
    told = list(offloads(arguments, env, 2, (0, 32)))
    kinds = [next((kind for kind in ("shared", "pinned", "variable") if getattr(item, kind)), "") for item in told]
    assert [(item.name, item.mib / GIB, kind) for item, kind in zip(told, kinds, strict=True)] == found


def test_an_older_vllm_pinned_each_tensor() -> None:
    (old,) = offloads({"kv-offloading-size": 4}, {}, 1, (0, 26, 1))
    (unknown,) = offloads({"kv-offloading-size": 4}, {}, 1, None)
    assert (old.pinned, old.shared, unknown.pinned, unknown.shared) == (True, False, False, True)


@pytest.mark.parametrize(
    ("changes", "gpus", "expected"),
    [
        ({}, [0], "2g"),
        ({}, [0, 1], "16g"),
        ({"engine_args": {"kv-offloading-size": 10}}, [0], f"{12 * 1024}m"),
        ({"engine_args": {"kv-offloading-size": 10}}, [0, 1], f"{26 * 1024}m"),
        ({"engine_args": {"mm-processor-cache-type": "shm"}}, [0], f"{6 * 1024}m"),
        ({"engine_args": {"kv-offloading-size": 10}, "shm_size": "11GiB"}, [0], "11264m"),
        ({"engine_args": {"kv-offloading-size": 10}, "container_extra_arguments": ["--ipc=host"]}, [0], "2g"),
        ({"engine_args": {"cpu-offload-gb": 10}}, [0], "2g"),
    ],
)
def test_shared_memory_has_room_for_caches(changes: dict[str, Any], gpus: list[int], expected: str) -> None:
    plan = build_plan(one(service(memory=0.5, gpus=gpus, **changes), hardware=dgpu(gpu(0), gpu(1))))
    (instance,) = next(iter(plan["hosts"].values()))["vllm"]
    arguments = container_unit(instance)["docker_arguments"]
    assert arguments[arguments.index("--shm-size") + 1] == expected
