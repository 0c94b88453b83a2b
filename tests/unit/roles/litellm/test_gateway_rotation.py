# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backends that get no request."""

from __future__ import annotations

import asyncio
import json
import sys
import types
from pathlib import Path
from typing import Any

import gateway_hooks
import gateway_litellm
import pytest
from gateway_access import Caller
from gateway_asgi import verdict
from gateway_errors import RequestError, Scrubber
from gateway_exit import CURRENT, State
from gateway_places import Sticky
from gateway_requests import Judged
from gateway_rotation import InRotation, Rotation, unavailable
from gateway_sessions import SESSION


def place(folder: Path, text: str) -> None:
    """At once, as a node does it."""
    new = folder / ".rotation.json.new"
    new.write_text(text, encoding="utf-8")
    new.replace(folder / "rotation.json")


def out(*names: str) -> str:
    return json.dumps({"backends": {"a": "chat"}, "out": {name: {"by": "alice"} for name in names}})


def watched(folder: Path) -> Rotation:
    return Rotation.from_environment({"GATEWAY_LIVE_FOLDER": str(folder)})


def deployment(name: str) -> dict[str, Any]:
    return {"model_name": "chat", "litellm_params": {}, "model_info": {"id": name}}


THREE = [deployment(name) for name in "abc"]


def chosen(rotation: Rotation, sticky: Sticky | None = None, group: list[dict[str, Any]] = THREE, session: str | None = None) -> str:
    async def asked() -> list[Any]:
        token = SESSION.set(session)
        try:
            return list(await InRotation(rotation, sticky)("chat", list(group), {}))
        finally:
            SESSION.reset(token)

    return "".join(one["model_info"]["id"] for one in asyncio.run(asked()))


def test_a_backend_is_out_from_the_moment_the_file_is_replaced(tmp_path: Path) -> None:
    rotation = watched(tmp_path)
    assert (rotation.out, chosen(rotation)) == (frozenset(), "abc"), "a gateway of an earlier release has no such file"
    place(tmp_path, out("b"))
    assert chosen(rotation) == "ac"
    place(tmp_path, out("b", "c", "gone"))
    assert chosen(rotation) == "a"
    place(tmp_path, out())
    assert chosen(rotation) == "abc"


def test_one_with_an_end_is_back_by_itself(tmp_path: Path) -> None:
    entries = {"a": {"until": "2026-11-29T03:00:00Z"}, "b": {"by": "alice"}, "c": "of somebody else"}
    place(tmp_path, json.dumps({"out": entries}))
    now = 1795921199.0  # a second before
    rotation = Rotation(tmp_path / "rotation.json", lambda: now)
    assert rotation.out == {"a", "b", "c"}
    now += 1
    assert rotation.out == {"b", "c"}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"out": 1}', None])
def test_what_cannot_be_read_changes_nothing_and_is_told(tmp_path: Path, text: str | None, caplog: pytest.LogCaptureFixture) -> None:
    place(tmp_path, out("b"))
    rotation = watched(tmp_path)
    assert chosen(rotation) == "ac"
    if text is None:
        (tmp_path / "rotation.json").unlink()
    else:
        place(tmp_path, text)
    assert chosen(rotation) == "ac"
    assert "rotation.json cannot be read again" in caplog.text
    place(tmp_path, out())
    assert chosen(rotation) == "abc"


def test_none_left_is_503(tmp_path: Path) -> None:
    place(tmp_path, out("a", "b"))
    rotation = watched(tmp_path)
    with pytest.raises(RequestError, match="every server of 'chat' is out of rotation") as error:
        chosen(rotation, group=THREE[:2])
    assert (error.value.status, error.value.code) == (503, "out_of_rotation")


