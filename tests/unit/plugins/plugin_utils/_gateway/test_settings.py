# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from support.described_gateway import gateway, model

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.config import build_config
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.settings import merge_settings


def test_no_health_checks_where_nothing_can_be_routed_around() -> None:
    assert "background_health_checks" not in build_config(gateway(), "n1")["general_settings"]


@pytest.mark.parametrize(
    ("redis", "expected"),
    [
        (None, {"type": "local"}),
        ({"host": "r", "port": 7000, "db": 1, "ssl": True}, {"type": "redis", "host": "r", "port": 7000, "db": 1, "ssl": True}),
        (
            {"host": "r", "password_variable": "REDIS_PASSWORD", "username": "u"},
            {"type": "redis", "host": "r", "port": 6379, "username": "u", "password": "os.environ/REDIS_PASSWORD"},
        ),
    ],
)
def test_cache(redis: Any, expected: dict[str, Any]) -> None:
    config = build_config(gateway(model(capability="embedding"), redis=redis), "n1")
    common = {"ttl": 600, "supported_call_types": ["embedding", "aembedding"]}
    found = dict(config["litellm_settings"]["cache_params"])
    assert ("namespace" in found) == (redis is not None)
    found.pop("namespace", None)
    limits = {"socket_timeout": 0.5, "socket_connect_timeout": 0.5} if redis else {}
    assert found == {**expected, **limits, **common}


def test_vectors_in_a_redis_do_not_outlive_their_model() -> None:
    def namespace(source: str, **more: Any) -> Any:
        embedding = model(capability="embedding", sources=[source], **more)
        config = build_config(gateway(embedding, redis={"host": "r.example"}), "n1")
        return config["litellm_settings"]["cache_params"]["namespace"]

    assert namespace("BAAI/bge-m3") == namespace("BAAI/bge-m3", timeout=5)
    assert namespace("BAAI/bge-m3") != namespace("Qwen/Qwen3-Embedding-0.6B")


def test_the_router_uses_the_same_redis_as_the_cache() -> None:
    redis = {"host": "r", "port": 7000, "db": 2, "ssl": True, "username": "u", "password_variable": "REDIS_PASSWORD"}
    router = build_config(gateway(redis=redis), "n1")["router_settings"]
    assert (router["redis_host"], router["redis_port"], router["redis_password"]) == ("r", 7000, "os.environ/REDIS_PASSWORD")
    assert router["cache_kwargs"] == {"db": 2, "username": "u", "ssl": True, "socket_timeout": 0.5, "socket_connect_timeout": 0.5}


def test_chat_is_never_cached() -> None:
    assert "cache" not in build_config(gateway(), "n1")["litellm_settings"]


@pytest.mark.parametrize(
    ("base", "extra", "merged"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}),
        ({"a": [1]}, {"a": [1, 2]}, {"a": [1, 2]}),
        ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
        ({}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
def test_merge(base: dict[str, Any], extra: dict[str, Any], merged: dict[str, Any]) -> None:
    assert merge_settings(base, extra) == merged
