# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LoRA adapters in the plan: names at the gateway on all backends of their model, and what speaks against them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from support.inventories import cpu, dgpu, host, inventory, jetson, one, service

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.base import ClientModel
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.vllm_unit import container_unit
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.config import build_config, expected_models
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.endpoints import build_endpoints
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.policy import build_policy
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import PlanError, build_plan
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.table import render

CHAT: dict[str, Any] = {"source": "Qwen/Qwen3-8B", "adapters": {"sql": "/adapters/sql", "support": "org/support"}}


def findings(inv: dict[str, Any]) -> list[str]:
    with pytest.raises(PlanError) as caught:
        build_plan(inv)
    return [str(finding) for finding in caught.value.findings]


def of_one(model: dict[str, Any], **changes: Any) -> list[str]:
    """What is wrong with one chat model of that form."""
    return findings(one(service(), inference_models={"chat": model}, **changes))


def served(plan: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {model["name"]: model for model in plan["gateway"]["models"]}


def test_an_adapter_is_a_model_on_all_backends_of_its_model() -> None:
    models = {"chat": {**CHAT, "timeout": 7, "max_images": 2, "request_defaults": {"temperature": 0}, "max_model_len": 4096}}
    plan = build_plan(
        inventory(
            a=host("inference_nodes", "gateways", hardware=dgpu(), inference_models=models, inference_services=[service(order=1)]),
            b=host("inference_nodes", hardware=dgpu(), inference_models=models, inference_services=[service(name="twin", weight=3)]),
        )
    )
    assert list(served(plan)) == ["chat", "sql", "support"]
    sql = served(plan)["sql"]
    assert {key: sql[key] for key in ("capability", "timeout", "max_images", "request_defaults", "max_input_tokens", "fallbacks")} == {
        "capability": "chat",
        "timeout": 7,
        "max_images": 2,
        "request_defaults": {"temperature": 0},
        "max_input_tokens": 4096,
        "fallbacks": [],
    }
    assert [(item["id"], item["model"], item["container"], item["order"], item["weight"]) for item in sql["backends"]] == [
        ("sql-chat-a", "sql", "vllm-chat", 1, None),
        ("sql-twin-b", "sql", "vllm-twin", None, 3),
    ]
    assert sql["aliases"] == ["/adapters/sql"]
    assert served(plan)["support"]["aliases"] == ["org/support"]
    for name in ("a", "b"):
        (instance,) = plan["hosts"][name]["vllm"]
        assert instance["adapters"] == CHAT["adapters"]
        assert instance["served_model_names"] == ["chat", "Qwen/Qwen3-8B"]
    assert len(plan["hosts"]["b"]["proxy"]) == 1
    config = build_config(plan["gateway"], "a")
    assert [entry["litellm_params"]["model"] for entry in config["model_list"] if entry["model_name"] == "sql"] == ["hosted_vllm/sql"] * 2
    assert "support" in expected_models(config)["names"]
    assert build_policy(plan["gateway"])["max_images"]["sql"] == 2
    assert "sql      chat        /adapters/sql" in render(plan)


def test_readiness_asks_the_engine_for_the_names_of_its_adapters() -> None:
    plan = build_plan(one(service(), inference_models={"chat": CHAT}))
    asked = build_endpoints(plan["gateway"], "node1")
    assert [(item["name"], item["level"], item["model"]) for item in asked["engines"]] == [
        ("chat-node1", "model", "chat"),
        ("sql-chat-node1", "model", "sql"),
        ("support-chat-node1", "model", "support"),
    ]
    assert [item["model"] for item in asked["gateway"]] == ["chat", "sql", "support"]
    (instance,) = plan["hosts"]["node1"]["vllm"]
    probe = container_unit(instance)["probe"]
    assert (probe["model"], probe["further_models"]) == ("chat", ["sql", "support"])


def test_adapters_can_be_called_otherwise_and_take_over() -> None:
    models = {"chat": CHAT, "other": {"source": "Qwen/Qwen3-4B", "fallbacks": ["SQL"]}}
    services = [service(memory="14GiB"), service("other", 8071, memory="9GiB")]
    plan = build_plan(
        one(
            *services,
            inference_models=models,
            inference_model_aliases={"SQL": "sql", "DB": "SQL"},
            inference_gateway={"default_fallbacks": ["support"]},
        )
    )
    assert served(plan)["sql"]["aliases"] == ["/adapters/sql", "DB", "SQL"]
    assert served(plan)["other"]["fallbacks"] == ["sql"]
    assert plan["gateway"]["default_fallbacks"] == ["support"]


def test_client_programs_find_the_model_before_its_adapters() -> None:
    plan = build_plan(one(service(), inference_models={"chat": CHAT}))
    assert [ClientModel.from_plan(model).name for model in plan["gateway"]["models"]] == ["chat", "sql", "support"]


def test_a_platform_may_have_other_places_or_none() -> None:
    model = {**CHAT, "engine": "vllm", "on_platform": {"jetson": {"adapters": {"sql": "/nvme/sql", "support": None}}}}
    places = [("dgpu", dgpu(), CHAT["adapters"]), ("jetson", jetson(), {"sql": "/nvme/sql"})]
    for platform, hardware, expected in places:
        plan = build_plan(one(service(memory="9GiB"), hardware=hardware, inference_models={"chat": model}))
        (instance,) = plan["hosts"]["node1"]["vllm"]
        assert instance["adapters"] == expected, platform


def test_a_platform_without_vllm_serves_the_model_without_its_adapters() -> None:
    models = {"chat": {**CHAT, "on_platform": {"jetson": {"engine": "ollama", "source": "qwen3:8b"}}}}
    board = host("inference_nodes", hardware=jetson(), inference_models=models, inference_services=[service(memory="9GiB")])
    pc = host("inference_nodes", "gateways", hardware=dgpu(), inference_models=models, inference_services=[service()])
    plan = build_plan(inventory(pc=pc, board=board))
    assert [item["host"] for item in served(plan)["chat"]["backends"]] == ["pc", "board"]
    assert [item["host"] for item in served(plan)["sql"]["backends"]] == ["pc"]
    (warning,) = [text for text in plan["warnings"] if "adapters" in text]
    assert warning.startswith("inference_services[0] (chat) runs in Ollama by its on_platform, without the model's adapters: sql, support")


def test_a_model_that_nobody_serves_has_no_adapters_at_the_gateway() -> None:
    models = {"chat": CHAT, "other": {"source": "Qwen/Qwen3-4B"}}
    plan = build_plan(one(service("other"), inference_models=models, inference_model_aliases={"SQL": "sql"}))
    assert list(served(plan)) == ["other"]
    assert any(text.startswith("the alias SQL of the model sql is left out") for text in plan["warnings"])


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ({"adapters": ["sql=/a"]}, ['inference_models.chat.adapters = ["sql=/a"]: must be a mapping']),
        ({"adapters": {"a b": "/a"}}, ['inference_models.chat.adapters.a b = "/a": the name of an adapter must be letters, digits and']),
        ({"adapters": {"sql": "sql"}}, ['adapters.sql = "sql": must be the absolute path of the adapter\'s folder on the node, or']),
        ({"adapters": {"sql": "./a/b"}}, ['adapters.sql = "./a/b": must be the absolute path']),
        ({"adapters": {"sql": "a/b/c"}}, ["must be the absolute path"]),
        ({"adapters": {"sql": "s3://b/c"}}, ["must be the absolute path"]),
        ({"adapters": {"sql": 5}}, ["adapters.sql = 5: must be the absolute path"]),
        ({"adapters": {"sql": "/a\n"}}, ["must be a path without control characters"]),
        ({"adapters": {"sql": "https://user:p@h/a"}}, ["adapters.sql = (a text, not shown): is an address with a user, a password"]),
        ({"adapters": {"chat": "/a"}}, ['adapters.chat = "/a": is also the name of the model \'chat\'']),
        ({"adapters": {"Chat": "/a"}}, ["is also the name of the model 'chat'; a request could mean either. Give the adapter"]),
        ({"adapters": {"sql": "/a", "SQL": "/b"}}, ["adapters.SQL = \"/b\": differs only in case from the adapter 'sql'"]),
        ({"adapters": {"Qwen/Qwen3-8B": "/a"}}, ["is also the source of 'chat', the name of the model without an adapter"]),
        ({"adapters": {"sql": "/a"}, "aliases": ["sql"]}, ['inference_models.chat.aliases = "sql": is also the name of the model \'sql\'']),
        ({"adapters": {"sql": "/a"}, "aliases": ["SQL"]}, ["requests for it would never reach 'chat'. Choose another alias"]),
        (
            {"on_platform": {"dgpu": {"adapters": {"chat": "/a"}}}},
            ['inference_models.chat.on_platform.dgpu.adapters.chat = "/a": is also the name of the model \'chat\''],
        ),
        ({"adapters": {"sql": "/a"}, "engine_args": {"enable-lora": False}}, ["chat.engine_args.enable-lora", "the model has adapters"]),
        ({"adapters": {"sql": "/a"}, "engine_args": {"--no_enable_lora": True}}, ["chat.engine_args.--no_enable_lora", "leave it out"]),
        ({"adapters": {"sql": "/a"}, "engine_args": {"lora_modules": ["x=/x"]}}, ["chat.engine_args.lora_modules", "write these ones"]),
        ({"adapters": {"sql": "/a"}, "engine_args": {"lora-modules.x": "/x"}}, ["chat.engine_args.lora-modules.x", "NAME: PATH"]),
        (
            {"adapters": {"sql": "/a"}, "capability": "transcription", "image": "vllm/vllm-openai:v0.10.2"},
            ['chat.adapters (host node1) = ["sql"]: vLLM 0.10.2 takes no adapters for transcription; use an image with 0.11 or newer'],
        ),
        (
            {"adapters": {"sql": "/a"}, "engine": "ollama", "source": "qwen3:8b"},
            ['chat.adapters (host node1) = ["sql"]: Ollama takes none; use engine: vllm with a source for it, or leave them out there'],
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_with_its_place_and_remedy(model: dict[str, Any], expected: list[str]) -> None:
    (found,) = of_one({"source": "Qwen/Qwen3-8B", **model})
    assert all(text in found for text in expected), found


def test_the_rule_that_chose_another_engine_is_named() -> None:
    (found,) = of_one({"source": "qwen3:8b", "adapters": {"sql": "/a"}}, inference_engine="ollama")
    assert "on_platform: {dgpu: {adapters: {sql: null}}} (rule 1: inference_engine is ollama)" in found


def test_engine_arguments_of_a_service_are_held_against_the_adapters_too() -> None:
    (found,) = findings(one(service(engine_args={"enable-lora": "false"}), inference_models={"chat": CHAT}))
    assert found.startswith('inference_services[0].engine_args.enable-lora (host node1) = "false": the model has adapters, which need it')


def test_all_is_told_at_once() -> None:
    models = {
        "chat": {**CHAT, "adapters": {**CHAT["adapters"], "embedding": "/e", "rel": "here"}, "engine_args": {"enable-lora": False}},
        "embedding": {"source": "a/e", "capability": "embedding", "adapters": {"sql": "/x"}},
    }
    services = [service(memory="9GiB"), service("embedding", 8071, memory="2GiB"), service("support", 8072, memory="2GiB")]
    found = findings(one(*services, inference_models=models, inference_gateway={"default_fallbacks": ["nope"]}))
    starts = [
        "inference_models.chat.adapters.rel",
        "inference_models.chat.engine_args.enable-lora",
        "inference_services[2].model (host node1) = \"support\": is an adapter of the model 'chat', whose services serve it",
        'inference_models.chat.adapters.embedding = "/e": is also the name of the model',
        "inference_models.embedding.adapters.sql = \"/x\": is also the name of an adapter of the model 'chat'",
        "inference_gateway.default_fallbacks[0]",
    ]
    assert len(found) == len(starts)
    assert all(one_.startswith(start) for one_, start in zip(found, starts, strict=True)), found


def test_the_same_model_on_two_hosts_has_its_adapters_once() -> None:
    hosts = {
        name: host(
            *groups,
            hardware=cpu(),
            inference_models={"chat": {**CHAT, "max_model_len": length}},
            inference_services=[service(memory="2GiB")],
        )
        for name, groups, length in (("a", ("inference_nodes", "gateways"), 2048), ("b", ("inference_nodes",), 1024))
    }
    plan = build_plan(inventory(**hosts))
    assert [item["max_input_tokens"] for item in served(plan)["sql"]["backends"]] == [2048, 1024]


def test_flags_that_go_with_adapters_are_taken() -> None:
    model = {**CHAT, "engine_args": {"enable_lora": True, "max_lora_rank": 64, "default-mm-loras.audio": "org/sound"}}
    plan = build_plan(one(service(), inference_models={"chat": model}))
    config = yaml.safe_load(container_unit(plan["hosts"]["node1"]["vllm"][0])["files"]["config.yaml"])
    assert (config["enable-lora"], config["max-lora-rank"], config["max-loras"]) == (True, 64, 2)
    assert config["lora-modules"] == ["sql=/adapters/sql", "support=org/support"]
