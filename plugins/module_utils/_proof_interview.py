# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The questions that an engine is asked before and after a change, and how fast it answers."""

from __future__ import annotations

import base64
import json
import math
import re
import time
import typing as t
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe import Endpoint, answer_request, multipart, tiny_png
from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe_http import (
    Reply,
    Request,
    Transport,
    TransportError,
    urllib_transport,
)

#: Short answers that models of all sizes give the same way again and again.
QUESTIONS = (
    "Name the capital of France in one word.",
    "What is 7 times 6? Answer with the number.",
    "Repeat this sentence: The quick brown fox jumps over the lazy dog.",
    "List the days of the week.",
)
SENTENCES = ("The cat sleeps on the sofa.", "A kitten naps on the couch.", "Interest rates rose again in spring.")
LONG = "Count from one to fifty in words."
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
#: Tokens of an answer: to a question, and of the one whose speed is measured.
SHORT_ANSWER, LONG_ANSWER = 24, 96
#: Sentences in the request by which the speed of embeddings is measured.
BATCH = 32
Measured = dict[str, t.Any]


@dataclass(frozen=True)
class Bounds:
    """What must hold against the engine before. Shares of what it had, but for C(similarity) and C(cosine)."""

    speed: float = 0.8  # tokens per second, and the other way round the time to the first one; 0 is no bound
    similarity: float = 0.5  # of the words of all answers, 1 for the same ones
    cosine: float = 0.98  # of an embedding with the one before
    rounds: int = 5  # of measuring speed; the best one counts
    timeout: float = 120.0  # seconds for one request


@dataclass
class Interview:
    """Asks one engine."""

    endpoint: Endpoint
    timeout: float
    transport: Transport = urllib_transport
    clock: Callable[[], float] = time.monotonic
    took: float = field(default=0.0, init=False)  # seconds of the last request

    def ask(self, path: str, body: bytes | None = None, content_type: str = "application/json", root: bool = False) -> t.Any:
        """The answer, or a text with what is wrong in its C(error)."""
        base = self.endpoint.base_url.rstrip("/")
        url = (base.removesuffix("/v1") if root else base) + path
        headers = {"Accept": "application/json", "Connection": "close", "Content-Type": content_type}
        if self.endpoint.api_key:
            headers["Authorization"] = "Bearer " + self.endpoint.api_key
        began = self.clock()
        try:
            reply: Reply = self.transport(
                Request("GET" if body is None else "POST", url, headers, body, self.timeout, ca_path=self.endpoint.ca_path)
            )
        except TransportError as error:
            return {"error": f"{error.cause}: {error.detail}"}
        self.took = self.clock() - began
        if self.endpoint.api_key:  # a server may repeat it, and what is measured is kept
            reply = replace(reply, body=reply.body.replace(self.endpoint.api_key.encode(), b"********"))
        document = reply.json()
        if reply.status != 200 or document is None:
            return {"error": f"HTTP {reply.status}: {reply.text(200)}"}
        return document

    def chat(self, content: t.Any, tokens: int, **more: t.Any) -> Measured:
        """C(text), C(tool) and C(tokens) of an answer, or C(error)."""
        messages = content if isinstance(content, list) and content and "role" in content[0] else [{"role": "user", "content": content}]
        body = {"model": self.endpoint.model, "messages": messages, "max_tokens": tokens, "temperature": 0, **more}
        document = self.ask("/chat/completions", json.dumps(body).encode())
        try:
            if "error" in document:
                return {"error": _error(document, "it failed")}
            message = document["choices"][0]["message"]
            calls = message.get("tool_calls") or ()
            said = (message.get("reasoning_content") or message.get("reasoning") or "", message.get("content") or "")
            return {
                "text": " ".join(filter(None, said)),
                "tool": str(calls[0]["function"]["name"]) if calls else None,
                "tokens": int((document.get("usage") or {}).get("completion_tokens") or 0),
            }
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError):
            return {"error": "the answer is not that of a chat"}


def _error(document: t.Any, otherwise: str) -> str:
    """What an answer says is wrong, in one short line."""
    told = document.get("error") if isinstance(document, dict) else None
    return " ".join(str(told or "").split())[:300] or otherwise


def measure(
    endpoint: Endpoint,
    own: Sequence[Mapping[str, t.Any]] = (),
    bounds: Bounds | None = None,
    transport: Transport = urllib_transport,
    clock: Callable[[], float] = time.monotonic,
) -> Measured:
    """Answers, speed and context of an engine. C(own): the user's prompts. Some 20 requests; the first failed one of a kind is enough."""
    bounds = bounds or Bounds()
    interview = Interview(endpoint, bounds.timeout, transport, clock)
    found: Measured = {"capability": endpoint.capability, "answers": {}, "speed": {}, "context": _context(interview)}
    ask = {"chat": _chat, "embedding": _embedding, "transcription": _transcription}.get(endpoint.capability, _other)
    ask(interview, own, bounds, found)
    return found


def _context(interview: Interview) -> int | None:
    """Tokens, where the server tells it (vLLM does)."""
    listed = interview.ask("/models")
    rows = listed.get("data") if isinstance(listed, dict) else None
    for row in rows if isinstance(rows, list) else ():
        length = row.get("max_model_len") if isinstance(row, dict) and row.get("id") == interview.endpoint.model else None
        if isinstance(length, int) and not isinstance(length, bool):
            return length
    return None


