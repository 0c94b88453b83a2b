# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guard in front of LiteLLM, and the last look at what leaves for an engine.

LiteLLM runs ``install`` when it starts (LITELLM_WORKER_STARTUP_HOOKS), before it reads its configuration: nothing in that configuration
can leave it out. A start without it would serve nobody: ``gateway_auth`` takes no request that did not come through here.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
import typing as t
from pathlib import Path

import gateway_handover
import gateway_litellm
import gateway_server
import gateway_tls
import gateway_upstream
from gateway_access import PUBLIC_PATHS, Caller, caller_of, check_path, wants_plain_health
from gateway_admission import Admission, Incoming, current, refuse
from gateway_asgi import Answer, App, Gone, Receive, Scope, Send, read_body, replay, respond, respond_error
from gateway_counts import NOTE, UNKNOWN, Counted, note_caller
from gateway_errors import RequestError, Scrubber
from gateway_exit import CURRENT, Destinations, Exit, State
from gateway_forms import Form
from gateway_keys import Keys
from gateway_ledger import Limits
from gateway_models import Models
from gateway_places import Sticky
from gateway_policy import Policy
from gateway_quotas import Quotas, Visit
from gateway_requests import Judged, Rules, inference, media_type, raw_route, upload_of
from gateway_rotation import InRotation, Rotation, unavailable
from gateway_routes import CANONICAL, Route, route_of
from gateway_sessions import Turns
from gateway_shared import Shared
from gateway_transcription import render
from gateway_usage import Metered, Usage, text_tokens

KEYS = Keys.from_environment(os.environ)
ROTATION = Rotation.from_environment(os.environ)
POLICY_FILE = Path(__file__).with_name("policy.json")
POLICY = Policy.load(POLICY_FILE)
HEALTH_CHECK = "/health_check"
LOG = logging.getLogger("gateway")
#: In the scope of a request that came through the guard.
MARK = "llmops.gateway_guard"
#: Beside it: who asks.
CALLER = "llmops.gateway_caller"
#: And for a client with limits what is counted of its request.
VISIT = "llmops.gateway_visit"


class Loaded:
    """What is taken from LiteLLM once it has read its configuration, which doesn't change while it runs."""

    def __init__(self) -> None:
        self._router: t.Any = None
        self._rules = Rules(POLICY, frozenset(), Models())
        self._places = Destinations()
        self._scrubber = Scrubber()
        self._aliases: t.Mapping[str, str] = {}
        self._behind: t.Mapping[str, frozenset[str]] = {}

    def _refresh(self) -> None:
        from litellm.proxy import proxy_server

        if proxy_server.llm_router is self._router:
            return
        self._router = proxy_server.llm_router
        self._rules = Rules(POLICY, gateway_litellm.steering_names(), gateway_litellm.models())
        self._places = gateway_litellm.destinations()
        self._scrubber = Scrubber(host for _scheme, host, _port in self._places.known)
        self._aliases = gateway_litellm.aliases()
        self._behind = gateway_litellm.behind_raw_routes()

    @property
    def rules(self) -> Rules:
        self._refresh()
        return self._rules

    @property
    def scrubber(self) -> Scrubber:
        self._refresh()
        return self._scrubber

    def places(self) -> Destinations:
        self._refresh()
        return self._places

    def behind(self, path: str) -> frozenset[str]:
        """The backends on the server that a raw route leads to."""
        self._refresh()
        return self._behind.get(path.rstrip("/"), frozenset())

    def model(self, name: str) -> str:
        """What a request is counted for: a model by its own name, whatever the client calls it, or a raw route."""
        name = self._aliases.get(name, name).rstrip("/")
        return name if name in self.rules.models.names or name in POLICY.raw else UNKNOWN


def logged(read: int, written: int) -> None:
    """LiteLLM knows the tokens of a request."""
    note = NOTE.get()
    if note is not None:
        note.tell(read, written)


LOADED = Loaded()


