# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The page of all benchmarks: plots over the number of requests at once, before and after, and the same figures as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from .._report.html import cell, page, paragraph, table
from .._report.plots import Line, legend, number, plot
from .options import GATEWAY

_ACROSS = "requests at once"
#: Title, what it is counted in, and the figures with what each is called.
_PLOTS: tuple[tuple[str, str, Sequence[tuple[str, str]]], ...] = (
    ("Throughput", "requests per second", (("request_throughput", ""),)),
    ("Throughput", "tokens of answers per second", (("output_throughput", ""),)),
    ("Time to first token", "ms", (("ttft_median", "median"), ("ttft_p99", "p99"))),
    ("Inter-token latency", "ms", (("itl_median", "median"), ("itl_p99", "p99"))),
    ("End-to-end latency", "ms", (("e2e_median", "median"), ("e2e_p99", "p99"))),
)


def benchmark_page(summary: Mapping[str, Any]) -> str:
    body = [paragraph(f"Of {summary['date']}. What this page shows is in benchmarks.json beside it.", quiet=True)]
    for service in summary["services"]:
        body += section(service)
    if not summary["services"]:
        body.append(paragraph("Nothing has been measured."))
    return page("Benchmarks", body)


def section(service: Mapping[str, Any], level: str = "h2") -> list[str]:
    newest, before = service["newest"], service["before"]
    where = f"through the gateway, from {newest['host']}" if newest["through"] == GATEWAY else f"{newest['unit']} on {newest['host']}"
    parts = [f"<{level}>{escape(newest['model'])} <span class='quiet'>{escape(where)}</span></{level}>"]
    lengths = newest["lengths"]
    told = f"Prompts of {lengths['input_tokens']} tokens"
    if lengths["output_tokens"]:
        told += f", answers of {lengths['output_tokens']}"
    told += f"; by {newest['tool']['name']} of {newest['tool']['image']}."
    if newest["under_load"]:
        told += " Measured while others may have used it."
    if not newest["complete"]:
        told += " Not all steps were measured."
    parts.append(paragraph(told, quiet=True))
    entries = [(f"newest: {run_of(newest)}", "now", False)]
    if before:
        entries.append((f"before: {run_of(before)}", "before", False))
    has_p99 = any(row["figure"].endswith("_p99") for row in service["rows"])
    if has_p99:
        entries.append(("dashed: p99, which one of a hundred is slower than", "now", True))
    parts.append(legend(entries))
    parts.append(f'<div class="plots">{"".join(plots(newest, before))}</div>')
    parts.append(figures(service))
    return parts


def run_of(document: Mapping[str, Any]) -> str:
    """Which one it is: when, of which configuration and image."""
    short = str(document["config_hash"] or "unknown")[:12]
    return f"{document['date']}, configuration {short}, {document['image'] or 'image unknown'}"


def plots(newest: Mapping[str, Any], before: Mapping[str, Any] | None) -> list[str]:
    found = []
    for caption, counted, shown in _PLOTS:
        lines = []
        for document, kind, name in ((before, "before", "before"), (newest, "now", "newest")):
            for position, (figure, statistic) in enumerate(shown):
                steps = document["steps"] if document else ()
                values = {step["concurrency"]: float(step[figure]) for step in steps if figure in step}
                if values:
                    lines.append(Line(f"{name} {statistic}".strip(), kind, values, dashed=position > 0))
        found.append(plot(caption, counted, _ACROSS, lines))
    return [one for one in found if one]


def figures(service: Mapping[str, Any]) -> str:
    rows, compared = service["rows"], service["before"] is not None
    spans: dict[str, int] = {}
    for row in rows:
        spans[row["figure"]] = spans.get(row["figure"], 0) + 1
    lines, seen = [], set()
    for row in rows:
        cells = ""
        if row["figure"] not in seen:
            seen.add(row["figure"])
            cells = cell(f"{row['title']}, {row['counted']}", tag="th", scope="rowgroup", rowspan=str(spans[row["figure"]]))
        cells += cell(str(row["concurrency"]), "number")
        if compared:
            cells += cell("-" if row["before"] is None else number(row["before"]), "number")
        cells += cell(number(row["newest"]), "number")
        if compared:
            cells += cell(*change(row))
        lines.append(cells)
    heads = [("Figure", ""), ("At once", "number"), *([("Before", "number")] if compared else []), ("Newest", "number")]
    return table("The same in figures", [*heads, *([("Change", "number")] if compared else [])], lines)


def change(row: Mapping[str, Any]) -> tuple[str, str]:
    """As text and class. A word says what the colour does."""
    if row["change"] is None:
        return "-", "number"
    text = f"{row['change'] * 100:+.0f} %"
    if row["better"] is None or abs(row["change"]) < 0.05:
        return text, "number"
    return (f"{text} better", "number good") if row["better"] else (f"{text} worse", "number bad")
