# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Libraries that programs are written with: the address and key that they read, and the models for the program's own code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from .._plan.keys import Key
from .base import Context
from .environment import ENVIRONMENT_KEYS, EnvironmentClient
from .keys import TEXT


class LibraryClient(EnvironmentClient):
    """Neither library reads a model's name or context from the environment: these are for the code that uses it (docs/clients.md)."""

    needs: ClassVar[Mapping[str, str]] = {"model": "chat", "embedding_model": "embedding"}
    keys: ClassVar[Mapping[str, Key[Any]]] = {**ENVIRONMENT_KEYS, **dict.fromkeys(("model", "embedding_model"), TEXT)}

    def environment(self, context: Context) -> Mapping[str, str] | None:
        chat = context.model("model")
        wants_embedding = context.has_use_for("embedding_model")
        embedding = context.model("embedding_model") if wants_embedding else None
        if chat is None or (wants_embedding and embedding is None):
            return None
        name, model = chat
        return {
            "OPENAI_API_BASE": context.v1_url,
            "OPENAI_API_KEY": context.api_key,
            "GATEWAY_CHAT_MODEL": name,
            **({} if model.window is None else {"GATEWAY_CHAT_CONTEXT": str(model.window)}),
            **({} if embedding is None else {"GATEWAY_EMBEDDING_MODEL": embedding[0]}),
        }
