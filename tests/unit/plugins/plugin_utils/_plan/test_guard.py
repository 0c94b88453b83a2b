# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an inventory says of the gateway can't take its guard away, or lead around it."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_api import API, CLOSED, ENGINE, MAIN, OLLAMA
from gateway_media import ENGINE_ADDRESS_PARAMETERS
from support.inventories import MODELS, one, service

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan import request_defaults
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import PlanError, build_plan

LAB = {"name": "lab", "base_url": "http://lab:9000", "models": ["big"], "api_key": "lab-key-0123456789"}


def findings(gateway: dict[str, Any] | None = None, **rest: Any) -> list[str]:
    try:
        build_plan(one(service(), inference_external_endpoints=[LAB], inference_gateway=gateway or {}, **rest))
    except PlanError as error:
        return [str(finding) for finding in error.findings]
    return []


def models(**changes: Any) -> dict[str, Any]:
    return {**MODELS, "chat": {**MODELS["chat"], **changes}}


def route(**item: Any) -> dict[str, Any]:
    return {"passthrough": [{"path": "/lab/x", **item}]}


@pytest.mark.parametrize("path", ["/key/list", "/health", "/config/update", "/v1/chat/completions", "/../x", "/x/../key/list", "/x/"])
def test_a_raw_route_takes_no_path_of_litellm(path: str) -> None:
    (line,) = findings({"passthrough": [{"path": path, "model": "chat"}]})
    assert line.startswith(f'inference_gateway.passthrough[0].path = "{path}"')
    (line,) = findings(inference_models=models(passthrough=path))
    assert line.startswith(f'inference_models.chat.passthrough = "{path}"')


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"target": "https://foreign.example/x", "key_variable": "LITELLM_MASTER_KEY"}, "the gateway itself"),
        ({"target": "https://foreign.example/x", "key_variable": "REDIS_PASSWORD"}, "the gateway itself"),
        ({"model": "chat", "key_variable": "LITELLM_MASTER_KEY"}, "the gateway itself"),
        ({"target": "https://foreign.example/x", "key_variable": "ENGINE_KEY_NODE1"}, "not the key of the server that this route leads to"),
        ({"target": "http://node1:9999/x", "key_variable": "ENGINE_KEY_NODE1"}, "not the key of the server that this route leads to"),
        ({"target": "http://node1:8070/x", "key_variable": "EXTERNAL_KEY_LAB"}, "not the key of the server that this route leads to"),
        ({"model": "big", "key_variable": "ENGINE_KEY_NODE1"}, "not the key of the server that this route leads to"),
        ({"target": "http://node1:8070/x", "key_variable": "ENGINE_KEY_NODE2"}, "not the key of any server"),
    ],
)
def test_a_key_goes_only_where_it_belongs(item: dict[str, Any], words: str) -> None:
    (line,) = findings(route(**item))
    assert line.startswith("inference_gateway.passthrough[0].key_variable")
    assert words in line


@pytest.mark.parametrize(
    "item",
    [
        {"target": "http://node1:8070/tokenize", "key_variable": "ENGINE_KEY_NODE1"},
        {"target": "http://vllm-chat:8000/tokenize", "key_variable": "ENGINE_KEY_NODE1"},
        {"target": "http://lab:9000/x", "key_variable": "EXTERNAL_KEY_LAB"},
        {"model": "big", "key_variable": "EXTERNAL_KEY_LAB"},
        {"target": "https://foreign.example/x", "key_variable": "FOREIGN_KEY"},
        {"target": "https://foreign.example/x"},
    ],
)
def test_keys_that_are_right(item: dict[str, Any]) -> None:
    assert findings(route(**item)) == []


