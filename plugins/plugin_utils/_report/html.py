# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Pages that need nothing but themselves: how they look, in light and dark, on a telephone and on paper, and how they are put together.

The colours are those of Okabe and Ito, which people with any kind of colour blindness tell apart; what a colour says is said by a shape
or a word too.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

STYLE = """
:root { color-scheme: light dark; --ground: #ffffff; --panel: #f4f6f8; --text: #1b2530; --quiet: #4d5b69; --line: #c9d1d9;
  --now: #0063a3; --before: #b04a00; --good: #00664b; --bad: #a3306f; --track: #dfe5ea; }
@media (prefers-color-scheme: dark) { :root { --ground: #12171c; --panel: #1b2229; --text: #e8edf2; --quiet: #aab6c2; --line: #3a4651;
  --now: #6cc0f5; --before: #f0a742; --good: #3fd0a4; --bad: #f08cc2; --track: #2b343d; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 75rem; padding: 1rem; background: var(--ground); color: var(--text);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0.5rem 0; }
h2 { font-size: 1.25rem; line-height: 1.3; margin: 2rem 0 0.25rem; border-top: 1px solid var(--line); padding-top: 1rem; }
h3 { font-size: 1.05rem; margin: 1.25rem 0 0.25rem; }
p { margin: 0.25rem 0 0.75rem; }
.quiet { color: var(--quiet); font-size: 0.9rem; font-weight: 400; }
code { font: 0.88em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); gap: 1rem; margin: 1rem 0; }
figure { margin: 0; padding: 0.75rem; background: var(--panel); border-radius: 0.5rem; break-inside: avoid; }
figcaption { font-weight: 600; font-size: 0.95rem; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--quiet); font-size: 11px; }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .line { fill: none; stroke-width: 2; }
svg .now { stroke: var(--now); } svg .before { stroke: var(--before); }
svg .mark.now { fill: var(--now); } svg .mark.before { fill: var(--ground); stroke-width: 2; }
svg .dashed { stroke-dasharray: 5 4; stroke-width: 1.5; }
.legend { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; margin: 0.5rem 0 0; padding: 0; list-style: none; font-size: 0.9rem; }
.legend svg { display: inline-block; width: 2.5rem; height: 0.8rem; margin-right: 0.4rem; vertical-align: middle; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; margin: 0.75rem 0; }
caption { text-align: left; color: var(--quiet); font-size: 0.9rem; padding-bottom: 0.25rem; }
th, td { text-align: left; padding: 0.3rem 0.5rem; border-bottom: 1px solid var(--line); vertical-align: top; }
thead th { border-bottom-width: 2px; }
tbody th { font-weight: 600; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.good { color: var(--good); } .bad { color: var(--bad); }
.bar { position: relative; height: 1.1rem; background: var(--track); border-radius: 0.25rem; overflow: hidden; }
.fill { height: 100%; } .fill.now { background: var(--now); }
.fill.before { background: repeating-linear-gradient(45deg, var(--before) 0 6px, transparent 6px 9px), var(--track); }
.measure { margin: 0.35rem 0; font-size: 0.9rem; }
.gpu { margin: 0.5rem 0 1rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)); gap: 1rem; margin: 1rem 0; }
.card { background: var(--panel); border-radius: 0.5rem; padding: 0.75rem; break-inside: avoid; }
.card h3 { margin: 0; }
dl { display: grid; grid-template-columns: minmax(7rem, auto) 1fr; gap: 0.15rem 0.75rem; margin: 0.5rem 0 0; font-size: 0.9rem; }
dt { color: var(--quiet); } dd { margin: 0; }
@media (max-width: 40rem) { body { padding: 0.75rem; } th, td { padding: 0.3rem 0.25rem; } table { font-size: 0.82rem; } }
@media print { body { max-width: none; padding: 0; font-size: 10pt; } h2 { break-after: avoid; } table, figure { break-inside: avoid; }
  .bar { border: 1px solid var(--line); print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  figure, .card { border: 1px solid var(--line); } }
"""


def page(title: str, body: Sequence[str]) -> str:
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="robots" content="noindex">',
            f"<title>{escape(title)}</title>",
            '<link rel="icon" href="data:,">',  # else a browser asks a server for one
            f"<style>{STYLE}</style>",
            "</head>",
            "<body>",
            "<main>",
            f"<h1>{escape(title)}</h1>",
            *body,
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def paragraph(text: str, quiet: bool = False) -> str:
    return f'<p class="quiet">{escape(text)}</p>' if quiet else f"<p>{escape(text)}</p>"


def cell(text: str, kind: str = "", tag: str = "td", **attributes: str) -> str:
    given = {**({"class": kind} if kind else {}), **attributes}
    return f"<{tag}{''.join(f' {name}={chr(34)}{escape(value)}{chr(34)}' for name, value in given.items())}>{escape(text)}</{tag}>"


def table(caption: str, heads: Sequence[tuple[str, str]], rows: Sequence[str]) -> str:
    """C(heads): text and class of each column. C(rows): the cells of each row."""
    head = "".join(cell(text, kind, "th", scope="col") for text, kind in heads)
    lines = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"
