# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Hosts that serve on the CPU."""

from __future__ import annotations

from .base import Access, Platform


class Cpu(Platform):
    name = "cpu"
    title = "the CPU"
    described = "a machine without an NVIDIA GPU"
    has_gpu = False
    has_group = False
    toolkit = False
    ways = (Access("none", lambda _gpus: [], lambda _gpus: {}, withheld={}),)

    def offers(self, unified: bool) -> str:
        return self.name