async def read_form(scope: Scope, body: bytes) -> Form:
    from starlette.datastructures import UploadFile
    from starlette.formparsers import MultiPartException
    from starlette.requests import Request

    async def once() -> t.MutableMapping[str, t.Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    pairs, uploads = [], []
    try:
        async with Request(scope, once).form(max_files=8, max_fields=200) as form:
            for name, value in form.multi_items():
                if isinstance(value, UploadFile):
                    uploads.append(upload_of(name, value.filename, value.content_type, await value.read()))
                else:
                    pairs.append((name, value))
    except (MultiPartException, KeyError, ValueError, AssertionError) as error:
        raise RequestError(400, f"the form could not be read: {str(error)[:200] or 'it is broken'}", code="invalid_form") from None
    except Exception as error:
        # Starlette itself answers a broken form with an exception of HTTP.
        if getattr(error, "status_code", None) == 400:
            raise RequestError(400, "the form could not be read", code="invalid_form") from None
        raise
    return Form.of(pairs, uploads)


def judged_by(judge: t.Callable[..., Judged], place: t.Any, raw: bytes, form: Form | None, scope: Scope, caller: Caller) -> Judged:
    """What goes on of a request. What the rules themselves stumble over is not understood, and goes no further."""
    try:
        return judge(place, raw, form, scope["headers"], scope.get("query_string", b""), caller, LOADED.rules.of(caller))
    except RequestError:
        raise
    except Exception as error:
        LOG.exception("the gateway's rules failed on a request")
        raise RequestError(400, "the gateway does not understand this request", code="invalid_request") from error


class Guard:
    """ASGI layer in front of LiteLLM: who asks, and for what; then the admission, then the judge of the request itself."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.admission = Admission(Judge(app), Limits.load(POLICY_FILE))
        self.quotas = Quotas(shared=self.shared)
        self._redis: Shared | None = None

    def shared(self) -> Shared | None:
        """The Redis of several gateways, which doesn't change while they run."""
        address = KEYS.redis
        if self._redis is None and address is not None:
            self._redis = Shared.connect(address, os.environ.get(str(address.get("password_variable"))), time.monotonic)
        return self._redis

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        try:
            await self._ask(scope, receive, send)
        except RequestError as error:
            code = error.code or str(error.status)
            await refuse(scope, Incoming(receive), send, error.status, code, error.message, error.retry_after)

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, headers = scope["path"], scope["headers"]
        if scope.get("method") == "OPTIONS" and {b"origin", b"access-control-request-method"} <= {name.lower() for name, _value in headers}:
            # A browser asks for permission before it sends its key; LiteLLM answers that for any path, before it looks for one.
            await self.app(scope, receive, send)
        elif scope["type"] == "http" and path in PUBLIC_PATHS:
            answer = Answer(send, State(contacted=True), LOADED.scrubber)
            await self.app({**scope, "query_string": b"", MARK: True}, receive, answer)
        elif scope["type"] == "http" and wants_plain_health(path, headers, KEYS):
            await respond(send, 200, b"application/json", b'{"status":"ok"}')
        else:
            caller = caller_of(headers, KEYS)
            note_caller(caller)
            if scope["type"] == "websocket" and caller.client is not None:
                raise RequestError(403, "A client's key opens no websocket here.", code="forbidden")
            check_path(path, caller, POLICY, gateway_litellm.serves)
            await self._admit({**scope, CALLER: caller, MARK: True}, receive, send, caller)

    async def _admit(self, scope: Scope, receive: Receive, send: Send, caller: Caller) -> None:
        if caller.client is None or caller.quota is None or not caller.quota.counts or is_list(scope["path"]):
            await self.admission(scope, receive, send, caller.name)
            return
        async with self.quotas.visit(caller.client, caller.quota) as visit:
            await self.admission({**scope, VISIT: visit}, receive, send, caller.client)


def is_list(path: str) -> bool:
    """Whether a path is about models and none is asked for an answer."""
    route = route_of(path)
    return route is not None and route.kind == "models"


class Judge:
    """Reads a request that was let in, and hands LiteLLM what is left of it."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.turns = Turns()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            await self._http(scope, receive, send)
        except RequestError as error:
            await respond_error(send, error)
        except Gone:
            return

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, caller = scope["path"], scope[CALLER]
        route = route_of(path)
        if route is not None:
            if scope["method"] != route.method:
                raise RequestError(405, f"{scope['method'][:20]} is not possible here; use {route.method}", code="method_not_allowed")
            if route.kind == "models":
                await self._models(scope, receive, send, caller, route)
            else:
                await self._inference(scope, receive, send, caller, route)
        elif path in POLICY.raw or (caller.client is not None and path.rstrip("/") in POLICY.client_routes):
            await self._raw(scope, receive, send, caller)
        elif caller.client is None and gateway_litellm.serves(path):
            await self.app(scope, receive, send)
        else:
            raise RequestError(404, f"There is nothing at {path[:100]}.", code="unknown_url")

    async def _ask(self, scope: Scope, receive: Receive, answer: Answer, judged: Judged) -> None:
        scope = {**scope, "headers": judged.headers}
        token = CURRENT.set(answer.state)
        try:
            await self.app(scope, replay(judged.body, receive), answer)
        finally:
            CURRENT.reset(token)

    async def _body(self, scope: Scope, receive: Receive) -> tuple[bytes, Form | None]:
        body = await read_body(receive)
        if media_type(scope["headers"]) == "multipart/form-data":
            return b"", await read_form(scope, body)
        return body, None

    async def _inference(self, scope: Scope, receive: Receive, send: Send, caller: Caller, route: Route) -> None:
        raw, form = await self._body(scope, receive)
        judged = judged_by(inference, route, raw, form, scope, caller)
        wanted = judged.wanted
        with self.turns.turn(judged.sessions), metered(scope, send, judged, counts=route.kind != "count_tokens") as out:
            answer = Answer(out, State(judged.max_images), LOADED.scrubber, None if wanted is None else lambda body: render(body, wanted))
            scope = {**scope, "path": route.path, "raw_path": route.path.encode(), "query_string": b""}
            await self._ask(scope, receive, answer, judged)

    async def _raw(self, scope: Scope, receive: Receive, send: Send, caller: Caller) -> None:
        if not may_reach(scope["path"], caller):
            raise RequestError(404, f"There is nothing at {scope['path'][:100]}.", code="unknown_url")
        raw, form = await self._body(scope, receive)
        judged = judged_by(raw_route, scope["path"], raw, form, scope, caller)
        if ROTATION.all_out(LOADED.behind(scope["path"])):
            raise unavailable(scope["path"])
        with metered(scope, send, judged) as out:
            await self._ask(scope, receive, Answer(out, State(judged.max_images), LOADED.scrubber), judged)

    async def _models(self, scope: Scope, receive: Receive, send: Send, caller: Caller, route: Route) -> None:
        """The list of models, or the one of them whose name the path ends with, slashes and all."""
        judged = Judged([(b"authorization", b"Bearer " + caller.key.encode("latin-1"))], b"")

        allowed = caller.quota.models if caller.quota is not None else None

        def one(body: bytes) -> tuple[bytes, bytes]:
            if route.model is None and allowed is None:
                return b"application/json", body
            found = json.loads(body)
            entries = [entry for entry in found.get("data") or () if allowed is None or entry.get("id") in allowed]
            if route.model is None:
                return b"application/json", json.dumps({**found, "data": entries}).encode()
            for entry in entries:
                if entry.get("id") == route.model:
                    return b"application/json", json.dumps(entry).encode()
            raise RequestError(
                404, f"The model {route.model[:100]!r} does not exist at this gateway", param="model", code="model_not_found"
            )

        answer = Answer(send, State(contacted=True), LOADED.scrubber, one)
        await self._ask({**scope, "path": route.path, "raw_path": route.path.encode(), "query_string": b""}, receive, answer, judged)


def may_reach(path: str, caller: Caller) -> bool:
    """Whether a raw route leads to a model that this client may ask for."""
    quota = caller.quota
    return quota is None or quota.models is None or path.rstrip("/") in {route.rstrip("/") for route in quota.routes}


@contextlib.contextmanager
def metered(scope: Scope, send: Send, judged: Judged, *, counts: bool = True) -> t.Iterator[Send]:
    """Where the answer goes. Its tokens are counted on the way."""
    visit: Visit | None = scope.get(VISIT)
    if visit is not None and (visit.quota.tokens_per_minute is None or not counts):
        visit = None
    usage = Usage(0 if visit is None or judged.wanted is not None else text_tokens(judged.body))
    note = NOTE.get()
    if note is not None:
        note.judge(LOADED.model(judged.model))
    try:
        yield Metered(send, usage, judged.hides_usage)
    finally:
        if visit is not None:
            visit.tokens = usage.tokens
        if note is not None and note.whole:
            # Of an answer that broke off LiteLLM knows more than what was said by then.
            note.tell(*usage.told)


def leaving() -> None:
    """LiteLLM has prepared a request, which leaves for an engine."""
    exchange = current.get()
    if exchange is not None:
        exchange.started()


def serves_responses() -> bool:
    exchange = current.get()
    return exchange is None or exchange.path.rstrip("/").endswith("/responses")


async def health_check() -> dict[str, str]:
    return {"status": "ok"}


def install() -> None:
    """Put the guard before and the exit behind LiteLLM."""
    from litellm.proxy.proxy_server import app

    gateway_server.install(serves_responses)
    gateway_tls.serve(gateway_tls.Certificates.from_environment(os.environ), gateway_server.protocols())
    gateway_tls.trust(os.environ)
    gateway_handover.install()
    app.add_api_route(HEALTH_CHECK, health_check, methods=["GET"], include_in_schema=False)
    # Inside the exit, which judges what LiteLLM sends; the keys come in last.
    gateway_upstream.install(KEYS)
    # Outermost, whether or not the server has built its layers yet.
    guard = Guard(app.middleware_stack or app.build_middleware_stack())
    app.middleware_stack = gateway_upstream.RetryAfter(Counted(guard, KEYS, POLICY))
    gateway_litellm.load(CANONICAL.values())
    gateway_litellm.log_tokens(logged)
    sticky = Sticky(guard.shared) if POLICY.sticky_sessions else None
    gateway_litellm.filter_backends(InRotation(ROTATION, sticky, gateway_litellm.revive, gateway_litellm.falls_back))
    Exit(POLICY, LOADED.places, leaving).install()
