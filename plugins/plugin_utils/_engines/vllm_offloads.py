# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Main memory that a vLLM on GPUs is told to take, and its /dev/shm, in which some of that lies.

From vLLM 0.32: config/cache.py, config/offload.py and config/multimodal.py for the arguments, v1/kv_offload/cpu for what lies in /dev/shm.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ...module_utils import _docker_flags as docker_flags
from .._plan.host_findings import Trouble
from .._plan.main_memory import Offload, docker_mib
from .._plan.memory import gib
from .._plan.task import Task
from .vllm_flags import amount, number, settings
from .vllm_unit import default_shm_size

#: Since then the cache of the OffloadingConnector lies in /dev/shm (vllm#50094); before, each tensor was pinned by itself.
_SHARED_SINCE = (0, 27)
_DEFAULT_SIMPLE_BYTES = 8 * 1024**3  # SimpleCPUOffloadConnector's own
_DEFAULT_MEDIA_GIB = 4.0


def offloads(arguments: Mapping[str, Any], env: Mapping[str, Any], gpus: int, version: tuple[int, ...] | None) -> Iterator[Offload]:
    """What the arguments of a vLLM on C(gpus) GPUs ask of main memory."""
    replicas = max(1, number(arguments, "data-parallel-size") or 1)
    shared = version is None or version >= _SHARED_SINCE
    yield from _of_the_kv_cache(arguments, env, gpus, replicas, shared)
    for name in ("cpu-offload-gb", "swap-space"):
        each = _gib(arguments, name)
        if each:
            yield Offload(name, each * gpus, pinned=True)
    media = _gib(arguments, "mm-processor-cache-gb")
    if arguments.get("mm-processor-cache-type") == "shm":
        size = _DEFAULT_MEDIA_GIB * 1024 if media is None else media
        if size:
            yield Offload("mm-processor-cache-gb" if media else "mm-processor-cache-type", size, shared=True)
    elif media:
        yield Offload("mm-processor-cache-gb", media * ((number(arguments, "api-server-count") or replicas) + replicas))
    lmcache = _number(env.get("LMCACHE_MAX_LOCAL_CPU_SIZE"))
    if lmcache:
        yield Offload("LMCACHE_MAX_LOCAL_CPU_SIZE", lmcache * 1024 * gpus, variable=True)


def _of_the_kv_cache(arguments: Mapping[str, Any], env: Mapping[str, Any], gpus: int, replicas: int, shared: bool) -> Iterator[Offload]:
    """By the argument for it, or by connectors, which vLLM makes of that argument where it is given."""
    native = _gib(arguments, "kv-offloading-size")
    if native:
        if str(arguments.get("kv-offloading-backend") or "native") == "native":
            simple = str(env.get("VLLM_USE_SIMPLE_KV_OFFLOAD") or "0").lower() in ("1", "true")
            yield Offload("kv-offloading-size", native * replicas, pinned=simple or not shared, shared=shared and not simple)
        return
    name = next((key for key in arguments if key.partition(".")[0] == "kv-transfer-config"), "")
    for connector, extra in _connectors(settings(arguments, "kv-transfer-config")):
        simple = connector == "SimpleCPUOffloadConnector"
        if extra.get("kv_offload_backend") == "disk" or not (simple or connector == "OffloadingConnector"):
            continue
        per_rank, total = _bytes(extra.get("cpu_bytes_to_use_per_rank")), _bytes(extra.get("cpu_bytes_to_use"))
        taken = per_rank * gpus if simple and per_rank else replicas * (total or (_DEFAULT_SIMPLE_BYTES if simple else 0))
        if taken:
            yield Offload(name, taken / 1024**2, pinned=simple or not shared, shared=shared and not simple)


def _connectors(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name and settings of each connector, those that one of several holds included."""
    extra = config.get("kv_connector_extra_config")
    extra = extra if isinstance(extra, Mapping) else {}
    yield str(config.get("kv_connector") or ""), extra
    inner = extra.get("connectors")
    for connector in inner if isinstance(inner, (list, tuple)) else ():
        if isinstance(connector, Mapping):
            yield from _connectors(connector)


def _number(value: Any) -> float | None:
    """A size that is none is vLLM's to judge."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        size = float(value)
    except ValueError:
        return None
    return size if 0 <= size < 2**30 else None


def _gib(arguments: Mapping[str, Any], name: str) -> float | None:
    size = _number(arguments.get(name))
    return None if size is None else size * 1024


def _bytes(value: Any) -> int:
    size = amount(value) if isinstance(value, str) else int(value) if isinstance(value, (int, float)) and math.isfinite(value) else 0
    return max(0, size or 0)


def shm_size_for(task: Task, parallel: int) -> tuple[str | None, Trouble | None]:
    """The size of /dev/shm: the user's, or what the engine is told to take of it beside its own; None for the default."""
    service = task.service
    shared = [item for item in task.offloads if item.shared]
    needed = sum(item.mib for item in shared)
    if not needed or any(mode != "private" for mode in docker_flags.values(service.container_extra_arguments, "ipc")):
        return service.shm_size, None
    if service.shm_size is None:
        return f"{math.ceil((docker_mib(default_shm_size(parallel)) or 0.0) + needed)}m", None
    given = docker_mib(service.shm_size)
    if given is None or given >= needed:
        return service.shm_size, None
    what = ", ".join(f"{item.name} {gib(item.mib)}" for item in shared)
    return service.shm_size, Trouble(
        f"{service.path}.shm_size", service.shm_size, f"is less than the engine is told to take of /dev/shm: {what}; leave it out"
    )
