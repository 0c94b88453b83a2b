# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Lines about a benchmark while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def begun(target: Mapping[str, Any], step: Mapping[str, Any]) -> str:
    return f"{target['name']}: measures {step['requests']} requests, {step['concurrency']} at once"


def ended(target: Mapping[str, Any], step: Mapping[str, Any], done: Mapping[str, Any]) -> str:
    return f"{target['name']}: {step['concurrency']} at once: {_outcome(done)}"


def _outcome(done: Mapping[str, Any]) -> str:
    if done.get("used"):
        return "not measured, others use it"
    if done.get("gave_way"):
        return "ended, others came"
    if done.get("failure"):
        return f"failed: {done['failure']}"
    found = done["steps"][-1]
    parts = [f"{found['request_throughput']:.2f} requests/s"]
    if "output_throughput" in found:
        parts.append(f"{found['output_throughput']:.1f} tokens/s")
    for figure, title in (("ttft", "first token"), ("e2e", "whole answer")):
        if f"{figure}_median" in found:
            parts.append(f"{title} {milliseconds(found[f'{figure}_median'])} (p99 {milliseconds(found[f'{figure}_p99'])})")
    if found["failed"]:
        parts.append(f"{found['failed']:.0f} of {found['requests']} failed")
    return ", ".join(parts)


def milliseconds(value: float) -> str:
    """In a unit in which it is no long number."""
    if value >= 10_000:
        return f"{value / 1000:.1f} s"
    return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"
