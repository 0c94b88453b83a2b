# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Open WebUI: its environment, and its server as a container."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from .._plan.keys import Key
from .base import Container, Context, Token
from .environment import ENVIRONMENT_KEYS, EnvironmentClient
from .keys import TEXT, TOKEN

#: Models besides that for chat, which are told of where the gateway serves one: their keys and capabilities.
FURTHER: Mapping[str, str] = {"embedding_model": "embedding", "rerank_model": "rerank", "transcription_model": "transcription"}


class OpenWebui(EnvironmentClient):
    """Read in open-webui 0.12.4, C(config.py) and C(env.py).

    What is set in its own pages goes into its database, and would win over these variables from then on:
    ENABLE_PERSISTENT_CONFIG off keeps them as they are written here. With another engine for embeddings than openai it downloads a model
    of its own at its start, even where it has no use for one. Each feature has its own address and key, by default OpenAI's: config.py
    sets OPENAI_API_BASE_URL and OPENAI_API_KEY back before it takes them as defaults of the others.
    """

    name: ClassVar[str] = "open_webui"
    title: ClassVar[str] = "Open WebUI"
    needs: ClassVar[Mapping[str, str]] = {"model": "chat", "task_model": "chat", **FURTHER}
    keys: ClassVar[Mapping[str, Key[Any]]] = {
        **ENVIRONMENT_KEYS,
        **dict.fromkeys(("model", "task_model", *FURTHER), TEXT),
        "secret_key": TOKEN,
    }
    as_json: ClassVar[frozenset[str]] = frozenset({"DEFAULT_MODEL_PARAMS", "DEFAULT_MODEL_METADATA"})
    in_container: ClassVar[bool] = True
    container: ClassVar[Container | None] = Container(
        description="Open WebUI server",
        image="ghcr.io/open-webui/open-webui:v0.12.4",
        port=8080,
        health_path="/health",
        data="/app/backend/data",
        token=Token("secret_key", "WEBUI_SECRET_KEY", "to sign the sessions of its users"),
    )

    def environment(self, context: Context) -> Mapping[str, str] | None:
        chat = context.model("model")
        task = context.model("task_model") if context.entry.get("task_model") else chat
        chosen = {key: self._further(context, key) for key in FURTHER}
        if chat is None or task is None:
            return None
        secret = context.entry.get("secret_key") or context.own_token
        return {
            "ENABLE_PERSISTENT_CONFIG": "false",
            "ENABLE_OLLAMA_API": "false",
            "ENABLE_VERSION_UPDATE_CHECK": "false",
            "OPENAI_API_BASE_URL": context.v1_url,
            "OPENAI_API_KEY": context.api_key,
            "DEFAULT_MODELS": chat[0],
            "TASK_MODEL_EXTERNAL": task[0],
            **self._tools(context),
            **self._retrieval(context, chosen["embedding_model"], chosen["rerank_model"]),
            **self._speech(context, chosen["transcription_model"]),
            **({"WEBUI_SECRET_KEY": secret} if secret else {}),
        }

    @staticmethod
    def _tools(context: Context) -> Mapping[str, str]:
        """It offers its tools with every chat. A server that takes none refuses the chat, whichever model of its list is chosen."""
        if all(model.tools_trouble is None for model in context.served("chat")):
            return {}
        return {"DEFAULT_MODEL_PARAMS": json.dumps({"function_calling": "legacy"}, separators=(",", ":"))}

    @staticmethod
    def _further(context: Context, key: str) -> str | None:
        found = context.model(key) if context.has_use_for(key) else None
        return found[0] if found else None

    @staticmethod
    def _retrieval(context: Context, embedding: str | None, rerank: str | None) -> Mapping[str, str]:
        if embedding is None:
            return {"RAG_EMBEDDING_ENGINE": "openai", "BYPASS_EMBEDDING_AND_RETRIEVAL": "true"}
        variables = {
            "RAG_EMBEDDING_ENGINE": "openai",
            "RAG_EMBEDDING_MODEL": embedding,
            "RAG_OPENAI_API_BASE_URL": context.v1_url,
            "RAG_OPENAI_API_KEY": context.api_key,
        }
        if rerank is None:
            return variables
        return {
            **variables,
            "ENABLE_RAG_HYBRID_SEARCH": "true",
            "RAG_RERANKING_ENGINE": "external",
            "RAG_RERANKING_MODEL": rerank,
            "RAG_EXTERNAL_RERANKER_URL": f"{context.v1_url}/rerank",
            "RAG_EXTERNAL_RERANKER_API_KEY": context.api_key,
        }

    @staticmethod
    def _speech(context: Context, model: str | None) -> Mapping[str, str]:
        if model is None:
            return {}
        return {
            "AUDIO_STT_ENGINE": "openai",
            "AUDIO_STT_MODEL": model,
            "AUDIO_STT_OPENAI_API_BASE_URL": context.v1_url,
            "AUDIO_STT_OPENAI_API_KEY": context.api_key,
        }