def test_none_that_answers_is_503_and_all_are_asked_again_unless_another_model_takes_over(tmp_path: Path) -> None:
    place(tmp_path, out("a"))
    revived: list[Any] = []
    choice = InRotation(watched(tmp_path), None, lambda *given: revived.append(given), lambda model: model == "doubled")
    with pytest.raises(RequestError, match="no server of 'chat' has answered lately") as error:
        asyncio.run(choice("chat", [], {}))
    assert (error.value.status, error.value.code) == (503, None)
    assert revived == [("chat", frozenset("a"))]
    # What LiteLLM makes of no backend leads to the other model.
    assert asyncio.run(choice("doubled", [], {})) == []
    assert len(revived) == 1


@pytest.mark.parametrize(
    ("fallbacks", "falls_back"), [([{"chat": ["other"]}], True), ([{"*": ["other"]}], True), ([{"other": ["chat"]}], False), (None, False)]
)
def test_whether_another_model_takes_over(
    litellm: types.ModuleType, monkeypatch: pytest.MonkeyPatch, fallbacks: Any, falls_back: bool
) -> None:
    proxy = types.ModuleType("litellm.proxy")
    vars(proxy).update(proxy_server=types.SimpleNamespace(llm_router=types.SimpleNamespace(fallbacks=fallbacks)))
    monkeypatch.setitem(sys.modules, "litellm.proxy", proxy)
    assert gateway_litellm.falls_back("chat") is falls_back


def test_others_are_well_again_before_a_model_is_out(tmp_path: Path) -> None:
    place(tmp_path, out("a"))
    revived: list[Any] = []
    choice = InRotation(watched(tmp_path), None, lambda *given: revived.append(given))
    assert asyncio.run(choice("chat", list(THREE[:2]), {})) == THREE[1:2]
    assert revived == []
    with pytest.raises(RequestError, match="out of rotation"):
        asyncio.run(choice("mine", list(THREE[:1]), {}))
    assert revived == [("chat", frozenset("a"))]


def test_a_conversation_moves_and_comes_back(tmp_path: Path) -> None:
    place(tmp_path, out())
    rotation, sticky = watched(tmp_path), Sticky()
    home = chosen(rotation, sticky, session="s")
    assert len(home) == 1
    place(tmp_path, out(home))
    away = chosen(rotation, sticky, session="s")
    assert away != home
    assert away in "abc"
    assert {chosen(rotation, sticky, session="s") for _turn in range(5)} == {away}
    assert home not in chosen(rotation, sticky), "nor without a conversation"


@pytest.mark.parametrize(("names", "expected"), [("", False), ("a", True), ("ab", True), ("ac", False), ("c", False)])
def test_whether_all_are_out(tmp_path: Path, names: str, expected: bool) -> None:
    place(tmp_path, out("a", "b"))
    assert watched(tmp_path).all_out(frozenset(names)) is expected


class Logger:
    """LiteLLM's CustomLogger."""


class ServiceUnavailableError(Exception):
    def __init__(self, message: str, llm_provider: str, model: str) -> None:
        super().__init__(message)
        self.model = model


