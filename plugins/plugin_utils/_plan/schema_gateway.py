# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The variables that mean the whole deployment, typed: external endpoints, aliases, and the gateway."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from .._engines.registry import ANY_SERVER, ENGINES, EXTERNAL
from .._gateway.limits import DEFAULT_REQUEST_LIMIT, DEFAULT_WORK_LIMIT, MIB
from .._gateway.paths import why_not_free
from .._gateway.variables import (
    ENGINE_KEY,
    EXTERNAL_KEY,
    GUARD_VARIABLES,
    OWN_VARIABLES,
    REDIS_PASSWORD_VARIABLE,
)
from .._secrets.secrecy import looks_secret, secrets_in
from .findings import Fields, Report, parse_size
from .grammar import (
    DURATION,
    MODEL_NAME,
    MODEL_NAME_EXPECTED,
    PATH,
    SERVER_NAME,
    SERVER_NAME_EXPECTED,
    address_trouble,
)
from .model import (
    CAPABILITIES,
    DEFAULT_GATEWAY_PORT,
    External,
    ExternalModel,
    Gateway,
)
from .request_defaults import read_request_defaults
from .schema import (
    read_aliases,
    read_max_model_len,
    read_modalities,
)

VARIABLE = r"[A-Z_][A-Z0-9_]*"

