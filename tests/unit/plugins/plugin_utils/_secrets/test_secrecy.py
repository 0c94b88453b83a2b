# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._secrets.secrecy import (
    is_secret_name,
    is_secret_variable,
    looks_secret,
    secrets_in,
    shown,
    shown_path,
    without_credentials,
)


@pytest.mark.parametrize(
    ("value", "path", "expected"),
    [
        (8070, "inference_services[0].port (host n)", "8070"),
        ("vlm", "inference_models.chat.engine", '"vlm"'),
        ("x" * 200, "inference_models.chat.source", '"' + "x" * 76 + "..."),
        (["node1"], "gateways", '["node1"]'),
        ("none", "inference_models.chat.engine_args.dtype", '"none"'),
        ("12 GB", "inference_gpu_reserve.0", '"12 GB"'),
        (None, "inference_models.chat.engine", None),
        (True, "inference_gateway.client_keys", "true"),
        ([], "inference_services[0].gpus", "[]"),
        ("sha256:" + "0a" * 32, "inference_models.small.digest", '"sha256:' + "0a" * 32 + '"'),
        # Of places that nobody listed nothing is shown, be it a misspelt key or a variable of the wrong type.
        ("secret", "inference_gateway.redis.pass", "(a text, not shown)"),
        ("secret", "inference_gateway", "(a text, not shown)"),
        (["HF_TOKEN=x"], "inference_models.chat.env", "(a list of 1, not shown)"),
        ({"a": "secret"}, "inference_external_endpoints[0].headers", "(a mapping, not shown)"),
        (12345678, "inference_external_endpoints[0].authorization", "(a number, not shown)"),
        ("secret", "inference_gateway.settings.general_settings.port", "(a text, not shown)"),
        ("secret", "inference_models.chat.engine_args.api-key", "(a text, not shown)"),
        # And nowhere what looks like a secret.
        ("https://user:pw@host", "inference_external_endpoints[0].base_url", "(a text, not shown)"),
        ("http://host/v1?key=pw", "inference_external_endpoints[0].base_url", "(a text, not shown)"),
        ("sk-abcdef", "inference_models.chat.source", "(a text, not shown)"),
        ("-e HF_TOKEN=x", "inference_services[0].container_extra_arguments[0]", "(a text, not shown)"),
        ("k3k3k3k3k3k3k3k3k3k3k3k3k3", "inference_services[0].name", "(a text, not shown)"),
        ([{"a": 1}], "inference_services[0].gpus", "(a list of 1, not shown)"),
    ],
)
def test_what_is_shown(value: Any, path: str, expected: str | None) -> None:
    assert shown(value, path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("inference_models.Qwen/Qwen3-8B:q4.engine (host n)", "inference_models.Qwen/Qwen3-8B:q4.engine (host n)"),
        ("inference_models.a b", "inference_models.a b"),
        ("inference_models.chat.env.HF_TOKEN=x (host n)", "inference_models.chat.env.(a name, not shown) (host n)"),
        ("inference_gateway.client_keys.sk-12345678", "inference_gateway.client_keys.(a name, not shown)"),
        ("inference_gateway.redis.password: x.port", "inference_gateway.redis.(a name, not shown)"),
    ],
)
def test_names_that_are_none_are_not_shown(path: str, expected: str) -> None:
    assert shown_path(path) == expected


@pytest.mark.parametrize(
    "name", ["AWS_SECRET_ACCESS_KEY", "hfToken", "redis.pass", "api-key", "x-api-key", "DB_PASSWORD", "Authorization", "keys"]
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["max_tokens", "max-num-batched-tokens", "min_tokens", "tokenizer", "key_variable", "keyword", "monkey", "compass", "eos_token"]
)
def test_names_of_other_things(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "text",
    [
        "Qwen/Qwen3-VL-4B-Instruct-FP8",
        "vllm/vllm-openai:v0.32.0",
        "vllm/vllm-openai@sha256:" + "-".join(["0a1b2c3d"] * 8),
        "http://host:8000/v1",
        "registry.example:5000/a/b:1",
        "max_tokens=5",
        "/srv/models/key",
        "--shm-size=16g",
    ],
)
def test_what_does_not_look_secret(text: str) -> None:
    assert not looks_secret(text)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("MY_API_KEY", "abcdefgh", True),
        ("HTTPS_PROXY", "http://user:p@proxy:3128", True),
        ("HTTPS_PROXY", "http://proxy:3128", False),
        ("VLLM_USE_TOKEN", "true", False),  # else every "true" of the output would be masked
        ("MAX_TOKENS", "16384000", False),
        ("A", "b", False),
        ("MY_API_KEY", "a\nb\nc\nd\ne", False),  # refused as it is
        ("MY_API_KEY", ["abcdefgh"], False),
    ],
)
def test_variables_for_the_container_alone(name: str, value: Any, expected: bool) -> None:
    assert is_secret_variable(name, value) is expected


@pytest.mark.parametrize(
    ("settings", "places"),
    [
        ({"general_settings": {"database_url": "postgresql://user:p@db/x"}}, ["s.general_settings.database_url"]),
        ({"cache_params": {"url": "redis://:p@r:6379", "password": 12345}}, ["s.cache_params.url", "s.cache_params.password"]),
        ({"alert_to_webhook_url": {"x": "https://hooks.example/T/B"}}, ["s.alert_to_webhook_url"]),
        ([{"api_base": "https://x/v1?api_key=1"}], ["s[0].api_base"]),
        ({"headers": {"X": "Bearer abc"}}, ["s.headers.X"]),
        ({"slack_token": "x"}, ["s.slack_token"]),
        ({"api_key": "os.environ/KEY", "headers": {"X": "Bearer os.environ/KEY"}, "max_tokens": 4, "jwt_auth_token": True}, []),
        ({"vertex_credentials": "/secrets/vertex.json", "redis_url": "redis://r:6379/0", "custom_auth": "a.b"}, []),
    ],
)
def test_secrets_in_settings(settings: Any, places: list[str]) -> None:
    assert [place for place, _what in secrets_in(settings, "s")] == places


def test_tokens_of_models_are_words() -> None:
    assert list(secrets_in({"hf-overrides": {"image_token": "<image>"}}, "s", tokens=False)) == []
    assert [place for place, _what in secrets_in({"hf-token": "x", "token": "y"}, "s", tokens=False)] == ["s.hf-token", "s.token"]


def test_a_whole_sentence_loses_what_is_certainly_secret() -> None:
    assert without_credentials("http://user:p@host has sk-abc123 and hf_abc123 in it") == "http://***@host has *** and *** in it"
