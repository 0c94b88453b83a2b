# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What coding agents have in common: a model that calls tools, its real context window, and room for its answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._plan.keys import Key
from .base import Context
from .keys import COUNT, TEXT

#: Tokens. The first request alone, measured at 4 bytes a token: Claude Code 2.1.332 12,300 (49 kB), Codex 0.171.0 10,100 (40 kB), opencode
#: 1.18.33 7,700 (31 kB). In a window of 16,384 Claude Code compacts its conversation without end, in 24,576 it works, and then there is
#: the work itself. Ollama's documentation (docs/context-length.mdx) recommends 64,000 for agents.
LEAST_WINDOW = 32768
#: Answers are no longer than what Claude Code and opencode take where nothing is said, and than a quarter of the window: vLLM refuses a
#: request whose prompt and C(max_tokens) do not fit together.
MOST_TOKENS = 32000

AGENT_KEYS: Mapping[str, Key[Any]] = {"model": TEXT, "max_tokens": COUNT}


@dataclass(frozen=True)
class AgentModel:
    """A model as an agent is told of it."""

    name: str
    window: int
    max_tokens: int


def agent_model(context: Context, key: str, *, calls_tools: bool = True) -> AgentModel | None:
    """The model that C(key) names; None where it will not do for an agent, which is told."""
    chosen = context.model(key)
    if chosen is None:
        return None
    name, model = chosen
    title = context.client.title
    window = model.window
    trouble = model.tools_trouble if calls_tools else None
    if trouble is not None:
        context.refuse(key, f"{title} works by tool calls, and {trouble}")
    if window is None:
        context.refuse(
            key,
            f"{title} has to know how long a context {name!r} takes, and not all of its servers say so; "
            "give max_model_len of the model, or of the external endpoint",
        )
        return None
    if window < LEAST_WINDOW:
        context.refuse(
            key,
            f"{title} needs a context of {LEAST_WINDOW} tokens (its first request alone takes a third; 64000 are better), "
            f"and {name!r} takes {window}; give the model a max_model_len of that size, or take another model",
        )
        return None
    asked = context.entry.get("max_tokens")
    if asked is not None and asked > window // 2:
        context.refuse("max_tokens", f"{asked} is more than half of the context of {name!r} ({window} tokens)")
        return None
    return None if trouble else AgentModel(name, window, asked or min(MOST_TOKENS, window // 4))
