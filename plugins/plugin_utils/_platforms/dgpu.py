# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Hosts with NVIDIA GPUs and NVIDIA's driver: cards, and DGX Spark and GH200, whose GPU is told by the same programs."""

from __future__ import annotations

from collections.abc import Sequence

from .base import _NO_GPU, Access, Platform, by_runtime, visible


def _by_cdi(gpus: Sequence[str]) -> list[str]:
    return [argument for gpu in gpus or ("all",) for argument in ("--device", f"nvidia.com/gpu={gpu}")]


class Dgpu(Platform):
    name = "dgpu"
    title = "a discrete GPU"
    described = "a machine with a discrete NVIDIA GPU"
    ways = (
        Access("runtime", by_runtime, lambda gpus: visible(",".join(gpus) or "all")),
        Access("cdi", _by_cdi, lambda _gpus: _NO_GPU),
    )

    def is_meant(self, gpus: bool, integrated: bool, l4t: bool) -> bool:
        # An IGX has L4T as well, and a card of its own.
        return gpus and not (l4t and integrated)
