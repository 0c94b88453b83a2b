# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""How a container gets its GPUs.

By the runtime and NVIDIA_VISIBLE_DEVICES, or by native CDI. Never by C(--gpus) or a device request: with the legacy hook a
C(systemctl daemon-reload) takes the GPU from running containers (nvidia-container-toolkit#48), and on Jetson C(--gpus) fails
outright. UUIDs and not indexes, which can change.
"""

from __future__ import annotations

from collections.abc import Sequence

from .._platforms.registry import ACCESS


def gpu_arguments(device: str, access: str, gpus: Sequence[str]) -> list[str]:
    """Arguments of C(docker create)."""
    return ACCESS[access].arguments(gpus) if device == "gpu" else []


def gpu_environment(device: str, access: str, gpus: Sequence[str]) -> dict[str, str]:
    """The container's environment that goes with them; C(access) is the host's, V(none) where it has no GPU at all."""
    return dict(ACCESS[access].environment(gpus) if device == "gpu" else ACCESS[access].withheld)
