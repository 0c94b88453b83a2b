# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""A program that asks a server many things at once and says how fast it answered: what is asked of it, and how it is called."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

#: All that a step may say, in the words of the field, in the order in which it is shown. Times are milliseconds.
FIGURES = (
    "completed",
    "duration",
    "input_tokens",
    "output_tokens",
    "request_throughput",
    "output_throughput",
    "total_throughput",
    "ttft_median",
    "ttft_p99",
    "itl_median",
    "itl_p99",
    "tpot_median",
    "tpot_p99",
    "e2e_median",
    "e2e_p99",
)


@dataclass(frozen=True)
class Load:
    """What one step asks of a server."""

    capability: str
    #: As the server knows it.
    model: str
    #: Without C(/v1).
    base_url: str
    concurrency: int
    requests: int
    input_tokens: int
    output_tokens: int
    #: Another one makes other prompts, which no cache has seen.
    seed: int
    #: Whether the server tells how it divides a text into tokens, so that prompts have exactly as many as are wanted.
    counts_tokens: bool = False


class LoadGenerator(ABC):
    """One that comes with an engine's image."""

    title: ClassVar[str]
    capabilities: ClassVar[frozenset[str]]
    #: The program in the image.
    entrypoint: ClassVar[str]
    #: The variable by which it takes the server's key.
    key_variable: ClassVar[str]
    environment: ClassVar[Mapping[str, str]]
    #: By name of ours (C(FIGURES)), its own in its result.
    figures: ClassVar[Mapping[str, str]]

    @abstractmethod
    def files(self) -> Mapping[str, str]:
        """What it reads, as texts by their place below its folder (C(_benchmark_run.FOLDER))."""

    @abstractmethod
    def arguments(self, load: Load) -> list[str]:
        """What it is called with; its result goes to C(_benchmark_run.RESULT) in its folder."""
