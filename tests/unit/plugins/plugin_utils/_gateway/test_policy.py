# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gateway_ledger
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
