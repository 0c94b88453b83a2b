# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What the user of a benchmark has asked for: read with all that is wrong in it, as values of C(-e) are texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CONCURRENCY = (1, 4, 16)
INPUT_TOKENS, OUTPUT_TOKENS = 512, 128
#: Seconds for one step.
TIMEOUT = 600
ENGINE, GATEWAY = "engine", "gateway"
_MOST_AT_ONCE, _MOST_STEPS, _MOST_REQUESTS = 1024, 8, 100_000
_LEAST_REQUESTS, _PER_CLIENT = 16, 8
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0", "")


def problem(place: str, value: Any, message: str) -> str:
    """One mistake, as the plan tells of its own."""
    return f"{place}: {message}" if value is None else f"{place} = {value!r}: {message}"


@dataclass(frozen=True)
class Options:
    service: str = ""
    through: str = ENGINE
    concurrency: Sequence[int] = CONCURRENCY
    #: Of each step; None: as many as make its concurrency last.
    requests: int | None = None
    #: None: the default, or what the model takes where that is less.
    input_tokens: int | None = None
    output_tokens: int = OUTPUT_TOKENS
    timeout: int = TIMEOUT
    #: Whether it measures beside others, and does not give way to them.
    under_load: bool = False
    image: str = ""

    def requests_of(self, concurrency: int) -> int:
        return self.requests or max(_LEAST_REQUESTS, _PER_CLIENT * concurrency)


def read_options(given: Mapping[str, Any]) -> tuple[Options, list[str]]:
    """C(given): the variables as the user set them; one that is null or missing has its default."""
    problems: list[str] = []
    values = {name: value for name, value in given.items() if value is not None}

    def number(variable: str, default: int | None, least: int, most: int) -> int | None:
        if variable not in values:
            return default
        found = _whole(values[variable])
        if found is not None and least <= found <= most:
            return found
        problems.append(problem(variable, values[variable], f"must be a whole number from {least} to {most}"))
        return default

    through = str(values.get("through", ENGINE))
    if through not in (ENGINE, GATEWAY):
        problems.append(problem("through", through, f"must be {ENGINE} or {GATEWAY}"))
    under_load = str(values.get("benchmark_under_load", False)).lower()
    if under_load not in (*_TRUE, *_FALSE):
        problems.append(problem("benchmark_under_load", under_load, "must be true or false"))
    concurrency = _steps(values["benchmark_concurrency"]) if "benchmark_concurrency" in values else CONCURRENCY
    if concurrency is None:
        wanted = f"must be up to {_MOST_STEPS} different whole numbers from 1 to {_MOST_AT_ONCE}, such as 1,4,16"
        problems.append(problem("benchmark_concurrency", values["benchmark_concurrency"], wanted))
        concurrency = CONCURRENCY
    requests = number("benchmark_requests", None, 1, _MOST_REQUESTS)
    if requests is not None and requests < max(concurrency):
        problems.append(problem("benchmark_requests", requests, f"is less than the {max(concurrency)} that are to run at once"))
    options = Options(
        service=str(values.get("service", "")),
        through=through,
        concurrency=concurrency,
        requests=requests,
        input_tokens=number("benchmark_input_tokens", None, 1, 1_000_000),
        output_tokens=number("benchmark_output_tokens", OUTPUT_TOKENS, 1, 1_000_000) or OUTPUT_TOKENS,
        timeout=number("benchmark_timeout", TIMEOUT, 1, 86_400) or TIMEOUT,
        under_load=under_load in _TRUE,
        image=str(values.get("benchmark_image", "")),
    )
    return options, problems


def _whole(value: Any) -> int | None:
    try:
        return None if isinstance(value, (bool, float)) else int(str(value).strip())
    except ValueError:
        return None


def _steps(value: Any) -> tuple[int, ...] | None:
    """In ascending order: a later step is a heavier one."""
    parts = value if isinstance(value, (list, tuple)) else str(value).strip("[] ").split(",")
    found = [_whole(part) for part in parts]
    numbers = sorted({part for part in found if part is not None and 1 <= part <= _MOST_AT_ONCE})
    return tuple(numbers) if numbers and len(numbers) == len(found) and len(numbers) <= _MOST_STEPS else None
