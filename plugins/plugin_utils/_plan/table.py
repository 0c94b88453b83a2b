# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The plan as text for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .._screen.columns import aligned


def _gib(value: Any) -> str:
    return "?" if value is None else f"{value:.1f} GiB"


def _service(row: Mapping[str, Any]) -> str:
    """With which part of it, where it runs over several hosts."""
    return f"{row['service']} ({row['rank'] + 1} of {len(row['members'])})" if "members" in row else str(row["service"])


#: Where the hardware of a host is known from.
_ORIGINS: Mapping[str, str] = {
    "facts": "as seen",
    "inference_hardware": "declared",
    "an earlier run": "earlier run",
    "unknown": "unknown",
}
_COLUMNS: tuple[tuple[str, Callable[[Mapping[str, Any]], str]], ...] = (
    ("HOST", lambda row: str(row["host"])),
    ("PLATFORM", lambda row: str(row["platform"])),
    ("HARDWARE", lambda row: _ORIGINS[str(row.get("hardware") or "unknown")]),
    ("GPU", lambda row: str(row["gpu"]) or "?"),
    ("SERVICE", _service),
    ("ENGINE", lambda row: str(row["engine"])),
    ("PORT", lambda row: str(row["port"])),
    ("MEMORY", lambda row: _gib(row["memory"])),
    ("LEFT", lambda row: _gib(row["memory_left"])),
    ("IMAGE", lambda row: str(row["image"])),
    ("RULE", lambda row: str(row["rule"])),
)
_RIGHT = ("PORT", "MEMORY", "LEFT")


def _model_row(model: Mapping[str, Any]) -> list[str]:
    served = [str(backend["host"] or f"{backend['external']} (external)") for backend in model["backends"]]
    return [str(model["name"]), str(model["capability"]), ", ".join(model["aliases"]) or "-", ", ".join(served)]


def render(plan: Mapping[str, Any], unreached: Sequence[str] = (), *, asked: bool = True) -> str:
    """The services with their memory, the gateway's models, what is not verified, the warnings.

    C(unreached): hosts of this run that did not answer. C(asked): whether hosts were asked at all.
    """
    rows = [[show(row) for _title, show in _COLUMNS] for row in plan["table"]]
    lines = aligned([title for title, _show in _COLUMNS], rows, _RIGHT) if rows else ["No service is enabled on any host."]
    gateway = plan.get("gateway")
    if gateway and gateway["models"]:
        lines += ["", f"Gateway on {', '.join(gateway['hosts'])}, port {gateway['port']}:"]
        lines += aligned(("MODEL", "CAPABILITY", "ALSO CALLED", "SERVED BY"), [_model_row(model) for model in gateway["models"]])
    if not asked:
        lines += ["", "No host was asked: nothing of this is verified."]
    elif unreached:
        known = {name: _ORIGINS[str(host.get("hardware") or "unknown")] for name, host in plan["hosts"].items()}
        lines += ["", "Not reached, and so not verified: " + ", ".join(f"{name} ({known.get(name, 'unknown')})" for name in unreached)]
    if plan.get("warnings"):
        lines += ["", *(f"warning: {warning}" for warning in plan["warnings"])]
    return "\n".join(lines)
