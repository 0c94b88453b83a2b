# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Answers that say no, in the form that OpenAI's and Anthropic's clients have types for. Needs no LiteLLM."""

from __future__ import annotations

import json
import re
import typing as t

Headers = list[tuple[bytes, bytes]]

#: Any other below 500 is an ``invalid_request_error``.
_TYPES: t.Final[t.Mapping[int, str]] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    429: "rate_limit_error",
}
#: Headers of LiteLLM's answers that clients and tests use. The others tell of prices, budgets, versions and inner addresses.
KEPT_HEADERS: t.Final = frozenset(
    {
        b"x-litellm-attempted-fallbacks",
        b"x-litellm-attempted-retries",
        b"x-litellm-call-id",
        b"x-litellm-model-group",
        b"x-litellm-model-id",
        b"x-litellm-overhead-duration-ms",
        b"x-litellm-response-duration-ms",
    }
)
#: What LiteLLM writes around the sentence that says what is wrong.
_WRAPPING: t.Final = (
    re.compile(r"^litellm\.[A-Z][A-Za-z]*: "),
    re.compile(r"^[A-Z][A-Za-z]*Error: "),
    re.compile(r"^[A-Z][A-Za-z_]*Exception ?- ?"),
)
_TAIL: t.Final = re.compile(
    r"\s*(?:\.\s)?(?:No fallback model group found|Received Model Group=|Available Model Group Fallbacks=|LiteLLM Retried:"
    r"|LiteLLM: model group |Call `/v1/models`).*\Z",
    re.DOTALL,
)
_URL: t.Final = re.compile(r"https?://[^\s\"'<>)\]}\\]+", re.IGNORECASE)
HIDDEN: t.Final = "the engine"


class RequestError(ValueError):
    """Why a request goes no further."""

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        #: Seconds after which it may be tried again.
        self.retry_after = retry_after


def error_body(status: int, message: str, *, param: str | None = None, code: str | None = None) -> bytes:
    """One form for both: OpenAI's clients read ``error``, Anthropic's ``type`` and ``error``."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    error = {"message": message, "type": kind, "param": param, "code": code or str(status)}
    return json.dumps({"type": "error", "error": error}).encode()


class Scrubber:
    """Takes out of a text what only the inside of the gateway should know."""

    def __init__(self, hosts: t.Iterable[str] = ()) -> None:
        names = sorted({host for host in hosts if host}, key=len, reverse=True)
        pattern = "|".join(map(re.escape, names))
        # A host with or without its port and what LiteLLM's HTTP client says of TLS.
        self._host = (
            re.compile(rf"(?<![\w.-])(?:{pattern})(?![\w-])(?::\d+)?(?:/[^\s\"'\\]*)?(?: ssl:\w+)?", re.IGNORECASE) if names else None
        )

    def text(self, text: str) -> str:
        text = _URL.sub(HIDDEN, text)
        return self._host.sub(HIDDEN, text) if self._host is not None else text

    def sentence(self, text: str) -> str:
        """LiteLLM's error message without what it wraps around the engine's."""
        text = _TAIL.sub("", text)
        while True:
            before = text
            for pattern in _WRAPPING:
                text = pattern.sub("", text, count=1)
            if text == before:
                break
        inner = _inner_message(text)
        return self.text(inner if inner is not None else text).strip()[:2000]


def _inner_message(text: str) -> str | None:
    """The message of an engine's own error body, where LiteLLM quotes the whole of it."""
    text = text.strip()
    if not text.startswith("{"):
        return None
    try:
        return message_of(json.loads(text))
    except ValueError:
        return None


def message_of(data: t.Any) -> str | None:
    """The sentence in an error body of any of the forms that LiteLLM, FastAPI, vLLM and Ollama use."""
    if isinstance(data, str):
        return data or None
    if isinstance(data, list):
        found = [message for message in map(message_of, data[:3]) if message]
        return "; ".join(found) or None
    if isinstance(data, dict):
        for key in ("error", "message", "detail", "msg"):
            message = message_of(data.get(key))
            if message:
                return message
    return None


def field_of(data: t.Any, key: str) -> str | None:
    """``param`` or ``code`` of an error body."""
    error = data.get("error") if isinstance(data, dict) else None
    value = error.get(key) if isinstance(error, dict) else None
    return value if isinstance(value, str) and value not in ("None", "") else None


def public_headers(headers: t.Iterable[tuple[bytes, bytes]]) -> Headers:
    """The headers of an answer that a client gets."""
    kept: Headers = []
    for name, value in headers:
        lower = name.lower()
        if lower in KEPT_HEADERS or not lower.startswith((b"x-litellm-", b"llm_provider-", b"llm-provider-", b"server")):
            kept.append((name, value))
    return kept