@pytest.mark.parametrize(
    ("section", "key", "value", "words"),
    [
        ("general_settings", "custom_auth", "mine.auth", "client_keys"),
        ("general_settings", "custom_auth", None, "anybody could use the gateway"),
        ("general_settings", "master_key", "os.environ/OTHER", "inference_master_key"),
        ("general_settings", "master_key", "sk-0123456789abcdef", "inference_master_key"),
        ("general_settings", "master_key", None, "inference_master_key"),
        ("general_settings", "litellm_key_header_name", "X-Key", "Authorization"),
        ("general_settings", "pass_through_endpoints", [{"path": "/x", "target": "http://y"}], "inference_gateway.passthrough"),
        ("environment_variables", "LITELLM_MASTER_KEY", "os.environ/X", "set by the collection"),
        ("environment_variables", "LITELLM_WORKER_STARTUP_HOOKS", "x:y", "set by the collection"),
        ("environment_variables", "GATEWAY_LIVE_FOLDER", "/x", "set by the collection"),
        ("environment_variables", "ENGINE_KEY_NODE1", "os.environ/X", "set by the collection"),
    ],
)
def test_settings_leave_the_guard_alone(section: str, key: str, value: Any, words: str) -> None:
    (line,) = findings({"settings": {section: {key: value}}})
    assert line.startswith(f"inference_gateway.settings.{section}.{key}")
    assert words in line


@pytest.mark.parametrize("key", ["max_budget", "budget_duration", "max_end_user_budget", "default_key_generate_params"])
def test_what_needs_a_database_is_told(key: str) -> None:
    def warnings(**general: Any) -> list[str]:
        gateway = {"settings": {"litellm_settings": {key: 10}, "general_settings": general}}
        return [line for line in build_plan(one(service(), inference_gateway=gateway))["warnings"] if key in line]

    (line,) = warnings()
    assert line.startswith(f"inference_gateway.settings.litellm_settings.{key} has no effect")
    assert warnings(database_url="os.environ/DATABASE_URL") == []


@pytest.mark.parametrize(
    ("defaults", "place", "words"),
    [
        ({"mock_response": "hi"}, "mock_response", "not a request parameter"),
        ({"num_retries": 1000000000}, "num_retries", "router_settings"),
        ({"fallbacks": ["x"]}, "fallbacks", "not a request parameter"),
        ({"cache": {"no-cache": True}}, "cache", "not a request parameter"),
        ({"success_callback": ["x"]}, "success_callback", "not a request parameter"),
        ({"organization": "x"}, "organization", "not a request parameter"),
        ({"tempreature": 1}, "tempreature", "Did you mean 'temperature'?"),
        ({"api_base": "http://x"}, "api_base", "where a request goes"),
        ({"messages": []}, "messages", "comes from the client"),
        ({"model": "x"}, "model", "comes from the client"),
        ({"user": "os.environ/LITELLM_MASTER_KEY"}, "user", "environment"),
        ({"extra_body": {"a": [{"b": "os.environ/LITELLM_MASTER_KEY"}]}}, "extra_body.a[0].b", "environment"),
        ({"extra_body": {"messages": []}}, "extra_body.messages", "comes from the client"),
        ({"extra_body": {"kv_transfer_params": {}}}, "extra_body.kv_transfer_params", "another machine"),
        ({"extra_body": "x"}, "extra_body", "a mapping"),
    ],
)
def test_a_default_is_a_parameter_of_the_request(defaults: dict[str, Any], place: str, words: str) -> None:
    (line,) = findings(inference_models=models(request_defaults=defaults))
    assert line.startswith(f"inference_models.chat.request_defaults.{place}")
    assert words in line
    endpoints = [{**LAB, "models": [{"name": "big", "request_defaults": defaults}]}]
    with pytest.raises(PlanError) as caught:
        build_plan(one(service(), inference_external_endpoints=endpoints))
    (finding,) = caught.value.findings
    assert finding.variable.endswith(f"request_defaults.{place}")


def test_defaults_that_are_right() -> None:
    defaults = {"temperature": 0.2, "top_k": 20, "num_ctx": 8192, "reasoning_effort": "low", "extra_body": {"zork": {"a": 1}}}
    plan = build_plan(one(service(), inference_models=models(request_defaults=defaults)))
    (model,) = [item for item in plan["gateway"]["models"] if item["name"] == "chat"]
    assert model["request_defaults"] == defaults


def test_the_names_are_those_that_the_gateway_lets_through() -> None:
    assert frozenset().union(*API.values(), *CLOSED.values(), ENGINE, OLLAMA) - MAIN == request_defaults.NAMES
    assert MAIN - {"extra_body"} == request_defaults.CONTENT
    assert request_defaults.ADDRESSES == ENGINE_ADDRESS_PARAMETERS
