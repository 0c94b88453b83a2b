# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A request as a client sent it, and as LiteLLM is to get it: read, judged and written anew. Needs no LiteLLM.

LiteLLM gets nothing that was not read here: no other path, query, header or body. So no difference between its way of reading and ours
can let something through.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

from gateway_access import Caller
from gateway_body import BodyError, parse_object, write_object
from gateway_errors import Headers, RequestError
from gateway_forms import Form, Upload, write
from gateway_media import MediaRefusedError, check_media, check_url, looks_like_address, trim_images
from gateway_messages import check_conversation
from gateway_models import Models
from gateway_parameters import arrange, check_types, flatten, steers
from gateway_policy import Policy
from gateway_routes import Route
from gateway_server import spare_the_cache
from gateway_sessions import names_of
from gateway_transcription import Wanted, wanted_of

#: What LiteLLM gets of a request's headers, beside the key. It reads many more, and acts on them.
PASSED_HEADERS = frozenset({b"accept", b"anthropic-version", b"host", b"traceparent", b"tracestate", b"user-agent"})
#: Of LiteLLM's own headers those that clients send without meaning to steer anything; they go no further either.
IGNORED_HEADERS = frozenset({b"x-litellm-api-key", b"x-litellm-call-id", b"x-litellm-session-id", b"x-litellm-trace-id"})
#: Parameters in the address that clients of Azure and Anthropic send.
IGNORED_QUERY = frozenset({"api-version", "beta"})


@dataclass(frozen=True)
class Rules:
    """All that a request is judged by."""

    policy: Policy
    steering: t.Collection[str]
    models: Models

    def of(self, caller: Caller) -> Rules:
        """As they are for this caller."""
        allowed = caller.quota.models if caller.quota is not None else None
        return self if allowed is None else replace(self, models=self.models.only(allowed))


@dataclass(frozen=True)
class Judged:
    """What goes on to LiteLLM."""

    headers: Headers
    body: bytes
    max_images: int | None = None
    #: The model by the name that the client gave it; of a raw route its path.
    model: str = ""
    #: How a transcription is to be told.
    wanted: Wanted | None = None
    #: Whether the engine is asked for the usage of a stream, and the client wasn't.
    hides_usage: bool = False
    #: What its conversation may be called, where it is to stay with one backend.
    sessions: tuple[str, ...] = ()


def media_type(headers: t.Iterable[tuple[bytes, bytes]]) -> str:
    value = next((value for name, value in headers if name.lower() == b"content-type"), b"")
    return value.split(b";", 1)[0].strip().lower().decode("latin-1")


def check_headers(headers: t.Iterable[tuple[bytes, bytes]]) -> None:
    for name, value in headers:
        lower = name.lower()
        if lower == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            raise RequestError(400, "compressed requests are not taken here; send the body as it is", param="content-encoding")
        if lower.startswith(b"x-litellm-") and lower not in IGNORED_HEADERS:
            shown = lower.decode("latin-1")[:100]
            raise RequestError(400, f"the header {shown} would steer the gateway itself", param=shown, code="parameter_refused")


def check_query(query: bytes, rules: Rules) -> None:
    """Nothing in the address is read. What would mean something there is refused, so that nobody relies on it."""
    for name, _value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name in ("model", "extra_body") or (name not in IGNORED_QUERY and steers(name, rules.steering)):
            raise RequestError(
                400, f"{name[:100]} in the address is not read here; put it into the body", param=name[:100], code="parameter_refused"
            )


def passed_headers(headers: t.Iterable[tuple[bytes, bytes]], caller: Caller, content_type: bytes | None, length: int) -> Headers:
    kept: Headers = [(name.lower(), value) for name, value in headers if name.lower() in PASSED_HEADERS]
    kept.append((b"authorization", b"Bearer " + caller.key.encode("latin-1")))
    if content_type is not None:
        kept += [(b"content-type", content_type), (b"content-length", str(length).encode())]
    return kept


def read_json(raw: bytes, headers: t.Iterable[tuple[bytes, bytes]]) -> dict[str, t.Any]:
    kind = media_type(headers)
    if kind in ("application/x-www-form-urlencoded", "multipart/form-data"):
        raise RequestError(400, f"this route takes JSON, not {kind}", param="content-type", code="unsupported_media_type")
    try:
        return parse_object(raw)
    except BodyError as error:
        raise RequestError(400, str(error), code="invalid_json") from None


def written(body: t.Mapping[str, t.Any]) -> bytes:
    try:
        return write_object(body)
    except BodyError as error:
        raise RequestError(400, str(error), code="invalid_json") from None


