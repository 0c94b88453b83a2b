# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An engine that writes down what reaches it, and what it would have fetched, speaking vLLM's and Ollama's ways.

Runs in LiteLLM's container.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

ORACLE = "oracle.engines.test"
"""The host of every hostile address. It stands for a port of the engines' network."""
BREAKS, HANGS = "break off", "say no more"
"""In a request: its stream ends, or falls silent, after the first event."""
USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
IMAGE_KEYS = ("image_url", "image_pil", "image_embeds", "input_image")
MEDIA_KEYS = (*IMAGE_KEYS, "video_url", "audio_url", "input_audio", "file_url", "image", "video", "audio", "images", "url", "file_data")
NOT_READ = (
    *("tools", "functions", "response_format", "structured_outputs", "guided_json", "guided_choice", "metadata", "annotations"),
    *("documents", "schema"),
)


def parts(node: Any) -> Iterator[dict[str, Any]]:
    """Every content part in a body, wherever vLLM might look for one: any object in a list under content, output, input or messages."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("content", "output", "input", "messages", "documents", "query", "queries", "system") and isinstance(value, list):
                yield from (item for item in value if isinstance(item, dict))
            if key not in NOT_READ or key == "documents":
                yield from parts(value)
    elif isinstance(node, list):
        for item in node:
            yield from parts(item)


def addresses(part: dict[str, Any]) -> Iterator[str]:
    """What vLLM's parser would take for media of a part: by its type, or by any key of media once it has no type or a uuid."""
    for key in MEDIA_KEYS:
        value = part.get(key)
        if isinstance(value, dict):
            yield from (item for item in value.values() if isinstance(item, str))
        elif isinstance(value, str):
            yield value
    source = part.get("source")
    if isinstance(source, dict):
        yield from (item for item in source.values() if isinstance(item, str))


def strings(node: Any, under: str = "") -> Iterator[tuple[str, str]]:
    """Every text with the key that it stands under."""
    if isinstance(node, str):
        yield under, node
    elif isinstance(node, dict):
        for key, value in node.items():
            if key not in NOT_READ:
                yield from strings(value, key)
    elif isinstance(node, list):
        for item in node:
            yield from strings(item, under)


def fetched(body: Any) -> list[str]:
    """The hostile addresses that an engine would fetch. What stands in a ``data:`` URL is decoded, whatever it looks like."""
    if not isinstance(body, dict):
        return []
    found = [address for part in parts(body) for address in addresses(part)]
    found += [text for key, text in strings(body) if key in MEDIA_KEYS]
    return [text for text in found if ORACLE in text and not text.startswith("data:")]


def count_images(body: Any) -> int:
    if not isinstance(body, dict):
        return 0
    types = ("image_url", "input_image", "image", "image_embeds", "image_pil")
    listed = sum(1 for part in parts(body) if part.get("type") in types or any(part.get(key) for key in IMAGE_KEYS))
    messages = body.get("messages")
    natives = [message.get("images") for message in messages if isinstance(message, dict)] if isinstance(messages, list) else []
    return listed + sum(len(native) for native in natives if isinstance(native, list))


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    body: Any
    raw: bytes


@dataclass
class Engine:
    seen: list[Seen] = field(default_factory=list)

    def answer(self, path: str, body: Any) -> dict[str, Any] | None:
        if path == "/v1/models":
            return {"object": "list", "data": [{"id": "m", "object": "model", "max_model_len": 512}]}
        if path.endswith("/chat/completions"):
            choice = {"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}
            return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": USAGE}
        if path.endswith("/completions"):
            choice = {"index": 0, "text": "hello", "finish_reason": "stop", "logprobs": None}
            return {"id": "1", "object": "text_completion", "created": 1, "model": "m", "choices": [choice], "usage": USAGE}
        if path.endswith("/embeddings"):
            data = [{"object": "embedding", "index": 0, "embedding": [0.5, 0.5]}]
            return {"object": "list", "model": "m", "data": data, "usage": USAGE}
        if path.endswith("/rerank"):
            return {"id": "1", "model": "m", "results": [{"index": 0, "relevance_score": 0.9, "document": {"text": "a"}}], "usage": USAGE}
        if path.endswith("/responses"):
            return self.response("completed")
        if path.endswith("/transcriptions"):
            segments = [{"id": 0, "start": 0.0, "end": 1.5, "text": "spoken words"}]
            return {"text": "spoken words", "language": "en", "duration": 1.5, "segments": segments}
        if path == "/api/chat":
            message = {"role": "assistant", "content": "hello"}
            return {"model": "m", "message": message, "done": True, "done_reason": "stop", "prompt_eval_count": 1, "eval_count": 1}
        if path == "/api/show":
            return {"template": "", "model_info": {}, "capabilities": ["completion", "vision"]}
        return None

    @staticmethod
    def response(status: str) -> dict[str, Any]:
        content = [{"type": "output_text", "text": "hello", "annotations": []}]
        output = [{"type": "message", "id": "m1", "role": "assistant", "status": "completed", "content": content}]
        usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
        made = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": status, "output": output, "tools": []}
        return {**made, "parallel_tool_calls": True, "tool_choice": "auto", "usage": {**usage, **details}}

    def events(self, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        """As vLLM, which tells the usage of a stream to whoever asks."""
        asked = (body.get("stream_options") or {}).get("include_usage") is True
        events = self._events(path)
        if asked and "choices" in events[0]:
            events.append({**events[0], "choices": [], "usage": USAGE})
        return events

    def _events(self, path: str) -> list[dict[str, Any]]:
        if path.endswith("/responses"):
            names = ("response.created", "response.completed")
            return [{"type": name, "sequence_number": index, "response": self.response("completed")} for index, name in enumerate(names)]
        if path.endswith("/chat/completions"):
            head: dict[str, Any] = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
            deltas: list[tuple[dict[str, Any], str | None]] = [
                ({"role": "assistant", "content": "hel"}, None),
                ({"content": "lo"}, None),
                ({}, "stop"),
            ]
            return [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": end}]} for delta, end in deltas]
        head = {"id": "1", "object": "text_completion", "created": 1, "model": "m"}
        return [{**head, "choices": [{"index": 0, "text": "hello", "finish_reason": "stop", "logprobs": None}]}]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raw = b""
        while True:
            message = await receive()
            raw += message.get("body", b"")
            if not message.get("more_body"):
                break
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        path = scope["path"]
        self.seen.append(Seen(scope["method"], path, body, raw))
        status, kind, data = 200, b"application/json", self.answer(path, body)
        if data is None:
            status, data = 404, {"detail": "Not Found"}
        text = json.dumps(data)
        if isinstance(body, dict) and body.get("stream") is True:
            if path == "/api/chat":
                text, kind = json.dumps(data) + "\n", b"application/x-ndjson"
            else:
                kind = b"text/event-stream"
                text = "".join(f"data: {json.dumps(event)}\n\n" for event in self.events(path, body)) + "data: [DONE]\n\n"
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
        if kind == b"text/event-stream" and (BREAKS.encode() in raw or HANGS.encode() in raw):
            await send({"type": "http.response.body", "body": text.split("\n\n")[0].encode() + b"\n\n", "more_body": True})
            if HANGS.encode() in raw:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(receive(), 60)  # until the gateway goes
            return
        await send({"type": "http.response.body", "body": text.encode()})
