# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The last look at a request: as it leaves for an engine, after everything that LiteLLM did to it.

LiteLLM sends through httpx, whatever the provider. Nothing a client writes can come between this and the engine, so this is where the
promise is kept that no media address reaches an engine. What the guard in front finds before (``gateway_requests``) gets the better
sentence, and is what LiteLLM itself would act on.
"""

from __future__ import annotations

import contextvars
import json
import typing as t
from dataclasses import dataclass

from gateway_errors import RequestError, error_body, message_of
from gateway_media import MediaRefusedError, check_media, check_url, count_images
from gateway_policy import Policy

if t.TYPE_CHECKING:
    import httpx

Origin = tuple[str, str, int]


@dataclass
class State:
    """What becomes of one request of a client."""

    max_images: int | None = None
    #: Whether an engine was asked at all.
    contacted: bool = False
    #: Why the exit let it go no further.
    refused: str | None = None
    #: The last engine's own refusal.
    engine_status: int | None = None
    engine_message: str | None = None
    #: Why no engine was asked: all of a model's are out of rotation.
    unserved: RequestError | None = None


CURRENT: contextvars.ContextVar[State | None] = contextvars.ContextVar("gateway_request", default=None)


@dataclass(frozen=True)
class Destinations:
    """Scheme, host and port of what LiteLLM's configuration leads to."""

    known: frozenset[Origin] = frozenset()
    #: Whether nothing else is configured: then a client's request may lead nowhere else.
    complete: bool = False


def why_not(
    method: str, url: str, origin: Origin, content_type: str, content: bytes, *, policy: Policy, places: Destinations, state: State | None
) -> str | None:
    """Why an outgoing request may not leave, or None."""
    try:
        if origin not in places.known:
            if places.complete and state is not None:
                if method != "GET":
                    return "the gateway connects to its engines only"
                check_url(url, policy)
            return None
        if not content or content_type.startswith("multipart/form-data"):
            return None
        body = json.loads(content)
        if not isinstance(body, dict):
            return "the engine would get a body that the gateway does not understand"
        check_media(body, policy)
        if state is not None and state.max_images is not None and count_images(body) > state.max_images:
            return f"this model takes at most {state.max_images} images in a request"
    except MediaRefusedError as error:
        return str(error)
    except (ValueError, RecursionError):
        return "the engine would get a body that the gateway does not understand"
    return None


class Exit:
    """Stands in for httpx's way of sending, for every client there is or will be in this process."""

    def __init__(self, policy: Policy, destinations: t.Callable[[], Destinations], leaving: t.Callable[[], None]) -> None:
        self.policy = policy
        self.destinations = destinations
        self.leaving = leaving

    def _refusal(self, request: httpx.Request, content: bytes) -> httpx.Response | None:
        import httpx

        state, url = CURRENT.get(), request.url
        origin = (url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme, 0))
        reason = why_not(
            request.method,
            str(url),
            origin,
            request.headers.get("content-type", "").lower(),
            content,
            policy=self.policy,
            places=self.destinations(),
            state=state,
        )
        if reason is None:
            if state is not None:
                state.contacted = True
            self.leaving()
            return None
        if state is not None:
            state.refused = reason
        return httpx.Response(400, content=error_body(400, reason), headers={"content-type": "application/json"}, request=request)

    @staticmethod
    def _remember(response: httpx.Response) -> None:
        state = CURRENT.get()
        if state is None:
            return
        state.engine_status = response.status_code
        try:
            state.engine_message = message_of(json.loads(response.content))
        except ValueError:
            state.engine_message = None

    def install(self) -> None:
        import httpx

        plain, plain_async = httpx.Client.send, httpx.AsyncClient.send

        def send(client: httpx.Client, request: httpx.Request, **options: t.Any) -> httpx.Response:
            refused = self._refusal(request, _content(request))
            if refused is not None:
                return refused
            response = plain(client, request, **options)
            if response.status_code >= 400:
                response.read()
                self._remember(response)
            return response

        async def send_async(client: httpx.AsyncClient, request: httpx.Request, **options: t.Any) -> httpx.Response:
            refused = self._refusal(request, _content(request))
            if refused is not None:
                return refused
            response = await plain_async(client, request, **options)
            if response.status_code >= 400:
                await response.aread()
                self._remember(response)
            return response

        httpx.Client.send = send  # type: ignore[method-assign,assignment]
        httpx.AsyncClient.send = send_async  # type: ignore[method-assign,assignment]


def _content(request: httpx.Request) -> bytes:
    """The body, where it is there as a whole; forms are sent piece by piece, and were put together by the guard itself."""
    import httpx

    try:
        return request.content
    except httpx.RequestNotRead:
        return b"" if request.headers.get("content-type", "").startswith("multipart/form-data") else b"?"
