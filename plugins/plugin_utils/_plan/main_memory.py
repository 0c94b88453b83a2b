# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Main memory of engines on GPUs: what they are told to take of it, and the bound of each, so that a leak ends the engine and not the host.

What lies in /dev/shm is memory of the container too. Page cache counts for the bound as well, but the kernel gives it back where the bound
is reached.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

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


_DOCKER_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(?:([kmgtp])(?:i?b)?|b)?", re.IGNORECASE)


def docker_mib(text: str) -> float | None:
    """MiB of a size in Docker's form (C(16g), C(512MB), bytes without a unit); None where it is none."""
    match = _DOCKER_SIZE.fullmatch(text.strip())
    return float(match[1]) * 1024.0 ** (" kmgtp".index((match[2] or " ").lower()) - 2) if match else None


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
