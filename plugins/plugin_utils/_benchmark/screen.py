# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What a benchmark found, as lines for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._screen.columns import aligned
from .page import change
from .progress import milliseconds

_TIMES = (("FIRST TOKEN", "ttft"), ("INTER-TOKEN", "itl"), ("WHOLE ANSWER", "e2e"))
_HEADS = ("MODEL", "HOST", "THROUGH", "AT ONCE", "REQUESTS/S", "TOKENS/S", *(title for title, _figure in _TIMES), "REQUESTS/S BEFORE")


def result_table(summary: Mapping[str, Any], measured: Sequence[Sequence[str]]) -> list[str]:
    """C(measured): host, unit and model of what this run measured; times are median and p99."""
    rows = []
    for service in summary["services"]:
        newest = service["newest"]
        if [newest["host"], newest["unit"], newest["model"]] not in [list(one) for one in measured]:
            continue
        earlier = {row["concurrency"]: row for row in service["rows"] if row["figure"] == "request_throughput"}
        for step in newest["steps"]:
            tokens = f"{step['output_throughput']:.1f}" if "output_throughput" in step else "-"
            times = [
                f"{milliseconds(step[f'{figure}_median'])} {milliseconds(step[f'{figure}_p99'])}" if f"{figure}_median" in step else "-"
                for _title, figure in _TIMES
            ]
            old = earlier[step["concurrency"]]
            before = "-" if old["before"] is None else f"{old['before']:.2f} ({change(old)[0]})"
            numbers = [str(step["concurrency"]), f"{step['request_throughput']:.2f}", tokens, *times, before]
            rows.append([newest["model"], newest["host"], newest["through"], *numbers])
    return aligned(_HEADS, rows, _HEADS[3:]) if rows else []
