# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.llmops.gpu_inference.plugins.filter.units import container_unit_endpoints
from ansible_collections.llmops.gpu_inference.plugins.module_utils._ready_options import argument_spec
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_options import PROBE
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.vllm_unit import container_unit


def test_an_engine_is_watched_by_port_and_unit() -> None:
    instance = {"name": "chat", "model": "/srv/models/tiny-chat", "image": "vllm/vllm-openai:v0.32.0", "port": 8070}
    assert container_unit_endpoints([container_unit(instance, api_key="engine-key-of-node1")]) == [
        {
            "name": "chat",
            "unit": "vllm@chat.service",
            "base_url": "http://127.0.0.1:8070/v1",
            "health_path": "/health",
            "level": "answer",
            "capability": "chat",
            "model": "chat",
            "modalities": [],
            "api_key": "engine-key-of-node1",
        }
    ]
    assert "api_key" not in container_unit_endpoints([container_unit(instance)])[0]


def test_an_answer_must_come_from_the_configuration_of_this_run() -> None:
    unit = {"kind": "vllm", "name": "chat", "probe": {"base_url": "http://127.0.0.1:8070/v1"}}
    reconciled = {"vllm/chat": {"config_hash": "abc"}, "vllm/other": {"config_hash": "def"}}
    assert container_unit_endpoints([unit], reconciled)[0]["config_hash"] == "abc"
    assert "config_hash" not in container_unit_endpoints([unit], {})[0]


def test_all_that_a_unit_says_of_its_probe_is_an_option_of_the_module_that_waits() -> None:
    options = argument_spec()["endpoints"]["options"]
    assert {*PROBE} - {"api_key_variable"} <= {*options}
    instance = {"name": "chat", "model": "org/m", "image": "i", "port": 1, "adapters": {"sql": "/a"}}
    (endpoint,) = container_unit_endpoints([container_unit(instance)])
    assert endpoint["further_models"] == ["sql"]
    assert {*endpoint} <= {*options}
