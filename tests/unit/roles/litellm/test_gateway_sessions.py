# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which conversation a request belongs to."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from gateway_access import Caller
from gateway_models import Models
from gateway_policy import Policy
from gateway_requests import Rules, inference
from gateway_routes import route_of
from gateway_sessions import HEADERS, LOOKED_AT, PARALLEL, SESSION, Turns, names_of

USER = {"role": "user", "content": "Why does this test fail?"}
CHAT: dict[str, Any] = {"model": "chat", "messages": [{"role": "system", "content": "You help."}, USER]}
CLAUDE_USER = json.dumps({"device_id": "d", "account_uuid": "", "session_id": "5f0c"})


def names(body: Any = CHAT, kind: str = "chat", client: str = "alice", **headers: str) -> tuple[str, ...]:
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return names_of(kind, body, sent, client)


def called(header: bytes, value: bytes = b"5f0c", body: Any = CHAT, client: str = "alice") -> tuple[str, ...]:
    return names_of("chat", body, [(header, value)], client)


@pytest.mark.parametrize(
    "header",
    [
        b"X-Claude-Code-Session-Id",
        b"session-id",
        b"thread-id",
        b"session_id",
        b"conversation_id",
        b"x-session-affinity",
        b"X-Session-Id",
        b"x-opencode-session",
        b"X-OpenWebUI-Chat-Id",
        b"x-litellm-session-id",
    ],
)
def test_headers_of_programs(header: bytes) -> None:
    other = {**CHAT, "messages": [USER]}
    assert called(header)[0] == called(header, body=other)[0]
    assert called(header)[0] != called(header, b"77aa")[0]
    assert called(header)[0] != called(header, client="bob")[0]
    assert len(called(header)) == 2
    assert called(header, b"") == names()


def test_the_narrowest_name_counts() -> None:
    """Codex says both; what it starts beside has the same session and a thread of its own."""
    sent = [(name, str(number).encode()) for number, name in enumerate(HEADERS)]
    assert names_of("responses", {"input": "a"}, reversed(sent), "a") == names_of("responses", {"input": "a"}, sent, "a")
    assert names(thread_id="t", session_id="s")[0] == names(thread_id="t", session_id="r")[0]


@pytest.mark.parametrize(
    "body",
    [
        {"prompt_cache_key": "5f0c"},
        {"metadata": {"user_id": CLAUDE_USER}},
        {"metadata": {"user_id": "user_1a_account__session_5f0c"}},
        {"metadata": {"session_id": "5f0c"}},
        {"session_id": "5f0c"},
    ],
)
def test_fields_of_programs(body: dict[str, Any]) -> None:
    first, second = {**CHAT, **body}, {**CHAT, **body, "messages": [{"role": "user", "content": "Another one"}]}
    assert names(first)[0] == names(second)[0]
    assert names(first)[1] != names(second)[1]
    assert names(first)[0] != names(first, client="bob")[0]


@pytest.mark.parametrize("body", [{"user": "alice@example.com"}, {"metadata": {"user_id": "alice"}}])
def test_a_person_has_many_conversations(body: dict[str, Any]) -> None:
    first, second = {**CHAT, **body}, {**CHAT, **body, "messages": [{"role": "user", "content": "Another one"}]}
    assert len(names(first)) == 1
    assert names(first) != names(second)
    assert names(first) != names(), "and asks the same as somebody else"


ANSWER = {"role": "assistant", "content": "Because."}
MORE = {"role": "user", "content": "And now?"}


