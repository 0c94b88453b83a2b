# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from support.described_gateway import backend, gateway, model

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.endpoints import build_endpoints, with_keys


@pytest.mark.parametrize(
    ("away", "engines", "through"),
    [((), [True, True], True), (("n1",), [False, True], True), (("n1", "n2"), [False, False], False)],
    ids=["nobody", "one", "all"],
)
def test_nobody_waits_for_hosts_that_are_away(away: tuple[str, ...], engines: list[bool], through: bool) -> None:
    given = gateway(model(backends=[backend(), backend(id="chat-n2", host="n2", url="http://n2:8070/v1")]))
    endpoints = build_endpoints(given, "n1", away)
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
    endpoints = build_endpoints(given, "n1")
    assert [item["name"] for item in endpoints["gateway"]] == ["gateway/chat"]
    assert endpoints["gateway"][0]["base_url"] == "http://127.0.0.1:8400/v1"
    assert [(item["base_url"], item["required"]) for item in endpoints["engines"]] == [
        ("http://vllm-chat:8000/v1", True),
        ("http://lab:1/v1", False),
    ]
    assert endpoints["gateway"][0]["required"]
    keyed = with_keys(endpoints["engines"], {"ENGINE_KEY_N1": "secret"})
    assert [item.get("api_key") for item in keyed] == ["secret", None]
    assert all("key_variable" not in item for item in keyed)
