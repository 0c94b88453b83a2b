# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The report of playbook verify: what runs where, and what answered from which point of view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ...module_utils._verify import Row, failed
from ...module_utils._verify_table import result, seconds, summary


def assemble(
    gateway: str,
    time: str,
    results: Mapping[str, Mapping[str, Any]],
    placement: Sequence[Mapping[str, Any]] = (),
    units: Mapping[str, Mapping[str, Any]] | None = None,
    programs: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
) -> dict[str, Any]:
    """One report of what runs where and what answers: `results` by point of view, `units` by host, and what client programs did there."""
    running: list[dict[str, Any]] = []
    for host, found in (units or {}).items():
        listed = found.get("units")
        if isinstance(listed, list):
            running += [{"host": host, **unit} for unit in listed]
        else:
            running.append({"host": host, "unit": "(unknown)", "message": str(found.get("msg") or "the host was not asked")})
    views = [_view(name, found) for name, found in results.items()]
    ran = [(host, found) for host, done in (programs or {}).items() for found in done]
    views += [_view(f"client programs of {host}", found) for host, found in ran if found.get("rows") != []]
    return {
        "gateway": gateway,
        "time": time,
        **{key: sum(one["summary"][key] for one in views) for key in ("failed", "down", "checks")},
        "failures": [_sentence(one["name"], row) for one in views for row in one["rows"] if result(row) == "FAILED"],
        "placement": [dict(row) for row in placement],
        "units": running,
        "views": views,
    }


def _view(name: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """What one place saw. Where nothing could be asked from there, that is the one row: no answer is no success."""
    rows = found.get("rows")
    if isinstance(rows, list):
        return {"name": name, "rows": rows, "summary": summary(rows)}
    cause = "unknown"
    message = str(found.get("msg") or "the requests were not made")
    if found.get("unreachable"):
        message = f"the host could not be reached: {message}"
    rows = [asdict(failed(Row("(all)", "(all)", "view", False), cause, message))]
    return {"name": name, "rows": rows, "summary": summary(rows)}


def _sentence(name: str, row: Mapping[str, Any]) -> str:
    alias = "" if row["name"] == row["model"] else f" as {row['name']}"
    return f"- from {name}: {row['model']}{alias}, {row['check']}: {row['cause']}: {row['message']} {row['remedy'] or ''}".rstrip()


_PLACEMENT = (("host", "host"), ("service", "service"), ("engine", "engine"), ("port", "port"), ("GPU", "gpu"), ("GiB", "memory"))
_UNITS = (
    ("host", "host"),
    ("unit", "unit"),
    ("state", "phase"),
    ("ready for s", "uptime"),
    ("restarts", "restarts"),
    ("MiB", "memory_mib"),
    ("GPU MiB", "gpu_memory_mib"),
    ("image digest", "image_digest"),
    ("cause", "cause"),
    ("message", "message"),
)
_ROWS = (
    ("result", "result"),
    ("model", "model"),
    ("name", "name"),
    ("check", "check"),
    ("seconds", "seconds"),
    ("prompt tokens", "prompt_tokens"),
    ("answer", "shown"),
)


def markdown(report: Mapping[str, Any]) -> str:
    """The report for people: what runs where, and what answered from which point of view."""
    passed = report["checks"] - report["failed"] - report["down"]
    verdict = f"{passed} of {report['checks']} checks passed."
    if report["down"]:
        verdict += f" {report['down']} found a server down that is not required."
    lines = ["# Inference service: what runs where, and what answers", "", f"{report['time']}, gateway {report['gateway']}. {verdict}", ""]
    if report["placement"]:
        lines += ["## Planned", "", *_markdown_table((*_PLACEMENT, ("image", "image"), ("rule", "rule")), report["placement"]), ""]
    if report["units"]:
        lines += ["## Running", "", *_markdown_table(_UNITS, report["units"]), ""]
    for one in report["views"]:
        rows = [
            {
                **row,
                "result": result(row),
                "seconds": seconds(row["latency"]),
                "shown": row["answer"] if row["ok"] else f"**{row['cause']}**: {row['message']} {row['remedy'] or ''}",
            }
            for row in one["rows"]
        ]
        lines += [f"## Answers, seen from {one['name']}", "", *_markdown_table(_ROWS, rows), ""]
    return "\n".join(lines)


def _markdown_table(columns: Sequence[tuple[str, str]], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    head = ["| " + " | ".join(title for title, _key in columns) + " |", "|" + " --- |" * len(columns)]
    return head + ["| " + " | ".join(_cell(row.get(key)) for _title, key in columns) + " |" for row in rows]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return ", ".join(_cell(item) for item in value)
    return " ".join(str(value).replace("|", "\\|").split())
