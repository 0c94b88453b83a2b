# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""What tells of an engine beyond the answers that it gives: the routes that one has and another has not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Signs:
    """Below the server's root; empty where the engine has no such route."""

    counters: str = ""  # Prometheus metrics that move while it works, however long its queue: rules.activity
    counted: str = ""  # an expression for their names
    busy: tuple[str, ...] = ()  # those that say how many requests are in work, or wait for it
    loaded: str = ""  # the models in memory, and how much of them lies in the GPU's: rules.cpu_share


_SIGNS = {
    "vllm": Signs(
        counters="/metrics",
        counted="vllm:(?:prompt_tokens_total|generation_tokens_total|request_success_total|iteration_tokens_total_count)",
        busy=("vllm:num_requests_running", "vllm:num_requests_waiting"),
    ),
    "ollama": Signs(loaded="/api/ps"),
    "llama_cpp": Signs(
        counters="/metrics",
        counted="llamacpp:(?:prompt_tokens_total|tokens_predicted_total|n_decode_total)",
        busy=("llamacpp:requests_processing", "llamacpp:requests_deferred"),
    ),
}


def signs_of(kind: str) -> Signs:
    return _SIGNS.get(kind, Signs())
