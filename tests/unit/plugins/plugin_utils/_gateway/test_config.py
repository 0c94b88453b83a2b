# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import gateway_ledger
import pytest
import yaml

from ansible_collections.llmops.gpu_inference.plugins.module_utils._container_units import want as want_unit
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway import config as gateway_config
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.live import digest

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(path.name for path in GOLDEN.iterdir())
KEY = "4f1c2a9b7e3d5f608192a3b4"


def backend(**changes: Any) -> dict[str, Any]:
    return {
        "id": "chat-n1",
        "host": "n1",
        "engine": "vllm",
        "model": "chat",
        "container": "vllm-chat",
        "container_port": 8000,
        "url": "http://192.0.2.1:8070/v1",
        "key_variable": "ENGINE_KEY_N1",
        **changes,
    }


def model(**changes: Any) -> dict[str, Any]:
    return {"name": "chat", "capability": "chat", "backends": [backend()], **changes}


def gateway(*models: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"models": list(models or [model()]), **changes}


def gateway_host(case: dict[str, Any]) -> str:
    return str(case["hosts"][0])


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    """GOLDEN_UPDATE=1 writes what is rendered now; read the difference before committing it."""
    given = yaml.safe_load((GOLDEN / case / "gateway.yml").read_text())
    config = gateway_config.build_config(given, gateway_host(given))
    rendered = {
        "config.yaml": gateway_config.config_text(config),
        "policy.json": json.dumps(gateway_config.build_policy(given), indent=2, sort_keys=True) + "\n",
        "expected.json": json.dumps(gateway_config.expected_models(config), indent=2) + "\n",
    }
    for name, text in rendered.items():
        if os.environ.get("GOLDEN_UPDATE"):
            (GOLDEN / case / name).write_text(text)
        assert (GOLDEN / case / name).read_text() == text


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
    given = gateway_config.Backend.from_mapping(backend(engine=engine, provider=provider))
    assert gateway_config.provider_prefix(given, capability) == expected


@pytest.mark.parametrize(
    ("changes", "defaults", "free"),
    [({}, {}, True), ({"engine": "ollama"}, {}, True), ({"provider": "openai"}, {}, False), ({}, {"input_cost_per_token": 1e-6}, False)],
)
def test_our_own_models_are_free(changes: dict[str, Any], defaults: dict[str, Any], free: bool) -> None:
    config = gateway_config.build_config(gateway(model(backends=[backend(**changes)], request_defaults=defaults)), "n1")
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
    config = gateway_config.build_config(gateway(model(backends=[backend(**changes)])), host)
    assert config["model_list"][0]["litellm_params"]["api_base"] == api_base


@pytest.mark.parametrize("capability", ["chat", "embedding", "rerank", "transcription"])
def test_mode(capability: str) -> None:
    entry = gateway_config.build_config(gateway(model(capability=capability)), "n1")["model_list"][0]
    assert entry["model_info"]["mode"] == {"transcription": "audio_transcription"}.get(capability, capability)
    assert ("stream_timeout" in entry["litellm_params"]) is (capability == "chat")


def test_a_single_backend_is_never_cooled_and_has_no_order() -> None:
    entry = gateway_config.build_config(gateway(model(backends=[backend(order=2, weight=5)])), "n1")["model_list"][0]
    assert entry["model_info"]["allowed_fails"] == 1000
    assert "allowed_fails_policy" not in entry["model_info"]
    assert not {"order", "weight"} & set(entry["litellm_params"])


def test_several_backends_fail_over_at_the_first_fault_of_a_server() -> None:
    config = gateway_config.build_config(gateway(model(backends=[backend(), backend(id="chat-n2", host="n2", order=2)])), "n1")
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
    config = gateway_config.build_config(gateway(model(backends=[long, short], max_input_tokens=32768)), "n1")
    assert [entry["model_info"]["max_input_tokens"] for entry in config["model_list"]] == [32768, 8192]
    assert config["router_settings"]["enable_pre_call_checks"] is True
    same = gateway_config.build_config(gateway(model(backends=[long, {**long, "id": "b"}])), "n1")
    assert "enable_pre_call_checks" not in same["router_settings"]


