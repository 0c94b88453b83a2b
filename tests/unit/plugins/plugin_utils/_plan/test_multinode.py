# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import yaml
from support.inventories import cpu, dgpu, gpu, host, inventory, service, spark

from ansible_collections.llmops.gpu_inference.plugins.filter.units import container_unit_endpoints
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._benchmark.targets import choose
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.prometheus_targets import metrics_targets
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.units import engine_units
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.config import build_config
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.endpoints import build_endpoints
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.rotation import drained
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.inventory import without_secrets
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import PlanError, build_plan
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.table import render
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._screen.run import Run
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._screen.summary import summary

MODELS = {"big": {"source": "org/big"}, "small": {"source": "org/small"}}
KEYS = {"spark1": "1" * 20, "spark2": "2" * 20}


def group(**changes: Any) -> dict[str, Any]:
    found = {"model": "big", "hosts": ["spark1", "spark2"], "port": 8070, "memory": "90GiB", "tensor_parallel_size": 2, **changes}
    return {key: value for key, value in found.items() if value is not None}


def sparks(*groups: dict[str, Any], own: dict[str, dict[str, Any]] | None = None, hardware: Any = None, **more: Any) -> dict[str, Any]:
    """Two nodes, and a gateway elsewhere. C(own): variables of single hosts."""
    common = {"inference_models": MODELS, "inference_multinode_services": list(groups) or [group()], **more}
    found = inventory(
        **{
            name: host(hardware=(hardware or {}).get(name) or spark(), **copy.deepcopy(common), ansible_host=address)
            for name, address in (("spark1", "10.0.0.1"), ("spark2", "10.0.0.2"))
        },
        gw=host("gateways", hardware=cpu(), **common, ansible_host="10.0.0.9"),
    )
    for name, variables in (own or {}).items():
        found["hosts"][name]["vars"].update(variables)
    return found


def findings(inv: dict[str, Any]) -> list[str]:
    with pytest.raises(PlanError) as caught:
        build_plan(inv)
    return [str(finding) for finding in caught.value.findings]


