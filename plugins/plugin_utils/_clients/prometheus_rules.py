# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Alert rules for what users suffer from, each with the command to run next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_STATUS = "Next: ansible-playbook llmops.gpu_inference.status"


@dataclass(frozen=True)
class Bound:
    """A number that users may want otherwise."""

    default: int
    most: int
    meaning: str


THRESHOLDS: Mapping[str, Bound] = {
    "first_token_seconds": Bound(10, 120, "Of ten streams one waits longer than that for its first piece: answers are slow"),
    "failed_percent": Bound(5, 100, "Of a model's requests, answered or not, that failed at the gateway or at its engine"),
}


@dataclass(frozen=True)
class Alert:
    name: str
    expression: str
    lasts: str
    severity: str
    summary: str
    description: str

    def rule(self, numbers: Mapping[str, int]) -> dict[str, Any]:
        return {
            "alert": self.name,
            "expr": self.expression % numbers,
            "for": self.lasts,
            "labels": {"severity": self.severity},
            "annotations": {"summary": self.summary, "description": self.description},
        }


_FAILED = 'sum by (model) (rate(llmops_gateway_requests_total{outcome="failed"}[10m]))'
_ENDED = 'sum by (model) (rate(llmops_gateway_requests_total{outcome=~"failed|answered"}[10m]))'

ALERTS = (
    Alert(
        name="InferenceAnswersSlow",
        expression=(
            "histogram_quantile(0.9, sum by (model, le) (rate(llmops_gateway_time_to_first_token_seconds_bucket[10m])))"
            " > %(first_token_seconds)d"
        ),
        lasts="10m",
        severity="warning",
        summary="Answers of {{ $labels.model }} begin late",
        description=(
            "One of ten streams of {{ $labels.model }} waits {{ $value | humanizeDuration }} or longer for its first piece."
            f" {_STATUS} shows which of its engines are ready; then docs/operating.md, 'It is slow'."
        ),
    ),
    Alert(
        name="InferenceGatewayErrors",
        expression=f"{_FAILED} / {_ENDED} * 100 > %(failed_percent)d",
        lasts="5m",
        severity="critical",
        summary="Requests for {{ $labels.model }} fail",
        description=(
            '{{ $value | printf "%.0f" }} % of the requests for {{ $labels.model }} fail at the gateway or at its engines.'
            f" {_STATUS} shows engines that are not ready, with cause and remedy; then ansible-playbook llmops.gpu_inference.verify"
        ),
    ),
)


def rules(thresholds: Mapping[str, int]) -> dict[str, Any]:
    """The file of rules; C(thresholds) are those that a user has set."""
    numbers = {name: int(thresholds.get(name, bound.default)) for name, bound in THRESHOLDS.items()}
    return {"groups": [{"name": "llmops-gpu-inference", "rules": [alert.rule(numbers) for alert in ALERTS]}]}