def test_no_health_checks_where_nothing_can_be_routed_around() -> None:
    assert "background_health_checks" not in gateway_config.build_config(gateway(), "n1")["general_settings"]


def test_request_defaults_are_parameters_and_not_shared() -> None:
    defaults = {"temperature": 0.2, "extra_body": {"chat_template_kwargs": {"enable_thinking": False}}}
    config = gateway_config.build_config(gateway(model(request_defaults=defaults)), "n1")
    parameters = config["model_list"][0]["litellm_params"]
    assert parameters["temperature"] == 0.2
    assert parameters["extra_body"] == defaults["extra_body"]
    assert parameters["extra_body"] is not defaults["extra_body"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (gateway(model(), model()), "model 'chat' is listed more than once"),
        (gateway(model(), model(name="other")), "backend id 'chat-n1' is used more than once"),
        (gateway(model(capability="video")), "capability 'video' is none of chat, embedding, rerank, transcription"),
        (gateway(model(backends=[])), "model 'chat' has no backend"),
        (gateway(model(request_defaults={"api_base": "http://x"})), "request_defaults may not set 'api_base'"),
        (gateway(model(fallbacks=["nope"])), "fallback 'nope' is no model"),
        (gateway(default_fallbacks=["nope"]), "default_fallbacks names 'nope'"),
        (gateway(model(backends=[backend(host=None, container=None, url=None)])), "cannot be reached from n1"),
        (gateway(model(capability="rerank", backends=[backend(engine="ollama")])), "Ollama has no rerank"),
        (gateway(aliases={"LLM": "nope"}), "alias 'LLM' points to 'nope'"),
        (gateway(model(), model(name="b", aliases=["chat"], backends=[backend(id="b")])), "is also the name of a model"),
        (gateway(model(aliases=["X"]), model(name="b", aliases=["X"], backends=[backend(id="b")])), "points to both 'chat' and 'b'"),
        (gateway(passthrough=[{"path": "/e", "model": "nope"}]), "names the model 'nope'"),
        (gateway(passthrough=[{"path": "e", "model": "chat"}]), "must start with /"),
    ],
)
def test_refusals(given: dict[str, Any], message: str) -> None:
    with pytest.raises(gateway_config.GatewayError) as refused:
        gateway_config.build_config(given, "n1")
    assert message in str(refused.value)


def test_every_problem_is_told_at_once() -> None:
    given = gateway(model(backends=[], capability="video", fallbacks=["nope"]))
    with pytest.raises(gateway_config.GatewayError) as refused:
        gateway_config.build_config(given, "n1")
    assert len(refused.value.problems) == 3


def test_the_same_alias_twice_for_one_model_is_no_conflict() -> None:
    config = gateway_config.build_config(gateway(model(aliases=["LLM", "chat"]), aliases={"LLM": "chat"}), "n1")
    assert config["router_settings"]["model_group_alias"] == {"LLM": "chat"}


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
    config = gateway_config.build_config(gateway(model(capability="embedding"), redis=redis), "n1")
    common = {"ttl": 600, "supported_call_types": ["embedding", "aembedding"]}
    found = dict(config["litellm_settings"]["cache_params"])
    assert ("namespace" in found) == (redis is not None)
    found.pop("namespace", None)
    limits = {"socket_timeout": 0.5, "socket_connect_timeout": 0.5} if redis else {}
    assert found == {**expected, **limits, **common}


def test_vectors_in_a_redis_do_not_outlive_their_model() -> None:
    def namespace(source: str, **more: Any) -> Any:
        embedding = model(capability="embedding", sources=[source], **more)
        config = gateway_config.build_config(gateway(embedding, redis={"host": "r.example"}), "n1")
        return config["litellm_settings"]["cache_params"]["namespace"]

    assert namespace("BAAI/bge-m3") == namespace("BAAI/bge-m3", timeout=5)
    assert namespace("BAAI/bge-m3") != namespace("Qwen/Qwen3-Embedding-0.6B")


