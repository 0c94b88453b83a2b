# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The variables that mean the whole deployment, typed: aliases, and the gateway."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .._gateway.limits import DEFAULT_REQUEST_LIMIT, DEFAULT_WORK_LIMIT, MIB
from .._gateway.paths import why_not_free
from .._gateway.variables import (
    ENGINE_KEY,
    EXTERNAL_KEY,
    GUARD_VARIABLES,
    OWN_VARIABLES,
    REDIS_PASSWORD_VARIABLE,
)
from .._secrets.secrecy import secrets_in
from . import schema_clients
from .findings import Fields, Report, parse_size
from .grammar import (
    DURATION,
    MODEL_NAME,
    MODEL_NAME_EXPECTED,
    PATH,
    address_trouble,
)
from .keys import (
    MAPPING,
    SIZE,
    Key,
    Keys,
    Schema,
    address,
    any_of,
    boolean,
    integer,
    list_of,
    mapping_of,
    matching,
    maybe_text,
    secret,
    text,
    texts,
    with_reader,
)
from .model import DEFAULT_GATEWAY_PORT, Gateway
from .tls import GATEWAY_TLS

VARIABLE = r"[A-Z_][A-Z0-9_]*"
_REDIS = r"(rediss?)://([^/@:\s]+)(?::([0-9]{1,5}))?(?:/([0-9]+))?/?"

#: Keys of ``general_settings`` on which the guard of the gateway stands -> where to say what is meant.
_GENERAL_KEPT = {
    "master_key": "it is made by the collection, or given as inference_master_key",
    "custom_auth": "the keys of clients are inference_gateway.client_keys",
    "litellm_key_header_name": "clients send their key as 'Authorization: Bearer', 'x-api-key' or 'api-key'",
    "pass_through_endpoints": "raw routes are inference_gateway.passthrough, which looks at paths and keys",
}
_NO_DATABASE = (
    "has no effect: LiteLLM counts and enforces it in a database, and the gateway has none. Requests and tokens a minute are limits of a "
    "client in inference_gateway.client_keys; budgets need general_settings.database_url"
)
_OWN_VARIABLES = frozenset({*OWN_VARIABLES, *GUARD_VARIABLES, "PYTHONPATH"})
#: Keys of ``litellm_settings`` that mean nothing without LiteLLM's database, beside all that say budget.
_NEEDS_DATABASE = frozenset(
    {
        "default_internal_user_params",
        "default_key_generate_params",
        "default_team_params",
        "default_team_settings",
        "key_generation_settings",
        "upperbound_key_generate_params",
    }
)
#: What the variable is to an editor.
ALIASES: Schema = mapping_of({"type": "string"}, MODEL_NAME)


def parse_aliases(raw: Any, report: Report) -> dict[str, str]:
    if not isinstance(raw, Mapping):
        report.add("inference_model_aliases", raw, "must be a mapping of aliases to models")
        return {}
    found: dict[str, str] = {}
    for key, target in raw.items():
        alias = str(key)
        if not re.fullmatch(MODEL_NAME, alias):
            report.add(f"inference_model_aliases.{alias}", target, f"an alias must be {MODEL_NAME_EXPECTED}")
        elif not isinstance(target, str) or not target:
            report.add(f"inference_model_aliases.{alias}", target, "must be the name of a model")
        else:
            found[alias] = target
    return found


class CacheKeys(Keys):
    ttl = integer(1, what=DURATION)


class MediaKeys(Keys):
    allow_data = boolean(True)
    allowed_domains = texts(expected="a domain")


def _cache(fields: Fields) -> Any:
    cache = fields.data.get("cache")
    if isinstance(cache, Mapping):
        inner = CacheKeys.fields(cache, "inference_gateway.cache", fields.report)
        return {"ttl": CacheKeys.ttl.read(inner) or 600}
    if not isinstance(cache, (bool, type(None))):
        fields.add("cache", cache, "must be true, false or {ttl: seconds}")
        return None
    return cache


def _media(fields: Fields) -> dict[str, Any]:
    if not fields.has("media"):
        return {}
    inner = MediaKeys.fields(fields.data["media"], "inference_gateway.media", fields.report)
    return {"allow_data": MediaKeys.allow_data.read(inner), "allowed_domains": list(MediaKeys.allowed_domains.read(inner))}


