# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from support.described_gateway import backend, gateway, model

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.client_limits import client_limits


def test_nobody_is_limited_who_has_no_limits() -> None:
    assert client_limits(gateway()) == {}


def test_a_model_is_allowed_by_every_name_and_by_its_raw_routes() -> None:
    described = gateway(
        model(aliases=["Qwen/Qwen3-8B"]),
        model(name="embedding", capability="embedding", backends=[backend(id="e")]),
        aliases={"LLM": "chat", "VECTORS": "embedding"},
        settings={
            "router_settings": {"model_group_alias": {"mine": "chat", "hidden": {"model": "chat", "hidden": True}, "other": "embedding"}}
        },
        passthrough=[
            {"path": "/raw/chat", "model": "LLM"},
            {"path": "/raw/embedding", "model": "embedding"},
            {"path": "/raw/elsewhere", "model": "chat", "target": "http://192.0.2.9/x"},
        ],
        client_limits={"a": {"parallel": 4}, "b": {"requests_per_minute": 60, "models": ["chat"]}},
    )
    names = ["LLM", "Qwen/Qwen3-8B", "chat", "hidden", "mine"]
    assert client_limits(described) == {
        "a": {"parallel": 4},
        "b": {"requests_per_minute": 60, "models": names, "routes": ["/raw/chat"]},
    }
