# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._docker.networks import (
    OWNER,
    OWNER_LABEL,
    parse_routes,
    plan_networks,
    subnet_problem,
)

INFERENCE = {"name": "inference", "subnet": "10.89.16.0/24"}
ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010010AC\t0003\t0\t0\t0\t00000000\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
br-0123456789ab\t0010590A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
tun0\t0011590A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
broken line
"""


def network(name: str, subnet: str | None = None, **more: t.Any) -> dict[str, t.Any]:
    config = [{"Subnet": subnet, "Gateway": more.pop("gateway", subnet.replace("0/", "1/").split("/")[0])}] if subnet else []
    containers = {str(position): {"Name": container} for position, container in enumerate(more.pop("containers", []))}
    return {
        "Name": name,
        "Id": "0123456789abcdef",
        "IPAM": {"Config": config},
        "Internal": False,
        "Options": {},
        "Labels": {},
        "Containers": containers,
        **more,
    }


OURS = {OWNER_LABEL: OWNER}
HOST = network("host")


def test_routes() -> None:
    assert [(str(route.destination), route.device) for route in parse_routes(ROUTES)] == [
        ("172.17.0.0/16", "docker0"),
        ("10.89.16.0/24", "br-0123456789ab"),
        ("10.89.17.0/24", "tun0"),
    ]
    assert parse_routes("") == []


def test_creates_what_is_missing() -> None:
    plan = plan_networks([{**INFERENCE, "gateway": "10.89.16.1", "labels": {"a": "b"}}], [HOST])
    assert plan.errors == []
    assert plan.create == [
        {
            "name": "inference",
            "ipam_config": [{"subnet": "10.89.16.0/24", "gateway": "10.89.16.1"}],
            "internal": False,
            "driver_options": {},
            "labels": {OWNER_LABEL: OWNER, "a": "b"},
        }
    ]
    assert plan_networks([{"name": "any"}], [HOST]).create[0]["ipam_config"] == []


@pytest.mark.parametrize(
    "present",
    [
        network("inference", "10.89.16.0/24", Labels=OURS),
        network("inference", "10.89.16.0/24"),  # made by somebody else, and fine
        network("inference", "10.89.16.0/24", Options={"com.docker.network.driver.mtu": "1400"}),
    ],
)
def test_leaves_alone_what_fits(present: dict[str, t.Any]) -> None:
    plan = plan_networks([INFERENCE], [HOST, present], ROUTES, recreate=True, remove_unlisted=True)
    assert plan.as_dict() == {"create": [], "recreate": [], "remove": [], "errors": []}


@pytest.mark.parametrize(
    ("wanted", "present", "message"),
    [
        (INFERENCE, network("inference", "10.1.0.0/24"), "its subnet is 10.1.0.0/24, wanted 10.89.16.0/24"),
        ({**INFERENCE, "gateway": "10.89.16.9"}, network("inference", "10.89.16.0/24"), "its gateway is 10.89.16.1, wanted 10.89.16.9"),
        ({**INFERENCE, "internal": True}, network("inference", "10.89.16.0/24"), "it is not internal, wanted internal"),
        (
            {**INFERENCE, "driver_options": {"com.docker.network.driver.mtu": 1400}},
            network("inference", "10.89.16.0/24"),
            "mtu is not set, wanted 1400",
        ),
        (INFERENCE, network("inference"), "its subnet is not set"),
    ],
)
def test_other_settings_are_an_error_unless_asked(wanted: dict[str, t.Any], present: dict[str, t.Any], message: str) -> None:
    present["Containers"] = {"1": {"Name": "vllm-chat"}}
    plan = plan_networks([wanted], [present])
    (error,) = plan.errors
    assert message in error
    assert "(vllm-chat)" in error
    assert "network_recreate" in error
    assert plan.create == plan.recreate == []
    asked = plan_networks([wanted], [present], recreate=True)
    assert asked.errors == []
    assert [entry["name"] for entry in asked.recreate] == ["inference"]


@pytest.mark.parametrize(
    ("wanted", "inspected", "message"),
    [
        ([INFERENCE, INFERENCE], [], "names inference twice"),
        ([INFERENCE, {"name": "b", "subnet": "10.89.0.0/16"}], [], "overlap"),
        ([{"name": "a b"}], [], "network_networks[0].name is 'a b'"),
        ([{"subnet": "10.0.0.0/24"}], [], "network_networks[0].name is ''"),
        ([{"name": "host"}], [], "one of Docker's own networks"),
        ([{"name": "a", "subnet": "10.89.16.5/24"}], [], "network_networks[0].subnet of a is '10.89.16.5/24'"),
        ([{"name": "a", "subnet": "x"}], [], "write it as 10.89.16.0/24"),
        ([{"name": "a", "subnet": "10.89.16.0/24", "gateway": "10.89.17.1"}], [], "not a host address inside the subnet"),
        ([{"name": "a", "subnet": "10.89.16.0/24", "gateway": "10.89.16.0"}], [], "not a host address inside the subnet"),
        ([{"name": "a", "subnet": "10.89.16.0/24", "gateway": "10.89.16.255"}], [], "not a host address inside the subnet"),
        ([{"name": "a", "subnet": "10.89.16.0/24", "gateway": "x"}], [], "not a host address inside the subnet"),
        ([{"name": "a", "gateway": "10.89.17.1"}], [], "not a host address inside the subnet"),
        ([INFERENCE], [network("other", "10.89.0.0/16")], "overlaps 10.89.0.0/16 of Docker's network other"),
        ([{"name": "engines", "subnet": "10.89.17.0/24"}], [HOST], "overlaps the host's route to 10.89.17.0/24 on tun0"),
    ],
)
def test_what_stands_in_the_way(wanted: list[dict[str, t.Any]], inspected: list[dict[str, t.Any]], message: str) -> None:
    errors = plan_networks(wanted, inspected, ROUTES).errors
    assert any(message in error for error in errors), errors


# Docker 26.1 makes a network of most of these without a word: then its containers have no address, or none that reaches anybody.
@pytest.mark.parametrize(
    ("subnet", "right"),
    [
        ("127.0.0.0/24", "loopback"),
        ("0.0.0.0/0", "could not reach anything else"),
        ("0.0.0.0/8", "of no network"),
        ("8.0.0.0/5", "could not reach anything else"),
        ("224.0.0.0/24", "multicast"),
        ("239.255.255.0/24", "multicast"),
        ("240.0.0.0/24", "is reserved"),
        ("255.255.255.0/24", "is reserved"),
        ("169.254.169.0/24", "clouds"),
        ("126.0.0.0/7", "loopback"),
        ("10.99.0.0/30", "has room for 1 containers; take a /24, such as 10.99.0.0/24"),
        ("10.99.0.0/31", "has room for 0 containers"),
        ("10.99.0.0/32", "has room for 0 containers"),
        ("10.99.0.1/32", "such as 10.99.0.1/24"),
        ("10.99.0.0", "has no prefix length; write it as 10.99.0.0/24"),
        ("10.99.0.1/24", "write 10.99.0.0/24"),
        ("10.99.0.0/255.255.255.0", "write 10.99.0.0/24"),
        ("010.99.0.0/24", "is not a network"),
        ("10.99.0/24", "is not a network"),
        ("10.99.0.0/24/24", "is not a network"),
        ("10.99.0.0/33", "is not a network"),
        ("fd00:1::/64", "is of IPv6"),
        ("::/0", "is of IPv6"),
        ("::ffff:10.0.0.0/120", "is of IPv6"),
        ("", "is not a network"),
        (1234, "is not a network"),
        (True, "is not a network"),
    ],
)
def test_subnets_that_no_docker_network_can_have(subnet: t.Any, right: str) -> None:
    assert right in subnet_problem(subnet)


@pytest.mark.parametrize("subnet", ["10.89.16.0/24", "10.0.0.0/8", "172.16.0.0/12", "192.168.5.0/29", "100.64.0.0/16", "8.8.8.0/24"])
def test_subnets_that_will_do(subnet: str) -> None:
    assert subnet_problem(subnet) == ""


def test_options_are_texts_to_docker() -> None:
    options = {"com.docker.network.driver.mtu": 1400.0, "com.docker.network.bridge.enable_icc": False, "a": 1, "b": "x", "c": 1.5}
    (made,) = plan_networks([{**INFERENCE, "driver_options": options}], []).create
    assert list(made["driver_options"].values()) == ["1400", "false", "1", "x", "1.5"]


# iproute2 on a host with a VPN, whose routes are in a table of their own.
IP_ROUTES = """\
100.64.0.7 dev tailscale0 table 52
10.89.18.0/24 dev tailscale0 table 52
unreachable 10.89.19.0/24 metric 1024
default via 172.16.1.1 dev eth0 proto dhcp src 172.16.1.2
172.17.0.0/16 dev docker0 proto kernel scope link src 172.17.0.1 linkdown
local 172.17.0.1 dev docker0 table local proto kernel scope host src 172.17.0.1
broadcast 172.17.255.255 dev docker0 table local proto kernel scope link src 172.17.0.1
local 127.0.0.0/8 dev lo table local proto kernel scope host src 127.0.0.1
10.89.20.0/24 proto static
\tnexthop via 172.16.1.1 dev eth0 weight 1
"""


def test_routes_of_all_tables() -> None:
    assert [(str(route.destination), route.device) for route in parse_routes(IP_ROUTES)] == [
        ("100.64.0.7/32", "tailscale0"),
        ("10.89.18.0/24", "tailscale0"),
        ("10.89.19.0/24", "no device"),
        ("172.17.0.0/16", "docker0"),
        ("172.17.0.1/32", "docker0"),
        ("127.0.0.0/8", "lo"),
        ("10.89.20.0/24", "no device"),
    ]
    (error,) = plan_networks([{"name": "a", "subnet": "10.89.18.0/24"}], [HOST], ROUTES + IP_ROUTES).errors
    assert "overlaps the host's route to 10.89.18.0/24 on tailscale0" in error


def test_a_route_of_the_network_itself_is_no_collision() -> None:
    present = network("inference", "10.89.16.0/24", Internal=True)
    plan = plan_networks([INFERENCE], [present], ROUTES, recreate=True)
    assert plan.errors == []
    assert len(plan.recreate) == 1


def test_removes_only_what_is_ours_and_only_when_asked() -> None:
    inspected = [HOST, network("old", "10.5.0.0/24", Labels=OURS), network("foreign", "10.6.0.0/24")]
    assert plan_networks([], inspected).remove == []
    assert plan_networks([], inspected, remove_unlisted=True).remove == ["old"]
    freed = plan_networks([{"name": "new", "subnet": "10.5.0.0/24"}], inspected, remove_unlisted=True)
    assert (freed.errors, freed.remove, len(freed.create)) == ([], ["old"], 1)


def test_a_network_in_use_is_not_removed() -> None:
    plan = plan_networks(
        [], [network("old", "10.5.0.0/24", Labels=OURS, containers=["vllm-chat", "litellm-gateway"])], remove_unlisted=True
    )
    assert plan.remove == []
    assert "litellm-gateway, vllm-chat" in plan.errors[0]
