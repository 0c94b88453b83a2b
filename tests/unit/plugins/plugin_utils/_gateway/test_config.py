# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.config import build_config, config_text, expected_models
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.policy import build_policy

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(path.name for path in GOLDEN.iterdir())


def gateway_host(case: dict[str, Any]) -> str:
    return str(case["hosts"][0])


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    """GOLDEN_UPDATE=1 writes what is rendered now; read the difference before committing it."""
    given = yaml.safe_load((GOLDEN / case / "gateway.yml").read_text())
    config = build_config(given, gateway_host(given))
    rendered = {
        "config.yaml": config_text(config),
        "policy.json": json.dumps(build_policy(given), indent=2, sort_keys=True) + "\n",
        "expected.json": json.dumps(expected_models(config), indent=2) + "\n",
    }
    for name, text in rendered.items():
        if os.environ.get("GOLDEN_UPDATE"):
            (GOLDEN / case / name).write_text(text)
        assert (GOLDEN / case / name).read_text() == text


def test_expected_models_counts_a_copy_per_visible_alias() -> None:
    config = {
        "model_list": [{"model_name": "chat"}, {"model_name": "chat"}, {"model_name": "vlm"}],
        "router_settings": {"model_group_alias": {"LLM": "chat", "VLM": {"model": "vlm"}, "V": {"model": "vlm", "hidden": True}}},
    }
    assert expected_models(config) == {"names": ["LLM", "VLM", "chat", "vlm"], "count": 6}


def test_config_text_is_plain_yaml() -> None:
    shared = {"a": 1}
    text = config_text({"x": shared, "y": shared})
    assert "&id" not in text
    assert yaml.safe_load(text) == {"x": {"a": 1}, "y": {"a": 1}}