def units(plan: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return engine_units(plan["hosts"][name], {}, api_key=KEYS[name], keys=KEYS)


def config(unit: dict[str, Any]) -> dict[str, Any]:
    return dict(yaml.safe_load(unit["files"]["config.yaml"]))


# --- what a plan holds -------------------------------------------------------------------------------------------


def test_each_member_has_an_instance_with_its_part() -> None:
    plan = build_plan(sparks())
    first, second = (plan["hosts"][name]["vllm"][0] for name in ("spark1", "spark2"))
    members = [{"host": "spark1", "address": "10.0.0.1"}, {"host": "spark2", "address": "10.0.0.2"}]
    digest = first["group"]["digest"]
    assert len(digest) == 16
    alike = {"port": 18070, "master_port": 28070, "members": members, "interface": None, "digest": digest}
    assert first["group"] == {"rank": 0, **alike}
    assert second["group"] == {"rank": 1, **alike}
    assert [item["networks"] for item in (first, second)] == [["host"], ["host"]]
    assert [item["name"] for item in (first, second)] == ["big", "big"]
    assert "host" not in {network["name"] for network in plan["hosts"]["spark1"]["networks"]}
    assert json.loads(json.dumps(plan)) == plan
    assert plan["warnings"] == [warning for warning in plan["warnings"] if "leave their host in clear" in warning]


def test_the_memory_of_every_member_is_counted_and_the_table_shows_the_parts() -> None:
    plan = build_plan(sparks(own={"spark2": {"inference_services": [service("small", 8080, memory="5GiB")]}}))
    rows = {(row["host"], row["service"]): row for row in plan["table"]}
    assert {key: row["memory"] for key, row in rows.items()} == {
        ("spark1", "big"): 90.0,
        ("spark2", "big"): 90.0,
        ("spark2", "small"): 5.0,
    }
    shown = render(plan)
    assert "big (1 of 2)" in shown
    assert "big (2 of 2)" in shown
    assert "small  " in shown


def test_only_the_first_member_answers_at_the_gateway() -> None:
    plan = build_plan(sparks())
    (model,) = plan["gateway"]["models"]
    assert [(item["id"], item["url"], item["by_proxy"]) for item in model["backends"]] == [("big-spark1", "http://10.0.0.1:8070/v1", True)]
    assert plan["hosts"]["spark1"]["proxy"] == [
        {"name": "vllm-big", "port": 8070, "upstream_port": 8070, "engine": "vllm", "allowed_addresses": ["10.0.0.9"]}
    ]
    assert plan["hosts"]["spark2"]["proxy"] == []


def test_a_gateway_on_the_first_member_asks_its_proxy() -> None:
    inv = sparks(own={"spark1": {"inference_services": [service("small", 8080, memory="5GiB")]}})
    inv["hosts"]["spark1"]["groups"] = ["inference_nodes", "gateways"]
    del inv["hosts"]["gw"]
    inv["in_play"] = ["spark1", "spark2"]
    plan = build_plan(inv)
    routes = {item["model_name"]: item["litellm_params"]["api_base"] for item in build_config(plan["gateway"], "spark1")["model_list"]}
    assert routes == {"big": "http://10.0.0.1:8070/v1", "small": "http://vllm-small:8000/v1"}
    (proxy,) = plan["hosts"]["spark1"]["proxy"]
    assert proxy["name"] == "vllm-big"
    assert proxy["allowed_addresses"] == ["10.89.17.0/24", "10.89.16.0/24"]
    asked = {item["name"]: item["base_url"] for item in build_endpoints(plan["gateway"], "spark1")["engines"]}
    assert asked["big-spark1"] == "http://10.0.0.1:8070/v1"
    assert drained(plan, "spark1", "big") == {"backends": ["big-spark1"], "units": ["vllm@big.service"]}


def test_a_gateway_on_another_member_asks_the_first_one() -> None:
    inv = sparks()
    inv["hosts"]["spark2"]["groups"] = ["inference_nodes", "gateways"]
    del inv["hosts"]["gw"]
    inv["in_play"] = ["spark1", "spark2"]
    plan = build_plan(inv)
    assert plan["hosts"]["spark1"]["proxy"][0]["allowed_addresses"] == ["10.0.0.2"]
    assert plan["hosts"]["spark2"]["proxy"] == []


def test_tls_of_the_proxy_counts_for_a_gateway_on_the_same_host() -> None:
    inv = sparks(inference_node_proxy_tls="internal")
    inv["hosts"]["spark1"]["groups"] = ["inference_nodes", "gateways"]
    del inv["hosts"]["gw"]
    inv["in_play"] = ["spark1", "spark2"]
    plan = build_plan(inv)
    assert plan["gateway"]["models"][0]["backends"][0]["url"] == "https://10.0.0.1:8070/v1"
    assert plan["tls"]["proxies"] == ["spark1"]


def test_cluster_addresses_and_interfaces_are_those_of_each_host() -> None:
    own = {
        "spark1": {"inference_cluster_address": "192.168.100.1", "inference_cluster_interface": "enp1s0f0np0"},
        "spark2": {"inference_cluster_address": "192.168.100.2"},
    }
    plan = build_plan(sparks(own=own))
    parts = [plan["hosts"][name]["vllm"][0]["group"] for name in ("spark1", "spark2")]
    assert [part["interface"] for part in parts] == ["enp1s0f0np0", None]
    assert [member["address"] for member in parts[1]["members"]] == ["192.168.100.1", "192.168.100.2"]
    assert parts[0]["digest"] == parts[1]["digest"]
    assert plan["gateway"]["models"][0]["backends"][0]["url"] == "http://10.0.0.1:8070/v1"


def on(*networks: tuple[str, str]) -> dict[str, Any]:
    return spark(networks=[{"interface": interface, "addresses": [address]} for interface, address in networks])


def places(plan: dict[str, Any]) -> list[tuple[str, str | None]]:
    parts = [plan["hosts"][name]["vllm"][0]["group"] for name in ("spark1", "spark2")]
    return [(part["members"][part["rank"]]["address"], part["interface"]) for part in parts]


RDMA = ["--device=/dev/infiniband", "--ulimit=memlock=-1"]


@pytest.mark.parametrize(
    ("with_cards", "own", "expected"),
    [
        (("spark1", "spark2"), [], RDMA),
        (
            ("spark1", "spark2"),
            ["--label=a=b", "--device", "/dev/infiniband/uverbs1"],
            [RDMA[1], "--label=a=b", "--device", "/dev/infiniband/uverbs1"],
        ),
        (("spark1", "spark2"), ["--ulimit=memlock=1:2"], [RDMA[0], "--ulimit=memlock=1:2"]),
        (("spark1", "spark2"), list(reversed(RDMA)), list(reversed(RDMA))),
        (("spark1",), ["--label=a=b"], ["--label=a=b"]),
        ((), [], []),
    ],
)
def test_cards_for_rdma_are_handed_over_where_all_members_have_them(
    with_cards: tuple[str, ...], own: list[str], expected: list[str]
) -> None:
    plan = build_plan(sparks(group(container_extra_arguments=own), hardware={name: spark(rdma=True) for name in with_cards}))
    for name in ("spark1", "spark2"):
        assert plan["hosts"][name]["vllm"][0]["container_extra_arguments"] == expected
    warned = [text for text in plan["warnings"] if "RDMA" in text]
    assert bool(warned) is (len(with_cards) == 1)
    assert all("spark2 has no devices for RDMA" in text for text in warned)


def test_an_engine_on_one_host_or_on_the_cpu_is_given_no_card() -> None:
    plan = build_plan(sparks(hardware={name: cpu(rdma=True, memory_mib=200000) for name in ("spark1", "spark2")}))
    assert plan["hosts"]["spark1"]["vllm"][0]["container_extra_arguments"] == []
    alone = build_plan(
        inventory(spark1=host(hardware=spark(rdma=True), inference_models=MODELS, inference_services=[service("small", 8080)]))
    )
    assert alone["hosts"]["spark1"]["vllm"][0]["container_extra_arguments"] == []


def test_the_interface_of_an_address_is_found() -> None:
    hardware = {f"spark{n}": on((f"enp{n}", f"192.168.100.{n}/24"), ("eth0", f"10.0.0.{n}/24")) for n in (1, 2)}
    own = {f"spark{n}": {"inference_cluster_address": f"192.168.100.{n}"} for n in (1, 2)}
    assert places(build_plan(sparks(own=own, hardware=hardware))) == [("192.168.100.1", "enp1"), ("192.168.100.2", "enp2")]
    assert places(build_plan(sparks(hardware=hardware))) == [("10.0.0.1", "eth0"), ("10.0.0.2", "eth0")]


def test_the_address_of_an_interface_is_found() -> None:
    hardware = {f"spark{n}": on((f"enp{n}", f"192.168.100.{n}/24"), ("eth0", f"10.0.0.{n}/24")) for n in (1, 2)}
    own = {f"spark{n}": {"inference_cluster_interface": f"enp{n}"} for n in (1, 2)}
    assert places(build_plan(sparks(own=own, hardware=hardware))) == [("192.168.100.1", "enp1"), ("192.168.100.2", "enp2")]


def test_the_one_network_of_all_members_is_found() -> None:
    names = {f"spark{n}": {"ansible_host": f"spark{n}.lan"} for n in (1, 2)}
    hardware = {f"spark{n}": on(("eth0", f"10.{n}.0.7/24"), ("eth1", f"192.168.100.{n}/24")) for n in (1, 2)}
    assert places(build_plan(sparks(own=names, hardware=hardware))) == [("192.168.100.1", "eth1"), ("192.168.100.2", "eth1")]
    both = {f"spark{n}": on(("eth0", f"10.0.0.{n}/24"), ("eth1", f"192.168.100.{n}/24")) for n in (1, 2)}
    (first,) = findings(sparks(own=names, hardware=both))
    assert first.startswith("inference_cluster_address (hosts spark1, spark2): is required")
    assert "several networks in common (10.0.0.0/24, 192.168.100.0/24)" in first
    # Of what one host says, the other's follows.
    names["spark1"]["inference_cluster_address"] = "192.168.100.1"
    assert places(build_plan(sparks(own=names, hardware=both))) == [("192.168.100.1", "eth1"), ("192.168.100.2", "eth1")]


def test_a_network_that_joins_nobody_is_none() -> None:
    """Such as that of virtual machines, which is the same on every host."""
    names = {f"spark{n}": {"ansible_host": f"spark{n}.lan"} for n in (1, 2)}
    hardware = {f"spark{n}": on(("virbr0", "192.168.122.1/24"), ("eth1", f"192.168.100.{n}/24")) for n in (1, 2)}
    assert places(build_plan(sparks(own=names, hardware=hardware))) == [("192.168.100.1", "eth1"), ("192.168.100.2", "eth1")]


def test_another_network_of_all_members_is_told_where_none_was_named() -> None:
    hardware = {f"spark{n}": on(("enp1", f"192.168.100.{n}/24"), ("eth0", f"10.0.0.{n}/24")) for n in (1, 2)}
    told = [warning for warning in build_plan(sparks(hardware=hardware))["warnings"] if "in common too" in warning]
    assert len(told) == 1
    assert "192.168.100.0/24 in common too; say by inference_cluster_address" in told[0]
    own = {f"spark{n}": {"inference_cluster_address": f"10.0.0.{n}"} for n in (1, 2)}
    assert not [warning for warning in build_plan(sparks(own=own, hardware=hardware))["warnings"] if "in common too" in warning]


@pytest.mark.parametrize("port", [True, "x", 0, 45536])
def test_a_wrong_port_is_told_once(port: Any) -> None:
    (told,) = findings(sparks(group(port=port)))
    assert told.endswith("must be a port number (the members take those 10000 and 20000 above it too) from 1 to 45535")


def test_the_digest_is_of_what_members_have_in_common() -> None:
    def digest(**changes: Any) -> str:
        return str(build_plan(sparks(group(**changes)))["hosts"]["spark1"]["vllm"][0]["group"]["digest"])

    assert digest() == digest(env={"A": "1"}, ready_timeout=900, memory="80GiB")
    different: list[dict[str, Any]] = [
        {"max_model_len": 512},
        {"engine_args": {"max-num-seqs": 4}},
        {"hosts": ["spark2", "spark1"]},
        {"port": 8071},
    ]
    assert len({digest(), *(digest(**changes) for changes in different)}) == 5


def test_members_by_gpus_of_each_host() -> None:
    two = {name: dgpu(gpu(0), gpu(1)) for name in ("spark1", "spark2")}
    plan = build_plan(sparks(group(tensor_parallel_size=2, pipeline_parallel_size=2, memory="20GiB"), hardware=two))
    instance = plan["hosts"]["spark2"]["vllm"][0]
    assert instance["gpus"] == ["GPU-00000000", "GPU-00000001"]
    assert (instance["tensor_parallel_size"], instance["pipeline_parallel_size"], instance["data_parallel_size"]) == (2, 2, 1)


def test_who_reaches_the_ranks() -> None:
    inv = sparks(group(memory="40GiB"), group(name="other", hosts=["spark2", "spark1"], port=8090, memory="40GiB", data_parallel_size=2))
    inv["hosts"]["spark1"]["groups"] = ["inference_nodes", "gateways"]
    inv["hosts"]["spark1"]["vars"]["inference_cluster_address"] = "192.168.100.1"
    two = dgpu(gpu(0), gpu(1), architecture="aarch64")
    for name in ("spark1", "spark2"):
        inv["hosts"][name]["hardware"] = two
    for one in inv["hosts"].values():
        one["vars"]["inference_multinode_services"][0]["memory"] = one["vars"]["inference_multinode_services"][1]["memory"] = "10GiB"
    plan = build_plan(inv)
    ports = [13090, 18070, 18090, 28070, 28090]
    members = ["10.0.0.2", "192.168.100.1"]
    assert plan["hosts"]["spark1"]["cluster"] == {
        "address": "192.168.100.1",
        "members": members,
        "ports": ports,
        "open_ports": [8070, 8400],
    }
    assert plan["hosts"]["spark2"]["cluster"] == {"address": "10.0.0.2", "members": members, "ports": ports, "open_ports": [8090]}
    assert "cluster" not in plan["hosts"]["gw"]
    assert (
        "cluster"
        not in build_plan(sparks(group(enabled=False), own={"spark1": {"inference_services": [service("small")]}}))["hosts"]["spark1"]
    )


def test_several_groups_and_services_side_by_side() -> None:
    groups = [group(memory="40GiB"), group(name="other", hosts=["spark2", "spark1"], port=8090, memory="40GiB")]
    plan = build_plan(sparks(*groups, own={"spark1": {"inference_services": [service("small", 8080, memory="10GiB")]}}))
    assert [item["name"] for item in plan["hosts"]["spark1"]["vllm"]] == ["small", "big", "other"]
    ids = {backend["id"] for model in plan["gateway"]["models"] for backend in model["backends"]}
    assert ids == {"small-spark1", "big-spark1", "other-spark2"}


def test_a_disabled_group_is_absent() -> None:
    plan = build_plan(sparks(group(enabled=False), own={"spark1": {"inference_services": [service("small", 8080, memory="10GiB")]}}))
    assert [row["service"] for row in plan["table"]] == ["small"]


def test_a_member_that_is_away_changes_nothing() -> None:
    here = build_plan(sparks())
    inv = sparks()
    inv["hosts"]["spark2"].update(hardware=None, known_hardware=spark())
    inv["in_play"] = ["spark1", "gw"]
    plan = build_plan(inv)
    assert plan["hosts"]["spark1"]["vllm"] == here["hosts"]["spark1"]["vllm"]
    assert plan["hosts"]["spark2"]["vllm"] == here["hosts"]["spark2"]["vllm"]


# --- units -----------------------------------------------------------------------------------------------------------


def test_units_of_the_members() -> None:
    plan = build_plan(sparks(own={"spark1": {"inference_cluster_interface": "eth1"}}))
    (first,), (second,) = units(plan, "spark1"), units(plan, "spark2")
    common = {"nnodes": 2, "master-addr": "10.0.0.1", "master-port": 28070, "tensor-parallel-size": 2, "model": "org/big"}
    one, two = config(first), config(second)
    assert common.items() <= one.items()
    assert common.items() <= two.items()
    assert (one["node-rank"], one["host"], one["port"], "headless" in one) == (0, "127.0.0.1", 8070, False)
    assert (two["node-rank"], two["headless"], "host" in two, "port" in two) == (1, True, False, False)
    assert "pipeline-parallel-size" not in one
    assert "data-parallel-size" not in one
    assert first["networks"] == second["networks"] == ["host"]
    assert "--publish" not in first["docker_arguments"]
    assert first["docker_arguments"][first["docker_arguments"].index("--shm-size") + 1] == "16g"
    assert first["environment"]["VLLM_HOST_IP"] == "10.0.0.1"
    assert (first["environment"]["GLOO_SOCKET_IFNAME"], first["environment"]["NCCL_SOCKET_IFNAME"]) == ("eth1", "eth1")
    assert second["environment"]["VLLM_HOST_IP"] == "10.0.0.2"
    assert "GLOO_SOCKET_IFNAME" not in second["environment"]
    assert first["probe"]["base_url"] == "http://127.0.0.1:8070/v1"
    assert second["probe"] is None


def test_members_know_each_other_by_the_key_of_the_first() -> None:
    plan = build_plan(sparks())
    (first,), (second,) = units(plan, "spark1"), units(plan, "spark2")
    assert first["secret_environment"] == second["secret_environment"] == {"VLLM_API_KEY": KEYS["spark1"]}
    part = plan["hosts"]["spark2"]["vllm"][0]["group"]
    assert second["group"] == {
        "rank": 1,
        "port": 18070,
        "members": part["members"],
        "digest": part["digest"],
        "key_variable": "VLLM_API_KEY",
    }


def test_stages_and_replicas() -> None:
    plan = build_plan(sparks(group(tensor_parallel_size=None, pipeline_parallel_size=2)))
    one = config(units(plan, "spark1")[0])
    assert one["pipeline-parallel-size"] == 2
    assert "tensor-parallel-size" not in one
    plan = build_plan(sparks(group(tensor_parallel_size=None, data_parallel_size=2)))
    one, two = (config(units(plan, name)[0]) for name in ("spark1", "spark2"))
    assert (one["data-parallel-size"], one["data-parallel-rpc-port"], one["api-server-count"]) == (2, 13070, 1)
    assert (two["data-parallel-size"], two["data-parallel-rpc-port"], "api-server-count" in two) == (2, 13070, False)


def test_the_users_environment_has_the_last_word() -> None:
    plan = build_plan(sparks(group(env={"NCCL_SOCKET_IFNAME": "eth7"}), own={"spark1": {"inference_cluster_interface": "eth1"}}))
    environment = units(plan, "spark1")[0]["environment"]
    assert (environment["GLOO_SOCKET_IFNAME"], environment["NCCL_SOCKET_IFNAME"]) == ("eth1", "eth7")


def test_secrets_of_env_stay_out_of_the_plan() -> None:
    value = [group(env={"HUB_PASSWORD": "correct horse"})]
    assert "correct horse" not in str(without_secrets("inference_multinode_services", value))
    assert "correct horse" in str(value)


# --- whoever asks, asks the first one ----------------------------------------------------------------------------


def test_endpoints_that_are_waited_for() -> None:
    plan = build_plan(sparks())
    assert [item["name"] for item in container_unit_endpoints(units(plan, "spark1"))] == ["big"]
    assert container_unit_endpoints(units(plan, "spark2")) == []


@pytest.mark.parametrize("name", ["spark1", "spark2"])
def test_a_group_goes_out_of_rotation_with_each_of_its_hosts(name: str) -> None:
    plan = build_plan(sparks(own={"spark2": {"inference_services": [service("small", 8080, memory="5GiB")]}}))
    assert drained(plan, name, "big") == {"backends": ["big-spark1"], "units": ["vllm@big.service"]}
    assert drained(plan, name)["backends"] == ["big-spark1", *(["small-spark2"] if name == "spark2" else [])]


def test_a_benchmark_asks_the_first_one_on_the_network_of_its_host() -> None:
    chosen = choose(build_plan(sparks()), {"concurrency": [1]}, 0)
    assert chosen["problems"] == []
    ((name, (target,)),) = chosen["targets"].items()
    assert (name, target["network"]) == ("spark1", "host")
    assert "http://127.0.0.1:8070" in target["steps"][0]["command"]
    assert target["watch"][0]["url"] == "http://127.0.0.1:8070/metrics"


def test_prometheus_asks_the_first_one() -> None:
    plan = build_plan(sparks())
    found = {name: [item["targets"] for item in metrics_targets(plan, name)] for name in ("spark1", "spark2")}
    assert found["spark1"] == [*found["spark2"], ["127.0.0.1:8070"]]


def test_the_end_of_a_run_names_the_first_one() -> None:
    inv = sparks()
    del inv["hosts"]["gw"]
    inv["in_play"] = ["spark1", "spark2"]
    done = Run((), 2, frozenset(["spark1", "spark2"]), frozenset())
    lines = summary(build_plan(inv), done, {}, str)
    assert [line.split() for line in lines if line.startswith("big ")] == [["big", "spark1"]]
    assert any(line.startswith("On spark1, with the key") for line in lines)


# --- what is refused ---------------------------------------------------------------------------------------------

WHERE = "inference_multinode_services[0]"
CASES: list[tuple[dict[str, Any], str, str]] = [
    (sparks(group(hosts=None)), f"{WHERE}.hosts:", "must be two hosts or more, of which the first answers"),
    (sparks(group(hosts=["spark1"])), f'{WHERE}.hosts = ["spark1"]:', "must be two hosts or more"),
    (sparks(group(hosts=["spark1", "spark2", "spark1"])), f'{WHERE}.hosts[2] = "spark1":', "is given twice"),
    (sparks(group(hosts=["spark1", "sparc2"])), f'{WHERE}.hosts[1] = "sparc2":', "Did you mean 'spark2'?"),
    (sparks(group(hosts=["spark1", "gw"])), f'{WHERE}.hosts[1] = "gw":', "is not in the group inference_nodes"),
    (sparks(group(port=None)), f"{WHERE}.port:", "is required: a port number (the members take those"),
    (sparks(group(tensor_parallel_size=None)), f"{WHERE}.tensor_parallel_size:", "or pipeline_parallel_size or data_parallel_size"),
    (sparks(group(tensor_parallel_size=3)), f"{WHERE}.tensor_parallel_size = 3:", "cannot be divided among 2 hosts"),
    (sparks(group(tensor_parallel_size=4)), f"{WHERE}.tensor_parallel_size (hosts spark1, spark2) = 4:", "needs 2 GPUs on each of 2 hosts"),
    (sparks(group(tensor_parallel_size=2, data_parallel_size=3)), f"{WHERE}.data_parallel_size = 3:", "cannot be laid over 2 hosts"),
    (sparks(group(gpus=[0, 1])), f'{WHERE}.gpus = ["0", "1"]:', "1 GPUs are needed on each host"),
    (
        sparks(group(tensor_parallel_size=4, memory="2GiB"), hardware={"spark1": cpu(), "spark2": cpu()}),
        f"{WHERE}.tensor_parallel_size (hosts spark1, spark2) = 4:",
        "on the CPU a host has one",
    ),
    (
        sparks(group(port=50000)),
        f"{WHERE}.port = 50000:",
        "must be a port number (the members take those 10000 and 20000 above it too) from 1 to 45535",
    ),
    (sparks(group(networks=["x"])), f'{WHERE}.networks = ["x"]:', "unknown key."),
    (sparks("big"), f"{WHERE} = (a text, not shown):", "must be a mapping with the keys"),  # type: ignore[arg-type]
    (
        sparks(inference_multinode_services={"big": group()}),
        "inference_multinode_services = (a mapping, not shown):",
        "must be a list of services such as",
    ),
    (
        sparks(own={"gw": {"inference_multinode_services": [group(port=8071)]}}),
        "inference_multinode_services (host gw):",
        "differs from that of spark1; define it once for all hosts",
    ),
    (
        sparks(own={"spark2": {"inference_multinode_services": None}}),
        "inference_multinode_services (host spark2):",
        "is not set for this host, which spark1 names as a member",
    ),
    (sparks(own={"spark2": {"ansible_host": "spark2.lan"}}), "inference_cluster_address (host spark2):", "known as 'spark2.lan'"),
    (
        sparks(own={"spark2": {"inference_cluster_address": "10.0.0.1"}}),
        "inference_cluster_address (host spark2)",
        "is the address of spark1 too",
    ),
    (
        sparks(own={"spark1": {"inference_cluster_address": "127.0.0.1"}}),
        "inference_cluster_address (host spark1)",
        "is no address by which",
    ),
    (
        sparks(own={"spark1": {"inference_cluster_address": "fd00::1"}}),
        "inference_cluster_address (host spark2)",
        "is IPv4, and that of spark1 is not",
    ),
    (
        sparks(own={"spark1": {"inference_cluster_address": "192.168.1.1"}}, hardware={"spark1": on(("eth0", "10.0.0.1/24"))}),
        'inference_cluster_address (host spark1) = "192.168.1.1":',
        "is not an address of this host, which has 10.0.0.1 (eth0)",
    ),
    (
        sparks(hardware={"spark1": on(("eth0", "10.1.0.1/24"))}),
        'inference_cluster_address (host spark1) = "10.0.0.1":',
        "is not an address of this host",
    ),
    (
        sparks(own={"spark1": {"inference_cluster_interface": "eth7"}}, hardware={"spark1": on(("eth0", "10.0.0.1/24"))}),
        'inference_cluster_interface (host spark1) = "eth7":',
        "has no address on this host, or is none; there are eth0",
    ),
    (
        sparks(
            own={"spark1": {"inference_cluster_interface": "eth1", "inference_cluster_address": "10.0.0.1"}},
            hardware={"spark1": on(("eth0", "10.0.0.1/24"), ("eth1", "10.1.0.1/24"))},
        ),
        'inference_cluster_interface (host spark1) = "eth1":',
        "has not the address 10.0.0.1",
    ),
    (sparks(own={"spark1": {"inference_cluster_address": "spark1"}}), "inference_cluster_address", "must be an IP address"),
    (
        sparks(own={"spark1": {"inference_cluster_interface": "a b"}}),
        "inference_cluster_interface",
        "must be the name of a network interface",
    ),
    (
        sparks(own={"spark2": {"inference_services": [service("small", 18070, memory="2GiB")]}}),
        f"{WHERE}.port (host spark2) = 8070:",
        "its launchers take port 18070, which is the port of inference_services[0] (small)",
    ),
    (
        sparks(group(memory="20GiB"), group(name="other", port=18070, memory="20GiB")),
        f"{WHERE}.port (hosts spark1, spark2) = 8070:",
        "its launchers take port 18070, which is the port of inference_multinode_services[1] (other)",
    ),
    (
        sparks(own={"spark2": {"inference_services": [service("small", 8080, memory="2GiB", name="big")]}}),
        f'{WHERE}.name (host spark2) = "big":',
        "is the name of inference_services[0] too",
    ),
    (
        sparks(inference_rollout={"batch": 1}),
        "inference_rollout.batch (hosts spark1, spark2)",
        "all hosts of inference_multinode_services[0] have to change together",
    ),
    (
        sparks(inference_models={"big": {"source": "qwen3:4b", "engine": "ollama"}}),
        f'{WHERE}.model (hosts spark1, spark2) = "big":',
        "only vLLM runs over several hosts; say engine: vllm in inference_models.big",
    ),
    (
        sparks(group(model="bigg")),
        f'{WHERE}.model (hosts spark1, spark2) = "bigg":',
        "is not defined in inference_models. Did you mean 'big'?",
    ),
    (
        sparks(hardware={"spark2": dgpu(gpu(memory_mib=120000))}),
        f'{WHERE}.hosts (host spark2) = "spark2":',
        "is x86_64, and spark1 is aarch64",
    ),
    (
        sparks(own={"spark2": {"inference_images": {"vllm": "vllm/vllm-openai:v0.31.0"}}}),
        f"{WHERE}.image (host spark2)",
        "all members of an engine need the same image",
    ),
    (
        sparks(own={"spark2": {"inference_models": {"big": {"source": "org/big", "revision": "v2"}}}}),
        f"{WHERE}.revision (host spark2)",
        "all members of an engine need the same revision",
    ),
    (
        sparks(inference_models={"big": {"source": "org/big", "image": "vllm/vllm-openai:v0.11.0"}}),
        f"{WHERE}.hosts (hosts spark1, spark2)",
        "vLLM 0.11.0 runs on one host only without Ray; use an image with 0.12 or newer",
    ),
    (sparks(group(env={"VLLM_HOST_IP": "1.2.3.4"})), f"{WHERE}.env.VLLM_HOST_IP (hosts spark1, spark2):", "is set by the collection"),
    (
        sparks(own={"spark2": {"inference_services": [service("small", 8080, memory="20GiB")]}}),
        f'{WHERE}.memory (host spark2) = "90GiB":',
        "of which others ask for: small 20.0 GiB",
    ),
    *(
        (sparks(group(engine_args={name: value})), f"{WHERE}.engine_args.{name}", message)
        for name, value, message in (
            ("nnodes", 2, "is set by the collection for an engine over several hosts"),
            ("node-rank", 1, "is set by the collection"),
            ("master-addr", "10.0.0.1", "inference_cluster_address of the first host"),
            ("master-port", 29501, "is set by the collection"),
            ("headless", True, "is set by the collection"),
            ("pipeline-parallel-size", 2, "use pipeline_parallel_size of the service"),
            ("data-parallel-size", 2, "use data_parallel_size of the service"),
            ("prefill-context-parallel-size", 2, "is not counted"),
            ("data-parallel-external-lb", True, "the first one answers"),
            ("distributed-executor-backend", "ray", "must be mp, or left out"),
            ("host", "0.0.0.0", "is set by the collection"),
            ("port", 8000, "is set by the collection"),
            ("kv-transfer-config", {"kv_role": "kv_producer"}, "one half of a pair"),
        )
    ),
]


@pytest.mark.parametrize(("inv", "where", "message"), CASES, ids=[f"{where}-{message[:30]}" for _inv, where, message in CASES])
def test_mistakes(inv: dict[str, Any], where: str, message: str) -> None:
    found = findings(inv)
    assert [line for line in found if line.startswith(where) and message in line], found


def test_mistakes_come_all_at_once_and_once_each() -> None:
    wrong = group(hosts=["spark1", "spark3"], tensor_parallel_size=3, port=60000)
    found = findings(sparks(wrong, group(name="b", hosts=["spark2", "spark2"], port=8090)))
    places = [line.split(":", 1)[0].split(" = ")[0] for line in found]
    assert sorted(places) == sorted(
        [
            f"{WHERE}.hosts[1]",
            f"{WHERE}.tensor_parallel_size",
            f"{WHERE}.port",
            "inference_multinode_services[1].hosts[1]",
        ]
    )


@pytest.mark.parametrize("port", [12767, 12768, 40000])
def test_a_port_among_those_of_outgoing_connections_is_told(port: int) -> None:
    told = [warning for warning in build_plan(sparks(group(port=port)))["warnings"] if "may have given to a connection" in warning]
    assert bool(told) == (port >= 12768)


def test_mp_may_be_said() -> None:
    plan = build_plan(sparks(group(engine_args={"distributed-executor-backend": "mp"})))
    assert config(units(plan, "spark2")[0])["distributed-executor-backend"] == "mp"
