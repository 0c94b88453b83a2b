# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Alert rules for what users suffer from, each with the command to run next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_UNIT = "{{ $labels.kind }}@{{ $labels.service }} on {{ $labels.instance }}"
_STATUS = "Next: ansible-playbook llmops.gpu_inference.status"


@dataclass(frozen=True)
class Bound:
    """A number that users may want otherwise."""

    default: int
    most: int
    meaning: str


THRESHOLDS: Mapping[str, Bound] = {
    "not_ready_minutes": Bound(15, 1440, "minutes that a service may be away: a large model takes that long to load"),
    "restarts": Bound(3, 1000, "restarts of a service within an hour"),
    "memory_percent": Bound(90, 100, "of the bound on a container's main memory; beyond it the kernel ends the service"),
    "gpu_memory_percent": Bound(105, 1000, "of the GPU memory that the plan gives a service; beyond it there is none for its neighbours"),
    "disk_percent": Bound(10, 99, "of a disk with models, caches or images that have to be left"),
    "first_token_seconds": Bound(
        10, 120, "seconds until the first piece of a stream, as clients of the gateway see it, for the slowest one of ten"
    ),
    "failed_percent": Bound(5, 100, "of a model's requests that failed, of those that were answered or failed"),
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
            "for": self.lasts % numbers,
            "labels": {"severity": self.severity},
            "annotations": {"summary": self.summary, "description": self.description},
        }


_FAILED = 'sum by (model) (rate(llmops_gateway_requests_total{outcome="failed"}[10m]))'
_ENDED = 'sum by (model) (rate(llmops_gateway_requests_total{outcome=~"failed|answered"}[10m]))'

ALERTS = (
    Alert(
        name="InferenceNotReady",
        expression="llmops_unit_ready == 0",
        lasts="%(not_ready_minutes)dm",
        severity="critical",
        summary=f"{_UNIT} does not answer",
        description=f"{_UNIT} has not been ready for a while. {_STATUS} shows its phase, and cause and remedy of its last failure.",
    ),
    Alert(
        name="InferenceSilent",
        expression='up{job=~"llmops-(gateway|node)"} == 0 or time() - llmops_written_timestamp_seconds > 300',
        lasts="5m",
        severity="critical",
        summary="{{ $labels.instance }} tells nothing any more",
        description=(
            "Gateway or exporter at {{ $labels.instance }} cannot be asked, or its numbers are more than five minutes old, so nobody knows"
            f" whether it serves. {_STATUS} asks all hosts; on a node: systemctl status gpu-inference-metrics.service"
        ),
    ),
    Alert(
        name="InferenceRestarts",
        expression="increase(llmops_unit_restarts_total[1h]) > %(restarts)d",
        lasts="0m",
        severity="warning",
        summary=f"{_UNIT} is started again and again",
        description=(
            f'{_UNIT} was started again {{{{ $value | printf "%.0f" }}}} times within an hour. {_STATUS} shows why;'
            " on the node: journalctl -t {{ $labels.kind }}-{{ $labels.service }} -g launcher:"
        ),
    ),
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
            f" {_STATUS} shows which of its engines are ready. If all are, more is asked than they answer: another service for the model."
        ),
    ),
    Alert(
        name="InferenceMemoryTight",
        expression="llmops_unit_memory_bytes / llmops_unit_memory_budget_bytes * 100 > %(memory_percent)d",
        lasts="10m",
        severity="warning",
        summary=f"{_UNIT} needs almost all of its main memory",
        description=(
            f'{_UNIT} holds {{{{ $value | printf "%.0f" }}}} % of its bound on main memory; beyond it the kernel ends it.'
            " Next: ansible-playbook llmops.gpu_inference.plan, then a larger host_memory of the service"
        ),
    ),
    Alert(
        name="InferenceGpuMemoryTight",
        expression="llmops_unit_gpu_memory_bytes / llmops_unit_gpu_memory_budget_bytes * 100 > %(gpu_memory_percent)d",
        lasts="10m",
        severity="warning",
        summary=f"{_UNIT} takes more GPU memory than planned",
        description=(
            f'{_UNIT} takes {{{{ $value | printf "%.0f" }}}} % of the GPU memory that it was given, so a neighbour may not start again.'
            " Next: ansible-playbook llmops.gpu_inference.plan, then a larger memory of the service"
        ),
    ),
    Alert(
        name="InferenceDiskFull",
        expression="llmops_disk_available_bytes / llmops_disk_size_bytes * 100 < %(disk_percent)d",
        lasts="10m",
        severity="warning",
        summary="{{ $labels.path }} on {{ $labels.instance }} is almost full",
        description=(
            '{{ $value | printf "%.0f" }} % of the disk with {{ $labels.path }} are left, and the next model or image will not fit.'
            " Next, on the node: docker system df; du -xh --max-depth=2 {{ $labels.path }} | sort -h | tail"
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