def _chat(interview: Interview, own: Sequence[Mapping[str, t.Any]], bounds: Bounds, found: Measured) -> None:
    answers = found["answers"]
    for question in QUESTIONS:
        answers[question] = interview.chat(question, SHORT_ANSWER)
        if "error" in answers[question]:
            return  # the others would each take their time-out
    answers["tool"] = interview.chat("What is the weather in Paris? Use the tool.", LONG_ANSWER, tools=[TOOL])
    if "image" in interview.endpoint.modalities:
        url = "data:image/png;base64," + base64.b64encode(tiny_png()).decode()
        answers["image"] = interview.chat(
            [{"type": "text", "text": "What is in this picture?"}, {"type": "image_url", "image_url": {"url": url}}], SHORT_ANSWER
        )
    for number, one in enumerate(own):
        more = {"tools": one["tools"]} if one.get("tools") else {}
        asked = one.get("messages") or one.get("prompt") or ""
        answers[f"own {number + 1}"] = interview.chat(asked, int(one.get("max_tokens") or 256), **more)
    first: list[tuple[float, int]] = []
    longer: list[tuple[float, int]] = []
    for _round in range(bounds.rounds):
        for most, rounds in ((1, first), (LONG_ANSWER, longer)):
            said = interview.chat(LONG, most)
            if "error" in said:
                found["failed"] = said["error"]
                return
            rounds.append((interview.took, said["tokens"]))
    took, tokens = min(longer)
    found["speed"]["first_token"] = round(min(seconds for seconds, _tokens in first), 4)
    if tokens and took > 0:
        found["speed"].update(tokens_per_second=round(tokens / took, 3), tokens=tokens, seconds=round(took, 4))


def _embedding(interview: Interview, own: Sequence[Mapping[str, t.Any]], bounds: Bounds, found: Measured) -> None:
    named = [str(one[key]) for one in own for key in ("prompt", "nearer", "than") if one.get(key)]
    for text in dict.fromkeys([*SENTENCES, *named]):
        document = interview.ask("/embeddings", json.dumps({"model": interview.endpoint.model, "input": text}).encode())
        vector = _vector_in(document)
        if vector is None:
            found["answers"][text] = {"error": _error(document, "the answer holds no vector of numbers")}
            return
        found["answers"][text] = {"vector": vector}
    _time(
        interview,
        "/embeddings",
        json.dumps({"model": interview.endpoint.model, "input": (list(SENTENCES) * BATCH)[:BATCH]}).encode(),
        bounds,
        found,
    )


def _vector_in(document: t.Any) -> list[float] | None:
    try:
        values = document["data"][0]["embedding"]
        vector = [round(float(value), 6) for value in values] if isinstance(values, list) else []
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):
        return None
    return vector if vector and all(map(math.isfinite, vector)) else None


def _transcription(interview: Interview, own: Sequence[Mapping[str, t.Any]], bounds: Bounds, found: Measured) -> None:
    answers = found["answers"]
    _other(interview, own, bounds, found)
    if "error" in answers["request"]:
        return
    for number, one in enumerate(own):
        answers[f"own {number + 1}"] = _heard(interview, one)


def _heard(interview: Interview, one: Mapping[str, t.Any]) -> Measured:
    """What is heard in a recording, asked for as readiness does it."""
    try:
        content = base64.b64decode(one["content"], validate=True)
    except (KeyError, TypeError, ValueError):
        return {"error": "its audio has not come to the host"}
    ending = re.search(r"\.([A-Za-z0-9]+)$", str(one.get("audio")))
    kind = ending[1].lower() if ending else "wav"
    fields = {"model": interview.endpoint.model or "", "response_format": "json"}
    document = interview.ask("/audio/transcriptions", *multipart(fields, f"speech.{kind}", content, f"audio/{kind}"))
    text = document.get("text") if isinstance(document, dict) and "error" not in document else None
    return {"text": text} if isinstance(text, str) else {"error": _error(document, "the answer holds no text")}


def _other(interview: Interview, _own: Sequence[Mapping[str, t.Any]], bounds: Bounds, found: Measured) -> None:
    """Rerank, and transcription before all else: the request by which readiness is proved."""
    path, body, content_type = answer_request(interview.endpoint, interview.endpoint.model or "")
    root = interview.endpoint.speaks == "tei"
    document = interview.ask(path, body, content_type, root)
    failed = isinstance(document, dict) and "error" in document
    found["answers"]["request"] = {"error": _error(document, "it failed")} if failed else {"scores": _scores(document)}
    if not failed:
        _time(interview, path, body, bounds, found, content_type, root)


def _scores(document: t.Any) -> list[float]:
    """Of a rerank, in the order of the documents."""
    rows: t.Any = document.get("results") if isinstance(document, dict) else document
    try:
        pairs = [(int(row["index"]), float(row.get("relevance_score", row.get("score")))) for row in rows]
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return []
    return [score for _index, score in sorted(pairs)]


def _time(
    interview: Interview,
    path: str,
    body: bytes,
    bounds: Bounds,
    found: Measured,
    content_type: str = "application/json",
    root: bool = False,
) -> None:
    took = []
    for _round in range(bounds.rounds):
        document = interview.ask(path, body, content_type, root)
        if isinstance(document, dict) and "error" in document:
            found["failed"] = document["error"]
            return
        took.append(interview.took)
    if took and min(took) > 0:
        found["speed"] = {"requests_per_second": round(1 / min(took), 3), "seconds": round(min(took), 4)}
