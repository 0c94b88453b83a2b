# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The LiteLLM configuration as a function of the plan's gateway part.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

Pure: mappings in, mappings out. No secrets pass through here, only the names of the environment variables that hold them.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
import typing as t
from dataclasses import dataclass

from ...module_utils._live_files import LIVE_FOLDER
from .._secrets.keys import shared_keys, weakness
from .live import KEYS_FILE, LIVE_DIR, live_keys
from .plain import plain, yaml_text
from .references import references

CONFIG_DIR = "/etc/litellm"
CONTAINER_PORT = 4000
#: Of an endpoint that is asked with the master key; what LiteLLM calls so is a key of its own that nobody has.
MASTER_KEY_VARIABLE = "LITELLM_MASTER_KEY"
ENGINE_KEY = "ENGINE_KEY"
EXTERNAL_KEY = "EXTERNAL_KEY"
REDIS_PASSWORD_VARIABLE = "REDIS_PASSWORD"  # noqa: S105 -- a name, not a password
#: Where the guard looks for the keys; only its tests say another folder.
LIVE_FOLDER_VARIABLE = "GATEWAY_LIVE_FOLDER"
#: Secrets of the gateway itself, which no other server gets to see.
OWN_VARIABLES = frozenset({MASTER_KEY_VARIABLE, REDIS_PASSWORD_VARIABLE})
CUSTOM_AUTH = "gateway_auth.user_api_key_auth"
#: LiteLLM runs this when it starts, before it reads its configuration, and does not start when it fails.
STARTUP_HOOK = "gateway_hooks:install"
STARTUP_HOOK_VARIABLE = "LITELLM_WORKER_STARTUP_HOOKS"
#: On these the guard stands: no variable of the user's own, secret or not, takes their place.
GUARD_VARIABLES = frozenset({STARTUP_HOOK_VARIABLE, MASTER_KEY_VARIABLE, LIVE_FOLDER_VARIABLE})

#: Seconds. LiteLLM's own default is 6000, which is as good as none.
DEFAULT_TIMEOUT = 600
#: Seconds without a byte in a stream.
DEFAULT_STREAM_TIMEOUT = 120
DEFAULT_CACHE_TTL = 600
DEFAULT_HEALTH_CHECK_INTERVAL = 60
MIB = 1024 * 1024
#: Bytes of one request's body, and of all that are in work. Eight images of 2 MB as base64, or 25 MB of sound, pass.
DEFAULT_REQUEST_LIMIT = 32 * MIB
DEFAULT_WORK_LIMIT = 64 * MIB
#: MiB of the container. LiteLLM alone takes a third of the first, streams another; a body in work takes up to eight times its size.
BASE_MEMORY = 1024
MEMORY_PER_WORK = 16
#: Attempts after the first to reach a server: 1 + 2 + 4 seconds in all.
CONNECT_RETRIES = 2
#: Seconds for one try at the Redis. Its client tries eleven times, and some of LiteLLM's calls hold up everything else meanwhile: with
#: LiteLLM's own 5 s each, a Redis that hangs took the gateway down. The network around a shared Redis answers in milliseconds.
REDIS_TIMEOUT = 0.5
#: How long a failed backend is left out when others serve the same model.
COOLDOWN_TIME = 30
#: A client's own 404 would otherwise take the only backend of a model out for everybody.
SINGLE_BACKEND_ALLOWED_FAILS = 1000
#: Several backends: the first failure that is the server's fault moves the traffic. What a client can cause never does.
SEVERAL_BACKENDS_POLICY: t.Final[t.Mapping[str, int]] = {
    "TimeoutErrorAllowedFails": 0,
    "InternalServerErrorAllowedFails": 0,
    "ServiceUnavailableErrorAllowedFails": 0,
    "BadGatewayErrorAllowedFails": 0,
    "AuthenticationErrorAllowedFails": 0,
    "RateLimitErrorAllowedFails": 10,
    "NotFoundErrorAllowedFails": 100000,
}

#: Without a price LiteLLM looks for one with every answer, twice, through its whole list: half of all the time that it takes for a request.
FREE: t.Final[t.Mapping[str, int]] = {"input_cost_per_token": 0, "output_cost_per_token": 0}