def judge(route: Route, body: dict[str, t.Any], rules: Rules) -> tuple[dict[str, t.Any], int | None]:
    """A JSON body as LiteLLM is to get it, and how many images it may carry."""
    flat = flatten(route.kind, body, rules.steering)
    if route.model is not None:
        if flat.get("model") not in (None, route.model):
            raise RequestError(400, "the path and the body name two models", param="model", code="invalid_model")
        flat["model"] = route.model
    model = rules.models.wanted(route.kind, flat.get("model"))
    check_types(route.kind, flat)
    check_conversation(route.kind, flat)
    limit = rules.policy.max_images.get(flat["model"])
    try:
        check_media(flat, rules.policy)
        trim_images(flat, limit)
    except MediaRefusedError as error:
        raise RequestError(400, str(error), code="media_refused") from None
    arranged = arrange(route.kind, flat, rules.steering, model)
    if route.kind == "embeddings":
        spare_the_cache(arranged)
    return arranged, limit


def judge_form(route: Route, form: Form, rules: Rules) -> tuple[Form, Wanted]:
    """A transcription as LiteLLM is to get it."""
    if [upload.field for upload in form.uploads] != ["file"]:
        raise RequestError(400, "send the sound as the one file of the form, under the name 'file'", param="file", code="missing_parameter")
    flat = flatten(route.kind, dict(form.fields), rules.steering)
    if route.model is not None and flat.setdefault("model", route.model) != route.model:
        raise RequestError(400, "the path and the form name two models", param="model", code="invalid_model")
    rules.models.wanted(route.kind, flat.get("model"))
    check_types(route.kind, flat)
    try:
        check_media(flat, rules.policy)
    except MediaRefusedError as error:
        raise RequestError(400, str(error), code="media_refused") from None
    wanted = wanted_of(flat)
    flat.pop("stream", None)
    flat["response_format"] = wanted.asked
    return Form(flat, form.uploads, form.lists), wanted


def judge_raw(path: str, query: bytes, body: dict[str, t.Any], rules: Rules) -> int | None:
    """A body that goes to an engine as it is; images that are too many go out of it. The number that may stay."""
    for name in body:
        if steers(name, rules.steering):
            raise RequestError(400, f"{name[:100]} would steer the gateway itself", param=name[:100], code="parameter_refused")
    limit = rules.policy.raw.get(path)
    try:
        check_media(body, rules.policy)
        trim_images(body, limit)
        for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
            if steers(name, rules.steering):
                raise RequestError(400, f"{name[:100]} would steer the gateway itself", param=name[:100], code="parameter_refused")
            if looks_like_address(value):
                check_url(value, rules.policy)
    except MediaRefusedError as error:
        raise RequestError(400, str(error), code="media_refused") from None
    return limit


def inference(route: Route, raw: bytes, form: Form | None, headers: Headers, query: bytes, caller: Caller, rules: Rules) -> Judged:
    """A request of one of the inference routes."""
    check_headers(headers)
    check_query(query, rules)
    if route.kind == "transcription":
        if form is None:
            raise RequestError(400, "this route takes an upload (multipart/form-data)", param="content-type", code="unsupported_media_type")
        arranged, wanted = judge_form(route, form, rules)
        content_type, body = write(arranged)
        return Judged(passed_headers(headers, caller, content_type, len(body)), body, model=arranged.fields["model"], wanted=wanted)
    sent = read_json(raw, headers)
    sessions = names_of(route.kind, sent, headers, caller.client or "") if rules.policy.sticky_sessions else ()
    judged, limit = judge(route, sent, rules)
    hides = caller.quota is not None and caller.quota.tokens_per_minute is not None and ask_for_usage(route.kind, judged)
    body = written(judged)
    passed = passed_headers(headers, caller, b"application/json", len(body))
    return Judged(passed, body, limit, judged["model"], hides_usage=hides, sessions=sessions)


def ask_for_usage(kind: str, body: dict[str, t.Any]) -> bool:
    """Have the answer say how many tokens it had, where a stream would not. Whether the client did not ask for that itself."""
    if kind not in ("chat", "completions") or not body.get("stream"):
        return False
    options = body.get("stream_options") or {}
    body["stream_options"] = {**options, "include_usage": True}
    return not options.get("include_usage")


def raw_route(path: str, raw: bytes, form: Form | None, headers: Headers, query: bytes, caller: Caller, rules: Rules) -> Judged:
    """A request of a raw route: JSON, an upload, or nothing at all."""
    check_headers(headers)
    if form is not None:
        limit = judge_raw(path, query, dict(form.fields), rules)
        content_type, body = write(form)
        return Judged(passed_headers(headers, caller, content_type, len(body)), body, limit, path)
    if not raw:
        judge_raw(path, query, {}, rules)
        return Judged(passed_headers(headers, caller, None, 0), b"", model=path)
    parsed = read_json(raw, headers)
    if not isinstance(parsed.get("metadata"), (dict, type(None))):
        # The one name besides the model's that LiteLLM itself reads here.
        raise RequestError(400, "metadata must be an object", param="metadata", code="invalid_type")
    limit = judge_raw(path, query, parsed, rules)
    body = written(parsed)
    return Judged(passed_headers(headers, caller, b"application/json", len(body)), body, limit, path)


def upload_of(field: str, name: str | None, content_type: str | None, content: bytes) -> Upload:
    return Upload(field, name or "file", content_type or "application/octet-stream", content)
