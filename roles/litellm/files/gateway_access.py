# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which paths a request may reach, with which key. Needs no LiteLLM."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from gateway_keys import Keys, offered_keys
from gateway_policy import Policy

#: Answer without a key: they say that the gateway is up, nothing more.
PUBLIC_PATHS = frozenset({"/health/liveliness", "/health/liveness", "/health/readiness", "/health_check"})


@dataclass(frozen=True)
class Refusal:
    status: int
    message: str


def wants_plain_health(path: str, headers: t.Iterable[tuple[bytes, bytes]], keys: Keys) -> bool:
    """Whether ``/health`` is asked by somebody else than the holder of the master key.

    LiteLLM's report sends a request to every engine. Client programs mean whether the gateway is up, and many ask without a key.
    """
    if path != "/health":
        return False
    offered = offered_keys(headers)
    return not any(map(keys.is_master, offered)) and (not offered or any(map(keys.client_of, offered)))


def caller(headers: t.Iterable[tuple[bytes, bytes]], keys: Keys) -> str:
    """Who a request counts for: a client, the holder of the master key, or nobody for what answers without a key."""
    offered = offered_keys(headers)
    # No client's name holds a blank.
    if any(map(keys.is_master, offered)):
        return "master key"
    return next((name for name in map(keys.client_of, offered) if name is not None), "no key")


def refusal(path: str, headers: t.Iterable[tuple[bytes, bytes]], keys: Keys, policy: Policy) -> Refusal | None:
    """Why a request goes no further, or None. All but the health paths needs a key, also what LiteLLM leaves open (its login pages)."""
    if path in PUBLIC_PATHS:
        return None
    offered = offered_keys(headers)
    if not offered:
        return Refusal(401, "No API key. Send it as 'Authorization: Bearer <key>'.")
    if any(keys.is_master(key) for key in offered):
        return None
    client = next((name for name in map(keys.client_of, offered) if name is not None), None)
    if client is None:
        return Refusal(401, "This API key is not known to the gateway.")
    if not client_may_call(path, policy.client_routes):
        return Refusal(403, f"The key of client {client!r} is for inference only; {path} needs the master key.")
    return None


def client_may_call(path: str, routes: t.Iterable[str]) -> bool:
    """Whether a client key is good for this path, with or without ``/v1`` (``/v2`` for rerank) in front."""
    path = path.rstrip("/") or "/"
    if ".." in path.split("/"):
        return False
    candidates = {path}
    for version in ("/v1", "/v2"):
        if path.startswith(version + "/"):
            candidates.add(path[len(version) :])
    for route in routes:
        for candidate in candidates:
            if candidate == route or (route.endswith("/*") and candidate.startswith(route[:-1])):
                return True
    return False
