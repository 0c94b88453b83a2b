# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What the user says that a host has, ``inference_hardware``."""

from __future__ import annotations

from typing import Any

from .._platforms.registry import PLATFORMS
from .findings import Fields, Report, parse_size
from .keys import (
    ANYTHING,
    SIZE,
    Keys,
    boolean,
    choice,
    integer,
    items,
    maybe_text,
    raw,
    text,
    whole_number,
    with_reader,
)

_MOST_MIB = 2**40 - 1


def _memory(fields: Fields) -> int | None:
    if fields.has("memory") and not fields.has("memory_mib"):
        size = parse_size(fields.data["memory"])
        if size is None or size.mib is None:
            fields.add("memory", fields.data["memory"], "must be a size such as 32GiB; or give memory_mib, a number")
            return None
        return int(size.mib)
    return fields.integer("memory_mib", 1, _MOST_MIB, what="a number of MiB")


class MigKeys(Keys):
    uuid = text(required=True, pattern=r"MIG-[0-9A-Za-z/-]+", expected="a MIG UUID (nvidia-smi -L shows it)")
    profile = text()
    memory_mib = with_reader(whole_number(1, _MOST_MIB), _memory)
    memory = raw(SIZE)
    gpu_instance = integer(0, 99)


class GpuKeys(Keys):
    index = integer(0, 999)
    uuid = maybe_text(pattern=r"(GPU-)?[0-9A-Za-z-]+", expected="a GPU UUID (nvidia-smi -L shows it)")
    name = text("GPU")
    memory_mib = with_reader(whole_number(1, _MOST_MIB), _memory)
    memory = raw(SIZE)
    compute_capability = maybe_text()
    mig_enabled = boolean(False)
    mig = items(MigKeys.schema())


class DriverKeys(Keys):
    version = text()
    cuda = text()
    state = text()
    message = text()


class L4tKeys(Keys):
    release = text()
    jetpack = text()


class HardwareKeys(Keys):
    """What is not read is accepted, so that the facts of a host can be pasted."""

    platform = choice(tuple(PLATFORMS), "")
    architecture = choice(("x86_64", "aarch64"), "")
    memory_mib = with_reader(whole_number(1, _MOST_MIB), _memory)
    memory = raw(SIZE)
    memory_available_mib = raw(ANYTHING)
    unified_memory = boolean(False)
    wsl2 = boolean(False)
    driver = raw(DriverKeys.schema())
    gpus = items(GpuKeys.schema())
    l4t = raw(L4tKeys.schema())
    docker = raw(ANYTHING)
    toolkit = raw(ANYTHING)
    os = raw(ANYTHING)
    package_manager = raw(ANYTHING)
    networks = raw(ANYTHING)
    rdma = boolean(False)
    roles = raw(ANYTHING)
    units = raw(ANYTHING)


def check_declared(declared: Any, report: Report) -> dict[str, Any] | None:
    """The variable in the form of the facts, or None where it is no mapping; every mistake goes to the report."""
    keys = HardwareKeys
    path = "inference_hardware"
    fields = keys.fields(declared, path, report)
    if not fields.valid:
        return None
    hardware: dict[str, Any] = {
        "platform": keys.platform.read(fields) or None,
        "architecture": keys.architecture.read(fields) or None,
        "memory_mib": keys.memory_mib.read(fields),
        "unified_memory": keys.unified_memory.read(fields),
        "wsl2": keys.wsl2.read(fields),
        "networks": keys.networks.read(fields),
        "rdma": keys.rdma.read(fields),
        "gpus": [_gpu(GpuKeys.fields(item, f"{path}.gpus[{place}]", report), place) for place, item in enumerate(keys.gpus.read(fields))],
    }
    for name, part in (("driver", DriverKeys), ("l4t", L4tKeys)):
        if fields.has(name):
            inner = part.fields(fields.data[name], f"{path}.{name}", report)
            hardware[name] = {inner_name: key.read(inner) for inner_name, key in part.all().items() if inner.has(inner_name)}
    return hardware


def _gpu(fields: Fields, position: int) -> dict[str, Any]:
    keys = GpuKeys
    slices = enumerate(keys.mig.read(fields))
    return {
        "index": keys.index.read(fields) if fields.has("index") else position,
        "uuid": keys.uuid.read(fields),
        "name": keys.name.read(fields),
        "memory_mib": keys.memory_mib.read(fields),
        "compute_capability": keys.compute_capability.read(fields),
        "mig_enabled": keys.mig_enabled.read(fields),
        "mig": [_slice(MigKeys.fields(entry, fields.where(f"mig[{place}]"), fields.report)) for place, entry in slices],
    }


def _slice(fields: Fields) -> dict[str, Any]:
    keys = MigKeys
    return {
        "uuid": keys.uuid.read(fields),
        "profile": keys.profile.read(fields),
        "memory_mib": keys.memory_mib.read(fields),
        "gpu_instance": keys.gpu_instance.read(fields),
    }
