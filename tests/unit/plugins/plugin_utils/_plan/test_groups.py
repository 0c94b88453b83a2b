# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.groups import check_groups, likely

GOOD = {"all": ["a", "b"], "ungrouped": [], "inference_nodes": ["a"], "dgpu": ["a"], "gateways": ["b"]}


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("inference_node", "inference_nodes"),
        ("inference-nodes", "inference_nodes"),
        ("Inference_Nodes", "inference_nodes"),
        ("inferance_nodes", "inference_nodes"),
        ("inference_hosts", None),
        ("gateway", "gateways"),
        ("Gateways", "gateways"),
        ("gatways", "gateways"),
        ("inference_gateway", "gateways"),
        ("inference_gateways", "gateways"),
        ("inference_client", "inference_clients"),
        ("inferrence_clients", "inference_clients"),
        ("dgpus", "dgpu"),
        ("Jetsons", "jetson"),
        ("nodes", None),
        ("clients", None),
        ("webservers", None),
        ("gpu_nodes", None),
        ("gateways_lab", None),
    ],
)
def test_which_group_a_name_was_meant_for(name: str, ours: str | None) -> None:
    assert likely(name) == ours


def test_a_good_inventory_is_silent() -> None:
    found = check_groups({**GOOD, "webservers": ["b"], "lab": ["a", "b"]}, ["a"])
    assert (found.errors, found.warnings) == ([], [])


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        (
            {"all": ["a"], "inference_node": ["a"]},
            ["a group inference_node, which nothing here knows, and no group inference_nodes: rename it"],
        ),
        ({**{k: v for k, v in GOOD.items() if k != "gateways"}, "gateway": ["b"]}, ["a group gateway", "no group gateways"]),
        ({"all": ["a"], "ungrouped": [], "web": ["a"], "lab": []}, ["nothing to do", "The inventory has web (1 host), lab (0 hosts)"]),
        ({"all": ["a"], "inference_hosts": ["a"]}, ["nothing to do", "Was inference_nodes meant by inference_hosts?"]),
        ({"all": [], "ungrouped": []}, ["nothing to do", "The inventory has no groups; give it with -i"]),
        ({"all": ["a"], "inference_nodes": [], "gateways": []}, ["nothing to do", "inference_nodes (0 hosts)"]),
        ({"all": ["a"], "gateway": ["a"], "inference_node": ["a"]}, ["no group gateways", "no group inference_nodes"]),
    ],
)
def test_an_inventory_of_which_nothing_would_be_deployed(groups: dict[str, list[str]], words: list[str]) -> None:
    found = "; ".join(check_groups(groups, []).errors)
    assert [word for word in words if word not in found] == [], found


def test_an_empty_group_says_that_the_other_name_is_meant() -> None:
    found = check_groups({"all": ["a", "r"], "inference_nodes": ["a"], "gateway": ["r"], "gateways": []}, [])
    assert found.errors == []
    assert found.warnings == ["the group gateway is not the group gateways; the settings of gateways do not apply to r"]


def test_operators_are_not_stopped_by_a_name() -> None:
    groups = {**{k: v for k, v in GOOD.items() if k != "gateways"}, "gateway": ["b"]}
    found = check_groups(groups, [], strict=False)
    assert found.errors == []
    assert "rename it" in found.warnings[0]
    assert check_groups({"all": []}, [], strict=False).errors


def test_hosts_of_no_group_are_told() -> None:
    many = [f"h{number}" for number in range(7)]
    found = check_groups({**GOOD, "all": ["a", "b", *many], "jetson": ["h0"]}, ["a", *many])
    assert found.errors == []
    assert found.warnings == [
        "the group jetson has hosts that are not in inference_nodes, so nothing runs on them: h0. Make jetson a child of inference_nodes",
        "hosts with inference_services are in none of the groups inference_nodes, gateways, inference_clients, so nothing runs on them: "
        "h1, h2, h3, h4, h5 and 1 more",
    ]