def _read_bytes(fields: Fields, key: str, least: int, most: int) -> int | None:
    value = fields.data.get(key)
    if value is None:
        return None
    size = parse_size(value)
    if size is None or size.mib is None or not least <= size.mib * MIB <= most:
        fields.add(key, value, f"must be a size from {least // MIB}MiB to {most // MIB}MiB, such as 32MiB")
        return None
    return int(size.mib * MIB)


def _bytes(least: int, most: int) -> Key[int | None]:
    return Key(lambda fields, name: _read_bytes(fields, name, least, most), SIZE)


def read_bind(fields: Fields, default: str) -> str:
    """An address of this host. Docker's --publish takes no names, so localhost is written as its address."""
    text = fields.text("bind", default, pattern=r"\S+", expected="an IP address of the gateway's host")
    text = "127.0.0.1" if text == "localhost" else text
    trouble = address_trouble(text)
    if trouble:
        fields.add("bind", text, f"{trouble}, one of this host")
    return default if trouble else text


def _settings(fields: Fields) -> dict[str, Any]:
    """LiteLLM's own keys. Only what we read ourselves is looked at, what would let anybody in, and what LiteLLM would take in vain."""
    settings = fields.mapping("settings")
    general = settings.get("general_settings")
    if isinstance(general, Mapping):
        _check_general(fields, general)
        # What is refused anyway need not be said to be a secret, too.
        settings = {**settings, "general_settings": {key: value for key, value in general.items() if key not in _GENERAL_KEPT}}
    for place, what in secrets_in(settings, "settings"):
        fields.add(
            place, None, f"{what} and would end up in the gateway's config file; write os.environ/NAME, or use the variable made for it"
        )
    inner = Fields(settings, fields.where("settings"), fields.report, tuple(settings))
    sections = {name: inner.mapping(name) for name in ("litellm_settings", "router_settings", "general_settings")}
    for name in inner.mapping("environment_variables"):
        if name in _OWN_VARIABLES or name.startswith((f"{ENGINE_KEY}_", f"{EXTERNAL_KEY}_")):
            inner.add(f"environment_variables.{name}", None, "is set by the collection; leave it out")
    if not sections["general_settings"].get("database_url"):
        for key in sections["litellm_settings"]:
            if "budget" in key or key in _NEEDS_DATABASE:
                fields.report.warn(f"inference_gateway.settings.litellm_settings.{key} {_NO_DATABASE}")
    for position, item in enumerate(inner.items("model_list")):
        model = Fields(item, inner.where(f"model_list[{position}]"), fields.report, tuple(item) if isinstance(item, Mapping) else ())
        model.text("model_name", required=True, pattern=r"\S+", expected="the name of a model at the gateway")
    _check_router(Fields(sections["router_settings"], inner.where("router_settings"), fields.report, tuple(sections["router_settings"])))
    # Null takes a key out that the collection sets; for a whole section that is never meant.
    return {name: value for name, value in settings.items() if value is not None}


def _check_general(fields: Fields, general: Mapping[str, Any]) -> None:
    for key, remedy in _GENERAL_KEPT.items():
        where = f"settings.general_settings.{key}"
        if key == "custom_auth" and key in general and not general[key]:
            fields.add(where, None, "may not be empty: without it anybody could use the gateway; leave it out")
        elif key in general:
            fields.add(where, None, f"is not for settings: {remedy}")


def _check_router(router: Fields) -> None:
    for alias, target in router.mapping("model_group_alias").items():
        model_name = target.get("model") if isinstance(target, Mapping) else target
        if not isinstance(model_name, str) or not model_name:
            router.add(f"model_group_alias.{alias}", target, "must be the name of a model, or {model: name, hidden: true}")


class PassthroughKeys(Keys):
    path = text(required=True, pattern=PATH, expected="a path such as /embeddings/v1/embeddings")
    model = maybe_text()
    target = address(expected="an address such as http://host:8000/v1/embeddings")
    target_path = maybe_text(pattern=PATH, expected="a path such as /embeddings")
    key_variable = maybe_text(pattern=VARIABLE, expected="the name of an environment variable")
    timeout = integer(1, 86400, what=DURATION)
    methods = texts(choices=("GET", "POST", "PUT", "PATCH", "DELETE"), expected="a method of HTTP")


