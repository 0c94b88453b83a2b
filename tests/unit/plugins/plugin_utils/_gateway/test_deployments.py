# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from support.described_gateway import backend, gateway, model

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.config import build_config
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.deployments import provider_of
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.models import Backend


@pytest.mark.parametrize(
    ("engine", "capability", "provider", "expected"),
    [
        ("vllm", "chat", None, "hosted_vllm"),
        ("vllm", "embedding", None, "hosted_vllm"),
        ("vllm", "rerank", None, "hosted_vllm"),
        ("vllm", "transcription", None, "hosted_vllm"),
        ("openai", "chat", None, "hosted_vllm"),
        ("openai", "chat", "openai", "openai"),
        ("ollama", "chat", None, "ollama_chat"),
        ("ollama", "embedding", None, "hosted_vllm"),
        ("ollama", "embedding", "ollama", "ollama"),
    ],
)
def test_provider(engine: str, capability: str, provider: str | None, expected: str) -> None:
    given = Backend.from_mapping(backend(engine=engine, provider=provider))
    assert provider_of(given, capability).name == expected


@pytest.mark.parametrize(
    ("changes", "defaults", "free"),
    [({}, {}, True), ({"engine": "ollama"}, {}, True), ({"provider": "openai"}, {}, False), ({}, {"input_cost_per_token": 1e-6}, False)],
)
def test_our_own_models_are_free(changes: dict[str, Any], defaults: dict[str, Any], free: bool) -> None:
    config = build_config(gateway(model(backends=[backend(**changes)], request_defaults=defaults)), "n1")
    info = config["model_list"][0]["model_info"]
    assert ("input_cost_per_token" in info, info.get("output_cost_per_token")) == (free, 0 if free else None)


@pytest.mark.parametrize(
    ("host", "changes", "api_base"),
    [
        ("n1", {}, "http://vllm-chat:8000/v1"),
        ("gw", {}, "http://192.0.2.1:8070/v1"),
        ("n1", {"container": None}, "http://192.0.2.1:8070/v1"),
        ("n1", {"engine": "ollama", "container": "ollama-a", "container_port": 11434}, "http://ollama-a:11434"),
        ("gw", {"engine": "ollama"}, "http://192.0.2.1:8070"),
        ("gw", {"url": "http://192.0.2.1:8070/v1/"}, "http://192.0.2.1:8070/v1"),
    ],
)
def test_api_base(host: str, changes: dict[str, Any], api_base: str) -> None:
    config = build_config(gateway(model(backends=[backend(**changes)])), host)
    assert config["model_list"][0]["litellm_params"]["api_base"] == api_base


@pytest.mark.parametrize("capability", ["chat", "embedding", "rerank", "transcription"])
def test_mode(capability: str) -> None:
    entry = build_config(gateway(model(capability=capability)), "n1")["model_list"][0]
    assert entry["model_info"]["mode"] == {"transcription": "audio_transcription"}.get(capability, capability)
    assert ("stream_timeout" in entry["litellm_params"]) is (capability == "chat")


def test_a_single_backend_is_never_cooled_and_has_no_order() -> None:
    entry = build_config(gateway(model(backends=[backend(order=2, weight=5)])), "n1")["model_list"][0]
    assert entry["model_info"]["allowed_fails"] == 1000
    assert "allowed_fails_policy" not in entry["model_info"]
    assert not {"order", "weight"} & set(entry["litellm_params"])


def test_several_backends_fail_over_at_the_first_fault_of_a_server() -> None:
    config = build_config(gateway(model(backends=[backend(), backend(id="chat-n2", host="n2", order=2)])), "n1")
    first, second = config["model_list"]
    assert (first["litellm_params"]["order"], second["litellm_params"]["order"]) == (1, 2)
    policy = first["model_info"]["allowed_fails_policy"]
    assert policy["InternalServerErrorAllowedFails"] == 0
    assert policy["NotFoundErrorAllowedFails"] > 1000
    assert "allowed_fails" not in first["model_info"]
    assert config["general_settings"]["background_health_check_model_groups"] == ["chat"]
    assert config["general_settings"]["enable_health_check_routing"] is True


def test_requests_go_to_the_replicas_that_can_take_them() -> None:
    long, short = backend(max_input_tokens=32768), backend(id="chat-n2", host="n2", max_input_tokens=8192)
    config = build_config(gateway(model(backends=[long, short], max_input_tokens=32768)), "n1")
    assert [entry["model_info"]["max_input_tokens"] for entry in config["model_list"]] == [32768, 8192]
    assert config["router_settings"]["enable_pre_call_checks"] is True
    same = build_config(gateway(model(backends=[long, {**long, "id": "b"}])), "n1")
    assert "enable_pre_call_checks" not in same["router_settings"]


def test_request_defaults_are_parameters_and_not_shared() -> None:
    defaults = {"temperature": 0.2, "extra_body": {"chat_template_kwargs": {"enable_thinking": False}}}
    config = build_config(gateway(model(request_defaults=defaults)), "n1")
    parameters = config["model_list"][0]["litellm_params"]
    assert parameters["temperature"] == 0.2
    assert parameters["extra_body"] == defaults["extra_body"]
    assert parameters["extra_body"] is not defaults["extra_body"]
