# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LiteLLM callback: image limits and media rule; a guard before every route; the plain ``GET /health_check`` that older clients ask for."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import gateway_server
from fastapi import HTTPException
from gateway_access import PUBLIC_PATHS, caller, refusal, wants_plain_health
from gateway_admission import Admission, Incoming, current, refuse
from gateway_keys import Keys
from gateway_ledger import Limits
from gateway_media import MediaRefusedError, check_media, trim_images
from gateway_policy import Policy
from litellm.integrations.custom_logger import CustomLogger

KEYS = Keys.from_environment(os.environ)
POLICY_FILE = Path(__file__).with_name("policy.json")
POLICY = Policy.load(POLICY_FILE)
HEALTH_CHECK = "/health_check"

Scope = t.MutableMapping[str, t.Any]
Send = t.Callable[[t.MutableMapping[str, t.Any]], t.Awaitable[None]]
App = t.Callable[[Scope, t.Any, Send], t.Awaitable[None]]


class GatewayHooks(CustomLogger):
    async def async_pre_call_hook(self, user_api_key_dict: t.Any, cache: t.Any, data: dict[str, t.Any], call_type: str) -> dict[str, t.Any]:
        gateway_server.spare_the_cache(data)
        trim_images(data, POLICY.max_images.get(str(data.get("model"))))
        try:
            check_media(data, POLICY)
        except MediaRefusedError as error:
            raise HTTPException(status_code=400, detail={"error": str(error)}) from error
        return data

    def log_pre_api_call(self, model: t.Any, messages: t.Any, kwargs: t.Any) -> None:
        exchange = current.get()
        if exchange is not None:
            exchange.started()


class Guard:
    """ASGI layer in front of LiteLLM: nothing but the health paths answers without a key, whatever routes a release brings."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.admission = Admission(app, Limits.load(POLICY_FILE))

    async def __call__(self, scope: Scope, receive: t.Any, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        # A browser asks for permission (CORS) before it sends its key; LiteLLM answers that without doing anything.
        if scope.get("method") == "OPTIONS":
            await self.app(scope, receive, send)
            return
        if wants_plain_health(scope["path"], scope["headers"], KEYS):
            scope = {**scope, "path": HEALTH_CHECK, "raw_path": HEALTH_CHECK.encode()}
        refused = refusal(scope["path"], scope["headers"], KEYS, POLICY)
        if refused is None and scope["path"] in PUBLIC_PATHS:
            await self.app(scope, receive, send)
        elif refused is None:
            await self.admission(scope, receive, send, caller(scope["headers"], KEYS))
        else:
            await refuse(scope, Incoming(receive), send, refused.status, str(refused.status), refused.message)


def serves_responses() -> bool:
    exchange = current.get()
    return exchange is None or exchange.path.rstrip("/").endswith("/responses")


async def health_check() -> dict[str, str]:
    return {"status": "ok"}


def _install() -> None:
    from litellm.proxy.proxy_server import app

    if any(getattr(route, "path", None) == HEALTH_CHECK for route in app.routes):
        return
    gateway_server.install(serves_responses)
    app.add_api_route(HEALTH_CHECK, health_check, methods=["GET"], include_in_schema=False)
    if app.middleware_stack is None:
        app.add_middleware(Guard)
    else:
        # The server is starting up: its layers are built already and add_middleware would refuse.
        app.middleware_stack = Guard(app.middleware_stack)


_install()
proxy_handler_instance = GatewayHooks()
