# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What the rows of a verification come to: a table for a terminal, and counts."""

from __future__ import annotations

import typing as t


def table(rows: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
    """Lines for a terminal, columns aligned."""
    cells = [["", "model", "name", "check", "seconds", "answer"]]
    for row in rows:
        shown = row["answer"] if row["ok"] else f"{row['cause']}: {row['message']}"
        name = "" if row["name"] == row["model"] else row["name"]
        cells.append([result(row), row["model"], name, row["check"], seconds(row["latency"]), shown])
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]) - 1)]
    return ["  ".join([*(cell.ljust(width) for cell, width in zip(line, widths)), line[-1]]).rstrip() for line in cells]


def summary(rows: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, t.Any]:
    failed = [row for row in rows if result(row) == "FAILED"]
    return {
        "checks": len(rows),
        "failed": len(failed),
        "down": sum(result(row) == "down" for row in rows),
        "models": len({row["model"] for row in rows}),
        "failed_models": sorted({row["model"] for row in failed}),
    }


def result(row: t.Mapping[str, t.Any]) -> str:
    """`down` is told, and fails nothing: the answer of a server that is not required."""
    if row["ok"]:
        return "ok"
    return "FAILED" if row.get("required", True) else "down"


def seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
