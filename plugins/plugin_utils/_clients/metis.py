# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Metis: its C(metis.yaml)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import yaml

from ...module_utils._clients import MARKER
from .._plan.findings import Fields
from .._plan.keys import MAPPING, Key, integer
from .base import Client, ClientModel, Context
from .keys import COUNT, NUMBER, TEXT

MAX_TOKEN_LENGTH = 100_000  # Metis' own default for metis_engine.max_token_length
MAX_TOKENS = 1024


def chunking(context: int | None, size: int | None = None, overlap: int | None = None) -> tuple[int, int]:
    """Chunk size and overlap in tokens that an embedding model with that context can take.

    An eighth of the context stays free for metadata and the difference between tokenizers (448 of 512). Above that,
    1024 and 200 are Metis' own defaults; longer chunks make retrieval coarser, not better.
    """
    if size is None:
        size = 1024 if context is None else max(1, min(1024, context * 7 // 8))
    if overlap is None:
        overlap = min(200, size * 3 // 14)
    return size, overlap


def _merged(base: Mapping[str, Any], further: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in further.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = _merged(merged[key], value)
        else:
            merged[key] = value
    return merged


def _hidden_settings(value: Any) -> Any:
    """Any of them may be a secret."""
    return {} if isinstance(value, dict) else value


class Metis(Client):
    """Read in Metis 1.5, C(src/metis/configuration.py) and C(providers/vllm.py).

    These are llm_provider (older releases take the embedding models from there), and embedding_provider in current ones; each names its
    API key itself. What is in code_extra_kwargs and docs_extra_kwargs becomes arguments of langchain-openai's OpenAIEmbeddings.
    """

    name: ClassVar[str] = "metis"
    title: ClassVar[str] = "Metis"
    needs: ClassVar[Mapping[str, str]] = {"model": "chat", "embedding_model": "embedding"}
    dimensions: ClassVar[Mapping[str, str]] = {"embedding_model": "embed_dim"}
    keys: ClassVar[Mapping[str, Key[Any]]] = {
        **dict.fromkeys(("model", "embedding_model"), TEXT),
        **dict.fromkeys(("max_tokens", "embed_dim", "doc_chunk_size"), COUNT),
        "doc_chunk_overlap": integer(0, 2**31),
        "temperature": NUMBER,
        "settings": Key(Fields.mapping, MAPPING, hide=_hidden_settings),
    }

    def render(self, context: Context) -> str | None:
        chat = context.model("model")
        embedding = context.model("embedding_model")
        if chat is None or embedding is None:
            return None
        dimension = context.entry.get("embed_dim", embedding[1].dimension)
        if dimension is None and context.predict:
            dimension = 0
        if dimension is None:
            context.refuse("embed_dim", f"the dimension of {embedding[0]!r} was not measured; is the gateway up? Or give embed_dim here")
            return None
        size, overlap = self._chunking(context, *embedding)
        max_tokens = context.entry.get("max_tokens", MAX_TOKENS)
        engine: dict[str, Any] = {"embed_dim": dimension, "doc_chunk_size": size, "doc_chunk_overlap": overlap}
        if chat[1].max_input_tokens is not None and chat[1].max_input_tokens - max_tokens < MAX_TOKEN_LENGTH:
            engine = {"max_token_length": max(1, chat[1].max_input_tokens - max_tokens), **engine}
        embeddings = {"code_embedding_model": embedding[0], "docs_embedding_model": embedding[0]}
        provider = {"name": "vllm", "base_url": context.v1_url, "api_key": context.api_key}
        document: dict[str, Any] = {
            # Releases before embedding_provider take the embedding models from llm_provider; later ones ignore them there.
            "llm_provider": {**provider, "model": chat[0], **embeddings},
            # By default its client (langchain-openai) sends token ids of OpenAI's vocabulary, which mean other words to any other model.
            "embedding_provider": {
                **provider,
                **embeddings,
                **{f"{kind}_extra_kwargs": {"check_embedding_ctx_length": False} for kind in ("code", "docs")},
            },
            "metis_engine": engine,
            "query": {"model": chat[0], "temperature": float(context.entry.get("temperature", 0.0)), "max_tokens": max_tokens},
        }
        document = _merged(document, context.entry.get("settings", {}))
        text = f"{MARKER}\n{yaml.safe_dump(document, sort_keys=False, default_flow_style=False, width=1000)}"
        if yaml.safe_load(text) != document:
            context.refuse("settings", "holds a value that a reader of YAML does not get back as it was, such as .nan")
            return None
        return text

    def _chunking(self, context: Context, name: str, model: ClientModel) -> tuple[int, int]:
        size, overlap = chunking(model.max_input_tokens, context.entry.get("doc_chunk_size"), context.entry.get("doc_chunk_overlap"))
        if overlap >= size:
            context.refuse("doc_chunk_overlap", f"{overlap} is not smaller than doc_chunk_size ({size})")
        if model.max_input_tokens is not None and size >= model.max_input_tokens:
            context.refuse(
                "doc_chunk_size", f"{size} does not fit the context of {name!r} ({model.max_input_tokens} tokens) with room to spare"
            )
        return size, overlap
