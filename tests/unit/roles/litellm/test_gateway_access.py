# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib

import pytest
from gateway_access import Caller, caller_of, check_path, wants_plain_health
from gateway_errors import RequestError
from gateway_keys import Keys
from gateway_policy import Policy
from gateway_quotas import Quota

MASTER = "master-key-0123456789"
CLIENT = "client-key-0123456789"
KEYS = Keys.from_document(
    {"master": [hashlib.sha256(MASTER.encode()).hexdigest()], "clients": {"metis": [hashlib.sha256(CLIENT.encode()).hexdigest()]}}
)
POLICY = Policy(client_routes=("/chat/completions", "/models", "/models/*", "/rerank", "/embeddings/v1/embeddings"))


def bearer(key: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", f"Bearer {key}".encode())]


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        ([(b"x-api-key", CLIENT.encode())], "metis"),
        ([(b"Authorization", f"bearer {CLIENT}".encode())], "metis"),
        ([(b"api-key", CLIENT.encode())], "metis"),
        (bearer(CLIENT), "metis"),
        (bearer(MASTER), None),
        ([*bearer(CLIENT), (b"x-api-key", MASTER.encode())], None),
    ],
)
def test_who_asks(headers: list[tuple[bytes, bytes]], client: str | None) -> None:
    caller = caller_of(headers, KEYS)
    assert caller.client == client
    assert caller.key in (MASTER, CLIENT)


@pytest.mark.parametrize(
    "headers",
    [[], bearer(""), bearer("nope"), [(b"authorization", b"Basic \xff\xfe")], [(b"cookie", f"token={MASTER}".encode())]],
)
def test_nobody_asks(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(RequestError) as refused:
        caller_of(headers, KEYS)
    assert refused.value.status == 401
    assert MASTER not in refused.value.message


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/models", None),
        ("/v1/models/org/name", None),
        ("/v1/chat/completions", None),
        ("/v2/rerank", None),
        ("/embeddings/v1/embeddings", None),
        ("/model/info", 403),
        ("/health", 404),
        ("/models/../config", 404),
        ("/v1/models/../../key/generate", 404),
        ("/chat/completionsx", 404),
        ("/nothing", 404),
    ],
)
def test_what_a_client_may_call(path: str, status: int | None) -> None:
    def serves(asked: str) -> bool:
        return asked == "/model/info"

    check_path(path, Caller(MASTER), POLICY, serves)
    if status is None:
        check_path(path, Caller(CLIENT, "metis"), POLICY, serves)
        return
    with pytest.raises(RequestError) as refused:
        check_path(path, Caller(CLIENT, "metis"), POLICY, serves)
    assert refused.value.status == status
    assert CLIENT not in refused.value.message


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/usage", "/usage/metrics/", "/model/info", "/nothing"])
def test_a_key_for_metrics_reads_nothing_else(path: str) -> None:
    prometheus = Caller(CLIENT, "prometheus", Quota.from_mapping({"models": [], "metrics": True}))
    check_path("/usage/metrics", prometheus, POLICY, lambda _path: True)
    with pytest.raises(RequestError) as refused:
        check_path(path, prometheus, POLICY, lambda _path: True)
    assert (refused.value.status, refused.value.message) == (403, "The key of client 'prometheus' reads /usage/metrics and nothing else.")


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
    keys = Keys.from_document({})
    assert not keys.is_master("")
    assert keys.client_of("") is None
    with pytest.raises(RequestError):
        caller_of(bearer("x"), keys)
