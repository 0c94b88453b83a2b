# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The keys of a gateway as the one file that its plug-ins look at for every request (C(roles/litellm/files/gateway_keys.py)).

Keys of servers are in it only where the plug-ins can put them in: as C(api_key) of deployments whose provider sends it as a bearer token,
and in headers of raw routes. LiteLLM gets a word in place of each. What the configuration uses otherwise stays in the environment.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from .._engines.registry import PROVIDERS
from .plain import plain
from .references import references

LIVE_DIR = "/etc/litellm-live"
KEYS_FILE = "keys.json"
#: What LiteLLM sends in place of a key; PLACEHOLDER of gateway_upstream.py.
PLACEHOLDER = "live/"
_BEARERS = tuple(f"{name}/" for name, provider in PROVIDERS.items() if provider.bearer)
_VARIABLE = re.compile(r"(?:Bearer )?os\.environ/([A-Za-z_][A-Za-z0-9_]*)")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class LiveKeys:
    """What the gateway gets: the file, a word for LiteLLM in place of each key that is in it, and the rest of the secrets."""

    text: str = field(repr=False)
    placeholders: Mapping[str, str]
    environment: Mapping[str, str] = field(repr=False)


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def origin_of(url: Any) -> str | None:
    """Scheme, host and port of a server, as the plug-in gateway_upstream.py says them; None for what is no address."""
    if not isinstance(url, str):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        return None
    host = parts.hostname
    if not host:
        return None
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}".lower()


def _uses(config: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Where the configuration leads, and the variable with the key for it."""
    for entry in config.get("model_list") or ():
        parameters = _mapping(_mapping(entry).get("litellm_params"))
        origin = origin_of(parameters.get("api_base"))
        if origin is not None and str(parameters.get("model") or "").startswith(_BEARERS):
            yield origin, _variable(parameters.get("api_key"))
    for entry in _mapping(config.get("general_settings")).get("pass_through_endpoints") or ():
        origin = origin_of(_mapping(entry).get("target"))
        if origin is not None:
            yield origin, None
            for value in _mapping(_mapping(entry).get("headers")).values():
                yield origin, _variable(value)


def _mapping(value: Any) -> Mapping[str, Any]:
    """LiteLLM's own settings are the user's: what has another form is for LiteLLM to refuse."""
    return value if isinstance(value, Mapping) else {}


def _variable(value: Any) -> str | None:
    match = _VARIABLE.fullmatch(value) if isinstance(value, str) else None
    return match[1] if match else None


def live_keys(
    config: Mapping[str, Any],
    *,
    master_key: str,
    client_keys: Mapping[str, str],
    environment: Mapping[str, str],
    previous: Mapping[str, Any] | None = None,
    limits: Mapping[str, Any] | None = None,
) -> LiveKeys:
    """C(limits): of clients, as C(client_limits) makes them.

    C(previous): keys that are good beside the new ones: C(master_key) and C(client_keys) as SHA-256, C(environment) by variable.
    """
    old = previous or {}
    uses = list(_uses(config))
    everywhere = list(references(config))
    named = [variable for _origin, variable in uses if variable is not None]
    # One that LiteLLM also reads elsewhere has to be there as it is.
    live = {variable for variable in named if variable in environment and everywhere.count(variable) == named.count(variable)}
    servers: dict[str, dict[str, list[str]]] = {}
    for origin, variable in uses:
        server = servers.setdefault(origin, {})
        if variable in live:
            server[variable] = _both(environment[variable], (old.get("environment") or {}).get(variable))
    old_clients = old.get("client_keys") or {}
    document = {
        "master": _both(digest(master_key), old.get("master_key")),
        "clients": {name: _both(digest(key), old_clients.get(name)) for name, key in client_keys.items()},
        "servers": servers,
        **({"limits": plain(limits)} if limits else {}),
        **_shared_redis(config),
    }
    return LiveKeys(
        json.dumps(document, indent=1, sort_keys=True) + "\n",
        {variable: PLACEHOLDER + variable for variable in sorted(live)},
        {name: value for name, value in environment.items() if name not in live},
    )


def _shared_redis(config: Mapping[str, Any]) -> dict[str, Any]:
    """Where several gateways count clients and place conversations together: the Redis by which LiteLLM shares cooldowns."""
    router = _mapping(config.get("router_settings"))
    if not isinstance(router.get("redis_host"), str):
        return {}
    more = _mapping(router.get("cache_kwargs"))
    found = {
        "host": router["redis_host"],
        "port": router.get("redis_port") or 6379,
        **{key: more[key] for key in ("db", "username", "ssl") if more.get(key)},
        "password_variable": _variable(router.get("redis_password")),
    }
    return {"redis": plain({key: value for key, value in found.items() if value is not None})}


def _both(new: str, old: str | None) -> list[str]:
    return [new] if old in (None, "", new) else [new, str(old)]
