# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._benchmark.report import documents, report
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._benchmark.targets import choose
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.plain import plain


def benchmark_targets(plan: Mapping[str, Any], given: Mapping[str, Any], seed: int = 0) -> dict[str, Any]:
    return choose(plain(plan), plain(given), int(seed))


def benchmark_documents(
    results: Sequence[Mapping[str, Any]], host: str, units: Mapping[str, Any], gateways: Sequence[str] = ()
) -> list[dict[str, Any]]:
    return documents(plain(results), host, plain(units), plain(gateways))


def benchmark_report(kept: Mapping[str, Any], measured: Mapping[str, Any], time: str) -> dict[str, Any]:
    return report(plain(kept), plain(measured), time)


class FilterModule:
    """Filters of the playbook benchmark."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "benchmark_documents": benchmark_documents,
            "benchmark_report": benchmark_report,
            "benchmark_targets": benchmark_targets,
        }