def test_the_router_uses_the_same_redis_as_the_cache() -> None:
    redis = {"host": "r", "port": 7000, "db": 2, "ssl": True, "username": "u", "password_variable": "REDIS_PASSWORD"}
    router = gateway_config.build_config(gateway(redis=redis), "n1")["router_settings"]
    assert (router["redis_host"], router["redis_port"], router["redis_password"]) == ("r", 7000, "os.environ/REDIS_PASSWORD")
    assert router["cache_kwargs"] == {"db": 2, "username": "u", "ssl": True, "socket_timeout": 0.5, "socket_connect_timeout": 0.5}


def test_chat_is_never_cached() -> None:
    assert "cache" not in gateway_config.build_config(gateway(), "n1")["litellm_settings"]


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
    assert gateway_config.merge_settings(base, extra) == merged


def test_expected_models_counts_a_copy_per_visible_alias() -> None:
    config = {
        "model_list": [{"model_name": "chat"}, {"model_name": "chat"}, {"model_name": "vlm"}],
        "router_settings": {"model_group_alias": {"LLM": "chat", "VLM": {"model": "vlm"}, "V": {"model": "vlm", "hidden": True}}},
    }
    assert gateway_config.expected_models(config) == {"names": ["LLM", "VLM", "chat", "vlm"], "count": 6}


def test_referenced_variables() -> None:
    assert gateway_config.referenced_variables({"a": ["os.environ/B", {"c": "Bearer os.environ/A"}], "d": 1}) == ["A", "B"]


@pytest.mark.parametrize(
    ("master", "clients", "words"),
    [
        (KEY, {}, []),
        (None, {}, ["missing"]),
        ("  ", {}, ["missing"]),
        ("sk-1234", {}, ["documentation"]),
        ("short-key", {}, ["9 characters"]),
        ("a" * 30, {}, ["too few different"]),
        ("with a blank in the key 123", {}, ["blanks"]),
        (KEY, {"metis": KEY}, ["is the master key"]),
        (KEY, {"a": KEY[::-1], "b": KEY[::-1]}, ["[b] is also the key of a"]),
        ("sk-1234", {"a": ""}, ["documentation", "[a] is missing"]),
    ],
)
def test_keys(master: str | None, clients: dict[str, str], words: list[str]) -> None:
    problems = gateway_config.key_problems(master, clients)
    assert len(problems) == len(words)
    for problem, word in zip(problems, words):
        assert word in problem
        assert KEY not in problem


def test_secret_environment() -> None:
    secrets = {"engine_keys": {"gpu-1.lan": "k1"}, "external_keys": {"lab": "k2", "open": None}, "master_key": KEY, "redis_password": "k3"}
    assert gateway_config.secret_environment(secrets) == {"ENGINE_KEY_GPU_1_LAN": "k1", "EXTERNAL_KEY_LAB": "k2", "REDIS_PASSWORD": "k3"}
    with pytest.raises(gateway_config.GatewayError, match="would share the variable ENGINE_KEY_A_B"):
        gateway_config.secret_environment({"engine_keys": {"a-b": "1", "a_b": "2"}})


def unit(**changes: Any) -> dict[str, Any]:
    config = gateway_config.build_config(gateway(), "n1")
    options: dict[str, Any] = {"image": "litellm:1", "master_key": KEY, "plugins": {"gateway_auth.py": "x = 1"}, **changes}
    return gateway_config.container_unit(config, gateway_config.build_policy(gateway()), **options)


def test_unit_holds_secrets_in_its_live_files_and_secret_environment_only() -> None:
    made = unit(client_keys={"metis": "client-key"}, secret_environment={"ENGINE_KEY_N1": "engine-key", "REDIS_PASSWORD": "redis-password"})
    assert made.pop("secret_environment") == {"REDIS_PASSWORD": "redis-password"}
    keys = json.loads(made.pop("secret_live_files")["keys.json"])
    assert (keys["master"], keys["clients"]) == ([digest(KEY)], {"metis": [digest("client-key")]})
    assert made["environment"]["ENGINE_KEY_N1"] == "live/ENGINE_KEY_N1"
    for secret in (KEY, "client-key", "engine-key", "redis-password"):
        assert secret not in json.dumps(made)


