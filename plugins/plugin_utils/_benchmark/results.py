# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The results of benchmarks: the document of each, and the newest of a model against the one before it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .options import GATEWAY

SCHEMA = 1
#: What a page shows of a step: title, what it is counted in, the figure, and whether more is better.
SHOWN: tuple[tuple[str, str, str, bool], ...] = (
    ("Requests", "per second", "request_throughput", True),
    ("Tokens of answers", "per second", "output_throughput", True),
    ("Time to first token, median", "ms", "ttft_median", False),
    ("Time to first token, p99", "ms", "ttft_p99", False),
    ("Inter-token latency, median", "ms", "itl_median", False),
    ("Inter-token latency, p99", "ms", "itl_p99", False),
    ("End-to-end latency, median", "ms", "e2e_median", False),
    ("End-to-end latency, p99", "ms", "e2e_p99", False),
)


def document(
    target: Mapping[str, Any],
    measured: Mapping[str, Any],
    host: str,
    units: Mapping[str, Any],
    gateway_unit: tuple[str, str] | None,
    version: str,
) -> dict[str, Any] | None:
    """What is kept of a measured target; None where not one step ended well. C(units): by host, the result of container_units_info."""
    if not measured.get("steps"):
        return None
    names = [tuple(pair) for pair in target["behind"]]
    if target["through"] == GATEWAY and gateway_unit is not None:
        names.append(gateway_unit)
    behind = [_unit(units, place, name) for place, name in names]
    return {
        "schema": SCHEMA,
        "date": measured["started"],
        "host": host,
        "unit": target["unit"],
        "service": target["name"],
        "model": target["model"],
        "engine": target["engine"],
        "capability": target["capability"],
        "through": target["through"],
        "config_hash": _hash(behind),
        "image": behind[0]["image"],
        "image_digest": behind[0]["image_digest"],
        "behind": behind,
        "tool": {"name": target["tool"], "image": target["image"]},
        "collection": version,
        "lengths": target["lengths"],
        "under_load": target["under_load"],
        "complete": len(measured["steps"]) == len(target["steps"]),
        "steps": list(measured["steps"]),
    }


def _unit(units: Mapping[str, Any], host: str, name: str) -> dict[str, Any]:
    result = units.get(host)
    rows = (result.get("units") if isinstance(result, Mapping) else None) or ()
    row: Mapping[str, Any] = next((row for row in rows if row["unit"] == f"{name}.service"), {})
    return {"host": host, "unit": name, **{key: row.get(key) for key in ("config_hash", "image", "image_digest")}}


def _hash(behind: Sequence[Mapping[str, Any]]) -> str | None:
    """Of one unit its own, so that it is found again in its releases; of several that of all of them."""
    hashes = [one["config_hash"] for one in behind]
    if None in hashes:
        return None
    if len(hashes) == 1:
        return str(hashes[0])
    text = "\n".join(sorted(f"{one['host']} {one['unit']} {one['config_hash']}" for one in behind))
    return hashlib.sha256(text.encode()).hexdigest()


def outcome(target: Mapping[str, Any], measured: Mapping[str, Any]) -> str | None:
    """Why a target was not measured to its end, for people; None where it was."""
    if len(measured.get("steps") or ()) == len(target["steps"]):
        return None
    if measured.get("used"):
        return "others use it; -e benchmark_under_load=true measures it all the same"
    if measured.get("gave_way"):
        return "others came while it was measured, and it gave way"
    return str(measured.get("failure") or measured.get("msg") or "it was not measured")


def summary(documents: Iterable[Mapping[str, Any]], time: str) -> dict[str, Any]:
    """All that a page shows: for each model at each place the newest result, and the newest of another configuration before it."""
    known = [one for one in documents if one.get("schema") == SCHEMA]
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for one in sorted(known, key=lambda one: str(one["date"])):
        groups.setdefault((one["model"], one["host"], one["unit"], one["through"]), []).append(one)
    services = []
    for key in sorted(groups):
        newest = groups[key][-1]
        before = before_of(newest, groups[key][:-1])
        services.append({"newest": newest, "before": before, "rows": rows(newest, before), "results": len(groups[key])})
    return {"schema": SCHEMA, "date": time, "services": services}


def before_of(newest: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The last one of another configuration that was asked the same: prompts of another length say nothing of it."""
    others = [one for one in earlier if one["config_hash"] != newest["config_hash"] and one["lengths"] == newest["lengths"]]
    return others[-1] if others else None


def rows(newest: Mapping[str, Any], before: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Each figure of each step that the newest has, beside the same one before."""
    earlier = {step["concurrency"]: step for step in before["steps"]} if before else {}
    found = []
    for title, counted, figure, more_is_better in SHOWN:
        for step in newest["steps"]:
            if figure not in step:
                continue
            value, old = step[figure], earlier.get(step["concurrency"], {}).get(figure)
            change = (value - old) / old if old else None
            found.append(
                {
                    "title": title,
                    "counted": counted,
                    "figure": figure,
                    "concurrency": step["concurrency"],
                    "before": old,
                    "newest": value,
                    "change": change,
                    "better": None if not change else (change > 0) is more_is_better,
                }
            )
    return found
