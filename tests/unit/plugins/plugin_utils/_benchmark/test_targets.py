# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is measured where, by what the user of the playbook says."""

from __future__ import annotations

from typing import Any

import pytest
from support.inventories import cpu, dgpu, everything, host, inventory, service, variables

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._benchmark.options import Options, read_options
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._benchmark.targets import choose
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import build_plan


@pytest.fixture(scope="module")
def plan() -> dict[str, Any]:
    return build_plan(everything())


def two_hosts(**gateway: Any) -> dict[str, Any]:
    """An engine with a load generator on one, and one without on the other, which has the gateway."""
    models = {
        "chat": {"source": "Qwen/Qwen3-8B"},
        "small": {"source": "qwen3:4b", "engine": "ollama"},
        "gguf": {"source": "/srv/x.gguf"},
        "ranks": {"source": "a/r", "capability": "rerank"},
    }
    common: dict[str, Any] = {"inference_models": models}
    services = (service(memory="8GiB"), service("ranks", 8073, memory="4GiB"))
    one = host("inference_nodes", hardware=dgpu(), **variables(*services, **common))
    others = (service("small", 11434, memory="4GiB"), service("gguf", 8072, memory="4GiB"))
    two = host("inference_nodes", "gateways", hardware=dgpu(), **variables(*others, **common, **gateway))
    return build_plan(inventory(one=one, two=two))


def test_defaults() -> None:
    assert read_options({"service": None, "through": None}) == (Options(), [])
    assert [Options().requests_of(number) for number in (1, 4, 16)] == [16, 32, 128]
    assert Options(requests=40).requests_of(16) == 40


@pytest.mark.parametrize("value", ["16,1,4", "[1, 4, 16]", [1, "4", 16]])
def test_concurrency_as_people_write_it(value: Any) -> None:
    assert read_options({"benchmark_concurrency": value})[0].concurrency == (1, 4, 16)
    assert read_options({"benchmark_concurrency": 8})[0].concurrency == (8,)


def test_all_that_is_wrong_is_told_at_once(plan: dict[str, Any]) -> None:
    given = {
        "service": "cht",
        "through": "proxy",
        "benchmark_under_load": "maybe",
        "benchmark_concurrency": "1,1",
        "benchmark_requests": "few",
        "benchmark_input_tokens": 0,
        "benchmark_output_tokens": True,
        "benchmark_timeout": "1.5",
    }
    found = choose(plan, given, 1)
    assert found["targets"] == {}
    assert found["problems"] == [
        "through = 'proxy': must be engine or gateway",
        "benchmark_under_load = 'maybe': must be true or false",
        "benchmark_concurrency = '1,1': must be up to 8 different whole numbers from 1 to 1024, such as 1,4,16",
        "benchmark_requests = 'few': must be a whole number from 1 to 100000",
        "benchmark_input_tokens = 0: must be a whole number from 1 to 1000000",
        "benchmark_output_tokens = True: must be a whole number from 1 to 1000000",
        "benchmark_timeout = '1.5': must be a whole number from 1 to 86400",
        "service = 'cht': no such model or service; there are chat, embedding, small. Did you mean 'chat'?",
    ]


@pytest.mark.parametrize("value", ["0,4", "", "a", "1,2,3,4,5,6,7,8,9", 2000, [1.5]])
def test_wrong_concurrency(value: Any) -> None:
    assert len(read_options({"benchmark_concurrency": value})[1]) == 1


def test_fewer_requests_than_at_once() -> None:
    assert read_options({"benchmark_requests": "8"})[1] == ["benchmark_requests = 8: is less than the 16 that are to run at once"]


def test_an_engine_of_its_own_host(plan: dict[str, Any]) -> None:
    found = choose(plan, {"service": "chat", "benchmark_concurrency": "2", "benchmark_input_tokens": 100}, 7)
    assert (found["problems"], found["left_out"], found["looks"]) == ([], [], {})
    (target,) = found["targets"]["node1"]
    assert (target["unit"], target["model"], target["network"]) == ("vllm@chat", "chat", "inference_engines")
    assert target["behind"] == [["node1", "vllm@chat"]]
    assert target["watch"] == [
        {"url": "http://127.0.0.1:8070/metrics", "gauges": ["vllm:num_requests_running", "vllm:num_requests_waiting"]}
    ]
    (step,) = target["steps"]
    command = " ".join(step["command"])
    assert (step["concurrency"], step["requests"]) == (2, 16)
    for words in ("--base-url http://vllm-chat:8000 --model chat", "--seed 7", "--random-input-len 100", "--random-output-len 128"):
        assert words in command
    assert "--backend openai-chat --endpoint /v1/chat/completions" in command


