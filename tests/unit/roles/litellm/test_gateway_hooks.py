# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guard as the outermost layer, in front of an application that stands for LiteLLM. tests/real has the real one."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import types
from typing import Any

import gateway_hooks
import pytest
from gateway_hooks import Guard
from gateway_keys import Keys
from gateway_policy import Policy
from support.virtual_time import run

CLIENT = "client-key-0123456789"
MODELS = {"data": [{"id": "chat"}, {"id": "org/Model-1", "object": "model"}]}


class App:
    """Answers everything with the list of models, and knows what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append((scope["method"], scope["path"]))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": json.dumps(MODELS).encode()})


class Client:
    def __init__(self, guard: Guard, method: str, path: str, **headers: str) -> None:
        self.guard = guard
        named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        self.scope = {"type": "http", "method": method, "path": path, "headers": named}
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        if len(self.sent) > 1:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def ask(self) -> tuple[int, Any]:
        await self.guard(self.scope, self.receive, self.send)
        return self.sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in self.sent[1:]))


@pytest.fixture(autouse=True)
def _litellm(monkeypatch: pytest.MonkeyPatch) -> None:
    """A LiteLLM that has not loaded anything yet, and one client that has a key."""
    proxy_server = types.ModuleType("litellm.proxy.proxy_server")
    proxy_server.llm_router = None  # type: ignore[attr-defined]
    proxy = types.ModuleType("litellm.proxy")
    proxy.proxy_server = proxy_server  # type: ignore[attr-defined]
    for module in (types.ModuleType("litellm"), proxy, proxy_server):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    known = {"master": [], "clients": {"metis": [hashlib.sha256(CLIENT.encode()).hexdigest()]}}
    monkeypatch.setattr(gateway_hooks, "KEYS", Keys.from_document(known))
    monkeypatch.setattr(gateway_hooks, "POLICY", Policy(client_routes=("/models", "/models/*")))


def test_readiness_answers_however_full_the_gateway_is() -> None:
    async def story() -> None:
        guard = Guard(App())
        guard.admission.starts.free = 0
        models = Client(guard, "GET", "/v1/models", authorization=f"Bearer {CLIENT}")
        task = asyncio.ensure_future(models.ask())
        ready = await asyncio.wait_for(Client(guard, "GET", "/health/readiness").ask(), 5)
        assert ready == (200, MODELS)
        assert not task.done()
        guard.admission.starts.give()
        assert (await task)[0] == 200

    run(story())


@pytest.mark.parametrize("path", ["/key/generate", "/v1/models", "/nothing"])
def test_nobody_without_a_key_learns_which_routes_there_are(path: str) -> None:
    """LiteLLM answers OPTIONS with the methods of a route. A browser asks in the same way for leave to send its key, and names itself."""

    async def story() -> None:
        app = App()
        assert (await Client(Guard(app), "OPTIONS", path).ask())[0] == 401
        assert app.asked == []
        browser = {"origin": "https://app.example", "access_control_request_method": "POST"}
        assert (await Client(Guard(app), "OPTIONS", path, **browser).ask())[0] == 200
        assert app.asked == [("OPTIONS", path)]

    run(story())


@pytest.mark.parametrize(("name", "status"), [("chat", 200), ("org/Model-1", 200), ("org/Model-2", 404)])
def test_a_model_is_found_by_a_name_with_a_slash(name: str, status: int) -> None:
    async def story() -> None:
        app = App()
        answer = await Client(Guard(app), "GET", f"/v1/models/{name}", authorization=f"Bearer {CLIENT}").ask()
        assert answer[0] == status
        assert answer[1].get("id", answer[1].get("error", {}).get("code")) == (name if status == 200 else "model_not_found")
        assert app.asked == [("GET", "/v1/models")]

    run(story())
