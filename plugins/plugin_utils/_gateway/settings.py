# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""LiteLLM's settings: of its router, of what it does with answers, of its server."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .error import GatewayError
from .models import DEFAULT_TIMEOUT, Model

ROUTING_STRATEGY = "simple-shuffle"
CUSTOM_AUTH = "gateway_auth.user_api_key_auth"
DEFAULT_CACHE_TTL = 600
DEFAULT_HEALTH_CHECK_INTERVAL = 60
#: Seconds for one try at the Redis. Its client tries eleven times, and some of LiteLLM's calls hold up everything else meanwhile: with
#: LiteLLM's own 5 s each, a Redis that hangs took the gateway down. The network around a shared Redis answers in milliseconds.
REDIS_TIMEOUT = 0.5


def redis_arguments(redis: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The password stays in the environment."""
    if not redis:
        return None
    result: dict[str, Any] = {
        "host": str(redis["host"]),
        "port": int(redis.get("port") or 6379),
        "socket_timeout": REDIS_TIMEOUT,
        "socket_connect_timeout": REDIS_TIMEOUT,
    }
    if redis.get("db"):
        result["db"] = int(redis["db"])
    if redis.get("username"):
        result["username"] = str(redis["username"])
    if redis.get("password_variable"):
        result["password"] = f"os.environ/{redis['password_variable']}"
    if redis.get("ssl"):
        result["ssl"] = True
    return result


def _namespace(models: Iterable[Model]) -> str:
    """A prefix of keys in the Redis that changes with what stands behind the names.

    LiteLLM's keys hold the model's name and the text. Vectors would outlive the model that made them and be mixed with its successor's.
    """
    sources = {model.name: model.sources for model in models}
    return "embeddings-" + hashlib.sha256(json.dumps(sources, sort_keys=True).encode()).hexdigest()[:12]


def router_settings(
    gateway: Mapping[str, Any], models: Sequence[Model], aliases: Mapping[str, str], redis: Mapping[str, Any] | None
) -> dict[str, Any]:
    router: dict[str, Any] = {
        "routing_strategy": ROUTING_STRATEGY,
        # One retry bridges a restart of the only server; with replicas the second may meet a dying one as well.
        "num_retries": 2 if _replicated(models) else 1,
        "timeout": max([DEFAULT_TIMEOUT, *(model.timeout for model in models)]),
    }
    if aliases:
        router["model_group_alias"] = dict(aliases)
    fallbacks = [{model.name: list(model.fallbacks)} for model in models if model.fallbacks]
    if fallbacks:
        router["fallbacks"] = fallbacks
    default_fallbacks = list(gateway.get("default_fallbacks") or ())
    if default_fallbacks:
        names = {model.name for model in models}
        unknown = [name for name in default_fallbacks if name not in names]
        if unknown:
            raise GatewayError([f"default_fallbacks names {', '.join(map(repr, unknown))}, no model at the gateway"])
        router["default_fallbacks"] = default_fallbacks
    # With replicas of different context lengths, a long request goes to those that can take it.
    if any(len({backend.max_input_tokens or model.max_input_tokens for backend in model.backends}) > 1 for model in models):
        router["enable_pre_call_checks"] = True
    if redis is not None:
        # Cooldowns and health become common knowledge of all gateways that share the Redis.
        router.update({f"redis_{key}": value for key, value in redis.items() if key in ("host", "port", "password")})
        # The router has no arguments for these (redis_db is deprecated), and would use database 0 without TLS.
        router["cache_kwargs"] = {key: value for key, value in redis.items() if key not in ("host", "port", "password")}
    return router


def litellm_settings(gateway: Mapping[str, Any], models: Sequence[Model], redis: Mapping[str, Any] | None) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "drop_params": True,
        "json_logs": True,
        "disable_hf_tokenizer_download": True,
    }
    cache = gateway.get("cache")
    cache = {} if cache is None or cache is True else cache
    embeddings = [model for model in models if model.capability == "embedding"]
    if cache is not False and embeddings:
        settings["cache"] = True
        settings["cache_params"] = {
            **({"type": "local"} if redis is None else {"type": "redis", "namespace": _namespace(embeddings), **redis}),
            "ttl": int(cache.get("ttl") or DEFAULT_CACHE_TTL),
            # Embeddings are the same each time; a cached chat answer would replay one sample for ever.
            "supported_call_types": ["embedding", "aembedding"],
        }
    return settings


def general_settings(gateway: Mapping[str, Any], models: Sequence[Model], raw_routes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    general: dict[str, Any] = {
        "custom_auth": CUSTOM_AUTH,
        # No proxy in front is trusted for the caller's address.
        "trusted_proxy_ranges": [],
        "cancel_on_disconnect": True,
    }
    replicated = _replicated(models)
    if replicated:
        general["background_health_checks"] = True
        general["health_check_interval"] = int(gateway.get("health_check_interval") or DEFAULT_HEALTH_CHECK_INTERVAL)
        general["background_health_check_model_groups"] = replicated
        general["enable_health_check_routing"] = True
        general["health_check_details"] = False
    if raw_routes:
        general["pass_through_endpoints"] = list(raw_routes)
    return general


def _replicated(models: Sequence[Model]) -> list[str]:
    return [model.name for model in models if len(model.backends) > 1]


def merge_settings(base: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """C(extra) over C(base): mappings are merged, lists appended, C(None) takes a key out, anything else replaces."""
    merged = dict(base)
    for key, value in extra.items():
        mine = merged.get(key)
        if value is None:
            merged.pop(key, None)
        elif isinstance(mine, dict) and isinstance(value, Mapping):
            merged[key] = merge_settings(mine, value)
        elif isinstance(mine, list) and isinstance(value, (list, tuple)):
            merged[key] = [*mine, *(item for item in value if item not in mine)]
        else:
            merged[key] = dict(value) if isinstance(value, Mapping) else value
    return merged
