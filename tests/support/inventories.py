# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Inventories for the tests of the plan, in the plain form that build_plan reads."""

from __future__ import annotations

from typing import Any

RTX_5090_MIB = 32607


def gpu(index: int = 0, **changes: Any) -> dict[str, Any]:
    base = {
        "index": index,
        "uuid": f"GPU-{index:08d}",
        "name": "NVIDIA GeForce RTX 5090",
        "memory_mib": RTX_5090_MIB,
        "compute_capability": "12.0",
        "mig": [],
    }
    return {**base, **changes}


def dgpu(*gpus: dict[str, Any], **changes: Any) -> dict[str, Any]:
    base = {
        "platform": "dgpu",
        "architecture": "x86_64",
        "memory_mib": 65536,
        "unified_memory": False,
        "driver": {"version": "590.44.01", "cuda": "13.1", "state": "ok", "message": ""},
        "gpus": list(gpus) or [gpu()],
        "l4t": None,
    }
    return {**base, **changes}


def cpu(**changes: Any) -> dict[str, Any]:
    base = {
        "platform": "cpu",
        "architecture": "x86_64",
        "memory_mib": 16384,
        "unified_memory": False,
        "driver": {"state": "none"},
        "gpus": [],
    }
    return {**base, **changes}


def jetson(release: str = "36.4.7", **changes: Any) -> dict[str, Any]:
    base = {
        "platform": "jetson",
        "architecture": "aarch64",
        "memory_mib": 62800,
        "unified_memory": True,
        "driver": {"version": "540.4.0", "state": "ok"},
        "gpus": [{"index": 0, "uuid": None, "name": "Orin (nvgpu)", "memory_mib": None, "compute_capability": "8.7", "mig": []}],
        "l4t": {"release": release, "jetpack": ""},
    }
    return {**base, **changes}


def spark(**changes: Any) -> dict[str, Any]:
    base = dgpu(
        gpu(name="NVIDIA GB10", memory_mib=None, compute_capability="12.1"), architecture="aarch64", memory_mib=124610, unified_memory=True
    )
    return {**base, **changes}


MODELS: dict[str, Any] = {
    "chat": {"source": "Qwen/Qwen3-8B"},
    "embedding": {"source": "intfloat/multilingual-e5-small", "capability": "embedding"},
}


def variables(*services: Any, **changes: Any) -> dict[str, Any]:
    return {"inference_models": MODELS, "inference_services": list(services), **changes}


def service(model: str = "chat", port: Any = 8070, **changes: Any) -> dict[str, Any]:
    return {"model": model, "port": port, **changes}


def host(*groups: str, hardware: dict[str, Any] | None = None, known: dict[str, Any] | None = None, **variables_: Any) -> dict[str, Any]:
    return {"groups": list(groups) or ["inference_nodes"], "vars": variables_, "hardware": hardware, "known_hardware": known}


def inventory(in_play: Any = None, **hosts: Any) -> dict[str, Any]:
    return {"hosts": hosts, "in_play": list(hosts) if in_play is None else in_play}


def one(*services: Any, hardware: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """One node that is its own gateway."""
    return inventory(node1=host("inference_nodes", "gateways", hardware=hardware or dgpu(), **variables(*services, **changes)))
