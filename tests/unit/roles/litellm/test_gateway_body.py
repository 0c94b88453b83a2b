# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

import json

import pytest
from gateway_body import MAX_DEPTH, BodyError, parse_object, write_object


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "empty"),
        (b"  ", "empty"),
        (b"[]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'"x"', "must be a JSON object"),
        (b"{", "not valid JSON"),
        (b'{"a": 1} {}', "not valid JSON"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (b'{"a": 1, "a": 2}', "given twice"),
        (b'{"x": {"model": 1, "m\\u006fdel": 2}}', "'model' is given twice"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        (b"\xff{}", "not UTF-8"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1), "levels deep"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "levels deep"),
    ],
)
def test_what_programs_would_read_in_different_ways(raw: bytes, reason: str) -> None:
    with pytest.raises(BodyError) as refused:
        parse_object(raw)
    assert reason in str(refused.value)


def test_what_is_read_is_what_is_written() -> None:
    body = {"text": "\u00e9\u2028\U0001f600 \u0000", "list": [1, 1.5, None, True, {}], "big": 10**30}
    assert parse_object(json.dumps(body).encode()) == body
    assert parse_object(write_object(body)) == body


@pytest.mark.parametrize("body", [{"a": "\ud83d"}, {"a": 1e999}])
def test_what_cannot_be_written(body: dict[str, object]) -> None:
    with pytest.raises(BodyError):
        write_object(body)
