# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A gateway on loopback with a scripted model: it asks an agent to write one file by the agent's own tool, then it is done.

It speaks the routes that client programs use (Anthropic's messages, responses, chat completions, embeddings, rerank, models), checks the
key as the real one does, and keeps what was asked. It stands for the gateway alone: whether a real one answers is tested elsewhere.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from testbed.recipes.agent.agent_script import FOLDER_OF_RUN, writing

#: What the agent is to write where.
FILE_NAME = "hello.txt"
FILE_TEXT = "written by a tool call"
ANSWER = "The file is written."
#: As module client_run asks, and where it has programs work.
TEXT_OF_TASK = re.compile(r"Its whole text is: ([\w-]+)")
DIMENSION = 8


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    key: str | None
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    size: int

    @property
    def model(self) -> str | None:
        return self.body.get("model")

    @property
    def tools(self) -> list[str]:
        """The names of the tools that it offers."""
        tools = [tool for holder in (self.body, *_inputs(self.body)) for tool in holder.get("tools") or ()]
        return [str((tool.get("function") or {}).get("name") or tool.get("name") or tool.get("type")) for tool in tools]


@dataclass
class Script:
    """What is known to the gateway, and what it was asked."""

    key: str
    models: Sequence[str]
    folder: str
    asked: list[Asked] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def on(self, path: str) -> list[Asked]:
        return [request for request in self.asked if request.path == path]


def _inputs(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The items of a request to the responses route."""
    found = body.get("input")
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def _call(script: Script, asked: Asked) -> tuple[str, dict[str, Any]] | None:
    """The tool of this agent that writes a file, and its arguments. The text is the one that the task names, where it does."""
    tools, named = asked.tools, TEXT_OF_TASK.search(json.dumps(asked.body))
    path, text = f"{script.folder}/{FILE_NAME}", named.group(1) if named else FILE_TEXT
    # A folder that the program was started in, as it tells its model; a command is started there by itself.
    told = FOLDER_OF_RUN.search(json.dumps(asked.body))
    path = f"{told.group()}/{FILE_NAME}" if told else path
    calls = writing(path, text)
    return next(((name, calls[name]) for name in calls if name in tools), None)


# --- the three ways of speaking --------------------------------------------------------------------------------------------


def _messages(script: Script, asked: Asked) -> Iterator[dict[str, Any]]:
    """Anthropic's stream."""
    answered = any(
        isinstance(message.get("content"), list) and any(block.get("type") == "tool_result" for block in message["content"])
        for message in asked.body.get("messages") or ()
    )
    call = None if answered else _call(script, asked)
    head: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant", "model": asked.model, "content": [], "stop_reason": None}
    yield {"type": "message_start", "message": {**head, "usage": {"input_tokens": asked.size // 4, "output_tokens": 1}}}
    if call is None:
        block: dict[str, Any] = {"type": "text", "text": ""}
        delta: dict[str, Any] = {"type": "text_delta", "text": ANSWER}
    else:
        block = {"type": "tool_use", "id": "toolu_1", "name": call[0], "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(call[1])}
    yield {"type": "content_block_start", "index": 0, "content_block": block}
    yield {"type": "content_block_delta", "index": 0, "delta": delta}
    yield {"type": "content_block_stop", "index": 0}
    reason = "tool_use" if call else "end_turn"
    yield {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": {"output_tokens": 5}}
    yield {"type": "message_stop"}


def _responses(script: Script, asked: Asked) -> Iterator[dict[str, Any]]:
    """OpenAI's responses, streamed."""
    answered = any(item.get("type") in ("function_call_output", "custom_tool_call_output") for item in _inputs(asked.body))
    call = None if answered else _call(script, asked)
    response = {"id": "resp_1", "object": "response", "created_at": 1, "model": asked.model, "output": []}
    item: dict[str, Any]
    if call is None:
        content = [{"type": "output_text", "text": ANSWER, "annotations": []}]
        item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}
    else:
        arguments = json.dumps(call[1])
        item = {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "call_1",
            "name": call[0],
            "arguments": arguments,
            "status": "completed",
        }
    usage = {
        "input_tokens": asked.size // 4,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": asked.size // 4 + 5,
    }
    yield {"type": "response.created", "response": {**response, "status": "in_progress"}}
    yield {"type": "response.output_item.added", "output_index": 0, "item": item}
    yield {"type": "response.output_item.done", "output_index": 0, "item": item}
    yield {"type": "response.completed", "response": {**response, "status": "completed", "output": [item], "usage": usage}}


def _chunks(script: Script, asked: Asked) -> Iterator[dict[str, Any]]:
    """Chat completions, streamed."""
    answered = any(message.get("role") == "tool" for message in asked.body.get("messages") or ())
    call = None if answered else _call(script, asked)
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": asked.model}
    delta: dict[str, Any] = {"role": "assistant", "content": ANSWER}
    if call is not None:
        function = {"name": call[0], "arguments": json.dumps(call[1])}
        delta = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}],
        }
    yield {**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls" if call else "stop"}]}
    tokens = asked.size // 4
    yield {**chunk, "choices": [], "usage": {"prompt_tokens": tokens, "completion_tokens": 5, "total_tokens": tokens + 5}}


def _completion(script: Script, asked: Asked) -> dict[str, Any]:
    """Chat completions in one piece."""
    usage = {"prompt_tokens": asked.size // 4, "completion_tokens": 5, "total_tokens": asked.size // 4 + 5}
    message = {"role": "assistant", "content": ANSWER}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": asked.model, "choices": choices, "usage": usage}


def _message(script: Script, asked: Asked) -> dict[str, Any]:
    """Anthropic's message in one piece."""
    content = [{"type": "text", "text": ANSWER}]
    usage = {"input_tokens": asked.size // 4, "output_tokens": 5}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": asked.model}
    return {**head, "content": content, "stop_reason": "end_turn", "stop_sequence": None, "usage": usage}


def _embeddings(script: Script, asked: Asked) -> dict[str, Any]:
    given = asked.body.get("input") or []
    texts = given if isinstance(given, list) else [given]
    data = [{"object": "embedding", "index": number, "embedding": [0.5] * DIMENSION} for number, _text in enumerate(texts)]
    return {"object": "list", "model": asked.model, "data": data, "usage": {"prompt_tokens": 1, "total_tokens": 1}}


def _rerank(script: Script, asked: Asked) -> dict[str, Any]:
    documents = asked.body.get("documents") or []
    results = [{"index": number, "relevance_score": 1.0 - number / 10} for number, _document in enumerate(documents)]
    return {"id": "rerank-1", "results": results, "meta": {}}


def _transcription(script: Script, asked: Asked) -> dict[str, Any]:
    return {"text": ANSWER}


def _tokens(script: Script, asked: Asked) -> dict[str, Any]:
    return {"input_tokens": asked.size // 4}


STREAMS = {"/v1/messages": _messages, "/v1/responses": _responses, "/v1/chat/completions": _chunks}
WHOLE = {
    "/v1/messages": _message,
    "/v1/messages/count_tokens": _tokens,
    "/v1/chat/completions": _completion,
    "/v1/embeddings": _embeddings,
    "/v1/rerank": _rerank,
    "/v1/audio/transcriptions": _transcription,
}
#: The streams that name each event, as both of these do.
NAMED = ("/v1/messages", "/v1/responses")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Script

    def log_message(self, format: str, *args: Any) -> None:
        return

    def _note(self, body: bytes) -> Asked:
        given = self.headers.get("Authorization", "")
        key = given.removeprefix("Bearer ") if given.startswith("Bearer ") else self.headers.get("x-api-key")
        is_json = self.headers.get("Content-Type", "").startswith("application/json")
        document = json.loads(body) if body and is_json else {}
        asked = Asked(self.command, self.path.partition("?")[0], key, dict(self.headers.items()), document, len(body))
        with self.script.lock:
            self.script.asked.append(asked)
        return asked

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _json(self, status: int, document: Mapping[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, path: str, events: Iterator[dict[str, Any]]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for event in events:
            named = f"event: {event['type']}\n" if path in NAMED else ""
            self.wfile.write(f"{named}data: {json.dumps(event)}\n\n".encode())
            self.wfile.flush()
        if path not in NAMED:
            self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def do_HEAD(self) -> None:
        self._note(b"")
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        asked = self._note(b"")
        if asked.key != self.script.key:
            self._json(401, {"error": {"message": "wrong key", "type": "auth_error"}})
        elif asked.path == "/v1/models":
            self._json(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in self.script.models]})
        else:
            self._json(404, {"error": {"message": "no such route", "type": "not_found"}})

    def do_POST(self) -> None:
        asked = self._note(self._body())
        if asked.key != self.script.key:
            self._json(401, {"error": {"message": "wrong key", "type": "auth_error"}})
        elif asked.path in WHOLE and not asked.body.get("stream"):
            self._json(200, WHOLE[asked.path](self.script, asked))
        elif asked.path not in STREAMS:
            self._json(404, {"error": {"message": f"no such route: {asked.path}", "type": "not_found"}})
        elif asked.model not in self.script.models:
            self._json(404, {"error": {"message": f"no such model: {asked.model}", "type": "not_found"}})
        else:
            self._stream(asked.path, STREAMS[asked.path](self.script, asked))


@contextmanager
def serving(script: Script) -> Iterator[str]:
    """The address of a gateway that plays this script, without /v1."""
    handler = type("Handler", (_Handler,), {"script": script})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
