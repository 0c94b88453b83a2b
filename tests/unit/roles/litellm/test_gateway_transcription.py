# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

import json
from typing import Any

import pytest
from gateway_errors import RequestError
from gateway_transcription import Wanted, render, wanted_of

ANSWER = json.dumps(
    {"text": "one two", "segments": [{"start": 0, "end": 1.25, "text": " one"}, {"start": 3661.5, "end": 3662, "text": " two"}]}
).encode()


@pytest.mark.parametrize(
    ("fields", "wanted", "asked"),
    [
        ({}, Wanted(), "json"),
        ({"response_format": "text"}, Wanted("text"), "json"),
        ({"response_format": "srt"}, Wanted("srt"), "verbose_json"),
        ({"response_format": "vtt", "stream": "False"}, Wanted("vtt"), "verbose_json"),
        ({"response_format": "verbose_json"}, Wanted("verbose_json"), "verbose_json"),
        ({"stream": "true"}, Wanted("json", True), "json"),
    ],
)
def test_what_is_asked_of_the_engine(fields: dict[str, Any], wanted: Wanted, asked: str) -> None:
    assert wanted_of(fields) == wanted
    assert wanted.asked == asked


@pytest.mark.parametrize("fields", [{"response_format": "xml"}, {"stream": "maybe"}, {"stream": "true", "response_format": "srt"}])
def test_what_cannot_be_had(fields: dict[str, Any]) -> None:
    with pytest.raises(RequestError) as refused:
        wanted_of(fields)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("wanted", "kind", "text"),
    [
        (Wanted(), b"application/json", ANSWER.decode()),
        (Wanted("verbose_json"), b"application/json", ANSWER.decode()),
        (Wanted("text"), b"text/plain", "one two\n"),
        (Wanted("srt"), b"text/plain", "1\n00:00:00,000 --> 00:00:01,250\none\n\n2\n01:01:01,500 --> 01:01:02,000\ntwo\n\n"),
        (Wanted("vtt"), b"text/plain", "WEBVTT\n\n00:00:00.000 --> 00:00:01.250\none\n\n01:01:01.500 --> 01:01:02.000\ntwo\n\n"),
        (
            Wanted("json", True),
            b"text/event-stream",
            'data: {"type": "transcript.text.delta", "delta": "one two"}\n\ndata: {"type": "transcript.text.done", "text": "one two"}\n\n',
        ),
    ],
)
def test_answers(wanted: Wanted, kind: bytes, text: str) -> None:
    content_type, body = render(ANSWER, wanted)
    assert content_type.startswith(kind)
    assert body.decode() == text


@pytest.mark.parametrize(
    ("answer", "wanted", "status"),
    [
        (b'{"text": "x"}', Wanted("srt"), 400),
        (b'{"text": "x", "segments": null}', Wanted("vtt"), 400),
        (b"not json", Wanted("text"), 502),
        (b'{"text": null}', Wanted("text"), 502),
        (b"[]", Wanted("json", True), 502),
    ],
)
def test_answers_that_are_none(answer: bytes, wanted: Wanted, status: int) -> None:
    with pytest.raises(RequestError) as refused:
        render(answer, wanted)
    assert refused.value.status == status
