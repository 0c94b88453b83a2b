# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from support.inventories import dgpu, host, inventory, one, service, variables

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.config import build_config
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.endpoints import build_endpoints
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.urls import network_url
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import PlanError, build_plan
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.tls import LOCAL_NAMES

FILES = {"certificate_file": "/tls/llm.pem", "key_file": "/tls/llm.key"}
CLEAR = "keys leave their host in clear"


def two(gateway: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A gateway, and a node elsewhere."""
    values = variables(inference_gateway=gateway or {}, **changes)
    return inventory(
        gw=host("gateways", **values, inference_address="192.0.2.9"),
        n1=host(hardware=dgpu(), **{**values, "inference_services": [service(memory="12GiB")]}, inference_address="192.0.2.1"),
    )


def clear(plan: dict[str, Any]) -> list[str]:
    return [warning for warning in plan["warnings"] if warning.startswith(CLEAR)]


def findings(inv: dict[str, Any]) -> list[str]:
    with pytest.raises(PlanError) as caught:
        build_plan(inv)
    return [str(finding) for finding in caught.value.findings]


def test_nothing_is_made_where_nobody_asks_for_it() -> None:
    plan = build_plan(two())
    assert "tls" not in plan
    assert "tls" not in plan["gateway"]
    assert (plan["gateway"]["url"], plan["gateway"]["local_url"]) == ("http://192.0.2.9:8400", "http://127.0.0.1:8400")
    for off in (False, None):
        assert build_plan(two({"tls": off}, inference_node_proxy_tls=off)) == plan


def test_one_warning_names_each_key_that_leaves_a_host_in_clear() -> None:
    lab = {"name": "lab", "base_url": "http://lab.example:8000", "models": ["big"], "api_key": True}
    near = {"name": "near", "base_url": "http://127.0.0.1:8000", "models": ["small"], "api_key": True}
    keyless = {"name": "open", "base_url": "http://open.example", "models": ["other"]}
    plan = build_plan(two({"client_keys": {"alice": None, "bob": None}}, inference_external_endpoints=[lab, near, keyless]))
    assert clear(plan) == [
        f"{CLEAR}, readable to whoever is on the way: client_keys.alice, client_keys.bob (clients of the gateway on gw; "
        "inference_gateway.tls); engine_keys/n1 (gateways on other hosts; inference_node_proxy_tls); the key of lab "
        "(http://lab.example:8000/v1; an https address)"
    ]


@pytest.mark.parametrize(
    "inv",
    [
        two({"tls": "internal"}, inference_node_proxy_tls="internal"),
        two({"tls": FILES, "public_url": "https://llm.example:8400"}, inference_node_proxy_tls="internal"),
        one(service(), inference_gateway={"bind": "127.0.0.1"}),
        one(service(), inference_gateway={"public_url": "https://llm.example"}),
        inventory(node1=host(hardware=dgpu(), **variables(service()))),
    ],
    ids=["internal", "files", "loopback", "behind a proxy with TLS", "no gateway"],
)
def test_nobody_is_warned_where_no_key_leaves_in_clear(inv: dict[str, Any]) -> None:
    assert clear(build_plan(inv)) == []


def test_an_authority_of_our_own() -> None:
    plan = build_plan(two({"tls": "internal", "public_url": "https://llm.example"}, inference_node_proxy_tls="internal"))
    assert plan["tls"] == {
        "hosts": {"gw": ["192.0.2.9", "gw", *LOCAL_NAMES, "llm.example"], "n1": ["192.0.2.1", "n1"]},
        "gateways": ["gw"],
        "proxies": ["n1"],
        "files": {},
    }
    assert plan["gateway"]["local_url"] == "https://127.0.0.1:8400"
    (backend,) = next(model for model in plan["gateway"]["models"] if model["name"] == "chat")["backends"]
    assert backend["url"] == "https://192.0.2.1:8070/v1"
    assert build_config(plan["gateway"], "gw")["model_list"][0]["litellm_params"]["api_base"] == "https://192.0.2.1:8070/v1"
    endpoints = build_endpoints(plan["gateway"], "gw", ca="PEM")
    assert {item["ca"] for view in endpoints.values() for item in view} == {"PEM"}
    assert network_url(plan["gateway"], "gw") == "https://litellm-gateway:4000"


def test_engines_on_the_gateways_own_host_are_asked_over_dockers_network() -> None:
    plan = build_plan(one(service(), inference_gateway={"tls": "internal"}, inference_node_proxy_tls="internal"))
    assert (plan["tls"]["gateways"], plan["tls"]["proxies"]) == (["node1"], [])
    (engine,) = build_endpoints(plan["gateway"], "node1", ca="PEM")["engines"]
    assert engine["base_url"] == "http://vllm-chat:8000/v1"
    assert "ca" not in engine


def test_a_certificate_of_the_users() -> None:
    plan = build_plan(two({"tls": {**FILES, "ca_file": "/tls/ca.pem"}, "public_url": "https://llm.example:8400"}))
    assert plan["tls"]["files"] == {**FILES, "ca_file": "/tls/ca.pem"}
    assert plan["tls"]["proxies"] == []
    assert network_url(plan["gateway"], "gw") is None, "it is not for the name of a container"


def test_an_address_that_the_gateway_alone_answers_on_is_among_its_names() -> None:
    plan = build_plan(two({"tls": "internal", "bind": "198.51.100.7"}))
    assert "198.51.100.7" in plan["tls"]["hosts"]["gw"]
    assert plan["gateway"]["local_url"] == "https://198.51.100.7:8400"


@pytest.mark.parametrize(
    ("gateway", "told"),
    [
        ({"tls": True}, "inference_gateway.tls = true: must be internal, or a mapping with certificate_file, key_file, ca_file"),
        ({"tls": "TLS 1.0"}, 'inference_gateway.tls = "TLS 1.0": must be internal, or a mapping'),
        ({"tls": {"certificate_file": "/a.pem"}}, "inference_gateway.tls.key_file: is required"),
        ({"tls": {"key_file": "/a.pem"}}, "inference_gateway.tls.certificate_file: is required"),
        ({"tls": {**FILES, "protocols": ["TLSv1"]}}, "inference_gateway.tls.protocols = (a list of 1, not shown): unknown key"),
        (
            {"tls": {**FILES, "key_file": "-----BEGIN PRIVATE" + " KEY-----\nMII"}},
            "inference_gateway.tls.key_file = (a text, not shown): must be the path of a file",
        ),
        ({"tls": "internal", "public_url": "http://llm.example"}, 'inference_gateway.public_url = "http://llm.example": is plain http'),
        ({"tls": FILES}, "is for a name, and clients reach the gateway at https://192.0.2.9:8400; say it in inference_gateway.public_url"),
    ],
)
def test_what_is_refused(gateway: dict[str, Any], told: str) -> None:
    found = findings(two(gateway))
    assert [finding for finding in found if told in finding], found
    assert "MII" not in str(found)


def test_the_proxy_of_a_node_has_our_own_authority_alone() -> None:
    (found,) = findings(two(inference_node_proxy_tls={"certificate_file": "/a"}))
    assert "inference_node_proxy_tls" in found
    assert "must be internal" in found
