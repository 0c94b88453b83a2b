# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of benchmarks for tests: as a run keeps them, of one service before and after a change."""

from __future__ import annotations

from typing import Any


def step(concurrency: int, slower: float = 1.0, **changes: Any) -> dict[str, Any]:
    """One that a server of which more is asked makes slower."""
    latency = slower * (1 + concurrency / 8)
    return {
        "concurrency": concurrency,
        "requests": max(16, 8 * concurrency),
        "completed": max(16.0, 8.0 * concurrency),
        "failed": 0.0,
        "duration": 12.0 * latency,
        "input_tokens": 8192.0,
        "output_tokens": 2048.0,
        "request_throughput": concurrency / latency / 2,
        "output_throughput": concurrency / latency * 64,
        "total_throughput": concurrency / latency * 320,
        "ttft_median": 40.0 * latency,
        "ttft_p99": 95.0 * latency,
        "itl_median": 9.0 * latency,
        "itl_p99": 31.0 * latency,
        "tpot_median": 10.0 * latency,
        "tpot_p99": 14.0 * latency,
        "e2e_median": 1200.0 * latency,
        "e2e_p99": 1900.0 * latency,
        **changes,
    }


def document(slower: float = 1.0, day: int = 28, **changes: Any) -> dict[str, Any]:
    config_hash = f"{int(slower * 10):02d}" * 32
    return {
        "schema": 1,
        "date": f"2026-11-{day:02d}T10:00:00Z",
        "host": "gpu01",
        "unit": "vllm@chat",
        "service": "chat",
        "model": "chat",
        "engine": "vllm",
        "capability": "chat",
        "through": "engine",
        "config_hash": config_hash,
        "image": "vllm/vllm-openai:v0.32.0",
        "image_digest": "sha256:0123",
        "behind": [],
        "tool": {"name": "vllm bench serve", "image": "vllm/vllm-openai:v0.32.0"},
        "collection": "0.10.0",
        "lengths": {"input_tokens": 512, "output_tokens": 128},
        "under_load": False,
        "complete": True,
        "steps": [step(concurrency, slower) for concurrency in (1, 4, 16)],
        **changes,
    }


def embedding(**changes: Any) -> dict[str, Any]:
    """Of a model that writes nothing."""
    keys = ("concurrency", "requests", "completed", "failed", "duration", "input_tokens", "request_throughput", "e2e_median", "e2e_p99")
    steps = [{key: value for key, value in step(concurrency, 0.1).items() if key in keys} for concurrency in (1, 4, 16)]
    named = {"unit": "vllm@embedding", "service": "embedding", "model": "embedding", "capability": "embedding"}
    return {**document(), **named, "lengths": {"input_tokens": 448, "output_tokens": 0}, "steps": steps, **changes}