@pytest.mark.parametrize("given", ["environment", "secret_environment"])
def test_no_variable_takes_the_guard_away(given: str) -> None:
    mine = {"LITELLM_WORKER_STARTUP_HOOKS": "mine:start", "LITELLM_MASTER_KEY": "x", "GATEWAY_LIVE_FOLDER": "/mine", "MINE": "y"}
    made = unit(**{given: mine})
    both = {**made["environment"], **made["secret_environment"]}
    assert {name: both[name] for name in mine if name in both} == {"LITELLM_WORKER_STARTUP_HOOKS": "gateway_hooks:install", "MINE": "y"}
    assert json.loads(made["secret_live_files"]["keys.json"])["master"] == [digest(KEY)]


def test_new_keys_make_no_other_container() -> None:
    """Else each of them would cost a restart."""
    first = want_unit(unit(client_keys={"metis": "client-key"}, secret_environment={"ENGINE_KEY_N1": "engine-key"}))
    second = want_unit(
        unit(
            master_key="another-master-key",
            client_keys={"metis": "new", "more": "more"},
            secret_environment={"ENGINE_KEY_N1": "new"},
            previous_keys={"environment": {"ENGINE_KEY_N1": "engine-key"}},
        )
    )
    assert (first.config_hash, first.spec_hash) == (second.config_hash, second.spec_hash)
    assert first.live != second.live


def test_the_folder_of_the_keys_is_mounted_as_a_whole() -> None:
    made = unit(user="1000:50")
    folder = "/etc/gpu-inference/instances/litellm/gateway/live"
    assert f"type=bind,source={folder},target=/etc/litellm-live,readonly" in made["docker_arguments"]
    assert (made["live_owner"], unit()["live_owner"]) == ("1000:50", "0")


def test_unit_container() -> None:
    made = unit(memory_limit="2g", user="1000:1000", docker_arguments=["--dns", "192.0.2.53"])
    arguments = made["docker_arguments"]
    assert arguments[:3] == ["--init", "--publish", "0.0.0.0:8400:4000"]
    assert "--read-only" in arguments
    assert arguments[arguments.index("--cap-drop") + 1] == "ALL"
    assert arguments[arguments.index("--memory") + 1] == "2g"
    assert arguments[arguments.index("--user") + 1] == "1000:1000"
    assert arguments[-2:] == ["--dns", "192.0.2.53"]
    for name in ("config.yaml", "gateway_auth.py", "policy.json"):
        assert f"type=bind,source=/etc/gpu-inference/instances/litellm/gateway/{name},target=/etc/litellm/{name},readonly" in arguments
    assert made["command"][:2] == ["--config", "/etc/litellm/config.yaml"]
    assert made["environment"]["LITELLM_LOCAL_MODEL_COST_MAP"] == "True"
    assert (made["probe"]["level"], made["probe"]["api_key_variable"]) == ("health", None), "the launcher has no key"


@pytest.mark.parametrize(
    ("limit", "work", "given"),
    [("auto", None, "2048m"), ("auto", 64, "2048m"), ("auto", 256, "5120m"), ("3g", 256, "3g"), ("", 64, None)],
)
def test_memory_goes_with_what_may_be_in_work(limit: str, work: int | None, given: str | None) -> None:
    policy = gateway_config.build_policy(gateway(work_limit=work and work * 1024 * 1024))
    config = gateway_config.build_config(gateway(), "n1")
    made = gateway_config.container_unit(config, policy, image="l:1", master_key=KEY, memory_limit=limit)
    arguments = made["docker_arguments"]
    assert (arguments[arguments.index("--memory") + 1] if "--memory" in arguments else None) == given


