# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts tell of themselves, for tests of the page of the fleet: one that is well but for a unit, one that is silent."""

from __future__ import annotations

from typing import Any

from support.benchmarks import document
from support.inventories import dgpu, host, inventory, service, variables

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import build_plan

_HASH = "10" * 32


def plan() -> dict[str, Any]:
    models = {"chat": {"source": "Qwen/Qwen3-8B"}, "small": {"source": "qwen3:4b", "engine": "ollama"}}
    common: dict[str, Any] = {"inference_models": models}
    services = (service(memory="12GiB"), service("small", 11434, memory="4GiB"))
    one = host("inference_nodes", "gateways", hardware=dgpu(), **variables(*services, **common))
    two = host("inference_nodes", hardware=dgpu(), **variables(service(memory="8GiB"), **common))
    return build_plan(inventory(gpu01=one, gpu02=two))


def row(unit: str, **changes: Any) -> dict[str, Any]:
    kind, _at, name = unit.partition("@")
    given = {
        "unit": f"{unit}.service",
        "kind": kind,
        "name": name,
        "active": "active",
        "phase": "ready",
        "percent": 100,
        "detail": "",
        "url": "http://127.0.0.1:8070/v1",
        "uptime": 7200,
        "ready_after": 72,
        "restarts": 0,
        "memory_mib": 3210,
        "gpu_memory_mib": 11800,
        "image": "vllm/vllm-openai:v0.31.0",
        "image_digest": "sha256:" + "ab" * 32,
        "config_hash": _HASH,
        "cause": None,
        "message": None,
        "remedy": None,
        "failed_ago": None,
    }
    return {**given, **changes}


def told() -> dict[str, dict[str, Any]]:
    """By parameter of filter fleet_report."""
    failure = {"cause": "gpu_memory_too_small", "message": "no room", "remedy": "Give it more memory.", "failed_ago": 95}
    units = [
        row("litellm@gateway", image="ghcr.io/berriai/litellm:v1.110.2", gpu_memory_mib=None, ready_after=8),
        row("llama_cpp@old", image="own/build:latest", phase="stopped", active="inactive", uptime=None, config_hash="22" * 32),
        row("ollama@11434", image="ollama/ollama:0.32.15", phase="failed", active="failed", uptime=None, restarts=5, **failure),
        row("vllm@chat"),
    ]
    release = {
        "number": 4,
        "config_hash": _HASH,
        "recorded_at": 1795860000.0,
        "ready_after": 70.5,
        "proved": True,
    }
    records = {
        "releases": {"vllm@chat": release, "ollama@11434": {"number": 1, "config_hash": "other", "proved": False}},
        "benchmarks": [document(2.0, 27), document()],
        "gpus": {"GPU-00000000": {"total_mib": 32607, "used_mib": 13100}},
    }
    drift = {
        "units": {
            "vllm/chat": {"action": "restart", "reason": "image vllm/vllm-openai:v0.31.0 -> vllm/vllm-openai:v0.32.0"},
            "ollama/11434": {"action": "keep", "reason": ""},
            "llama_cpp/old": {"action": "remove", "reason": "not declared any more"},
        }
    }
    away = {"unreachable": True, "msg": "Failed to connect to the host via ssh: No route to host"}
    facts = {**dgpu(), "os": {"id": "debian", "version": "13"}}
    return {
        "facts": {"gpu01": {"ansible_facts": {"gpu_inference": facts}}, "gpu02": away},
        "units": {"gpu01": {"units": units}, "gpu02": away},
        "records": {"gpu01": records, "gpu02": {"skipped": True}},
        "drift": {"gpu01": drift, "gpu02": away},
    }