@pytest.fixture(name="litellm")
def _litellm(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    litellm, logger = types.ModuleType("litellm"), types.ModuleType("litellm.integrations.custom_logger")
    vars(litellm).update(callbacks=[], ServiceUnavailableError=ServiceUnavailableError)
    vars(logger).update(CustomLogger=Logger)
    modules = {"litellm": litellm, "litellm.integrations": types.ModuleType("x"), "litellm.integrations.custom_logger": logger}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return litellm


def test_litellm_learns_that_it_may_ask_another_model(litellm: types.ModuleType, tmp_path: Path) -> None:
    place(tmp_path, out("a"))
    gateway_litellm.filter_backends(InRotation(watched(tmp_path)))
    state = State()

    async def ask(group: list[Any]) -> list[Any]:
        CURRENT.set(state)
        found: list[Any] = await litellm.callbacks[0].async_filter_deployments(
            model="chat", healthy_deployments=group, messages=None, request_kwargs=None, parent_otel_span=None
        )
        return found

    assert asyncio.run(ask(THREE)) == THREE[1:]
    assert state.unserved is None
    with pytest.raises(ServiceUnavailableError) as error:
        asyncio.run(ask(THREE[:1]))
    assert error.value.model == "chat"
    assert state.unserved is not None


class Health:
    """LiteLLM's own notes of who is ill."""

    def __init__(self) -> None:
        self.well: list[str] = []
        self.checks: dict[str, bool] = {}
        self.health_checks = types.SimpleNamespace(set_deployment_health_states=self._set)
        self.cooldowns = types.SimpleNamespace(cooldown_store=types.SimpleNamespace(evict_local=self.well.append))

    def _set(self, states: dict[str, Any]) -> None:
        self.checks |= {name: state["is_healthy"] for name, state in states.items()}


@pytest.mark.parametrize(("release", "known"), [("ours", True), ("without", False), ("with other arguments", False)])
def test_litellm_forgets_who_was_ill(litellm: types.ModuleType, monkeypatch: pytest.MonkeyPatch, release: str, known: bool) -> None:
    health, proxy = Health(), types.ModuleType("litellm.proxy")
    router = types.SimpleNamespace(get_model_list=lambda: [*THREE, {**deployment("d"), "model_name": "other"}])
    if release != "without":
        router.health = lambda: health
    if release == "with other arguments":
        health.health_checks.set_deployment_health_states = lambda: None
    vars(proxy).update(proxy_server=types.SimpleNamespace(llm_router=router))
    monkeypatch.setitem(sys.modules, "litellm.proxy", proxy)
    router.model_group_alias = {"gpt": {"model": "chat"}}
    gateway_litellm.revive("gpt", {"a"})
    assert (health.checks, health.well) == (({"b": True, "c": True}, ["b", "c"]) if known else ({}, []))
    gateway_litellm.revive("nobody", set())
    assert len(health.well) == (2 if known else 0)


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
def test_what_a_client_is_told_whatever_litellm_makes_of_it(status: int) -> None:
    told = verdict(status, {"error": {"message": "no"}}, State(unserved=unavailable("chat")), Scrubber())
    assert (told.status, told.code) == (503, "out_of_rotation")


def test_what_another_model_said_counts() -> None:
    state = State(unserved=unavailable("chat"), contacted=True, engine_status=422, engine_message="too long")
    assert verdict(422, {}, state, Scrubber()).status == 422


@pytest.mark.parametrize(("names", "status"), [(("a",), 200), (("a", "b"), 503), ((), 200)])
def test_a_raw_route_has_the_backends_of_its_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, names: tuple[str, ...], status: int
) -> None:
    place(tmp_path, out(*names))
    asked: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    engines = [("a", "http://one:8000/v1"), ("b", "http://one:8000/v1"), ("c", "http://two:8000/v1"), ("d", "nothing")]
    monkeypatch.setattr(gateway_litellm, "_engines", lambda: engines)
    monkeypatch.setattr(gateway_litellm, "_raw_routes", lambda: [("/raw/", "http://one:8000/pooling"), ("/other", "nowhere")])
    behind = gateway_litellm.behind_raw_routes()
    assert behind == {"/raw": {"a", "b"}, "/other": frozenset()}
    monkeypatch.setattr(gateway_hooks, "ROTATION", watched(tmp_path))
    monkeypatch.setattr(gateway_hooks, "judged_by", lambda *_arguments: Judged([], b"{}"))
    loaded = types.SimpleNamespace(behind=lambda path: behind[path], scrubber=Scrubber(), model=str)
    monkeypatch.setattr(gateway_hooks, "LOADED", loaded)
    scope = {"type": "http", "method": "POST", "path": "/raw", "headers": []}
    raw = gateway_hooks.Judge(app)._raw(scope, receive, send, Caller("", None))
    if status == 503:
        with pytest.raises(RequestError, match="'/raw' is out of rotation"):
            asyncio.run(raw)
        assert asked == []
    else:
        asyncio.run(raw)
        assert asked == ["/raw"]