#: Keys of ``general_settings`` on which the guard of the gateway stands -> where to say what is meant.
_GENERAL_KEPT = {
    "master_key": "it is made by the collection, or given as inference_master_key",
    "custom_auth": "the keys of clients are inference_gateway.client_keys",
    "litellm_key_header_name": "clients send their key as 'Authorization: Bearer', 'x-api-key' or 'api-key'",
    "pass_through_endpoints": "raw routes are inference_gateway.passthrough, which looks at paths and keys",
}
_NO_DATABASE = (
    "has no effect: LiteLLM counts and enforces it in a database, and the gateway has none. What one client may have in work is bounded by "
    "request_limit and work_limit; a bound over time needs a proxy in front of the gateway, or general_settings.database_url"
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

_EXTERNAL_MODEL_KEYS = (
    "name",
    "model",
    "capability",
    "modalities",
    "aliases",
    "request_defaults",
    "max_images",
    "max_model_len",
    "timeout",
    "stream_timeout",
    "fallbacks",
    "order",
    "weight",
)
_GATEWAY_KEYS = (
    "port",
    "bind",
    "public_url",
    "redis",
    "client_keys",
    "settings",
    "default_fallbacks",
    "cache",
    "media",
    "health_check_interval",
    "request_limit",
    "work_limit",
    "passthrough",
)


def parse_externals(raw: Any, report: Report) -> tuple[External, ...]:
    if isinstance(raw, (str, bytes, Mapping)) or not isinstance(raw, (list, tuple)):
        report.add(
            "inference_external_endpoints", raw, "must be a list of servers such as {name: x, base_url: 'http://host:8000/v1', models: [y]}"
        )
        return ()
    found: list[External] = []
    names: set[str] = set()
    for position, item in enumerate(raw):
        path = f"inference_external_endpoints[{position}]"
        fields = Fields(item, path, report, ("name", "base_url", "engine", "models", "api_key", "required"))
        name = fields.text("name", required=True, pattern=SERVER_NAME, expected=SERVER_NAME_EXPECTED)
        base_url = fields.address("base_url", required=True, expected="an address such as http://host:8000/v1, without a user or password")
        if name in names:
            fields.add("name", name, "is given twice")
            continue
        names.add(name)
        has_key = fields.secret("api_key")
        engine = fields.choice("engine", EXTERNAL, ANY_SERVER)
        models: list[ExternalModel] = []
        for number, entry in enumerate(fields.items("models")):
            models.extend(_external_model(entry, f"{path}.models[{number}]", report))
        known = ENGINES.get(engine)
        for model in models:
            if known and model.capability not in known.capabilities:
                serves = " and ".join(capability for capability in CAPABILITIES if capability in known.capabilities)
                report.add(f"{model.path}.capability", model.capability, f"{known.title} serves {serves} models; say what engine it is")
        if not models and fields.valid:
            fields.add("models", fields.data.get("models"), "is required: the models of this server that the gateway is to offer")
        if name and base_url:
            base_url = base_url.rstrip("/")
            found.append(
                External(
                    name=name,
                    path=path,
                    # Some servers have their API under a version of another name, such as /v1beta/openai or /api/paas/v4.
                    base_url=base_url if re.search(r"/v[0-9]", urlsplit(base_url).path) else f"{base_url}/v1",
                    engine=engine,
                    models=tuple(models),
                    has_key=has_key,
                    required=fields.boolean("required", False),
                )
            )
    return tuple(found)


def _external_model(raw: Any, path: str, report: Report) -> list[ExternalModel]:
    if isinstance(raw, str):
        raw = {"name": raw}
    fields = Fields(raw, path, report, _EXTERNAL_MODEL_KEYS)
    name = fields.text("name", required=True, pattern=MODEL_NAME, expected=MODEL_NAME_EXPECTED)
    if not name:
        return []
    capability = fields.choice("capability", CAPABILITIES, "chat")
    return [
        ExternalModel(
            name=name,
            path=path,
            model=fields.text("model", name, pattern=r"\S+", expected="the model's name on that server"),
            capability=capability,
            modalities=read_modalities(fields, capability),
            aliases=read_aliases(fields),
            request_defaults=read_request_defaults(fields),
            max_images=fields.integer("max_images", 0, 10000),
            max_model_len=read_max_model_len(fields),
            timeout=fields.integer("timeout", 1, 86400, what=DURATION),
            stream_timeout=fields.integer("stream_timeout", 1, 86400, what=DURATION),
            fallbacks=fields.texts("fallbacks", expected="the name of a model"),
            order=fields.integer("order", 1, 1000),
            weight=fields.integer("weight", 1, 1_000_000),
        )
    ]


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


def parse_gateway(raw: Any, report: Report) -> Gateway:
    fields = Fields(raw, "inference_gateway", report, _GATEWAY_KEYS)
    settings = _settings(fields)
    client_names = []
    for name, key in fields.mapping("client_keys").items():
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", name):
            fields.add(f"client_keys.{name}", None, "the name of a client must be letters, digits and . _ -")
        elif looks_secret(name):
            fields.add("client_keys", None, "the name of a client looks like a key; write name: key, or name: null to have one generated")
        elif not (key is None or key is True or isinstance(key, str)):
            fields.add(f"client_keys.{name}", None, "must be a key (a text, in quotes), or null to have one generated")
        else:
            client_names.append(name)
    cache = fields.data.get("cache")
    if not isinstance(cache, (bool, type(None), Mapping)):
        fields.add("cache", cache, "must be true, false or {ttl: seconds}")
        cache = None
    elif isinstance(cache, Mapping):
        inner = Fields(cache, "inference_gateway.cache", report, ("ttl",))
        cache = {"ttl": inner.integer("ttl", 1, what=DURATION) or 600}
    media: dict[str, Any] = {}
    if fields.has("media"):
        inner = Fields(fields.data["media"], "inference_gateway.media", report, ("allow_data", "allowed_domains"))
        media = {
            "allow_data": inner.boolean("allow_data", True),
            "allowed_domains": list(inner.texts("allowed_domains", expected="a domain")),
        }
    request_limit, work_limit = _limits(fields)
    return Gateway(
        port=fields.integer("port", 1, 65535, what="a port number") or DEFAULT_GATEWAY_PORT,
        bind=read_bind(fields, "0.0.0.0"),  # noqa: S104
        public_url=fields.address("public_url", expected="an address such as https://llm.example, without a user or password"),
        redis=_redis(fields),
        client_names=tuple(sorted(client_names)),
        settings=settings,
        default_fallbacks=fields.texts("default_fallbacks", expected="the name of a model"),
        cache=cache,
        media=media,
        health_check_interval=fields.integer("health_check_interval", 1, 86400, what=DURATION),
        request_limit=request_limit,
        work_limit=work_limit,
        passthrough=_passthroughs(fields),
    )


def _limits(fields: Fields) -> tuple[int, int]:
    """Bytes of one request, and of all that the gateway has in work."""
    request = _bytes(fields, "request_limit", MIB, 1024 * MIB) or DEFAULT_REQUEST_LIMIT
    work = _bytes(fields, "work_limit", 2 * MIB, 16 * 1024 * MIB)
    if work is not None and work < 2 * request:
        remedy = (
            f"at least twice request_limit ({2 * request / MIB:g}MiB), so that the largest request of one client leaves room for others"
        )
        fields.add("work_limit", fields.data["work_limit"], f"must be {remedy}")
    return request, work or max(DEFAULT_WORK_LIMIT, 2 * request)


def _bytes(fields: Fields, key: str, least: int, most: int) -> int | None:
    value = fields.data.get(key)
    if value is None:
        return None
    size = parse_size(value)
    if size is None or size.mib is None or not least <= size.mib * MIB <= most:
        fields.add(key, value, f"must be a size from {least // MIB}MiB to {most // MIB}MiB, such as 32MiB")
        return None
    return int(size.mib * MIB)


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
        for key, remedy in _GENERAL_KEPT.items():
            if key == "custom_auth" and key in general and not general[key]:
                fields.add(
                    f"settings.general_settings.{key}", None, "may not be empty: without it anybody could use the gateway; leave it out"
                )
            elif key in general:
                fields.add(f"settings.general_settings.{key}", None, f"is not for settings: {remedy}")
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
    router = Fields(sections["router_settings"], inner.where("router_settings"), fields.report, tuple(sections["router_settings"]))
    for alias, target in router.mapping("model_group_alias").items():
        model_name = target.get("model") if isinstance(target, Mapping) else target
        if not isinstance(model_name, str) or not model_name:
            router.add(f"model_group_alias.{alias}", target, "must be the name of a model, or {model: name, hidden: true}")
    # Null takes a key out that the collection sets; for a whole section that is never meant.
    return {name: value for name, value in settings.items() if value is not None}


def _passthroughs(fields: Fields) -> tuple[Mapping[str, Any], ...]:
    found = []
    for position, item in enumerate(fields.items("passthrough")):
        inner = Fields(
            item,
            f"inference_gateway.passthrough[{position}]",
            fields.report,
            ("path", "model", "target", "target_path", "key_variable", "timeout", "methods"),
        )
        path = inner.text("path", required=True, pattern=PATH, expected="a path such as /embeddings/v1/embeddings")
        trouble = why_not_free(path) if path else None
        if trouble:
            inner.add("path", path, trouble)
        entry = {
            "path": path,
            "model": inner.maybe_text("model"),
            "target": inner.address("target", expected="an address such as http://host:8000/v1/embeddings"),
            "target_path": inner.maybe_text("target_path", pattern=PATH, expected="a path such as /embeddings"),
            "key_variable": inner.maybe_text("key_variable", pattern=VARIABLE, expected="the name of an environment variable"),
            "timeout": inner.integer("timeout", 1, 86400, what=DURATION),
            "methods": list(inner.texts("methods", choices=("GET", "POST", "PUT", "PATCH", "DELETE"), expected="a method of HTTP")),
        }
        if inner.valid and not entry["model"] and not entry["target"]:
            inner.add("", item, "needs model (one of ours) or target (an address)")
        elif path:
            found.append({key: value for key, value in entry.items() if value})
    return tuple(found)


def _redis(fields: Fields) -> dict[str, Any] | None:
    raw = fields.data.get("redis")
    if raw is None:
        return None
    if isinstance(raw, str):
        match = re.fullmatch(r"(rediss?)://([^/@:\s]+)(?::([0-9]{1,5}))?(?:/([0-9]+))?/?", raw)
        if match is None:
            fields.add(
                "redis",
                None,
                "must look like redis://host:6379/0; a user and password go into the mapping form {host, port, username, password}",
            )
            return None
        return {"host": match[2], "port": int(match[3] or 6379), "db": int(match[4] or 0), "ssl": match[1] == "rediss"}
    inner = Fields(raw, fields.where("redis"), fields.report, ("host", "port", "db", "username", "password", "ssl"))
    host = inner.text("host", required=True, pattern=r"[^\s/@]+", expected="a host name or address")
    has_password = inner.secret("password")
    redis: dict[str, Any] = {
        "host": host,
        "port": inner.integer("port", 1, 65535) or 6379,
        "db": inner.integer("db", 0, 1023) or 0,
        "ssl": inner.boolean("ssl", False),
    }
    if inner.has("username"):
        redis["username"] = inner.text("username")
    if has_password:
        redis["password_variable"] = REDIS_PASSWORD_VARIABLE
    return redis if host else None
