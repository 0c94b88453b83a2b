# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which inference route a path means. Needs no LiteLLM.

LiteLLM serves each of them under several paths, and takes the model from some of them. Behind the guard there is one path for each,
and the model stands in the body only: so that what is judged is what is called.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

#: kind -> the path under which LiteLLM is called.
CANONICAL: t.Final[t.Mapping[str, str]] = {
    "chat": "/v1/chat/completions",
    "completions": "/v1/completions",
    "count_tokens": "/v1/messages/count_tokens",
    "embeddings": "/v1/embeddings",
    "messages": "/v1/messages",
    "models": "/v1/models",
    "rerank": "/v1/rerank",
    "responses": "/v1/responses",
    "transcription": "/v1/audio/transcriptions",
}
_ENDINGS: t.Final[t.Mapping[str, str]] = {
    "/audio/transcriptions": "transcription",
    "/chat/completions": "chat",
    "/completions": "completions",
    "/embeddings": "embeddings",
    "/messages": "messages",
    "/messages/count_tokens": "count_tokens",
    "/models": "models",
    "/rerank": "rerank",
    "/responses": "responses",
}
#: What a model has to be for a route: LiteLLM's ``model_info.mode``.
MODES: t.Final[t.Mapping[str, str]] = {
    "chat": "chat",
    "completions": "chat",
    "count_tokens": "chat",
    "embeddings": "embedding",
    "messages": "chat",
    "rerank": "rerank",
    "responses": "chat",
    "transcription": "audio_transcription",
}
#: Where a model of each mode is asked.
PLACES: t.Final[t.Mapping[str, str]] = {
    "audio_transcription": "speech to text (POST /v1/audio/transcriptions)",
    "chat": "chat (POST /v1/chat/completions)",
    "embedding": "embeddings (POST /v1/embeddings)",
    "rerank": "reranking (POST /v1/rerank)",
}
_NAMED = re.compile(r"/(?:openai/deployments|engines)/(.+?)(/chat/completions|/completions|/embeddings|/audio/transcriptions)")


@dataclass(frozen=True)
class Route:
    kind: str
    #: The model that the path names.
    model: str | None = None

    @property
    def path(self) -> str:
        return CANONICAL[self.kind]

    @property
    def method(self) -> str:
        return "GET" if self.kind == "models" else "POST"


def route_of(path: str) -> Route | None:
    """The inference route that a decoded path means, or None for any other path."""
    path = path.rstrip("/")
    named = _NAMED.fullmatch(path)
    if named is not None:
        return Route(_ENDINGS[named[2]], named[1])
    for version in ("", "/v1", "/v2", "/openai/v1", "/openai"):
        rest = path[len(version) :]
        if path.startswith(version) and rest in _ENDINGS:
            return Route(_ENDINGS[rest])
        if path.startswith(version + "/models/"):
            return Route("models", rest[len("/models/") :])
    return None