def test_an_embedding_model_with_a_short_context(plan: dict[str, Any]) -> None:
    (target,) = choose(plan, {"service": "embedding"}, 7)["targets"]["node1"]
    assert target["lengths"] == {"input_tokens": 448, "output_tokens": 0}
    command = " ".join(target["steps"][0]["command"])
    assert "--backend openai-embeddings --endpoint /v1/embeddings" in command
    assert "output-len" not in command
    assert [step["command"][step["command"].index("--seed") + 1] for step in target["steps"]] == ["7", "8", "9"]
    (told,) = choose(plan, {"service": "embedding", "benchmark_input_tokens": 500}, 7)["problems"]
    assert told.startswith("embedding on node1: it takes 512 tokens, and 564 are asked for, 64 of them for its template; lower bench")


def test_all_that_can_be_measured_where_none_is_named(plan: dict[str, Any]) -> None:
    found = choose(plan, {}, 7)
    assert [target["name"] for target in found["targets"]["node1"]] == ["chat", "embedding"]
    assert found["problems"] == []
    assert found["left_out"] == [
        "small on node1: Ollama does not tell whether others use it; -e benchmark_under_load=true measures it all the same"
    ]


def test_an_engine_without_a_load_generator_by_that_of_its_host(plan: dict[str, Any]) -> None:
    assert choose(plan, {"service": "small"}, 7)["problems"][0].startswith("small on node1: Ollama does not tell")
    (target,) = choose(plan, {"service": "small", "benchmark_under_load": "yes"}, 7)["targets"]["node1"]
    assert (target["unit"], target["image"], target["pull"]) == ("ollama@11434", "vllm/vllm-openai:v0.32.0", "never")
    command = " ".join(target["steps"][0]["command"])
    # It does not say how it divides a text: a word of two has about two tokens.
    assert "--base-url http://ollama-11434:11434 --model qwen3:4b" in command
    assert "--random-input-len 256" in command


def test_a_host_without_a_load_generator() -> None:
    plan = two_hosts()
    (told,) = choose(plan, {"service": "gguf"}, 7)["problems"]
    assert told.startswith("gguf on two: the host has no image with a load generator, such as that of vLLM; name one in benchmark_image")
    (target,) = choose(plan, {"service": "gguf", "benchmark_image": "vllm/vllm-openai:v0.32.0"}, 7)["targets"]["two"]
    assert (target["unit"], target["pull"]) == ("llama_cpp@gguf", "missing")
    assert choose(plan, {"service": "ranks"}, 7)["problems"] == ["service = 'ranks': only chat and embedding can be measured"]


def test_through_the_gateway_from_beside_it(plan: dict[str, Any]) -> None:
    found = choose(plan, {"service": "chat", "through": "gateway"}, 7)
    (target,) = found["targets"]["node1"]
    assert (target["unit"], target["network"]) == ("gateway@chat", "inference")
    command = " ".join(target["steps"][0]["command"])
    assert "--base-url http://litellm-gateway:4000 --model chat" in command
    assert "--random-input-len 256" in command
    assert [(look["name"], look["watch"]) for look in found["looks"]["node1"]] == [("chat", target["watch"])]


def test_through_a_gateway_whose_host_has_no_load_generator() -> None:
    plan = two_hosts()
    found = choose(plan, {"service": "gguf", "through": "gateway"}, 7)
    (target,) = found["targets"]["one"]
    assert "--base-url http://two:8400 --model gguf" in " ".join(target["steps"][0]["command"])
    assert (target["watch"], target["behind"]) == ([], [["two", "llama_cpp@gguf"]])
    assert list(found["looks"]) == ["two"]


def test_through_a_gateway_that_there_is_not() -> None:
    plan = build_plan(inventory(one=host("inference_nodes", hardware=cpu(), **variables(service(memory="1GiB")))))
    assert choose(plan, {"through": "gateway"}, 7)["problems"] == ["through = 'gateway': no host is in the group gateways"]


def test_an_inventory_with_nothing_to_measure() -> None:
    models = {"ranks": {"source": "a/r", "capability": "rerank"}}
    plan = build_plan(
        inventory(one=host("inference_nodes", hardware=cpu(), **variables(service("ranks", memory="1GiB"), inference_models=models)))
    )
    assert choose(plan, {}, 7)["problems"] == ["inference_services: no service of chat or embedding is declared"]
