# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import Any

import pytest
from support.described_gateway import gateway

from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_wanted import want as want_unit
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.config import build_config
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.live import digest
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.policy import build_policy
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.unit import BASE_ENVIRONMENT, container_unit

KEY = "4f1c2a9b7e3d5f608192a3b4"


def unit(**changes: Any) -> dict[str, Any]:
    config = build_config(gateway(), "n1")
    options: dict[str, Any] = {"image": "litellm:1", "master_key": KEY, "plugins": {"gateway_auth.py": "x = 1"}, **changes}
    return container_unit(config, build_policy(gateway()), **options)


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


def test_limits_of_clients_make_no_other_container() -> None:
    """Nor another file of keys where there are none."""
    first, none, limited = unit(), unit(client_limits={}), unit(client_limits={"metis": {"parallel": 4}})
    assert first == none
    assert "limits" not in json.loads(first["secret_live_files"]["keys.json"])
    assert json.loads(limited["secret_live_files"]["keys.json"])["limits"] == {"metis": {"parallel": 4}}
    assert want_unit(first).config_hash == want_unit(limited).config_hash


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
    policy = build_policy(gateway(work_limit=work and work * 1024 * 1024))
    config = build_config(gateway(), "n1")
    made = container_unit(config, policy, image="l:1", master_key=KEY, memory_limit=limit)
    arguments = made["docker_arguments"]
    assert (arguments[arguments.index("--memory") + 1] if "--memory" in arguments else None) == given


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


def test_the_gateway_does_not_remember_addresses_of_containers() -> None:
    assert BASE_ENVIRONMENT["AIOHTTP_TTL_DNS_CACHE"] == "0"


def test_certificates_are_files_that_change_while_it_runs() -> None:
    """A renewal makes no other container, and without TLS there is nothing of it."""
    plain = want_unit(unit())
    assert want_unit(unit(tls={"ca": "", "own": ""})).config_hash == plain.config_hash
    made = unit(tls={"ca": "authority\n", "own": "certificate and key\n", "public": "another\n"})
    live = made.pop("secret_live_files")
    assert (live["tls.pem"], live["public.pem"]) == ("certificate and key\n", "another\n")
    assert "certificate and key" not in json.dumps(made)
    assert "another" not in json.dumps(made)
    assert made["command"][-4:] == [
        *("--ssl_certfile_path", "/etc/litellm-live/tls.pem"),
        *("--ssl_keyfile_path", "/etc/litellm-live/tls.pem"),
    ]
    assert (made["probe"]["base_url"], made["probe"]["ca_path"]) == (
        "https://127.0.0.1:8400/v1",
        "/etc/gpu-inference/instances/litellm/gateway/ca.pem",
    )
    assert made["files"]["ca.pem"] == "authority\n"
    assert any(argument.endswith("/ca.pem,target=/etc/litellm/ca.pem,readonly") for argument in made["docker_arguments"])
    first, renewed = (want_unit(unit(tls={"ca": "authority\n", "own": own})) for own in ("certificate and key\n", "renewed\n"))
    assert first.config_hash == renewed.config_hash != plain.config_hash


def test_a_gateway_without_tls_knows_the_authority_of_nodes() -> None:
    made = unit(tls={"ca": "authority\n"})
    assert made["files"]["ca.pem"] == "authority\n"
    assert "tls.pem" not in made["secret_live_files"]
    assert made["probe"]["base_url"].startswith("http://")
    assert "ca_path" not in made["probe"]
    assert "--ssl_certfile_path" not in made["command"]
