# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""A request to paste into a shell. The key stays in its file, which the shell reads."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

_HELLO = {"messages": [{"role": "user", "content": "Hello"}]}
#: By capability, the path of a request and what it says beside the model.
_REQUESTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "chat": ("/v1/chat/completions", _HELLO),
    "embedding": ("/v1/embeddings", {"input": "Hello"}),
    "rerank": ("/v1/rerank", {"query": "Hello", "documents": ["Good day", "Goodbye"]}),
}


def curl_line(url: str, model: str, capability: str, key: str, ca: str = "") -> str:
    """C(url): of the server, without /v1. C(key): a file, or empty where the key is in the user's own hands: then $KEY. C(ca): a file."""
    bearer = f"$(cat {shlex.quote(key)})" if key else "$KEY"
    trusted = f"--cacert {shlex.quote(ca)} " if ca else ""
    begin = f'curl -s {trusted}{url.rstrip("/")}%s -H "Authorization: Bearer {bearer}"'
    if capability == "transcription":
        return f"{begin % '/v1/audio/transcriptions'} -F model={shlex.quote(model)} -F file=@speech.wav"
    path, body = _REQUESTS[capability]
    text = shlex.quote(json.dumps({"model": model, **body}))
    return f"{begin % path} -H 'Content-Type: application/json' -d {text}"


def models_line(url: str) -> str:
    """Asks a server for the models that it has, with the key in $KEY."""
    return f'curl -s {url.rstrip("/")}/v1/models -H "Authorization: Bearer $KEY"'
