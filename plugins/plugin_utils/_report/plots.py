# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Plots as SVG inside a page: lines over steps, in the colours and shapes of the page's style."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 360, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 12, 34
_TICKS = 4


@dataclass(frozen=True)
class Line:
    """C(kind): C(now) or C(before), which says colour and shape of its marks."""

    name: str
    kind: str
    values: Mapping[int, float]
    dashed: bool = False


def nice(most: float) -> float:
    """A round number that is not less: the end of an axis."""
    if most <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(factor * power for factor in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if factor * power >= most * 0.9999)


def number(value: float) -> str:
    """With three digits that count, or all before the point."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 4)}f}"


def _tick(value: float) -> str:
    shown = number(value)
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def plot(caption: str, counted: str, across: str, lines: Sequence[Line]) -> str:
    """A figure with the lines over their steps, which stand at equal distances; nothing where no line has a value."""
    steps = sorted({step for line in lines for step in line.values})
    if not steps:
        return ""
    end = nice(max(value for line in lines for value in line.values.values()))
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def x(step: int) -> float:
        place = steps.index(step)
        return _LEFT + (wide / 2 if len(steps) == 1 else 12 + (wide - 24) * place / (len(steps) - 1))

    def y(value: float) -> float:
        return _TOP + high * (1 - value / end)

    parts = []
    for tick in range(_TICKS + 1):
        value = end * tick / _TICKS
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{_tick(value)}</text>')
    parts += [f'<text x="{x(step):.1f}" y="{_HEIGHT - 20}" text-anchor="middle">{step}</text>' for step in steps]
    parts.append(f'<text x="{_LEFT + wide / 2:.1f}" y="{_HEIGHT - 4}" text-anchor="middle">{escape(across)}</text>')
    for line in lines:
        points = [(x(step), y(value)) for step, value in sorted(line.values.items())]
        style = f"line {line.kind}{' dashed' if line.dashed else ''}"
        parts.append(f'<polyline class="{style}" points="{" ".join(f"{left:.1f},{top:.1f}" for left, top in points)}"/>')
        parts += [mark(line.kind, left, top) for left, top in points]
    told = "; ".join(
        f"{line.name}: {', '.join(f'{number(value)} at {step}' for step, value in sorted(line.values.items()))}" for line in lines
    )
    label = escape(f"{caption}, {counted}. {told}")
    return (
        f'<figure><figcaption>{escape(caption)} <span class="quiet">{escape(counted)}</span></figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg></figure>'
    )


def mark(kind: str, left: float, top: float) -> str:
    """A disc for what is new, a hollow square for what was before."""
    if kind == "now":
        return f'<circle class="mark now" cx="{left:.1f}" cy="{top:.1f}" r="4"/>'
    return f'<rect class="mark before" x="{left - 4:.1f}" y="{top - 4:.1f}" width="8" height="8"/>'


def legend(entries: Sequence[tuple[str, str, bool]]) -> str:
    """C(entries): text, kind and whether it is dashed."""
    items = []
    for text, kind, dashed in entries:
        line = f'<line class="line {kind}{" dashed" if dashed else ""}" x1="0" x2="40" y1="6" y2="6"/>'
        drawn = f'<svg viewBox="0 0 40 12" aria-hidden="true">{line}{mark(kind, 20, 6)}</svg>'
        items.append(f"<li>{drawn}{escape(text)}</li>")
    return f'<ul class="legend">{"".join(items)}</ul>'
