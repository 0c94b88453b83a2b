# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The keys of the servers behind the gateway, put in as a request leaves.

LiteLLM reads keys when it starts and would have to restart for new ones. It gets a word in their place (``live/ENGINE_KEY_NODE1``), which
is replaced here by the key that is in ``keys.json`` now, and only towards the server whose key it is. So LiteLLM itself has none.

A server that refuses our key, takes no connection, or breaks one off before it has answered, is out of order for whoever asks: that is 503
and never a client's 401, and what LiteLLM knows as a reason to ask another server. While a server changes its key it is asked with the old
one if it refuses the new one.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import typing as t

from gateway_keys import Keys, Servers

if t.TYPE_CHECKING:
    import httpx

PLACEHOLDER = "live/"
REFUSED = (401, 403)
#: By what a vLLM that stops ends an answer that it has not finished, with status 200. In a text the quotes would be escaped.
_CUT_OFF = re.compile(rb'"finish_reason": ?"abort"')
_BROKE_OFF = "the server of this model broke the connection off; it may be stopping"
#: Seconds. An engine that restarts takes longer; a client that waits so long between its tries does not hurry it.
RETRY_AFTER = 10
_PORTS = {"http": 80, "https": 443}

Message = t.MutableMapping[str, t.Any]
App = t.Callable[[t.Any, t.Any, t.Callable[[Message], t.Awaitable[None]]], t.Awaitable[None]]


def origin_of(scheme: str, host: str, port: int | None) -> str:
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port or _PORTS.get(scheme, 0)}".lower()


def error_body(message: str) -> bytes:
    return json.dumps({"error": {"message": message, "type": "service_unavailable", "param": None, "code": "503"}}).encode()


class Choice:
    """Which of its keys a server asks for, learnt from its answers."""

    def __init__(self) -> None:
        self._good: dict[tuple[str, str], str] = {}

    def order(self, origin: str, variable: str, keys: t.Sequence[str]) -> list[str]:
        """The keys to try: first the one that was good the last time."""
        good = self._good.get((origin, variable))
        return sorted(dict.fromkeys(keys), key=lambda key: key != good)

    def was_good(self, origin: str, variable: str, key: str) -> None:
        self._good[origin, variable] = key


def placeholder_in(headers: t.Iterable[tuple[str, str]]) -> tuple[str, str, str] | None:
    """Name of the header, what stands before the key, and the variable; None where there is none."""
    for name, value in headers:
        before, word, variable = value.rpartition(PLACEHOLDER)
        if word and before in ("", "Bearer ") and variable:
            return name, before, variable
    return None


class Upstream:
    """Stands in for httpx's way of sending, for every client there is or will be in this process: LiteLLM has no other."""

    def __init__(self, servers: t.Callable[[], Servers]) -> None:
        self._servers = servers
        self._choice = Choice()

    def _tries(self, request: httpx.Request) -> list[tuple[str, str, str, str]] | None:
        """Header, value, variable and key of each try, none where the request has no placeholder. None: not a server of ours."""
        origin = origin_of(request.url.scheme, request.url.host, request.url.port)
        server = self._servers().get(origin)
        if server is None:
            return None
        found = placeholder_in(request.headers.items())
        if found is None:
            return []
        name, before, variable = found
        return [(name, before + key, variable, key) for key in self._choice.order(origin, variable, server.get(variable, ()))]

    def _taken(self, request: httpx.Request, response: httpx.Response, variable: str, key: str) -> httpx.Response:
        """What becomes of an answer to a good key: of one that is cut off that nobody answers. Of a stream nobody knows before it ends."""
        self._choice.was_good(origin_of(request.url.scheme, request.url.host, request.url.port), variable, key)
        whole = response.is_stream_consumed and request.url.path.endswith("/completions")
        return self._unavailable(request, _BROKE_OFF) if whole and _CUT_OFF.search(response.content) else response

    @staticmethod
    def _unavailable(request: httpx.Request, message: str) -> httpx.Response:
        import httpx

        # Without Retry-After: LiteLLM itself would wait so long before it asks another server.
        return httpx.Response(503, content=error_body(message), headers={"content-type": "application/json"}, request=request)

    def install(self) -> None:
        import httpx

        plain, plain_async = httpx.Client.send, httpx.AsyncClient.send
        unreachable = (httpx.ConnectError, httpx.ConnectTimeout)
        broken = (httpx.NetworkError, httpx.RemoteProtocolError)
        no_answer = "the server of this model takes no connection; it may be starting"
        no_key = "the server of this model refuses the key of the gateway"

        def send(client: httpx.Client, request: httpx.Request, **options: t.Any) -> httpx.Response:
            tries = self._tries(request)
            if tries is None:
                return plain(client, request, **options)
            for name, value, variable, key in tries or [("", "", "", "")]:
                if name:
                    request.headers[name] = value
                try:
                    response = plain(client, request, **options)
                except unreachable:
                    return self._unavailable(request, no_answer)
                except broken:
                    return self._unavailable(request, _BROKE_OFF)
                if response.status_code not in REFUSED:
                    return self._taken(request, response, variable, key)
                response.close()
            return self._unavailable(request, no_key)

        async def send_async(client: httpx.AsyncClient, request: httpx.Request, **options: t.Any) -> httpx.Response:
            tries = self._tries(request)
            if tries is None:
                return await plain_async(client, request, **options)
            for name, value, variable, key in tries or [("", "", "", "")]:
                if name:
                    request.headers[name] = value
                try:
                    response = await plain_async(client, request, **options)
                except unreachable:
                    return self._unavailable(request, no_answer)
                except broken:
                    return self._unavailable(request, _BROKE_OFF)
                if response.status_code not in REFUSED:
                    return self._taken(request, response, variable, key)
                await response.aclose()
            return self._unavailable(request, no_key)

        httpx.Client.send = send  # type: ignore[method-assign,assignment]
        httpx.AsyncClient.send = send_async  # type: ignore[method-assign,assignment]


class RetryAfter:
    """ASGI layer: an answer that says to come back says when."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: t.Any, receive: t.Any, send: t.Callable[[Message], t.Awaitable[None]]) -> None:
        async def told(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 503:
                headers = [*message.get("headers", ())]
                if not any(name.lower() == b"retry-after" for name, _value in headers):
                    message = {**message, "headers": [*headers, (b"retry-after", str(RETRY_AFTER).encode())]}
            await send(message)

        await self.app(scope, receive, told)


def install(keys: Keys) -> None:
    """Before LiteLLM reads its configuration: it refuses to start without a master key. This one is known to nobody and opens nothing,
    since callers are looked up in ``keys.json``."""
    os.environ["LITELLM_MASTER_KEY"] = "sk-" + secrets.token_urlsafe(32)
    Upstream(lambda: keys.servers).install()