def test_the_guard_has_the_same_limits_by_default() -> None:
    limits = gateway_ledger.Limits()
    assert {"request": limits.request, "work": limits.work} == gateway_config.build_policy(gateway())["limits"]


@pytest.mark.parametrize(("networks", "expected"), [(["inference", "inference_engines"], True), (["host"], False)])
def test_a_host_that_is_off_costs_seconds(networks: list[str], expected: bool) -> None:
    assert ("net.ipv4.tcp_syn_retries=2" in unit(networks=networks)["docker_arguments"]) is expected


@pytest.mark.parametrize(
    ("bind", "published", "url"),
    [
        ("0.0.0.0", "0.0.0.0:8400:4000", "http://127.0.0.1:8400"),
        ("192.0.2.7", "192.0.2.7:8400:4000", "http://192.0.2.7:8400"),
        ("::", "[::]:8400:4000", "http://127.0.0.1:8400"),
        ("2001:db8::1", "[2001:db8::1]:8400:4000", "http://[2001:db8::1]:8400"),
    ],
)
def test_bind(bind: str, published: str, url: str) -> None:
    made = unit(bind=bind)
    assert made["docker_arguments"][2] == published
    assert made["probe"]["base_url"] == f"{url}/v1"


def test_config_text_is_plain_yaml() -> None:
    shared = {"a": 1}
    text = gateway_config.config_text({"x": shared, "y": shared})
    assert "&id" not in text
    assert yaml.safe_load(text) == {"x": {"a": 1}, "y": {"a": 1}}


def test_policy_knows_the_limit_of_every_alias() -> None:
    given = gateway(
        model(max_images=4, aliases=["VLM"]),
        aliases={"EYES": "chat"},
        passthrough=[{"path": "/raw", "model": "chat"}],
        media={"allowed_domains": ["A.example"]},
    )
    policy = gateway_config.build_policy(given)
    assert policy["max_images"] == {"EYES": 4, "VLM": 4, "chat": 4}
    assert policy["media"] == {"allow_data": True, "allowed_domains": ["a.example"]}
    assert "/raw" in policy["client_routes"]


@pytest.mark.parametrize(
    ("away", "engines", "through"),
    [((), [True, True], True), (("n1",), [False, True], True), (("n1", "n2"), [False, False], False)],
    ids=["nobody", "one", "all"],
)
def test_nobody_waits_for_hosts_that_are_away(away: tuple[str, ...], engines: list[bool], through: bool) -> None:
    given = gateway(model(backends=[backend(), backend(id="chat-n2", host="n2", url="http://n2:8070/v1")]))
    endpoints = gateway_config.build_endpoints(given, "n1", away)
    assert [item["required"] for item in endpoints["engines"]] == engines
    assert [item["required"] for item in endpoints["gateway"]] == [through]


def test_endpoints() -> None:
    given = gateway(
        model(
            backends=[
                backend(),
                backend(id="lab", host=None, container=None, engine="openai", url="http://lab:1/v1", key_variable=None, health=False),
            ]
        )
    )
    endpoints = gateway_config.build_endpoints(given, "n1")
    assert [item["name"] for item in endpoints["gateway"]] == ["gateway/chat"]
    assert endpoints["gateway"][0]["base_url"] == "http://127.0.0.1:8400/v1"
    assert [(item["base_url"], item["required"]) for item in endpoints["engines"]] == [
        ("http://vllm-chat:8000/v1", True),
        ("http://lab:1/v1", False),
    ]
    assert endpoints["gateway"][0]["required"]
    keyed = gateway_config.with_keys(endpoints["engines"], {"ENGINE_KEY_N1": "secret"})
    assert [item.get("api_key") for item in keyed] == ["secret", None]
    assert all("key_variable" not in item for item in keyed)


def test_the_gateway_does_not_remember_addresses_of_containers() -> None:
    assert gateway_config.BASE_ENVIRONMENT["AIOHTTP_TTL_DNS_CACHE"] == "0"
