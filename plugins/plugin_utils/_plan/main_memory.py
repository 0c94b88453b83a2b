# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Main memory of engines on GPUs: what they are told to take of it, and the bound of each, so that a leak ends the engine and not the host.

From vLLM 0.32: config/cache.py, config/offload.py and config/multimodal.py for the arguments, v1/kv_offload/cpu for what lies in /dev/shm,
which is memory of the container too. Page cache counts for the bound as well, but the kernel gives it back where the bound is reached.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._engines.vllm_flags import amount, number, settings

#: Since then the cache of the OffloadingConnector lies in /dev/shm (vllm#50094); before, each tensor was pinned by itself.
_SHARED_SINCE = (0, 27)
_DEFAULT_SIMPLE_BYTES = 8 * 1024**3  # SimpleCPUOffloadConnector's own
_DEFAULT_MEDIA_GIB = 4.0
_LEAST_MIB, _SPARE_MIB = 8192.0, 4096.0
_STEP_MIB, _SMALL_STEP_MIB = 1024, 256


@dataclass(frozen=True)
class Offload:
    """Main memory that an engine on a GPU is told to take."""

    name: str  # of the engine argument, as keyed; or of the variable
    mib: float
    variable: bool = False
    pinned: bool = False  # PyTorch rounds each pinned tensor up to a power of two: up to twice the size (vllm#53042, #56410)
    shared: bool = False  # in /dev/shm


def offloads(arguments: Mapping[str, Any], env: Mapping[str, Any], gpus: int, version: tuple[int, ...] | None) -> Iterator[Offload]:
    """What the arguments of a vLLM on C(gpus) GPUs ask of main memory."""
    replicas = max(1, number(arguments, "data-parallel-size") or 1)
    shared = version is None or version >= _SHARED_SINCE
    native = _gib(arguments, "kv-offloading-size")
    if native and str(arguments.get("kv-offloading-backend") or "native") == "native":
        simple = str(env.get("VLLM_USE_SIMPLE_KV_OFFLOAD") or "0").lower() in ("1", "true")
        yield Offload("kv-offloading-size", native * replicas, pinned=simple or not shared, shared=shared and not simple)
    elif not native:
        name = next((key for key in arguments if key.partition(".")[0] == "kv-transfer-config"), "")
        for connector, extra in _connectors(settings(arguments, "kv-transfer-config")):
            simple = connector == "SimpleCPUOffloadConnector"
            if extra.get("kv_offload_backend") == "disk" or not (simple or connector == "OffloadingConnector"):
                continue
            per_rank, total = _bytes(extra.get("cpu_bytes_to_use_per_rank")), _bytes(extra.get("cpu_bytes_to_use"))
            taken = per_rank * gpus if simple and per_rank else replicas * (total or (_DEFAULT_SIMPLE_BYTES if simple else 0))
            if taken:
                yield Offload(name, taken / 1024**2, pinned=simple or not shared, shared=shared and not simple)
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


# --- /dev/shm ----------------------------------------------------------------------------------------------------

_DOCKER_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(?:([kmgtp])(?:i?b)?|b)?", re.IGNORECASE)


def docker_mib(text: str) -> float | None:
    """MiB of a size in Docker's form (C(16g), C(512MB), bytes without a unit); None where it is none."""
    match = _DOCKER_SIZE.fullmatch(text.strip())
    return float(match[1]) * 1024.0 ** (" kmgtp".index((match[2] or " ").lower()) - 2) if match else None


def shm_size(default: str, shared_mib: float) -> str | None:
    """C(--shm-size) where the engine is told to take that much of it, beside what it takes anyway; None where the default does."""
    return f"{math.ceil((docker_mib(default) or 0.0) + shared_mib)}m" if shared_mib else None


# --- the bound ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tenant:
    """A container that takes main memory."""

    need: float  # MiB that it is taken to need
    graphics: float = 0.0  # MiB of GPU memory that come out of main memory too
    ours: bool = True  # whether we bound it


def bounds(tenants: Sequence[Tenant], usable: float | None, unified: bool) -> list[int | None]:
    """The bound of each in MiB: what the others are taken not to need, so a leak ends before they lack memory.

    Never so little that our own estimates end an engine. Whole GiB, so that a kernel that leaves a little less changes no bound.
    """
    total = sum(tenant.need + tenant.graphics for tenant in tenants)
    found: list[int | None] = []
    for tenant in tenants:
        if not tenant.ours or usable is None:
            found.append(None)
            continue
        own = tenant.need + tenant.graphics
        least = own if unified else max(_LEAST_MIB, own + _SPARE_MIB)
        wanted = min(max(least, usable - (total - own)), usable)
        step = _STEP_MIB if wanted >= 16 * _STEP_MIB else _SMALL_STEP_MIB
        found.append(max(step, int(wanted // step) * step))
    return found