def _passthroughs(fields: Fields) -> tuple[Mapping[str, Any], ...]:
    found = []
    for position, item in enumerate(fields.items("passthrough")):
        inner = PassthroughKeys.fields(item, f"inference_gateway.passthrough[{position}]", fields.report)
        entry = {name: key.read(inner) for name, key in PassthroughKeys.all().items()}
        entry["methods"] = list(entry["methods"])
        path = entry["path"]
        trouble = why_not_free(path) if path else None
        if trouble:
            inner.add("path", path, trouble)
        if inner.valid and not entry["model"] and not entry["target"]:
            inner.add("", item, "needs model (one of ours) or target (an address)")
        elif path:
            found.append({key: value for key, value in entry.items() if value})
    return tuple(found)


class RedisKeys(Keys):
    host = text(required=True, pattern=r"[^\s/@]+", expected="a host name or address")
    port = integer(1, 65535)
    db = integer(0, 1023)
    username = text()
    password = secret()
    ssl = boolean(False)


def _redis(fields: Fields) -> dict[str, Any] | None:
    raw = fields.data.get("redis")
    if raw is None:
        return None
    if isinstance(raw, str):
        match = re.fullmatch(_REDIS, raw)
        if match is None:
            fields.add(
                "redis",
                None,
                "must look like redis://host:6379/0; a user and password go into the mapping form {host, port, username, password}",
            )
            return None
        return {"host": match[2], "port": int(match[3] or 6379), "db": int(match[4] or 0), "ssl": match[1] == "rediss"}
    keys = RedisKeys
    inner = keys.fields(raw, fields.where("redis"), fields.report)
    host = keys.host.read(inner)
    has_password = keys.password.read(inner)
    redis: dict[str, Any] = {
        "host": host,
        "port": keys.port.read(inner) or 6379,
        "db": keys.db.read(inner) or 0,
        "ssl": keys.ssl.read(inner),
    }
    if inner.has("username"):
        redis["username"] = keys.username.read(inner)
    if has_password:
        redis["password_variable"] = REDIS_PASSWORD_VARIABLE
    return redis if host else None


class GatewayKeys(Keys):
    port = integer(1, 65535, what="a port number")
    bind = with_reader({"type": "string"}, lambda fields: read_bind(fields, "0.0.0.0"))  # noqa: S104
    public_url = address(expected="an address such as https://llm.example, without a user or password")
    redis = with_reader(any_of(matching(_REDIS), RedisKeys.schema()), _redis)
    client_keys = with_reader(schema_clients.SCHEMA, schema_clients.read_clients)
    settings = with_reader(MAPPING, _settings)
    default_fallbacks = texts(expected="the name of a model")
    cache = with_reader(any_of({"type": "boolean"}, CacheKeys.schema()), _cache)
    media = with_reader(MediaKeys.schema(), _media)
    health_check_interval = integer(1, 86400, what=DURATION)
    request_limit = _bytes(MIB, 1024 * MIB)
    work_limit = _bytes(2 * MIB, 16 * 1024 * MIB)
    sticky_sessions = boolean(True)
    passthrough = with_reader(list_of(PassthroughKeys.schema()), _passthroughs)
    tls = GATEWAY_TLS


def parse_gateway(raw: Any, report: Report) -> Gateway:
    keys = GatewayKeys
    fields = keys.fields(raw, "inference_gateway", report)
    settings = keys.settings.read(fields)
    clients = keys.client_keys.read(fields)
    cache = keys.cache.read(fields)
    media = keys.media.read(fields)
    request_limit, work_limit = _limits(fields)
    return Gateway(
        port=keys.port.read(fields) or DEFAULT_GATEWAY_PORT,
        bind=keys.bind.read(fields),
        public_url=keys.public_url.read(fields),
        redis=keys.redis.read(fields),
        clients=clients,
        settings=settings,
        default_fallbacks=keys.default_fallbacks.read(fields),
        cache=cache,
        media=media,
        health_check_interval=keys.health_check_interval.read(fields),
        request_limit=request_limit,
        work_limit=work_limit,
        sticky_sessions=keys.sticky_sessions.read(fields),
        passthrough=keys.passthrough.read(fields),
        tls=keys.tls.read(fields),
    )


def _limits(fields: Fields) -> tuple[int, int]:
    """Bytes of one request, and of all that the gateway has in work."""
    request = GatewayKeys.request_limit.read(fields) or DEFAULT_REQUEST_LIMIT
    work = GatewayKeys.work_limit.read(fields)
    if work is not None and work < 2 * request:
        remedy = (
            f"at least twice request_limit ({2 * request / MIB:g}MiB), so that the largest request of one client leaves room for others"
        )
        fields.add("work_limit", fields.data["work_limit"], f"must be {remedy}")
    return request, work or max(DEFAULT_WORK_LIMIT, 2 * request)
