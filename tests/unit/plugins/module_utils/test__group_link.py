# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _group_link as link

KEY = link.group_key("engine-key-0123456789", "vllm/big")


class Heard:
    def __init__(self) -> None:
        self.questions: list[dict[str, Any]] = []
        self.listener = link.Listener("127.0.0.1", 0, KEY, {"127.0.0.1"}, self.answer, 2.0)
        self.listener.start()

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        self.questions.append(question)
        return {"heard": question["n"]}

    def ask(self, n: Any = 1, key: bytes = KEY, source: str = "") -> dict[str, Any]:
        return link.ask("127.0.0.1", self.listener.port, key, {"n": n}, 2.0, source)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.listener.port), 2.0)


@pytest.fixture
def heard() -> Iterator[Heard]:
    made = Heard()
    yield made
    made.listener.close()


def said(number: str, **question: Any) -> bytes:
    body = json.dumps(question, sort_keys=True).encode()
    return link._proof(KEY, "asks", number, body).encode() + b" " + body + b"\n"


def test_a_question_has_an_answer(heard: Heard) -> None:
    assert heard.ask(7) == {"heard": 7}
    assert heard.questions == [{"n": 7}]


def test_keys_differ_by_group_and_are_not_the_engines() -> None:
    assert link.group_key("engine-key-0123456789", "vllm/other") != KEY
    assert b"engine-key" not in KEY


def test_another_key_is_not_heard(heard: Heard) -> None:
    with pytest.raises(link.LinkError, match="it has another key"):
        heard.ask(key=b"another")
    assert heard.questions == []


def test_an_answer_with_another_key_is_not_believed(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    proof = link._proof
    monkeypatch.setattr(link, "_proof", lambda key, role, *rest: proof(key if role == "asks" else role.encode() + b"x", role, *rest))
    heard.listener.answer = lambda _question: {"n": 1}
    assert heard.ask() == {"n": 1}
    other = link.Listener("127.0.0.1", 0, KEY, {"127.0.0.1"}, lambda _question: {}, 2.0)
    other.start()
    monkeypatch.undo()

    def forged(key: bytes, role: str, number: str, body: bytes) -> str:
        return "0" * 64 if role == "answers" and body == b"{}" else proof(key, role, number, body)

    monkeypatch.setattr(link, "_send", lambda stream, key, role, number, what: _forge(stream, key, role, number, what, forged))
    with pytest.raises(link.LinkError, match="has another key"):
        link.ask("127.0.0.1", other.port, KEY, {"n": 1}, 2.0)
    other.close()


def _forge(stream: Any, key: bytes, role: str, number: str, what: dict[str, Any], proof: Any) -> None:
    body = json.dumps(what, sort_keys=True).encode()
    stream.write(proof(key, role, number, body).encode() + b" " + body + b"\n")
    stream.flush()


def test_a_question_that_was_overheard_cannot_be_asked_again(heard: Heard) -> None:
    with heard.connect() as connection, connection.makefile("rwb") as stream:
        question = said(stream.readline().decode().strip(), n=1)
        stream.write(question)
        stream.flush()
        assert b"heard" in stream.readline()
    with heard.connect() as connection, connection.makefile("rwb") as stream:
        stream.readline()
        stream.write(question)
        stream.flush()
        assert stream.readline() == b""
    assert len(heard.questions) == 1


def test_a_question_that_a_cut_cable_has_delayed_is_thrown_away(heard: Heard) -> None:
    with heard.connect() as late, late.makefile("rwb") as stream:
        number = stream.readline().decode().strip()
        assert heard.ask(2) == {"heard": 2}
        stream.write(said(number, n=1))
        stream.flush()
        assert stream.readline() == b""
    assert heard.questions == [{"n": 2}]


def test_strangers_are_not_spoken_with(heard: Heard) -> None:
    heard.listener.members = {"127.0.0.3"}
    with pytest.raises((link.LinkError, OSError)):
        heard.ask()
    assert heard.ask(3, source="127.0.0.3") == {"heard": 3}


@pytest.mark.parametrize("rubbish", [b"", b"\n", b"GET / HTTP/1.1\r\n\r\n", b"x" * 70000, b"\xff\xfe\n", b"0 {}\n"])
def test_rubbish_ends_nothing(heard: Heard, rubbish: bytes) -> None:
    with heard.connect() as connection:
        connection.recv(200)
        with contextlib.suppress(OSError):
            connection.sendall(rubbish)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
    assert heard.ask(4) == {"heard": 4}


def test_what_is_no_object_is_no_answer(heard: Heard) -> None:
    heard.listener.answer = lambda _question: [1]  # type: ignore[assignment,return-value]
    with pytest.raises(link.LinkError, match="does not speak as a member"):
        heard.ask()


def test_nothing_that_listens_is_told_from_nothing_that_answers(heard: Heard) -> None:
    heard.listener.close()
    with pytest.raises(link.Refused):
        heard.ask()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        with pytest.raises(OSError, match="timed out"):
            link.ask("127.0.0.1", silent.getsockname()[1], KEY, {}, 0.1)


def test_somebody_else_who_talks_there_is_no_member() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        client = socket.create_connection(server.getsockname(), 2.0)
        peer, _address = server.accept()
        client.close()
        peer.close()

        def greet() -> None:
            connection, _ = server.accept()
            connection.sendall("SSH-2.0-größer\r\n".encode("latin-1"))
            connection.close()

        threading.Thread(target=greet, daemon=True).start()
        with pytest.raises(link.LinkError, match="does not speak as a member"):
            link.ask("127.0.0.1", server.getsockname()[1], KEY, {}, 2.0)


def test_an_address_may_come_later_and_a_port_may_be_taken(heard: Heard) -> None:
    later = link.Listener("198.51.100.7", 0, KEY, set(), lambda _question: {}, 2.0)
    later.start()
    assert later.port
    later.close()
    taken = link.Listener("127.0.0.1", heard.listener.port, KEY, set(), lambda _question: {}, 2.0)
    with pytest.raises(OSError, match="in use"):
        taken.start()
    taken.close()
