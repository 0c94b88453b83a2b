# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import json

import pytest
from gateway_access import caller, refusal, wants_plain_health
from gateway_keys import Keys
from gateway_policy import Policy

MASTER = "master-key-0123456789"
CLIENT = "client-key-0123456789"
KEYS = Keys.from_environment(
    {"LITELLM_MASTER_KEY": MASTER, "GATEWAY_CLIENT_KEYS": json.dumps({"metis": hashlib.sha256(CLIENT.encode()).hexdigest()})}
)
POLICY = Policy(client_routes=("/chat/completions", "/models", "/models/*", "/rerank", "/embeddings/v1/embeddings"))


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/health/readiness", [], None),
        ("/health_check", [], None),
        ("/health", [], 401),
        ("/ui/", [], 401),
        ("/fallback/login", [], 401),
        ("/v1/models", [(b"authorization", b"Bearer ")], 401),
        ("/v1/models", [(b"authorization", b"Bearer nope")], 401),
        ("/v1/models", [(b"x-api-key", CLIENT.encode())], None),
        ("/v1/models", [(b"Authorization", f"bearer {CLIENT}".encode())], None),
        ("/v1/models/chat", [(b"api-key", CLIENT.encode())], None),
        ("/v1/chat/completions", [(b"authorization", f"Bearer {CLIENT}".encode())], None),
        ("/v2/rerank", [(b"authorization", f"Bearer {CLIENT}".encode())], None),
        ("/embeddings/v1/embeddings", [(b"authorization", f"Bearer {CLIENT}".encode())], None),
        ("/model/info", [(b"authorization", f"Bearer {CLIENT}".encode())], 403),
        ("/health", [(b"authorization", f"Bearer {CLIENT}".encode())], 403),
        ("/models/../config", [(b"authorization", f"Bearer {CLIENT}".encode())], 403),
        ("/v1/models/../../key/generate", [(b"authorization", f"Bearer {CLIENT}".encode())], 403),
        ("/chat/completionsx", [(b"authorization", f"Bearer {CLIENT}".encode())], 403),
        ("/model/info", [(b"authorization", f"Bearer {MASTER}".encode())], None),
        ("/v1/models", [(b"authorization", b"Basic \xff\xfe")], 401),
        ("/v1/models", [(b"cookie", f"token={MASTER}".encode())], 401),
    ],
)
def test_refusal(path: str, headers: list[tuple[bytes, bytes]], status: int | None) -> None:
    refused = refusal(path, headers, KEYS, POLICY)
    assert (refused.status if refused else None) == status
    if refused:
        assert CLIENT not in refused.message
        assert MASTER not in refused.message


@pytest.mark.parametrize(
    ("path", "key", "plain"),
    [
        ("/health", None, True),
        ("/health", CLIENT, True),
        ("/health", MASTER, False),
        ("/health", "nobody-has-this-key", False),
        ("/health/services", None, False),
        ("/v1/models", None, False),
    ],
)
def test_who_is_told_no_more_than_that_the_gateway_is_up(path: str, key: str | None, plain: bool) -> None:
    headers = [(b"authorization", f"Bearer {key}".encode())] if key else []
    assert wants_plain_health(path, headers, KEYS) is plain


def test_an_unset_master_key_opens_nothing() -> None:
    keys = Keys.from_environment({})
    assert not keys.is_master("")
    assert keys.client_of("") is None
    refused = refusal("/v1/models", [(b"authorization", b"Bearer x")], keys, POLICY)
    assert refused is not None
    assert refused.status == 401


@pytest.mark.parametrize(
    ("key", "name"),
    [(MASTER, "master key"), (CLIENT, "metis"), ("nope", "no key"), ("", "no key")],
    ids=["master", "client", "wrong", "none"],
)
def test_who_a_request_counts_for(key: str, name: str) -> None:
    assert caller([(b"authorization", f"Bearer {key}".encode())], KEYS) == name
