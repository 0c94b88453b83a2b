# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import gateway_ledger
import pytest
from support.described_gateway import gateway, model

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.policy import build_policy


def test_the_guard_has_the_same_limits_by_default() -> None:
    limits = gateway_ledger.Limits()
    assert {"request": limits.request, "work": limits.work} == build_policy(gateway())["limits"]


def test_policy_knows_the_limit_of_every_alias() -> None:
    given = gateway(
        model(max_images=4, aliases=["VLM"]),
        aliases={"EYES": "chat"},
        passthrough=[{"path": "/raw", "model": "chat"}],
        media={"allowed_domains": ["A.example"]},
    )
    policy = build_policy(given)
    assert policy["max_images"] == {"EYES": 4, "VLM": 4, "chat": 4}
    assert policy["media"] == {"allow_data": True, "allowed_domains": ["a.example"]}
    assert "/raw" in policy["client_routes"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, True),
        ({"sticky_sessions": True}, True),
        ({"sticky_sessions": False}, False),
        ({"settings": {"router_settings": {"num_retries": 3}}}, True),
        ({"settings": {"router_settings": {"routing_strategy": "simple-shuffle"}}}, True),
        ({"settings": {"router_settings": {"routing_strategy": "least-busy"}}}, False),
    ],
)
def test_conversations_stay_unless_something_else_is_wanted(said: dict[str, Any], expected: bool) -> None:
    assert build_policy({**gateway(), **said})["sticky_sessions"] is expected
