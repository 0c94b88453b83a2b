# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""opencode: its C(opencode.json)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from .._plan.keys import Key
from .agents import AGENT_KEYS, AgentModel, agent_model
from .base import Client, Context, Task
from .keys import TEXT

PROVIDER = "gpu-inference"


def _limits(model: AgentModel) -> dict[str, Any]:
    return {"name": model.name, "limit": {"context": model.window, "output": model.max_tokens}}


class Opencode(Client):
    """Read in opencode 1.18.33, by its schema (opencode.ai/config.json) and by what it sent: chat completions.

    Its own package for that is in the program. The small model writes titles only, so it needs no tools.
    """

    name: ClassVar[str] = "opencode"
    title: ClassVar[str] = "opencode"
    needs: ClassVar[Mapping[str, str]] = {"model": "chat", "small_model": "chat"}
    keys: ClassVar[Mapping[str, Key[Any]]] = {**AGENT_KEYS, "small_model": TEXT}
    merge: ClassVar[str] = "json"
    #: Of Bun, with which it runs; none of its settings names such a file.
    ca_variables: ClassVar[Mapping[str, str]] = {"NODE_EXTRA_CA_CERTS": "alone"}
    task: ClassVar[Task] = Task(
        ("opencode", "run", "{task}"),
        ".config/opencode/opencode.json",
        {"OPENCODE_CONFIG": "{path}"},
        {"OPENCODE_PERMISSION": json.dumps({"edit": "allow", "bash": "deny", "webfetch": "deny", "external_directory": "deny"})},
    )

    def render(self, context: Context) -> str | None:
        main = agent_model(context, "model")
        small = agent_model(context, "small_model", calls_tools=False) if context.entry.get("small_model") else main
        if main is None or small is None:
            return None
        document = {
            "model": f"{PROVIDER}/{main.name}",
            "small_model": f"{PROVIDER}/{small.name}",
            "provider": {
                PROVIDER: {
                    "npm": "@ai-sdk/openai-compatible",
                    "name": "gpu-inference",
                    "options": {"baseURL": context.v1_url, "apiKey": context.api_key},
                    "models": {model.name: _limits(model) for model in (small, main)},
                }
            },
        }
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
