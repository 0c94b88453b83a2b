# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What clients have used, as the gateways tell it (C(gateway_counts.py) of role litellm), as one table for people."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from .columns import aligned

_OUTCOMES = ("answered", "limited", "refused", "failed", "left")
_TITLES = ("CLIENT", "MODEL", "REQUESTS", *map(str.upper, _OUTCOMES), "TOKENS IN", "TOKENS OUT")


def usage_table(gateways: Mapping[str, Any]) -> list[str]:
    """C(gateways): by host, what came back when its gateway was asked; hosts that were not asked have nothing of that."""
    told, notes = {}, []
    for host, result in gateways.items():
        document = result.get("json") if isinstance(result, Mapping) else None
        if isinstance(document, Mapping) and isinstance(document.get("usage"), list):
            told[host] = document
        elif isinstance(result, Mapping) and result and not result.get("skipped") and not result.get("unreachable"):
            notes.append(f"{host}  its gateway did not say what clients have used: {_reason(result)}")
    if not told:
        return notes
    since = ", ".join(f"{host} since {_moment(document['since'])}" for host, document in told.items())
    together = ", all of them together" if len(told) > 1 else ""
    rows = _rows(told)
    return [
        f"What clients have used, counted by the gateway from its start: {since}{together}",
        *(aligned(_TITLES, rows, right=_TITLES[2:]) if rows else ["nothing yet"]),
        *notes,
    ]


def _rows(told: Mapping[str, Any]) -> list[list[str]]:
    sums: dict[tuple[str, str], Counter[str]] = {}
    for document in told.values():
        for row in document["usage"]:
            total = sums.setdefault((str(row["client"]), str(row["model"])), Counter())
            total.update({name: int(row["requests"].get(name, 0)) for name in _OUTCOMES})
            total.update({"in": int(row["tokens"]["in"]), "out": int(row["tokens"]["out"]), "measured": int(row["measured"])})
    return [
        [
            client,
            model,
            f"{sum(total[name] for name in _OUTCOMES):,}",
            *(f"{total[name]:,}" for name in _OUTCOMES),
            *(_tokens(total, direction) for direction in ("in", "out")),
        ]
        for (client, model), total in sorted(sums.items())
    ]


def _tokens(total: Counter[str], direction: str) -> str:
    """None where nobody knows; a plus where some answers didn't say."""
    if not total["measured"]:
        return "-"
    return f"{total[direction]:,}{'+' if total['measured'] < total['answered'] else ''}"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def _reason(result: Mapping[str, Any]) -> str:
    document = result.get("json")
    error = document.get("error") if isinstance(document, Mapping) else None
    said = error.get("message") if isinstance(error, Mapping) else None
    return re.sub(r"\s+", " ", str(said or result.get("msg") or "no answer")).strip()
