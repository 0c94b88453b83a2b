# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The platforms that there are."""

from __future__ import annotations

from collections.abc import Mapping

from .base import Access, Platform
from .cpu import Cpu
from .dgpu import Dgpu
from .jetson import Jetson

#: By name, in the order in which messages list them.
PLATFORMS: Mapping[str, Platform] = {platform.name: platform for platform in (Dgpu(), Jetson(), Cpu())}
#: Of services on the CPU, and of hosts of which nothing is known.
CPU = PLATFORMS[Cpu.name]
#: Groups of nodes that say which hardware is expected.
EXPECTATIONS = tuple(name for name, platform in PLATFORMS.items() if platform.has_group)
#: How containers can get their GPUs, by name.
ACCESS: Mapping[str, Access] = {way.name: way for platform in PLATFORMS.values() for way in platform.ways}


def platform_of(name: str | None) -> Platform:
    """Of what facts or the user say."""
    return PLATFORMS.get(name or "", CPU)
