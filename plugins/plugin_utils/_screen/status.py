# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The state of the units of all hosts as one table for people."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from ...module_utils._duration import duration
from .columns import aligned
from .rotation import rotation_lines

_RUNNING = ("active", "activating", "reloading")


def _state(row: Mapping[str, Any]) -> str:
    phase = row["phase"] or row["active"]
    if row["active"] not in _RUNNING:
        return f"{row['active']} ({phase})"
    return phase if row["percent"] is None or phase == "ready" else f"{phase} {row['percent']} %"


def _port(url: str | None) -> str:
    try:
        return str(urlsplit(url or "").port or "-")
    except ValueError:
        return "-"


def _mib(size: int | None) -> str:
    return "-" if size is None else f"{size} MiB"


def _cause(row: Mapping[str, Any]) -> str:
    return f"{row['cause']}: {row['message']} ({duration(row['failed_ago'])} ago)" if row["cause"] else "-"


#: Of a row, and of what the plan allows its unit.
_COLUMNS: tuple[tuple[str, Callable[[Mapping[str, Any], str], str]], ...] = (
    ("UNIT", lambda row, _budget: str(row["unit"]).removesuffix(".service")),
    ("PORT", lambda row, _budget: _port(row["url"])),
    ("URL", lambda row, _budget: str(row["url"] or "-")),
    ("STATE", lambda row, _budget: _state(row)),
    ("UP", lambda row, _budget: duration(row["uptime"])),
    ("RESTARTS", lambda row, _budget: str(row["restarts"])),
    ("MEMORY", lambda row, _budget: _mib(row["memory_mib"])),
    ("GPU MEMORY", lambda row, _budget: _mib(row["gpu_memory_mib"])),
    ("BUDGET", lambda row, budget: budget),
    ("IMAGE DIGEST", lambda row, _budget: str(row["image_digest"] or "-").removeprefix("sha256:")[:12]),
    ("LAST CAUSE", lambda row, _budget: _cause(row)),
)


def budgets(plan: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """By host and unit, what the plan allows it; nothing of a host whose memory nobody knows, or without a plan."""
    return {
        (str(row["host"]), f"{row['engine']}@{row['service']}.service"): f"{row['memory']} GiB"
        for row in plan.get("table") or ()
        if row["memory"] is not None
    }


def _silence(result: Mapping[str, Any]) -> str:
    """Why there are no units of a host: what came back instead of them."""
    first = next(iter(str(result.get("msg") or "").strip().splitlines()), "")
    if result.get("unreachable"):
        return f"did not answer: {first}" if first else "did not answer"
    return f"could not be looked at: {first}" if first else "was not looked at"


def table(hosts: Mapping[str, Any], plan: Mapping[str, Any]) -> list[str]:
    """C(hosts): by name, what container_units_info returned there. C(plan): may be empty."""
    allowed = budgets(plan)
    rows, notes = [], []
    for host, result in hosts.items():
        units = result.get("units") if isinstance(result, Mapping) else None
        if units is None:
            notes.append(f"{host}  {_silence(result if isinstance(result, Mapping) else {})}")
        elif not units:
            notes.append(f"{host}  has no unit of this collection")
        for row in units or ():
            cells = [show(row, allowed.get((host, str(row["unit"])), "-")) for _title, show in _COLUMNS]
            # A message of several lines would end the table.
            rows.append([host, *(re.sub(r"\s+", " ", cell) for cell in cells)])
    lines = aligned(["HOST", *(title for title, _show in _COLUMNS)], rows) if rows else []
    return [
        *lines,
        *notes,
        *rotation_lines({host: told.get("out_of_rotation") for host, told in hosts.items() if isinstance(told, Mapping)}),
    ]
