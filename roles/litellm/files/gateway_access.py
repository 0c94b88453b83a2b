# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which paths a request may reach, with which key. Needs no LiteLLM."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from gateway_errors import RequestError
from gateway_keys import Keys, offered_keys
from gateway_policy import Policy
from gateway_quotas import Quota

#: Answer without a key: they say that the gateway is up, nothing more.
PUBLIC_PATHS = frozenset({"/health/liveliness", "/health/liveness", "/health/readiness", "/health_check"})
#: What a Prometheus reads (gateway_counts.py), and all that its key is good for.
METRICS_PATH = "/usage/metrics"


@dataclass(frozen=True)
class Caller:
    """Who asks. A client's key is for inference only."""

    key: str
    #: None for the holder of the master key.
    client: str | None = None
    #: None for whoever has no limits.
    quota: Quota | None = None

    @property
    def name(self) -> str:
        """Whom a request counts for. No client's name holds a blank."""
        return self.client or "master key"


def wants_plain_health(path: str, headers: t.Iterable[tuple[bytes, bytes]], keys: Keys) -> bool:
    """Whether ``/health`` is asked by somebody else than the holder of the master key.

    LiteLLM's report sends a request to every engine. Client programs mean whether the gateway is up, and many ask without a key.
    """
    if path != "/health":
        return False
    offered = offered_keys(headers)
    return not any(map(keys.is_master, offered)) and (not offered or any(map(keys.client_of, offered)))


def caller_of(headers: t.Iterable[tuple[bytes, bytes]], keys: Keys) -> Caller:
    """Who a request comes from. Raise RequestError for a request without a key, or with one that nobody has."""
    offered = offered_keys(headers)
    if not offered:
        raise RequestError(401, "No API key. Send it as 'Authorization: Bearer <key>'.", code="missing_api_key")
    for key in offered:
        if keys.is_master(key):
            return Caller(key)
    for key in offered:
        client = keys.client_of(key)
        if client is not None:
            return Caller(key, client, keys.quota_of(client))
    raise RequestError(401, "This API key is not known to the gateway.", code="invalid_api_key")


def check_path(path: str, caller: Caller, policy: Policy, serves: t.Callable[[str], bool]) -> None:
    """Raise RequestError for what a client's key is not good for, and for what nobody serves. ``serves``: whether LiteLLM has it."""
    if caller.quota is not None and caller.quota.metrics:
        if path == METRICS_PATH:
            return
        raise RequestError(403, f"The key of client {caller.client!r} reads {METRICS_PATH} and nothing else.", code="forbidden")
    if caller.client is None or client_may_call(path, policy.client_routes):
        return
    if serves(path):
        raise RequestError(
            403, f"The key of client {caller.client!r} is for inference only; {path[:100]} needs the master key.", code="forbidden"
        )
    raise RequestError(404, f"There is nothing at {path[:100]}.", code="unknown_url")


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
