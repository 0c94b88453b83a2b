# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What the plan asks of a platform. One file for each platform, and its line in C(registry.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from .._engines.base import Engine
    from .._plan.platform import Hardware

#: The engines' images say "all": where nvidia is Docker's default runtime, that would hand over every GPU.
_NO_GPU = {"NVIDIA_VISIBLE_DEVICES": "void"}


@dataclass(frozen=True)
class Access:
    """A way in which containers get their GPUs: arguments of C(docker create) and environment, by the GPUs' keys."""

    name: str
    arguments: Callable[[Sequence[str]], list[str]]
    environment: Callable[[Sequence[str]], Mapping[str, str]]
    #: The environment of services on the CPU of such a host.
    withheld: Mapping[str, str] = field(default_factory=_NO_GPU.copy)


def visible(gpus: str) -> dict[str, str]:
    return {"NVIDIA_VISIBLE_DEVICES": gpus, "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"}


def by_runtime(_gpus: Sequence[str]) -> list[str]:
    return ["--runtime=nvidia"]


@dataclass(frozen=True)
class Reserve:
    """Memory that stays free: a part of it, but no less than some MiB."""

    part: float
    least_mib: float = 0.0

    def of(self, total: float | None) -> float:
        return 0.0 if total is None else max(self.least_mib, self.part * total)


class Platform:
    """All that is particular to a kind of hosts while an inventory is planned."""

    #: As inventories have it, and as sentences have it: alone, and after "the host is".
    name: ClassVar[str]
    title: ClassVar[str]
    described: ClassVar[str]
    has_gpu: ClassVar[bool] = True
    #: Whether the group of its name says that it is expected.
    has_group: ClassVar[bool] = True
    #: Whether its containers need NVIDIA's Container Toolkit.
    toolkit: ClassVar[bool] = True
    #: Whether driver and CUDA come with L4T, so that no version of a driver says what works.
    l4t: ClassVar[bool] = False
    #: Whether CPU and GPU always share the memory. Where they only may, facts say it.
    unified: ClassVar[bool] = False
    #: The name of its GPU where there is always one, also if no program tells of it.
    only_gpu: ClassVar[str] = ""
    #: The engine that models get where nothing else speaks for one.
    prefers: ClassVar[str] = ""
    #: How containers get GPUs; the first where C(inference_gpu_access) has no other one of these.
    ways: ClassVar[tuple[Access, ...]]
    #: What stays free for the system where CPU and GPU share the memory: NVIDIA's own examples use 0.8 of a Jetson or DGX
    #: Spark and half of an 8 GB board; above 0.85 vLLM's start check fails often.
    shared_reserve: ClassVar[Reserve] = Reserve(0.20, 3 * 1024)
    #: CUDA contexts and the driver's own part of a card.
    gpu_reserve: ClassVar[Reserve] = Reserve(0.05)
    #: What the system keeps of main memory for itself, for services on the CPU.
    main_reserve: ClassVar[Reserve] = Reserve(0.10, 512)

    def is_meant(self, gpus: bool, integrated: bool, l4t: bool) -> bool:
        """Whether hardware of which nobody says the platform is this one: with GPUs, all of them part of the chip, with L4T."""
        return False

    def access(self, wanted: str) -> Access:
        """Of the host and not of the service: a service on the CPU beside a GPU has to be kept from it."""
        return next((way for way in self.ways if way.name == wanted), self.ways[0])

    def image(self, engine: Engine, hardware: Hardware | None) -> tuple[str | None, str]:
        """An engine's image where the user names none, and, where there is none, what to do about it."""
        return engine.default_image(self, hardware)

    def warnings(self, hardware: Hardware) -> Iterable[str]:
        """What is not known of a host."""
        return ()

    def offers(self, unified: bool) -> str:
        """Which of C(_init/offers.py) are for it."""
        return "shared" if unified else "cards"
