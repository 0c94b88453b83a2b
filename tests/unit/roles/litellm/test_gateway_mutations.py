# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mutated requests of real clients at the guard's rules, without LiteLLM: tests/real/test_guard.py sends the same ones through the whole.

The rules understand each of them, so that a client always reads what is wrong, and what they let through names no media address.
"""

from __future__ import annotations

import collections
import json

from engine import count_images, fetched
from gateway_access import Caller
from gateway_errors import RequestError
from gateway_models import Model, Models
from gateway_policy import Policy
from gateway_requests import Judged, Rules, inference, media_type, raw_route
from gateway_routes import route_of
from mutate import STEERING, Mutator, Request
from support.repository import ROOT

CORPUS = json.loads((ROOT / "tests/real/guard/corpus.json").read_text(encoding="utf-8"))
COUNT = 1500
RAW = "/embeddings/v1/embeddings"
CHAT = Model("chat", frozenset({"hosted_vllm"}))
MODELS = {
    "chat": CHAT,
    "LLM_DEFAULT": CHAT,
    "org/Model-1": CHAT,
    "small": Model("chat", frozenset({"ollama_chat"})),
    "embedding": Model("embedding"),
    "rerank": Model("rerank"),
    "asr": Model("audio_transcription"),
}
IMAGES = {"chat": 1, "LLM_DEFAULT": 1, "org/Model-1": 1, "embedding": 1}
RULES = Rules(Policy(max_images=IMAGES, allowed_domains=("img.example",), raw={RAW: 1}), frozenset(STEERING), Models(MODELS))
CALLER = Caller("key", "metis")


def judged(request: Request) -> Judged | None:
    """What goes on; None for a path that is none of the guard's, and for uploads, which LiteLLM's own libraries read."""
    headers = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in request.headers]
    if media_type(headers) == "multipart/form-data":
        return None
    route = route_of(request.path)
    if route is not None and route.kind != "models":
        return inference(route, request.bytes(), None, headers, request.query, CALLER, RULES)
    return raw_route(RAW, request.bytes(), None, headers, request.query, CALLER, RULES) if request.path == RAW else None


def test_every_request_is_understood_and_none_leads_to_an_address() -> None:
    mutator = Mutator(CORPUS, 20261127)
    became: collections.Counter[str] = collections.Counter()
    for _number in range(COUNT):
        request = mutator.make()
        try:
            found = judged(request)
        except RequestError as error:
            became[str(error.status)] += 1
            continue
        if found is None or not found.body:
            continue
        became["passed"] += 1
        body = json.loads(found.body)
        assert fetched(body) == [], request
        assert found.max_images is None or count_images(body) <= found.max_images, request
    # Neither everything nor nothing.
    assert became["passed"] > 0.1 * COUNT
    assert became["400"] > 0.5 * COUNT
    assert set(became) <= {"passed", "400", "404"}