MODES: t.Final[t.Mapping[str, str]] = {
    "chat": "chat",
    "embedding": "embedding",
    "rerank": "rerank",
    "transcription": "audio_transcription",
}

#: Keys of ``litellm_params`` that decide where a request goes: they come from the plan, never from request defaults.
ROUTING_KEYS: t.Final = frozenset(
    {
        "model",
        "api_base",
        "base_url",
        "api_key",
        "custom_llm_provider",
        "order",
        "weight",
        "timeout",
        "stream_timeout",
        "messages",
        "input",
        "stream",
    }
)

#: Switches off every request LiteLLM makes to the outside on its own account, and what a gateway without a database cannot use.
BASE_ENVIRONMENT: t.Final[t.Mapping[str, str]] = {
    # Remembered for five minutes otherwise, while Docker hands the address of an engine that restarts to its neighbour: requests for
    # one model then go to another one. Containers' names are resolved on this host, in no time.
    "AIOHTTP_TTL_DNS_CACHE": "0",
    # The guard says how many requests there may be at once. With 500 to one engine, a client with as many would keep all others waiting.
    "AIOHTTP_CONNECTOR_LIMIT": "0",
    "AIOHTTP_CONNECTOR_LIMIT_PER_HOST": "0",
    "DISABLE_ADMIN_UI": "true",
    "JSON_LOGS": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_AUTOROUTER_PRESETS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_POLICY_TEMPLATES": "True",
    "LITELLM_MODE": "PRODUCTION",
    # glibc learns from large blocks that it should keep such ones, and holes of the size of whole requests then stay for good.
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": "1048576",
    "NO_DOCS": "True",
    "NO_OPENAPI": "True",
    "NO_REDOC": "True",
}

#: What a client key may call. The master key may call everything.
CLIENT_ROUTES: t.Final[tuple[str, ...]] = (
    "/audio/transcriptions",
    "/chat/completions",
    "/completions",
    "/embeddings",
    "/engines/*",
    "/messages",
    "/messages/count_tokens",
    "/models",
    "/models/*",
    "/openai/deployments/*",
    "/rerank",
    "/responses",
)


