# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which backend a conversation stays with, so that what it computed for the turns before is still in its cache. Needs no LiteLLM.

A conversation begins where the fewest are, and stays there while that backend serves and has not far more than its share. A hash of its
name would need no memory, and give one of two backends 12 or more of 20 conversations every second time; it decides between equals.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
import time
import typing as t
from collections import OrderedDict
from dataclasses import dataclass

from gateway_sessions import SESSION
from gateway_shared import AwayError, Shared

LOG = logging.getLogger("gateway")
#: Seconds after its last request for which a conversation is remembered, and counted.
LIFE = 3600.0
#: Conversations that are remembered of each backend.
MOST = 10_000
#: How many times its share a backend may have before conversations move away from it, as after the others were away.
STAYS = 1.25
#: What LiteLLM itself takes for the weight of a backend, the first of them that any backend has.
WEIGHTS = ("weight", "rpm", "tpm")
#: Where LiteLLM says which backends have failed with this very request.
FAILED = ("_excluded_deployment_ids", "_retry_skipped_deployment_ids")

Deployment = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class Backend:
    """One that a conversation may stay with."""

    id: str
    weight: float = 1.0


def in_turn(session: str, backends: t.Iterable[Backend]) -> list[Backend]:
    """Backends in an order that differs from conversation to conversation, and not from gateway to gateway."""
    return sorted(backends, key=lambda backend: hashlib.sha256(f"{session}\0{backend.id}".encode()).digest())


class Places:
    """Where the conversations are. No await in here: what is counted is exact."""

    def __init__(self, clock: t.Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        #: Backend -> its conversations and when they were seen last, the oldest first.
        self._seen: dict[str, OrderedDict[str, float]] = {}

    def place(self, session: str, backends: t.Sequence[Backend]) -> str:
        """The backend of a conversation among these; of equals the first."""
        now = self._clock()
        seen = {backend.id: self._seen.setdefault(backend.id, OrderedDict()) for backend in backends}
        for conversations in seen.values():
            while conversations and next(iter(conversations.values())) <= now - LIFE:
                conversations.popitem(last=False)
        homes = [backend for backend in backends if session in seen[backend.id]]
        # Two where one was away for a while: back to the one that was there first.
        home = min(homes, key=lambda backend: seen[backend.id][session], default=None)
        each = sum(map(len, seen.values())) / sum(backend.weight for backend in backends)
        if home is not None and len(seen[home.id]) <= math.ceil(each * home.weight * STAYS):
            chosen = home
        else:
            chosen = min((one for one in backends if one is not home), key=lambda backend: (len(seen[backend.id]) + 1) / backend.weight)
        self.note(session, chosen.id, backends)
        return chosen.id

    def note(self, session: str, chosen: str, backends: t.Iterable[Backend]) -> None:
        """The conversation is there now, whoever said so."""
        for backend in backends:
            self._seen.setdefault(backend.id, OrderedDict()).pop(session, None)
        conversations = self._seen[chosen]
        conversations[session] = self._clock()
        if len(conversations) > MOST:
            conversations.popitem(last=False)


def identity(deployment: Deployment) -> str:
    return str((deployment.get("model_info") or {}).get("id"))


def _order(deployment: Deployment) -> int | None:
    order = (deployment.get("litellm_params") or {}).get("order")
    return order if isinstance(order, int) else None


def siblings(healthy: t.Iterable[Deployment], request: t.Mapping[str, t.Any]) -> list[Deployment]:
    """The backends among which LiteLLM would choose at random: those that are first in order.

    None where they differ in how long a request may be: LiteLLM looks at that later, and would find nobody left.
    """
    failed = {str(name) for key in FAILED for name in request.get(key) or ()}
    able = [deployment for deployment in healthy if identity(deployment) not in failed]
    wanted = request.get("_target_order")
    if wanted is None:
        wanted = min((order for order in map(_order, able) if order is not None), default=None)
    able = [deployment for deployment in able if wanted is None or _order(deployment) == wanted]
    windows = {(deployment.get("model_info") or {}).get("max_input_tokens") for deployment in able}
    return able if len(windows - {None}) <= 1 else []


def backends_of(deployments: t.Sequence[Deployment]) -> list[Backend]:
    for metric in WEIGHTS:
        weights = [float((one.get("litellm_params") or {}).get(metric) or 0) for one in deployments]
        if sum(weights) > 0:
            return [Backend(identity(one), weight) for one, weight in zip(deployments, weights) if weight > 0]
    return [Backend(identity(one)) for one in deployments]


class Sticky:
    """What LiteLLM asks before it chooses: takes out the backends beside the one where the conversation is."""

    def __init__(self, shared: t.Callable[[], Shared | None] = lambda: None) -> None:
        self._shared = shared
        self._places = Places()

    async def __call__(self, healthy: list[Deployment], request: t.Mapping[str, t.Any]) -> list[Deployment]:
        session = SESSION.get()
        if session is None:
            return healthy
        try:
            backends = in_turn(session, backends_of(siblings(healthy, request)))
            if len(backends) < 2:
                return healthy
            chosen = await self._place(session, backends)
        except Exception:
            LOG.exception("a conversation has no place; LiteLLM chooses by itself")
            return healthy
        others = {backend.id for backend in backends} - {chosen}
        return [deployment for deployment in healthy if identity(deployment) not in others]

    async def _place(self, session: str, backends: t.Sequence[Backend]) -> str:
        """As all gateways have it that share a Redis; while that is away each goes on with what it knows."""
        shared = self._shared()
        if shared is not None:
            with contextlib.suppress(AwayError):
                chosen = await shared.place(session, {backend.id: backend.weight for backend in backends}, LIFE, MOST, STAYS)
                self._places.note(session, chosen, backends)
                return chosen
        return self._places.place(session, backends)
