# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What a host is: its hardware from facts, from the user or from an earlier run, and the platform that follows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...module_utils._facts_jetson import is_integrated
from ...module_utils._facts_nvidia import guess_instances, profile_memory
from .._platforms.base import Platform
from .._platforms.registry import PLATFORMS, platform_of
from .findings import Report
from .model import Host

_TROUBLE: Mapping[str | None, str] = {
    "missing": "there is an NVIDIA GPU but no working driver",
    "mismatch": "the driver's module and library differ",
    "no_gpu": "there is no NVIDIA GPU to use",
}

DECLARED = "inference_hardware"
REMEMBERED = "an earlier run"


@dataclass(frozen=True)
class Device:
    """A whole GPU, or a MIG slice of one: what a service can be given."""

    key: str  # what NVIDIA_VISIBLE_DEVICES gets
    index: str  # shown to people, accepted in gpus
    name: str
    memory_mib: float | None
    compute_capability: tuple[int, int] | None
    is_slice: bool = False
    whole_mib: float | None = None  # of the GPU that it is a slice of
    pool: str = ""  # what its memory is counted in: of slices their GPU instance, else the device itself

    @property
    def memory_key(self) -> str:
        return self.pool or self.key

    @property
    def capability_text(self) -> str:
        return ".".join(map(str, self.compute_capability or ()))


@dataclass(frozen=True)
class Hardware:
    origin: str  # "facts", "inference_hardware" or "an earlier run"
    platform: str | None = None
    architecture: str | None = None
    memory_mib: float | None = None
    unified: bool = False
    wsl2: bool = False
    driver_version: tuple[int, ...] | None = None
    driver_text: str = ""
    driver_state: str | None = None
    driver_message: str = ""
    devices: tuple[Device, ...] = ()
    sliced: frozenset[str] = frozenset()  # indexes and uuids of GPUs that are split by MIG
    unsliced: tuple[Device, ...] = ()  # GPUs with MIG enabled and no slice: no engine can use them
    l4t: tuple[int, ...] | None = None
    jetpack: str = ""
    networks: tuple[tuple[str, str], ...] = ()  # interface, and an address on it with the length of its network
    rdma: bool = False  # has devices of a network card for RDMA

    @property
    def kind(self) -> Platform:
        return platform_of(self.platform)


