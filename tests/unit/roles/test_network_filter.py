# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who reaches the ranks of an engine over several hosts."""

from __future__ import annotations

from typing import Any

import pytest
from support.render import render

MEMBERS = {"address": "10.0.0.1", "members": ["10.0.0.1", "10.0.0.2"], "ports": [18070, 28070], "open_ports": [8070]}
NO_NEW = "tcp flags & (syn | ack) == syn drop"


def rules(**changes: Any) -> list[str]:
    (text,) = render("network", [("cluster.nft.j2", {"network_members": {**MEMBERS, **changes}})])
    return [line.strip() for line in text.splitlines() if "daddr" in line]


@pytest.mark.parametrize(
    ("changes", "others", "but"),
    [
        ({}, "ip daddr 10.0.0.1 ip saddr != { 10.0.0.1, 10.0.0.2 }", " tcp dport != { 8070 }"),
        ({"open_ports": [40000, 8400]}, "ip daddr 10.0.0.1 ip saddr != { 10.0.0.1, 10.0.0.2 }", " tcp dport != { 40000, 8400 }"),
        ({"open_ports": []}, "ip daddr 10.0.0.1 ip saddr != { 10.0.0.1, 10.0.0.2 }", ""),
        (
            {"address": "fd00::1", "members": ["fd00::1", "fd00::2"], "open_ports": []},
            "ip6 daddr fd00::1 ip6 saddr != { fd00::1, fd00::2 }",
            "",
        ),
    ],
)
def test_connections_that_others_open_are_dropped(changes: dict[str, Any], others: str, but: str) -> None:
    assert rules(**changes) == [f"{others} tcp dport {{ 18070, 28070 }} {NO_NEW}", f"{others} tcp dport $ephemeral{but} {NO_NEW}"]


def test_the_table_is_replaced_in_one_step_and_lets_everything_else_through() -> None:
    (text,) = render("network", [("cluster.nft.j2", {"network_members": MEMBERS})])
    before, _brace, inside = text.partition("{\n    chain input {")
    assert [line for line in before.splitlines() if line and not line.startswith("#")] == [
        "table inet gpu_inference_cluster",
        "delete table inet gpu_inference_cluster",
        "table inet gpu_inference_cluster ",
    ]
    assert "policy accept;" in inside
    assert "accept" not in inside.replace("policy accept;", "")