class GatewayError(ValueError):
    """A gateway description that no LiteLLM configuration can be made of; all reasons at once."""

    def __init__(self, problems: t.Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems: tuple[str, ...] = tuple(problems)


@dataclass(frozen=True)
class Backend:
    """One server that answers for a model."""

    id: str
    host: str | None
    engine: str
    model: str
    url: str | None
    container: str | None = None
    container_port: int = 8000
    key_variable: str | None = None
    provider: str | None = None
    order: int | None = None
    weight: int | None = None
    health: bool = True
    #: Where it differs from the model's: the same model may be served with a shorter context on a smaller machine.
    max_input_tokens: int | None = None

    @classmethod
    def from_mapping(cls, data: t.Mapping[str, t.Any]) -> Backend:
        return cls(
            id=str(data["id"]),
            host=data.get("host"),
            engine=str(data.get("engine") or "vllm"),
            model=str(data["model"]),
            url=data.get("url"),
            container=data.get("container"),
            container_port=int(data.get("container_port") or 8000),
            key_variable=data.get("key_variable"),
            provider=data.get("provider"),
            order=_optional_int(data.get("order")),
            weight=_optional_int(data.get("weight")),
            health=bool(data.get("health", True)),
            max_input_tokens=_optional_int(data.get("max_input_tokens")),
        )

    def openai_base(self, gateway_host: str) -> str:
        """The OpenAI base URL as the gateway's container on ``gateway_host`` reaches it."""
        if self.container and self.host == gateway_host:
            return f"http://{self.container}:{self.container_port}/v1"
        return str(self.url or "").rstrip("/")

    def server_root(self, gateway_host: str) -> str:
        base = self.openai_base(gateway_host)
        return base[: -len("/v1")] if base.endswith("/v1") else base


@dataclass(frozen=True)
class Model:
    """One name at the gateway."""

    name: str
    capability: str
    modalities: tuple[str, ...]
    aliases: tuple[str, ...]
    request_defaults: t.Mapping[str, t.Any]
    timeout: float
    stream_timeout: float
    fallbacks: tuple[str, ...]
    max_images: int | None
    max_input_tokens: int | None
    dimension: int | None
    sources: tuple[str, ...]
    backends: tuple[Backend, ...]

    @classmethod
    def from_mapping(cls, data: t.Mapping[str, t.Any]) -> Model:
        return cls(
            name=str(data["name"]),
            capability=str(data.get("capability") or "chat"),
            modalities=tuple(data.get("modalities") or ("text",)),
            aliases=tuple(data.get("aliases") or ()),
            request_defaults=dict(data.get("request_defaults") or {}),
            timeout=_number(data.get("timeout"), DEFAULT_TIMEOUT),
            stream_timeout=_number(data.get("stream_timeout"), DEFAULT_STREAM_TIMEOUT),
            fallbacks=tuple(data.get("fallbacks") or ()),
            max_images=_optional_int(data.get("max_images")),
            max_input_tokens=_optional_int(data.get("max_input_tokens")),
            dimension=_optional_int(data.get("dimension")),
            sources=tuple(data.get("sources") or ()),
            backends=tuple(Backend.from_mapping(backend) for backend in data.get("backends") or ()),
        )


def _optional_int(value: t.Any) -> int | None:
    return None if value is None else int(value)


def _number(value: t.Any, default: float) -> float:
    return default if value is None else value


def provider_prefix(backend: Backend, capability: str) -> str:
    """LiteLLM's name for the way this server speaks.

    ``hosted_vllm`` serves chat, embeddings, rerank and transcription of any OpenAI-compatible server and works without a key, which
    ``openai`` does not. Ollama's embeddings go through its OpenAI-compatible route too: LiteLLM's ``ollama/`` embeddings send no key, so a
    guarded server would refuse them.
    """
    if backend.provider:
        return backend.provider
    if backend.engine == "ollama" and capability == "chat":
        return "ollama_chat"
    return "hosted_vllm"


def models_of(gateway: t.Mapping[str, t.Any]) -> tuple[Model, ...]:
    return tuple(Model.from_mapping(model) for model in gateway.get("models") or ())


def aliases_of(gateway: t.Mapping[str, t.Any], models: t.Sequence[Model]) -> dict[str, str]:
    """Both alias layers as one map; an alias that means two models raises."""
    names = {model.name for model in models}
    aliases: dict[str, str] = {}
    problems: list[str] = []
    pairs = [(alias, model.name) for model in models for alias in model.aliases]
    pairs += [(str(alias), str(target)) for alias, target in (gateway.get("aliases") or {}).items()]
    for alias, target in pairs:
        if alias == target:
            continue
        if target not in names:
            problems.append(f"alias {alias!r} points to {target!r}, which no model at the gateway is called")
        elif alias in names:
            problems.append(f"alias {alias!r} of {target!r} is also the name of a model: requests for it would never reach {target!r}")
        elif aliases.setdefault(alias, target) != target:
            problems.append(f"alias {alias!r} points to both {aliases[alias]!r} and {target!r}")
    if problems:
        raise GatewayError(problems)
    return dict(sorted(aliases.items()))


def _check(models: t.Sequence[Model], gateway_host: str) -> None:
    problems: list[str] = []
    names = [model.name for model in models]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.append(f"model {name!r} is listed more than once")
    identities = [backend.id for model in models for backend in model.backends]
    for identity in sorted({identity for identity in identities if identities.count(identity) > 1}):
        problems.append(f"backend id {identity!r} is used more than once: replies could not be told apart")
    for model in models:
        if model.capability not in MODES:
            problems.append(f"model {model.name!r}: capability {model.capability!r} is none of {', '.join(MODES)}")
        if not model.backends:
            problems.append(f"model {model.name!r} has no backend")
        for key in sorted(set(model.request_defaults) & ROUTING_KEYS):
            problems.append(f"model {model.name!r}: request_defaults may not set {key!r}, it decides where requests go")
        for target in model.fallbacks:
            if target not in names:
                problems.append(f"model {model.name!r}: fallback {target!r} is no model at the gateway")
        for backend in model.backends:
            if not re.match(r"https?://[^/]+", backend.openai_base(gateway_host)):
                problems.append(
                    f"backend {backend.id!r} of model {model.name!r} cannot be reached from {gateway_host}: url is {backend.url!r}"
                )
            if backend.engine == "ollama" and not backend.provider and model.capability not in ("chat", "embedding"):
                problems.append(f"backend {backend.id!r} of model {model.name!r}: Ollama has no {model.capability}; use vllm")
    if problems:
        raise GatewayError(problems)


def _deployment(model: Model, backend: Backend, gateway_host: str, group_has_order: bool) -> dict[str, t.Any]:
    prefix = provider_prefix(backend, model.capability)
    params: dict[str, t.Any] = {
        "model": f"{prefix}/{backend.model}",
        "api_base": backend.server_root(gateway_host) if prefix in ("ollama", "ollama_chat") else backend.openai_base(gateway_host),
    }
    if backend.key_variable:
        params["api_key"] = f"os.environ/{backend.key_variable}"
    params["timeout"] = model.timeout
    if model.capability == "chat":
        params["stream_timeout"] = model.stream_timeout
    several = len(model.backends) > 1
    # A deployment without an order is tried before all others, so one order in a group means an order for all.
    if several and group_has_order:
        params["order"] = backend.order if backend.order is not None else 1
    if several and backend.weight is not None:
        params["weight"] = backend.weight
    params.update(copy.deepcopy(dict(model.request_defaults)))

    info: dict[str, t.Any] = {"id": backend.id, "mode": MODES[model.capability]}
    max_input_tokens = model.max_input_tokens if backend.max_input_tokens is None else backend.max_input_tokens
    if max_input_tokens is not None:
        info["max_input_tokens"] = max_input_tokens
    if "image" in model.modalities:
        info["supports_vision"] = True
    if several:
        info["cooldown_time"] = COOLDOWN_TIME
        info["allowed_fails_policy"] = dict(SEVERAL_BACKENDS_POLICY)
    else:
        info["allowed_fails"] = SINGLE_BACKEND_ALLOWED_FAILS
    if not backend.health:
        info["disable_background_health_check"] = True
    # A provider that somebody chose may be one that takes money.
    if not backend.provider and not any("cost" in key for key in model.request_defaults):
        info.update(FREE)
    return {"model_name": model.name, "litellm_params": params, "model_info": info}


def _redis(redis: t.Mapping[str, t.Any] | None) -> dict[str, t.Any] | None:
    """The password stays in the environment."""
    if not redis:
        return None
    result: dict[str, t.Any] = {
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


def _namespace(models: t.Iterable[Model]) -> str:
    """A prefix of keys in the Redis that changes with what stands behind the names.

    LiteLLM's keys hold the model's name and the text. Vectors would outlive the model that made them and be mixed with its successor's.
    """
    sources = {model.name: model.sources for model in models}
    return "embeddings-" + hashlib.sha256(json.dumps(sources, sort_keys=True).encode()).hexdigest()[:12]


def _passthrough(entry: t.Mapping[str, t.Any], models: t.Mapping[str, Model], aliases: t.Mapping[str, str], host: str) -> dict[str, t.Any]:
    """A raw route to the first backend of a model, for what LiteLLM's own route would refuse (embeddings of images)."""
    path = str(entry.get("path") or "")
    problems: list[str] = []
    if not re.fullmatch(r"/[A-Za-z0-9._~/-]+", path):
        problems.append(f"passthrough path {path!r} must start with / and hold plain characters only")
    name = str(entry.get("model") or "")
    model = models.get(aliases.get(name, name))
    target = entry.get("target")
    key_variable = entry.get("key_variable")
    timeout = entry.get("timeout")
    if target is None:
        if model is None:
            raise GatewayError([*problems, f"passthrough {path!r} names the model {name!r}, which the gateway does not have"])
        backend = min(model.backends, key=lambda item: item.order if item.order is not None else 1)
        target = backend.openai_base(host) + str(entry.get("target_path") or "/embeddings")
        key_variable = key_variable or backend.key_variable
        timeout = timeout or model.timeout
    if problems:
        raise GatewayError(problems)
    headers: dict[str, str] = {"Content-Type": "application/json"}
    if key_variable:
        headers["Authorization"] = f"Bearer os.environ/{key_variable}"
    return {
        "path": path,
        "target": str(target),
        "methods": list(entry.get("methods") or ["POST"]),
        "auth": True,
        "timeout": timeout or DEFAULT_TIMEOUT,
        "headers": dict(sorted(headers.items())),
    }


def merge_settings(base: t.Mapping[str, t.Any], extra: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """``extra`` over ``base``: mappings are merged, lists appended, ``None`` takes a key out, anything else replaces."""
    merged = dict(base)
    for key, value in extra.items():
        mine = merged.get(key)
        if value is None:
            merged.pop(key, None)
        elif isinstance(mine, dict) and isinstance(value, t.Mapping):
            merged[key] = merge_settings(mine, value)
        elif isinstance(mine, list) and isinstance(value, (list, tuple)):
            merged[key] = [*mine, *(item for item in value if item not in mine)]
        else:
            merged[key] = dict(value) if isinstance(value, t.Mapping) else value
    return merged


def build_config(gateway: t.Mapping[str, t.Any], host: str) -> dict[str, t.Any]:
    """The whole ``config.yaml`` for the gateway on ``host``."""
    models = models_of(gateway)
    _check(models, host)
    aliases = aliases_of(gateway, models)
    by_name = {model.name: model for model in models}
    replicated = [model.name for model in models if len(model.backends) > 1]

    model_list: list[dict[str, t.Any]] = []
    for model in models:
        group_has_order = any(backend.order is not None for backend in model.backends)
        model_list.extend(_deployment(model, backend, host, group_has_order) for backend in model.backends)

    router: dict[str, t.Any] = {
        "routing_strategy": "simple-shuffle",
        # One retry bridges a restart of the only server; with replicas the second may meet a dying one as well.
        "num_retries": 2 if replicated else 1,
        "timeout": max([DEFAULT_TIMEOUT, *(model.timeout for model in models)]),
    }
    if aliases:
        router["model_group_alias"] = dict(aliases)
    fallbacks = [{model.name: list(model.fallbacks)} for model in models if model.fallbacks]
    if fallbacks:
        router["fallbacks"] = fallbacks
    default_fallbacks = list(gateway.get("default_fallbacks") or ())
    if default_fallbacks:
        unknown = [name for name in default_fallbacks if name not in by_name]
        if unknown:
            raise GatewayError([f"default_fallbacks names {', '.join(map(repr, unknown))}, no model at the gateway"])
        router["default_fallbacks"] = default_fallbacks
    # With replicas of different context lengths, a long request goes to those that can take it.
    if any(len({backend.max_input_tokens or model.max_input_tokens for backend in model.backends}) > 1 for model in models):
        router["enable_pre_call_checks"] = True

    redis = _redis(gateway.get("redis"))
    if redis is not None:
        # Cooldowns and health become common knowledge of all gateways that share the Redis.
        router.update({f"redis_{key}": value for key, value in redis.items() if key in ("host", "port", "password")})
        # The router has no arguments for these (redis_db is deprecated), and would use database 0 without TLS.
        router["cache_kwargs"] = {key: value for key, value in redis.items() if key not in ("host", "port", "password")}

    settings: dict[str, t.Any] = {
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

    general: dict[str, t.Any] = {
        "custom_auth": CUSTOM_AUTH,
        # No proxy in front is trusted for the caller's address.
        "trusted_proxy_ranges": [],
        "cancel_on_disconnect": True,
    }
    if replicated:
        general["background_health_checks"] = True
        general["health_check_interval"] = int(gateway.get("health_check_interval") or DEFAULT_HEALTH_CHECK_INTERVAL)
        general["background_health_check_model_groups"] = replicated
        general["enable_health_check_routing"] = True
        general["health_check_details"] = False
    passthrough = [_passthrough(entry, by_name, aliases, host) for entry in gateway.get("passthrough") or ()]
    if passthrough:
        general["pass_through_endpoints"] = passthrough

    config: dict[str, t.Any] = {
        "model_list": model_list,
        "router_settings": router,
        "litellm_settings": settings,
        "general_settings": general,
    }
    return merge_settings(config, gateway.get("settings") or {})


def expected_models(config: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What LiteLLM must report after loading: the names it serves, and the number that ``--validate_config`` prints.

    That number is the deployments plus, for every visible alias, one copy of each deployment of its target.
    """
    deployments: dict[str, int] = {}
    for entry in config.get("model_list") or ():
        deployments[entry["model_name"]] = deployments.get(entry["model_name"], 0) + 1
    names = set(deployments)
    count = sum(deployments.values())
    for alias, target in ((config.get("router_settings") or {}).get("model_group_alias") or {}).items():
        if isinstance(target, t.Mapping):
            if target.get("hidden"):
                continue
            target = target.get("model")
        names.add(alias)
        count += deployments.get(target, 0)
    return {"names": sorted(names), "count": count}


def referenced_variables(value: t.Any) -> list[str]:
    """Environment variables that a configuration refers to. LiteLLM starts without a word when one is unset."""
    return sorted(set(references(value)))


def build_policy(gateway: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What the gateway's plug-ins read: image limits by every name of a model, the media rule, what client keys may call, raw routes."""
    models = models_of(gateway)
    aliases = aliases_of(gateway, models)
    limits = {model.name: model.max_images for model in models if model.max_images is not None}
    limits.update({alias: limits[target] for alias, target in aliases.items() if target in limits})
    media = gateway.get("media") or {}
    entries = [entry for entry in gateway.get("passthrough") or () if entry.get("path")]
    paths = [str(entry["path"]) for entry in entries]
    return {
        "limits": {
            "request": int(gateway.get("request_limit") or DEFAULT_REQUEST_LIMIT),
            "work": int(gateway.get("work_limit") or DEFAULT_WORK_LIMIT),
        },
        "max_images": dict(sorted(limits.items())),
        "media": {
            "allow_data": bool(media.get("allow_data", True)),
            "allowed_domains": sorted(str(domain).lower() for domain in media.get("allowed_domains") or ()),
        },
        "client_routes": [*CLIENT_ROUTES, *sorted(set(paths) - set(CLIENT_ROUTES))],
        "raw": {str(entry["path"]): limits.get(str(entry.get("model"))) for entry in entries},
    }


def build_endpoints(gateway: t.Mapping[str, t.Any], host: str, away: t.Collection[str] = ()) -> dict[str, list[dict[str, t.Any]]]:
    """What ``endpoint_ready`` is to ask: ``gateway`` from the host through the gateway, ``engines`` from inside the gateway's container.

    ``key_variable`` takes the place of the key; the role puts the value in at the last moment. Nobody waits for engines on hosts that are
    ``away``, nor for models that only those serve; their routes stay.
    """
    base_url = f"{gateway_url(str(gateway.get('bind') or ''), int(gateway.get('port') or 8400))}/v1"
    through: list[dict[str, t.Any]] = []
    engines: list[dict[str, t.Any]] = []

    def waited_for(backend: Backend) -> bool:
        return backend.health and backend.host not in away

    for model in models_of(gateway):
        through.append(
            {
                "name": f"gateway/{model.name}",
                "base_url": base_url,
                "health_path": "/health/readiness",
                "level": "answer",
                "capability": model.capability,
                "modalities": list(model.modalities),
                "model": model.name,
                "key_variable": MASTER_KEY_VARIABLE,
                "required": any(map(waited_for, model.backends)),
            }
        )
        if model.capability == "embedding" and model.dimension:
            through[-1]["dimension"] = model.dimension
        for backend in model.backends:
            endpoint: dict[str, t.Any] = {
                "name": backend.id,
                "base_url": backend.openai_base(host),
                # Of any other server it is not known where it tells of its health.
                "health_path": {"vllm": "/health", "ollama": "/"}.get(backend.engine, ""),
                "level": "model",
                "capability": model.capability,
                "modalities": list(model.modalities),
                "model": backend.model,
                "required": waited_for(backend),
            }
            if backend.key_variable:
                endpoint["key_variable"] = backend.key_variable
            engines.append(endpoint)
    return {"gateway": through, "engines": engines}


def key_problems(master_key: str | None, client_keys: t.Mapping[str, str] | None = None) -> list[str]:
    """Why these keys will not do. The keys themselves are never part of a message."""
    clients = dict(client_keys or {})
    problems: list[str] = []
    trouble = weakness(str(master_key or ""))
    if trouble:
        problems.append(f"litellm_master_key {trouble}")
    weak = {name: trouble for name, key in clients.items() if (trouble := weakness(str(key or "")))}
    shared = shared_keys(master_key, {name: key for name, key in clients.items() if name not in weak})
    return problems + [f"litellm_client_keys[{name}] {trouble}" for name, trouble in {**weak, **shared}.items()]


def key_variable(prefix: str, name: str) -> str:
    """The environment variable that holds somebody's key: ``ENGINE_KEY_GPU_1`` for ``gpu-1``."""
    return f"{prefix}_{re.sub(r'[^A-Z0-9]', '_', name.upper())}"


def secret_environment(secrets: t.Mapping[str, t.Any]) -> dict[str, str]:
    """The keys of engines and external servers as the environment variables that the configuration refers to."""
    environment: dict[str, str] = {}
    owners: dict[str, str] = {}
    problems: list[str] = []
    for section, prefix in (("engine_keys", ENGINE_KEY), ("external_keys", EXTERNAL_KEY)):
        for name, key in (secrets.get(section) or {}).items():
            variable = key_variable(prefix, str(name))
            if owners.setdefault(variable, str(name)) != str(name):
                problems.append(f"{section}: {owners[variable]!r} and {name!r} would share the variable {variable}; rename one")
            if key:
                environment[variable] = str(key)
    if problems:
        raise GatewayError(problems)
    if secrets.get("redis_password"):
        environment[REDIS_PASSWORD_VARIABLE] = str(secrets["redis_password"])
    return dict(sorted(environment.items()))


def config_text(config: t.Mapping[str, t.Any]) -> str:
    """``config.yaml`` as written: stable, so that its hash tells whether the gateway must restart."""
    return "---\n# Managed by llmops.gpu_inference: changes made here are lost.\n" + yaml_text(config)


def memory_of(policy: t.Mapping[str, t.Any]) -> str:
    """The memory limit that goes with these limits of requests, in Docker's spelling."""
    work = int((policy.get("limits") or {}).get("work") or DEFAULT_WORK_LIMIT)
    return f"{BASE_MEMORY + MEMORY_PER_WORK * -(-work // MIB)}m"


def gateway_files(
    config: t.Mapping[str, t.Any], policy: t.Mapping[str, t.Any], plugins: t.Mapping[str, str] | None = None
) -> dict[str, str]:
    """Everything that lies in ``/etc/litellm`` of the container."""
    files = {"config.yaml": config_text(config), "policy.json": json.dumps(plain(policy), indent=2, sort_keys=True) + "\n"}
    files.update({name: text if text.endswith("\n") else text + "\n" for name, text in (plugins or {}).items()})
    return dict(sorted(files.items()))


def _variables_of_the_user(given: t.Mapping[str, t.Any] | None) -> dict[str, str]:
    return {str(name): str(value) for name, value in (given or {}).items() if str(name) not in GUARD_VARIABLES}


def container_unit(
    config: t.Mapping[str, t.Any],
    policy: t.Mapping[str, t.Any],
    *,
    image: str,
    master_key: str,
    plugins: t.Mapping[str, str] | None = None,
    client_keys: t.Mapping[str, str] | None = None,
    environment: t.Mapping[str, t.Any] | None = None,
    secret_environment: t.Mapping[str, t.Any] | None = None,
    previous_keys: t.Mapping[str, t.Any] | None = None,
    pull: str = "missing",
    bind: str = "0.0.0.0",  # noqa: S104 -- the gateway is what clients talk to
    port: int = 8400,
    networks: t.Sequence[str] = ("inference", "inference_engines"),
    memory_limit: str = "",
    user: str = "",
    docker_arguments: t.Sequence[str] = (),
    arguments: t.Sequence[str] = (),
    start_timeout: int = 180,
    stop_timeout: int = 60,
    watchdog: int = 60,
    instances_dir: str = "/etc/gpu-inference/instances",
) -> dict[str, t.Any]:
    """The gateway as one unit of ``container_units``."""
    files = gateway_files(config, policy, plugins)
    live = live_keys(
        config,
        master_key=str(master_key),
        client_keys={str(name): str(key) for name, key in (client_keys or {}).items()},
        environment=_variables_of_the_user(secret_environment),
        previous=plain(previous_keys or {}),
    )
    publish = f"[{bind}]" if ":" in bind and not bind.startswith("[") else bind
    docker = [
        "--init",
        "--publish",
        f"{publish}:{int(port)}:{CONTAINER_PORT}",
        "--read-only",
        "--tmpfs",
        "/tmp",  # noqa: S108 -- in the container
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges",
    ]
    if "host" not in networks:
        # A host that is off answers nothing at all. The kernel would try for two minutes, and every first request would wait so long.
        docker += ["--sysctl", f"net.ipv4.tcp_syn_retries={CONNECT_RETRIES}"]
    if memory_limit:
        docker += ["--memory", memory_of(policy) if memory_limit == "auto" else str(memory_limit)]
    if user:
        docker += ["--user", str(user)]
    for name in files:
        docker += ["--mount", f"type=bind,source={instances_dir}/litellm/gateway/{name},target={CONFIG_DIR}/{name},readonly"]
    # As a whole: of a file that is mounted alone the container would see the one that was replaced.
    docker += ["--mount", f"type=bind,source={instances_dir}/litellm/gateway/{LIVE_FOLDER},target={LIVE_DIR},readonly"]
    return {
        "kind": "litellm",
        "name": "gateway",
        "image": image,
        "pull": pull,
        "entrypoint": None,
        "command": ["--config", f"{CONFIG_DIR}/config.yaml", "--host", "0.0.0.0", "--port", str(CONTAINER_PORT), *map(str, arguments)],  # noqa: S104
        "docker_arguments": docker + [str(argument) for argument in docker_arguments],
        "networks": list(networks),
        "files": files,
        "environment": {
            **BASE_ENVIRONMENT,
            "HOME": "/tmp",  # noqa: S108 -- the only place that can be written
            "PYTHONPATH": CONFIG_DIR,
            "PYTHONDONTWRITEBYTECODE": "1",
            **live.placeholders,
            **_variables_of_the_user(environment),
            STARTUP_HOOK_VARIABLE: STARTUP_HOOK,
        },
        "secret_environment": dict(live.environment),
        "secret_live_files": {KEYS_FILE: live.text},
        "live_owner": str(user or "0"),
        "locks": [],
        "probe": {
            "base_url": f"{gateway_url(bind, port)}/v1",
            "health_path": "/health/readiness",
            # LiteLLM takes requests when it has loaded its models. Whether it lists them is for whoever has a key: the launcher has none.
            "level": "health",
            "capability": "chat",
            "modalities": ["text"],
            "model": None,
            "api_key_variable": None,
        },
        "start_timeout": int(start_timeout),
        "stop_timeout": int(stop_timeout),
        "watchdog": int(watchdog),
        "drop_page_cache": False,
        "pull_models": [],
    }


def server_url(address: str, port: int) -> str:
    bare = address.strip("[]")
    return f"http://[{bare}]:{int(port)}" if ":" in bare else f"http://{bare}:{int(port)}"


def gateway_url(bind: str, port: int, address: str = "127.0.0.1") -> str:
    """The gateway as its own host reaches it, or at its C(address) as others do."""
    return server_url(address if bind.strip("[]") in ("", "0.0.0.0", "::", "localhost") else bind, port)  # noqa: S104


def with_keys(endpoints: t.Iterable[t.Mapping[str, t.Any]], secrets: t.Mapping[str, str]) -> list[dict[str, t.Any]]:
    """``key_variable`` of each endpoint replaced by ``api_key``, the variable's value."""
    result: list[dict[str, t.Any]] = []
    for endpoint in endpoints:
        item = dict(endpoint)
        variable = item.pop("key_variable", None)
        if variable and secrets.get(variable):
            item["api_key"] = secrets[variable]
        result.append(item)
    return result
