# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Which GPUs a service takes: those that the user named, or as many as its engine needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._engines.base import Engine
from .host_findings import HostFindings
from .memory import find_device
from .model import Model, Part, Service
from .platform import mig_remedy
from .task import argument_path


def device_of(told: HostFindings, service: Service) -> str:
    """C(gpu) or C(cpu)."""
    if not told.platform.has_gpu and service.device == "gpu":
        remedy = "use device: cpu, or move the service to another host"
        told.judge(f"{service.path}.device", "gpu", f"the host has no GPU (its platform is {told.platform.name}); {remedy}")
    elif not told.platform.has_gpu and service.gpus is not None:
        told.judge(f"{service.path}.gpus", list(service.gpus), f"the host has no GPU (its platform is {told.platform.name}); remove gpus")
    return service.device or ("gpu" if told.platform.has_gpu else "cpu")


def pins_of(told: HostFindings, service: Service, *, report: bool) -> tuple[str, ...]:
    """The keys of the GPUs that the user gave."""
    if service.gpus is None:
        return ()
    hardware = told.hardware
    if hardware is None or not (hardware.devices or hardware.unsliced):
        return service.gpus
    keys: list[str] = []
    for position, name in enumerate(service.gpus):
        device = find_device(name, hardware.devices)
        where = f"{service.path}.gpus[{position}]"
        if device is not None:
            if device.key not in keys:
                keys.append(device.key)
            elif report:
                told.add(where, name, f"is the same GPU as another one in the list ({device.key})")
        elif report and any(name in (item.index, item.key) for item in hardware.unsliced):
            bare = next(item for item in hardware.unsliced if name in (item.index, item.key))
            told.judge(where, name, mig_remedy(bare))
        elif report and name in hardware.sliced:
            slices = ", ".join(d.key for d in hardware.devices if d.is_slice)
            told.judge(where, name, f"is split by MIG; name one of its slices: {slices}")
        elif report:
            shown = ", ".join(f"{d.index} ({d.name})" for d in hardware.devices)
            told.judge(where, name, f"the host has no such GPU; it has {shown}")
    return tuple(keys)


def gpus_of(
    told: HostFindings, model: Model, service: Service, device: str, arguments: Mapping[str, Any], engine: Engine
) -> tuple[int, tuple[str, ...]]:
    """How many GPUs, and which where the user said so."""
    if device == "cpu":
        if service.part is not None and service.part.whole.per_host > 1:
            name, value, many = _ranks(service.part)
            told.add(f"{service.path}.{name}", value, f"is more than one rank for each of {many}, and on the CPU a host has one")
        return 0, ()
    pins = pins_of(told, service, report=True)
    count, trouble = engine.gpus_needed(service, arguments)
    if trouble is not None:
        told.tell(trouble)
    hardware = told.hardware
    if hardware is not None and hardware.unsliced and not hardware.devices and service.gpus is None:
        told.judge(f"{service.path}.gpus", None, mig_remedy(hardware.unsliced[0]))
    if hardware is not None and hardware.devices:
        whole = sum(1 for item in hardware.devices if not item.is_slice)
        if not pins and count > max(whole, 1):
            _too_many(told, model, service, arguments, engine, count, whole)
            count = 1
        if pins and len(pins) > 1 and any(item.is_slice for item in hardware.devices if item.key in pins):
            told.add(f"{service.path}.gpus", list(service.gpus or ()), "an engine cannot run over several MIG slices; give it one")
    return (len(pins) or count), pins


def _ranks(part: Part) -> tuple[str, int | None, str]:
    """Where the size of an engine over several hosts is written, and over how many hosts it goes."""
    name, value = next(iter(part.whole.sizes.items()), ("tensor_parallel_size", None))
    return name, value, f"{len(part.whole.hosts)} hosts ({part.whole.product})"


def _too_many(
    told: HostFindings, model: Model, service: Service, arguments: Mapping[str, Any], engine: Engine, count: int, whole: int
) -> None:
    """Where the user asks for more GPUs than there are. Those that are not there, and an engine over several hosts, are told already."""
    if service.part is not None:
        name, value, many = _ranks(service.part)
        told.judge(f"{service.path}.{name}", value, f"needs {count} GPUs on each of {many}, this host has {whole}")
        return
    factors = engine.gpu_factors(arguments)
    wish: dict[str, int] = {argument_path(model, service, name, told.platform.name): value for name, value in factors.items()}
    parallel = service.tensor_parallel_size
    if parallel is not None and parallel > 1:
        wish = {f"{service.path}.tensor_parallel_size": parallel, **wish}
    if wish and not any(engine.argument_troubles(arguments)):
        product = f" ({' x '.join(f'{name} {value}' for name, value in wish.items())})" if len(wish) > 1 else ""
        told.judge(*next(iter(wish.items())), f"needs {count} GPUs{product}, the host has {whole}")
