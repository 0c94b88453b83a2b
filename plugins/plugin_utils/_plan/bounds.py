# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The main memory of one host: the bound of each engine on a GPU, and what the user says of it that cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...module_utils import _docker_flags as docker_flags
from .host_findings import Trouble
from .main_memory import (
    Tenant,
    bounds,
    docker_mib,
)
from .memory import HOST_POOL, Grant, gib, pools_of
from .platform import Hardware
from .task import Task

#: MiB that an engine on the CPU is taken to need where nobody says.
_ON_CPU_MIB = 2048.0
#: Docker judges these by --memory, so where the user gives one of them the bound is the user's.
_FLAGS = ("memory", "memory-swap", "memory-reservation", "oom-kill-disable")


@dataclass(frozen=True)
class Bounds:
    """C(mib): by port, the bound of the container there."""

    mib: dict[int, int | None]
    troubles: tuple[Trouble, ...]
    warnings: tuple[str, ...]


def settle_bounds(tasks: Sequence[Task], grants: Sequence[Grant | None], hardware: Hardware | None) -> Bounds:
    """Bounds of all containers of a host. Nothing of ours where its main memory is not known."""
    tenants: dict[int, Tenant] = {}
    given: dict[int, float | None] = {}
    troubles: list[Trouble] = []
    warnings: list[str] = []
    unified = hardware is not None and hardware.unified
    for task, grant in zip(tasks, grants):
        if task.port in tenants:  # of one Ollama instance
            continue
        if task.device == "cpu" and (task.service.host_memory or not task.service.host_memory_bounded):
            warnings.append(f"{task.service.path}.host_memory has no use on the CPU, where memory is main memory")
        troubles += _troubles(task, hardware)
        given[task.port] = _given(task)
        tenants[task.port] = _tenant(task, grant, unified, given[task.port])
    # The larger reserve of shared memory is for what engines take besides the GPU's part.
    usable = pools_of(None if hardware is None else replace(hardware, unified=False), {})[0][HOST_POOL].usable
    found = dict(zip(tenants, bounds(list(tenants.values()), usable, unified)))
    needed = sum(tenant.need for tenant in tenants.values())
    if usable is not None and not unified and needed > usable and any(task.device == "gpu" for task in tasks):
        engines = dict.fromkeys(task.engine for task in tasks if task.device == "gpu")
        each = " and ".join(f"{gib(engine.main_memory)} for each {engine.title}" for engine in engines)
        warnings.append(
            f"the engines need about {gib(needed)} of main memory, {each} on a GPU besides what they are told to "
            f"take, and there are {gib(usable)} for services; without room for all of them the host swaps, or ends processes"
        )
    mib: dict[int, int | None] = {
        task.port: int(own) if own is not None and task.service.host_memory else found[task.port]
        for task, own in ((task, given[task.port]) for task in tasks)
    }
    return Bounds(mib, tuple(troubles), tuple(warnings))


def _docker_memory(task: Task) -> list[str]:
    """Docker's own flags for it, among the user's arguments."""
    return [flag for flag in _FLAGS if docker_flags.values(task.service.container_extra_arguments, flag)]


def _given(task: Task) -> float | None:
    """MiB of the bound that the user gave."""
    if task.service.host_memory is not None:
        return task.service.host_memory.mib if task.device == "gpu" else None
    values = docker_flags.values(task.service.container_extra_arguments, "memory")
    return (docker_mib(values[-1]) or None) if values else None


def _tenant(task: Task, grant: Grant | None, unified: bool, given: float | None) -> Tenant:
    amount = grant.amount if grant is not None and grant.amount is not None else None
    if task.device == "cpu":
        return Tenant(amount if amount is not None else _ON_CPU_MIB, ours=False)
    need = given
    if need is None:
        need = task.engine.main_memory + task.engine.main_memory_per_further_gpu * (max(1, task.count) - 1)
        need += sum(item.mib * (2 if item.pinned else 1) for item in task.offloads)
    graphics = (amount or 0.0) * len(grant.devices) if unified and grant is not None else 0.0
    ours = given is None and task.service.host_memory_bounded and not _docker_memory(task)
    return Tenant(need, graphics, ours)


def _troubles(task: Task, hardware: Hardware | None) -> list[Trouble]:
    service, found = task.service, []
    if task.device == "cpu":
        return []
    flags = _docker_memory(task)
    where, shown = f"{service.path}.host_memory", service.host_memory.text if service.host_memory else False
    if flags and (service.host_memory or not service.host_memory_bounded):
        found.append(Trouble(where, shown, f"container_extra_arguments has --{flags[0]} too; keep one of the two"))
    own = _given(task)
    total = hardware.memory_mib if hardware is not None else None
    if service.host_memory and own is not None and total is not None and own > total:
        found.append(Trouble(where, shown, f"is more than the host has, {gib(total)}", of_hardware=True))
    told = sum(item.mib for item in task.offloads)
    if own is not None and told > own:
        what = ", ".join(f"{item.name} {gib(item.mib)}" for item in task.offloads)
        place = where if service.host_memory else f"{service.path}.container_extra_arguments"
        value = shown if service.host_memory else list(service.container_extra_arguments)
        found.append(Trouble(place, value, f"is less main memory than the engine is told to take: {what}"))
    return found
