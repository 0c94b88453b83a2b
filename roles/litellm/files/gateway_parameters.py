# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which parameters a request may have, and where they go: to LiteLLM, to the engine as they are, or nowhere. Needs no LiteLLM.

- Parameters of the API itself (OpenAI's, Anthropic's) go to LiteLLM, which knows what each engine calls them.
- Those that LiteLLM knows for itself (``steering``, taken from LiteLLM when it starts: ``gateway_litellm``) are refused.
- All others are the engine's: they go into ``extra_body``, which LiteLLM adds to the engine's request without reading it.
"""

from __future__ import annotations

import re
import typing as t

from gateway_api import (
    API,
    CLOSED,
    FLAG,
    INPUT,
    KNOWN,
    LEGACY,
    LIST,
    MAIN,
    NUMBER,
    OBJECT,
    OBJECTS,
    OLLAMA,
    PREFIXES,
    TEXT,
    TEXT_OR_LIST,
    TEXT_OR_OBJECT,
    TEXTS,
    UNLISTED,
    WHOLE,
)
from gateway_errors import RequestError
from gateway_models import Model

Body = dict[str, t.Any]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}")


def steers(name: str, steering: t.Collection[str]) -> bool:
    """Whether a parameter is LiteLLM's own."""
    return name not in KNOWN and (name in steering or name in UNLISTED or name.startswith(PREFIXES))


def _is(value: t.Any, what: str) -> bool:
    if what == FLAG:
        return isinstance(value, bool)
    if what == WHOLE:
        return isinstance(value, int) and not isinstance(value, bool)
    if what == NUMBER:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if what == OBJECTS:
        return isinstance(value, list) and all(isinstance(item, dict) for item in value)
    if what == TEXTS:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if what == INPUT:
        return isinstance(value, str) or (isinstance(value, list) and _one_kind(value))
    kinds: dict[str, tuple[type, ...]] = {
        TEXT: (str,),
        OBJECT: (dict,),
        LIST: (list,),
        TEXT_OR_OBJECT: (str, dict),
        TEXT_OR_LIST: (str, list),
    }
    return isinstance(value, kinds[what])


def _one_kind(items: list[t.Any]) -> bool:
    """Texts, or tokens, or lists of tokens: one of them throughout."""

    def tokens(value: t.Any) -> bool:
        return isinstance(value, list) and all(_is(item, WHOLE) for item in value)

    return all(isinstance(item, str) for item in items) or tokens(items) or all(map(tokens, items))


def _refuse(name: str, kind: str, steering: t.Collection[str], where: str) -> None:
    if name in LEGACY:
        raise RequestError(400, f"{name} is not supported any more; use tools and tool_choice", param=name, code="unsupported_parameter")
    if steers(name, steering):
        raise RequestError(
            400,
            f"{where}{name[:100]} is not a parameter of a request: it would steer the gateway itself",
            param=name[:100],
            code="parameter_refused",
        )
    if _NAME.fullmatch(name) is None:
        raise RequestError(400, f"{where}{name[:100]!r} is not the name of a parameter", param=name[:100], code="unknown_parameter")
    if kind in CLOSED and name not in API[kind] and name not in CLOSED[kind]:
        known = ", ".join(sorted({*API[kind], *CLOSED[kind]}))
        raise RequestError(400, f"{where}{name} is not known here. Known are: {known}", param=name, code="unknown_parameter")


def flatten(kind: str, body: Body, steering: t.Collection[str]) -> Body:
    """A body with its ``extra_body`` in it, as the engine would get it; every name looked at."""
    extra = body.get("extra_body")
    if extra is not None and not isinstance(extra, dict):
        raise RequestError(400, "extra_body must be an object", param="extra_body", code="invalid_type")
    flat = {name: value for name, value in body.items() if name != "extra_body"}
    for name in flat:
        _refuse(name, kind, steering, "")
        if name in MAIN and name not in API[kind]:
            hint = ": the model's raw route takes them, see the operator's list of passthrough paths" if kind == "embeddings" else ""
            raise RequestError(400, f"{name} is not a parameter of this route{hint}", param=name, code="unknown_parameter")
    for name, value in (extra or {}).items():
        _refuse(name, kind, steering, "extra_body.")
        if name in MAIN:
            raise RequestError(
                400, f"extra_body.{name}: {name} belongs into the body itself", param=f"extra_body.{name}", code="parameter_refused"
            )
        if flat.get(name) is not None:
            raise RequestError(400, f"{name} is given twice, in the body and in extra_body", param=name, code="parameter_refused")
        flat[name] = value
    return flat


def check_types(kind: str, body: Body) -> None:
    """Raise for a value that LiteLLM could not read: it would answer 500 and take the engine for broken."""
    for name, what in API[kind].items():
        value = body.get(name)
        if value is not None and not _is(value, what):
            raise RequestError(400, f"{name} must be {what}", param=name, code="invalid_type")
    metadata = body.get("metadata")
    if metadata is not None and not all(value is None or isinstance(value, (str, int, float)) for value in metadata.values()):
        raise RequestError(400, "the values of metadata must be texts", param="metadata", code="invalid_type")


def arrange(kind: str, body: Body, steering: t.Collection[str], model: Model) -> Body:
    """A flat body as LiteLLM is to get it."""
    metadata = body.get("metadata")
    if isinstance(metadata, dict):
        for name in metadata:
            if name != "user_id" and steers(name, steering):
                raise RequestError(
                    400, f"metadata.{name[:100]} would steer the gateway itself", param=f"metadata.{name[:100]}", code="parameter_refused"
                )
    own = set(API[kind])
    if model.providers & {"ollama", "ollama_chat"}:
        own |= OLLAMA
    elif kind == "chat" and all(tool.get("type") == "function" for tool in body.get("tools") or ()):
        # LiteLLM takes strict and additionalProperties out of tools for vLLM, which knows both.
        own -= {"tools", "tool_choice", "parallel_tool_calls"}
    if kind in CLOSED:
        return {name: value for name, value in body.items() if value is not None}
    arranged = {name: value for name, value in body.items() if name in own and value is not None}
    extra = {name: value for name, value in body.items() if name not in own and value is not None}
    if extra:
        arranged["extra_body"] = {**model.extra_body, **extra}
    return arranged
