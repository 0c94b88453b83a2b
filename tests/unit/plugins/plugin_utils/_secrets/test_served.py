# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._secrets.served import Reached, missing_hosts

GROUPS = {"inference_nodes": ["n1", "n2"], "gateways": ["g1", "g2"], "inference_clients": ["c1", "n1"]}


def reached(engines: str = "n1 n2", gateways: str = "g1 g2", clients: str = "c1 n1") -> Reached:
    return Reached(*(frozenset(names.split()) for names in (engines, gateways, clients)))


@pytest.mark.parametrize(
    ("name", "hosts", "missing"),
    [
        ("master_key", reached(engines="", clients=""), []),
        ("master_key", reached(gateways="g1"), ["g2"]),
        ("client_keys/a", reached(engines=""), []),
        ("client_keys/a", reached(clients="n1"), ["c1"]),
        ("client_keys/a", reached(gateways="", clients=""), ["c1", "g1", "g2", "n1"]),
        ("engine_keys/n1", reached(engines="n1", clients=""), []),
        ("engine_keys/n1", reached(engines="n2"), ["n1"]),
        ("engine_keys/n1", reached(engines="n2", gateways="g2"), ["g1", "n1"]),
    ],
)
def test_who_has_to_serve_with_a_key_before_the_old_one_goes(name: str, hosts: Reached, missing: list[str]) -> None:
    assert missing_hosts(name, GROUPS, hosts) == missing


def test_without_a_gateway_only_the_engines_count() -> None:
    assert missing_hosts("engine_keys/n1", {"inference_nodes": ["n1"]}, reached(gateways="", clients="")) == []
