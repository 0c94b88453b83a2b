# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Jetson: a GPU that shares its memory with the CPU, and L4T with its own driver and CUDA."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .base import Access, Platform, by_runtime, visible

if TYPE_CHECKING:
    from .._plan.platform import Hardware

#: L4T majors that were tried; others get a warning.
_KNOWN_L4T = (35, 36, 38, 39)


class Jetson(Platform):
    name = "jetson"
    title = "Jetson"
    described = "a Jetson"
    l4t = True
    unified = True
    only_gpu = "Jetson"
    prefers = "ollama"
    # One integrated GPU without a UUID: the runtime's csv mode knows "all".
    ways = (Access("jetson", by_runtime, lambda _gpus: visible("all")),)

    def is_meant(self, gpus: bool, integrated: bool, l4t: bool) -> bool:
        return l4t and (integrated or not gpus)

    def warnings(self, hardware: Hardware) -> Iterable[str]:
        if hardware.l4t and hardware.l4t[0] not in _KNOWN_L4T:
            release = ".".join(map(str, hardware.l4t))
            yield f"L4T {release} is not known to this release of the collection; images are chosen as for the nearest one"

    def offers(self, unified: bool) -> str:
        return self.name
