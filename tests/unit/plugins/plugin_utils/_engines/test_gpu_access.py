# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.gpu_access import gpu_arguments, gpu_environment


@pytest.mark.parametrize(
    ("device", "access", "gpus", "arguments", "visible"),
    [
        pytest.param("gpu", "runtime", ["GPU-1"], ["--runtime=nvidia"], "GPU-1", id="runtime"),
        pytest.param("gpu", "runtime", ["GPU-1", "GPU-2"], ["--runtime=nvidia"], "GPU-1,GPU-2", id="two"),
        pytest.param("gpu", "runtime", [], ["--runtime=nvidia"], "all", id="unknown"),
        pytest.param("gpu", "jetson", [], ["--runtime=nvidia"], "all", id="jetson"),
        pytest.param("gpu", "cdi", ["GPU-1"], ["--device", "nvidia.com/gpu=GPU-1"], "void", id="cdi"),
        pytest.param("gpu", "cdi", [], ["--device", "nvidia.com/gpu=all"], "void", id="cdi-unknown"),
        pytest.param("cpu", "runtime", [], [], "void", id="cpu-beside-a-gpu"),
        pytest.param("cpu", "none", [], [], None, id="host-without-a-gpu"),
        pytest.param("gpu", "none", [], [], None, id="nothing-to-hand-over"),
    ],
)
def test_gpu_access(device: str, access: str, gpus: list[str], arguments: list[str], visible: str | None) -> None:
    assert gpu_arguments(device, access, gpus) == arguments
    assert gpu_environment(device, access, gpus).get("NVIDIA_VISIBLE_DEVICES") == visible
