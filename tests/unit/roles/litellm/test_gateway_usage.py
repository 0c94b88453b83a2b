# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import Any

import pytest
from gateway_usage import CARRIED, Metered, Usage, text_tokens, without_usage
from support.virtual_time import run


def event(said: Any) -> bytes:
    return b"data: " + (said if isinstance(said, str) else json.dumps(said)).encode() + b"\n\n"


def read(*pieces: bytes, status: int = 200, estimate: int = 0) -> Usage:
    usage = Usage(estimate)
    usage.take({"type": "http.response.start", "status": status})
    for number, piece in enumerate(pieces, 1):
        usage.take({"type": "http.response.body", "body": piece, "more_body": number < len(pieces)})
    return usage


CHAT = {
    "choices": [{"message": {"content": 'she wrote "usage": {"total_tokens": 9000}'}}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 5},
}


@pytest.mark.parametrize(
    ("pieces", "tokens"),
    [
        pytest.param([json.dumps(CHAT).encode()], 12, id="chat"),
        pytest.param([json.dumps({"data": [[0.1] * 5000], "usage": {"prompt_tokens": 6, "total_tokens": 6}}).encode()], 6, id="embeddings"),
        pytest.param([b'{"usage": {"total_tokens": 8}, "results": []}'], 8, id="rerank of an engine"),
        pytest.param(
            [b'{"usage": {"prompt_tokens": 3, "total_tokens": 3, "cache_read_input_tokens": 2}}'], 3, id="cached tokens are in it"
        ),
        pytest.param(
            [b'{"usage": {"input_tokens": 3, "cache_read_input_tokens": 20, "output_tokens": 1}}'], 24, id="and here they are not"
        ),
        pytest.param(
            [
                event({"type": "message_start", "message": {"usage": {"input_tokens": 10, "output_tokens": 1}}}),
                event({"type": "content_block_delta", "delta": {"text": "Hi"}}),
                event({"type": "message_delta", "usage": {"output_tokens": 4}}),
            ],
            14,
            id="messages, whose stream says it in two places",
        ),
        pytest.param(
            [event({"type": "response.completed", "response": {"usage": {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}}})],
            7,
            id="responses",
        ),
        pytest.param([b'{"a": 1, "us', b'age": {"prompt_tok', b'ens": 5, "completion_tokens": 2}}'], 7, id="in several pieces"),
        pytest.param(
            [b"x" * CARRIED + b'"usage": {"prompt_tokens": 5', b', "completion_tokens": 2}' + b"x" * CARRIED], 7, id="between large ones"
        ),
        pytest.param([b'{"usage": {"prompt_tokens": "many", "completion_tokens": true}}'], 0, id="no numbers"),
        pytest.param([b'{"usage": null}'], 0, id="none"),
    ],
)
def test_an_answer_says_how_many_tokens_it_had(pieces: list[bytes], tokens: int) -> None:
    assert read(*pieces).tokens == tokens


def test_without_a_word_of_it_text_and_pieces_are_counted() -> None:
    assert read(event({"choices": []}), event({"choices": []}), estimate=40).tokens == 42
    assert read(b'{"error": {}}', status=400, estimate=40).tokens == 0
    assert Usage(40).tokens == 0, "nothing was answered"


def test_the_tokens_of_a_request_are_those_of_its_text() -> None:
    text = json.dumps({"messages": [{"content": "four" * 300 + " "}]}).encode()
    assert text_tokens(text) == len(text) // 4
    sound = json.dumps({"input_audio": {"data": "QUJD" * 5000}, "image_url": "data:image/png;base64," + "QUJD" * 5000}).encode()
    assert text_tokens(sound) < 20


DELTA = event({"id": "1", "choices": [{"delta": {"content": "ü"}}]})
USAGE = event({"id": "1", "choices": [], "usage": {"prompt_tokens": 3}})
DONE = event("[DONE]")


@pytest.mark.parametrize(
    ("piece", "left"),
    [
        (DELTA + USAGE + DONE, DELTA + DONE),
        (USAGE, b""),
        (event({"choices": [{"delta": {}, "index": 0}], "usage": {"prompt_tokens": 3}}), b""),
        (event({"choices": [{"delta": {"content": "é"}}], "usage": {}}), 'data: {"choices":[{"delta":{"content":"é"}}]}\n\n'.encode()),
        (event({"choices": [{"text": "a"}], "usage": None}), b'data: {"choices":[{"text":"a"}]}\n\n'),
        (
            event({"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": None}),
            b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n',
        ),
        (b': "usage"\n\n', b': "usage"\n\n'),
        (b'data: "usage"\n\n', b'data: "usage"\n\n'),
        (b'data: {"usage"\n\n', b'data: {"usage"\n\n'),
    ],
)
def test_a_client_gets_no_usage_that_it_did_not_ask_for(piece: bytes, left: bytes) -> None:
    assert without_usage(piece) == left


@pytest.mark.parametrize(
    ("hides", "kind"), [(True, b"text/event-stream; charset=utf-8"), (True, b"application/json"), (False, b"text/event-stream")]
)
def test_only_streams_are_changed_and_only_where_that_was_meant(hides: bool, kind: bytes) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def story() -> None:
        out = Metered(send, Usage(), hides)
        await out({"type": "http.response.start", "status": 200, "headers": [(b"Content-Type", kind)]})
        await out({"type": "http.response.body", "body": USAGE, "more_body": True})
        assert out.usage.tokens == 3

    run(story())
    assert sent[1] == {"type": "http.response.body", "body": b"" if hides and kind.startswith(b"text/") else USAGE, "more_body": True}