@pytest.mark.parametrize(
    ("kind", "first", "later", "another"),
    [
        ("chat", [CHAT["messages"][0], USER], [CHAT["messages"][0], USER, ANSWER, MORE], [{"role": "developer", "content": "No."}, USER]),
        ("chat", [USER], [USER, ANSWER, MORE], [{**USER, "content": "Something else"}]),
        ("messages", [USER], [USER, ANSWER, MORE], [MORE]),
        ("responses", [USER], [USER, ANSWER, MORE], [MORE]),
        ("responses", "Why?", "Why?", "Why not?"),
        (
            "messages",
            [{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]}],
            [{"role": "user", "content": [{"type": "text", "text": "a"}]}, ANSWER, MORE],
            [{"role": "user", "content": [{"type": "text", "text": "b"}]}],
        ),
        (
            "chat",
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": f"data:{'a' * 200000}"}}]}],
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": f"data:{'a' * 200000}"}}]}, ANSWER],
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": f"data:{'a' * 200001}"}}]}],
        ),
    ],
)
def test_how_a_conversation_begins(kind: str, first: Any, later: Any, another: Any) -> None:
    field = "input" if kind == "responses" else "messages"
    told = [names({"model": "m", field: said}, kind) for said in (first, later, another)]
    assert len(told[0]) == 1
    assert told[0] == told[1] != told[2]
    assert names({"model": "m", field: first}, kind, "bob") != told[0]


@pytest.mark.parametrize("field", ["system", "instructions"])
def test_another_system_prompt_is_another_conversation(field: str) -> None:
    kind = "messages" if field == "system" else "responses"
    bodies = [{"messages": [USER], "input": [USER], field: said} for said in ("You help.", "You refuse.")]
    assert names(bodies[0], kind) != names(bodies[1], kind)


def test_a_long_text_is_told_from_another_by_its_ends() -> None:
    texts = ["a" * LOOKED_AT + "b", "a" * LOOKED_AT + "c", "a" * (LOOKED_AT + 2), "b" + "a" * LOOKED_AT]
    assert len({names({"messages": [{"role": "user", "content": text}]}) for text in texts}) == len(texts)


@pytest.mark.parametrize("kind", ["embeddings", "rerank", "transcription", "count_tokens", "models"])
def test_what_has_no_conversation(kind: str) -> None:
    assert names(CHAT, kind, session_id="5f0c") == ()


def test_a_prompt_tells_no_conversation() -> None:
    assert names({"prompt": "def f("}, "completions") == ()
    assert len(names({"prompt": "def f("}, "completions", x_session_id="5f0c")) == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": None},
        {"messages": "text"},
        {"messages": [None, 1, "text", [], {}]},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": ["user"], "content": 1}]},
        {"messages": [{"role": "user", "content": [None, 1, {"text": None}, [["\ud800"]]]}]},
        {"messages": [{"role": "user", "content": "\ud800"}], "prompt_cache_key": "\ud800", "user": 3, "system": {"a": [1]}},
        {"metadata": ["session"], "input": 4, "prompt_cache_key": 7},
    ],
)
@pytest.mark.parametrize("kind", ["chat", "completions", "messages", "responses"])
def test_broken_requests_do_no_harm(kind: str, body: dict[str, Any]) -> None:
    assert all(len(name) == 32 for name in names(body, kind))


def test_more_at_once_than_one_conversation_asks_are_many() -> None:
    """A program that names itself and not what it is about would have one backend work and the others idle."""
    turns = Turns()
    with contextlib.ExitStack() as work:
        seen = []
        for _request in range(2 * PARALLEL + 1):
            with contextlib.ExitStack() as one:
                one.enter_context(turns.turn(("named", "begins")))
                seen.append(SESSION.get())
                work.push(one.pop_all())
        assert seen == ["named"] * PARALLEL + ["begins"] * PARALLEL + [seen[-1]]
        with turns.turn(("another",)):
            assert SESSION.get() == "another"
    assert SESSION.get() is None
    with turns.turn(("named", "begins")):
        assert SESSION.get() == "named"
    with turns.turn(()):
        assert SESSION.get() is None
    assert not turns._busy


@pytest.mark.parametrize("sticky", [True, False])
def test_what_the_guard_makes_of_a_request(sticky: bool) -> None:
    route, rules = route_of("/v1/chat/completions"), Rules(Policy(sticky_sessions=sticky), frozenset(), Models())
    assert route is not None
    headers = [(b"x-session-id", b"5f0c")]
    judged = inference(route, json.dumps(CHAT).encode(), None, headers, b"", Caller("key", "alice"), rules)
    assert judged.sessions == (names(x_session_id="5f0c") if sticky else ())
    assert not any(b"session" in name for name, _value in judged.headers), "it goes no further"
