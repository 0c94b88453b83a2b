# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Chat Studio (AI Orchestrator Studio): its list of connections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ...module_utils._clients import dump_connections
from .._plan.findings import Fields
from .._plan.keys import Key, list_of, mapping_with
from .base import Client, ClientModel, Context
from .keys import COUNT, NUMBER, TEXT, read

MAX_TOKENS = 4096
TIMEOUT = 120

CONNECTION_KEYS: Mapping[str, Key[Any]] = {
    **dict.fromkeys(("id", "name", "model"), TEXT),
    **dict.fromkeys(("timeout", "max_tokens"), COUNT),
    "temperature": NUMBER,
}


def _connections(fields: Fields, key: str) -> list[dict[str, Any]]:
    return [read(item, fields.where(f"{key}[{number}]"), CONNECTION_KEYS, fields.report) for number, item in enumerate(fields.items(key))]


def _answer_limit(model: ClientModel, wanted: int) -> int:
    return wanted if model.max_input_tokens is None else max(1, min(wanted, model.max_input_tokens // 2))


class ChatStudio(Client):
    """Read in C(app/api/config_management.py): {"connections": [LLMConnection]}.

    It appends the API path itself, and takes a URL with "ollama" or "11434" in it for an Ollama server.
    """

    name: ClassVar[str] = "chat_studio"
    title: ClassVar[str] = "Chat Studio"
    needs: ClassVar[Mapping[str, str]] = {"connections[].model": "chat"}
    keys: ClassVar[Mapping[str, Key[Any]]] = {"connections": Key(_connections, list_of(mapping_with(CONNECTION_KEYS)))}
    merge: ClassVar[str] = "connections"

    def render(self, context: Context) -> str | None:
        if "11434" in context.root_url or "ollama" in context.root_url.lower():
            context.refuse(
                "base_url",
                "Chat Studio takes this address for an Ollama server because of its name or port; give the gateway another public_url",
            )
        asked = context.entry.get("connections")
        if asked is None:
            asked = [{"model": model.name} for model in context.served("chat")]
        connections = []
        for number, connection in enumerate(asked):
            chosen = context.model(f"connections[{number}].model", connection.get("model"))
            if chosen is not None:
                connections.append(self._connection(context, connection, *chosen))
        ids = [connection["id"] for connection in connections]
        for identity in sorted({identity for identity in ids if ids.count(identity) > 1}):
            context.refuse("connections", f"the id {identity!r} is used twice; ids tell Chat Studio's connections apart")
        return dump_connections({"connections": connections})

    def _connection(self, context: Context, asked: Mapping[str, Any], name: str, model: ClientModel) -> dict[str, Any]:
        return {
            "id": asked.get("id", f"gpu-inference-{name}"),
            "name": asked.get("name", name),
            "base_url": context.root_url,
            "model": name,
            "api_key": context.api_key,
            "timeout": asked.get("timeout", model.timeout or TIMEOUT),
            "max_tokens": int(asked.get("max_tokens", model.max_tokens or _answer_limit(model, MAX_TOKENS))),
            "temperature": float(asked.get("temperature", 0.7 if model.temperature is None else model.temperature)),
            "is_local": False,
        }
