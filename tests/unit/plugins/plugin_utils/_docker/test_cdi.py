# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._docker.cdi import devices, problem

GPUS: list[dict[str, Any]] = [{"index": 0, "uuid": "GPU-a", "mig": []}, {"index": 1, "uuid": "GPU-b", "mig": []}]
SLICES: list[dict[str, Any]] = [{"index": 0, "uuid": "GPU-a", "mig": [{"uuid": "MIG-1"}, {"uuid": "MIG-2"}]}]
#: nvidia-ctk 1.20 prints devices on its output and the rest, such as "Found 5 CDI devices", as errors.
LISTED = "nvidia.com/gpu=0\nnvidia.com/gpu=1\nnvidia.com/gpu=GPU-a\nnvidia.com/gpu=GPU-b\nnvidia.com/gpu=all\nvendor.example/net=eth0\n"
GOOD = "LoadState=loaded\nConditionResult=yes\nResult=success\n"


def test_devices() -> None:
    assert devices(LISTED) == ["0", "1", "GPU-a", "GPU-b", "all"]
    assert devices("") == []


@pytest.mark.parametrize(
    ("listing", "gpus"),
    [(LISTED, GPUS), ("nvidia.com/gpu=MIG-1\nnvidia.com/gpu=MIG-2\n", SLICES), ("nvidia.com/gpu=all\n", [])],
)
def test_a_specification_that_names_all(listing: str, gpus: list[dict[str, Any]]) -> None:
    assert problem(listing, gpus, GOOD) == ""


@pytest.mark.parametrize(
    ("listing", "gpus", "unit", "words"),
    [
        ("", GPUS, "LoadState=not-found\n", ["does not exist", "since 1.18", "nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"]),
        # systemd 257 says of a unit that its ExecCondition skipped; 252 and older have ConditionResult=yes.
        ("", GPUS, "LoadState=loaded\nConditionResult=no\nResult=exec-condition\n", ["does not exist", "no nvidia.ko", "depmod"]),
        ("", GPUS, "LoadState=loaded\nConditionResult=yes\nResult=exec-condition\n", ["no nvidia.ko"]),
        ("", GPUS, "LoadState=loaded\nConditionResult=no\nResult=success\n", ["was skipped, because nvidia-smi"]),
        (
            "",
            GPUS,
            "LoadState=loaded\nConditionResult=yes\nResult=exit-code\n",
            ["ended with exit-code", "It said: failed to initialize NVML", "journalctl"],
        ),
        ("nvidia.com/gpu=GPU-old\n", GPUS, GOOD, ["names no GPU-a, GPU-b; it has GPU-old", "systemctl restart nvidia-cdi-refresh.service"]),
        ("nvidia.com/gpu=GPU-a\nnvidia.com/gpu=all\n", SLICES, GOOD, ["names no MIG-1, MIG-2", "MIG slices have changed"]),
        ("", [], GOOD, ["does not exist"]),
    ],
)
def test_what_is_missing_and_why(listing: str, gpus: list[dict[str, Any]], unit: str, words: list[str]) -> None:
    said = problem(listing, gpus, unit, "failed to\n  initialize NVML\n")
    assert [word for word in words if word not in said] == [], said