def version_tuple(text: Any) -> tuple[int, ...] | None:
    """The leading numbers of a version: C(595.45.04) gives (595, 45, 4); None where there are none."""
    numbers: list[int] = []
    for part in str(text or "").lstrip("vR").split("."):
        digits = part[: next((i for i, character in enumerate(part) if not (character.isascii() and character.isdigit())), len(part))]
        if not digits or len(digits) > 9:
            break
        numbers.append(int(digits))
        if digits != part:
            break
    return tuple(numbers) or None


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _mib(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 2**40 else None


def read_hardware(raw: Any, origin: str) -> Hardware | None:
    """Hardware from facts; tolerant, because a file of an earlier run or an older release may hold anything."""
    data = _mapping(raw)
    if not data:
        return None
    platform = data.get("platform")
    platform = platform if platform in PLATFORMS else None
    devices: list[Device] = []
    sliced: set[str] = set()
    unsliced: list[Device] = []
    gpus = data.get("gpus")
    for position, item in enumerate(gpus if isinstance(gpus, (list, tuple)) else ()):
        gpu = _mapping(item)
        index = str(gpu.get("index") if gpu.get("index") is not None else position)
        uuid = str(gpu.get("uuid") or "")
        name = str(gpu.get("name") or "GPU")
        capability = version_tuple(gpu.get("compute_capability"))
        compute = (capability[0], capability[1]) if capability and len(capability) > 1 else None
        slices = [_mapping(entry) for entry in gpu["mig"]] if isinstance(gpu.get("mig"), (list, tuple)) else []
        if slices:
            sliced.update(filter(None, (index, uuid)))
            guessed = guess_instances([str(entry.get("profile") or "") for entry in slices])
            for number, entry in enumerate(slices):
                key, profile = str(entry.get("uuid") or f"{index}:{number}"), str(entry.get("profile") or "")
                size = _mib(entry.get("memory_mib")) or _mib(profile_memory(profile))
                instance = entry.get("gpu_instance") if entry.get("gpu_instance") is not None else guessed[number]
                pool = key if instance is None else f"{uuid or index} instance {instance}"
                devices.append(
                    Device(key, f"{index}:{number}", f"{name} {profile or 'MIG'}", size, compute, True, _mib(gpu.get("memory_mib")), pool)
                )
        elif gpu.get("mig_enabled") is True:
            unsliced.append(Device(uuid or index, index, name, _mib(gpu.get("memory_mib")), compute))
        else:
            devices.append(Device(uuid or index, index, name, _mib(gpu.get("memory_mib")), compute))
    memory = _mib(data.get("memory_mib"))
    l4t = _mapping(data.get("l4t"))
    capabilities = {device.key: device.capability_text or None for device in devices}
    integrated = bool(devices) and all(is_integrated(device.name, capabilities[device.key]) for device in devices)
    if platform is None:
        seen = bool(devices or unsliced), integrated, bool(l4t)
        platform = next((name for name, kind in PLATFORMS.items() if kind.is_meant(*seen)), None)
    kind = platform_of(platform)
    unified = bool(data.get("unified_memory")) or kind.unified or integrated
    if kind.only_gpu and not devices:
        devices = [Device("0", "0", kind.only_gpu, None, None)]
    if unified and memory is not None:
        # One pool: whatever nvidia-smi says about "the GPU's" memory, it is the system's.
        devices = [replace(device, memory_mib=memory) for device in devices]
    driver = _mapping(data.get("driver"))
    return Hardware(
        origin=origin,
        platform=platform,
        architecture=str(data["architecture"]) if data.get("architecture") else None,
        memory_mib=memory,
        unified=unified,
        wsl2=bool(data.get("wsl2")),
        driver_version=version_tuple(driver.get("version")),
        driver_text=str(driver.get("version") or ""),
        driver_state=str(driver["state"]) if driver.get("state") else None,
        driver_message=str(driver.get("message") or ""),
        devices=tuple(devices),
        sliced=frozenset(sliced),
        unsliced=tuple(unsliced),
        l4t=version_tuple(l4t.get("release")),
        jetpack=str(l4t.get("jetpack") or ""),
        networks=tuple(_networks(data.get("networks"))),
        rdma=data.get("rdma") is True,
    )


def _networks(raw: Any) -> Iterator[tuple[str, str]]:
    for entry in raw if isinstance(raw, (list, tuple)) else ():
        addresses = _mapping(entry).get("addresses")
        for address in addresses if isinstance(addresses, (list, tuple)) else ():
            yield str(_mapping(entry).get("interface") or ""), str(address)


def choose_hardware(facts: Any, declared: Any, known: Any) -> Hardware | None:
    """What the host says now; else what the user says; else what it said last time."""
    for raw, origin in ((facts, "facts"), (declared, DECLARED), (known, REMEMBERED)):
        hardware = read_hardware(raw, origin)
        if hardware is not None:
            return hardware
    return None


def resolve_platform(host: Host, hardware: Hardware | None, report: Report) -> Platform:
    """The platform of a node. Facts win over expectations; a GPU without a driver is a finding, never a fallback to the CPU."""
    wanted, expected = host.settings.platform, host.settings.platform_expected
    found = hardware.platform if hardware else None
    where = [host.name]
    must_fit = host.in_play and host.is_node and hardware is not None
    if wanted != "auto":
        if must_fit and PLATFORMS[wanted].has_gpu and found is not None and found != wanted:
            report.add(
                "inference_platform",
                wanted,
                f"the host is {PLATFORMS[found].described}, according to {_origin(hardware)}; remove the variable or correct it",
                where,
            )
    elif must_fit and expected is not None and found is not None and found != expected:
        described = f"the host is in the group {expected} but is {PLATFORMS[found].described}, according to {_origin(hardware)}"
        if hardware is not None and hardware.driver_state == "no_gpu":
            report.add(
                "inference_platform_expected",
                expected,
                f"{described}. {hardware.driver_message or 'Look at it (nvidia-smi, lspci).'} To serve on the CPU, set inference_platform: "
                "cpu",
                where,
            )
        else:
            report.warn(f"{described}; it is treated as such. Set inference_platform: {found} if that is meant", where)
    platform = platform_of(wanted if wanted != "auto" else found or expected)
    if wanted == "auto" and found is None and expected is None and host.is_node:
        report.warn("nothing is known of the hardware, so the platform cpu is assumed; set inference_platform or inference_hardware", where)
    if must_fit and hardware is not None and platform.has_gpu and hardware.driver_state in _TROUBLE:
        remedy = hardware.driver_message or "Install or repair the driver, and run again."
        report.add(
            "inference_platform",
            platform.name,
            f"{_TROUBLE[hardware.driver_state]}. {remedy} To serve on the CPU although there is a GPU, set inference_platform: cpu",
            where,
        )
    on_gpu = any(service.enabled and service.device != "cpu" for service in host.services)
    if must_fit and on_gpu and wanted == "auto" and not platform.has_gpu and hardware is not None and hardware.driver_state == "no_gpu":
        report.warn(
            f"{hardware.driver_message or 'An NVIDIA driver is installed, but it finds no GPU.'} So the services of this host run on the "
            "CPU. If that is meant, set inference_platform: cpu; if it should have a GPU, put it into the group dgpu, where this is an "
            "error",
            where,
        )
    return platform


def mig_remedy(device: Device) -> str:
    """What to do about a GPU on which MIG is enabled and has no slice."""
    return (
        f"GPU {device.index} ({device.name}) has MIG enabled and no slices, so no engine can use it. Make slices (sudo nvidia-smi mig -i "
        f"{device.index} -lgip lists the profiles, sudo nvidia-smi mig -i {device.index} -cgi PROFILE,PROFILE -C makes them), or switch "
        f"MIG off (sudo nvidia-smi -i {device.index} -mig 0, with nothing running on it)"
    )


def _origin(hardware: Hardware | None) -> str:
    return {"facts": "its own facts"}.get(hardware.origin, hardware.origin) if hardware else "nothing"
