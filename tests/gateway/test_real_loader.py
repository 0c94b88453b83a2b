# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every golden configuration in the real LiteLLM, and every broken one refused with its reason.

Needs a Python with LiteLLM's proxy: ``LITELLM_PYTHON=/path/to/python pytest tests/gateway``.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _litellm

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests/unit/plugins/module_utils/golden/litellm"
FILES = ROOT / "roles/litellm/files"
PYTHON = os.environ.get("LITELLM_PYTHON", "")

pytestmark = pytest.mark.skipif(not PYTHON, reason="LITELLM_PYTHON names no Python with LiteLLM")

Change = Callable[[dict[str, Any]], None]


def check(folder: Path, config: dict[str, Any], expected: dict[str, Any], policy: dict[str, Any]) -> dict[str, Any]:
    for path in FILES.glob("*.py"):
        shutil.copy(path, folder)
    (folder / "config.yaml").write_text(_litellm.config_text(config))
    (folder / "expected.json").write_text(json.dumps(expected))
    (folder / "policy.json").write_text(json.dumps(policy))
    environment = {**_litellm.BASE_ENVIRONMENT, "PATH": os.environ["PATH"], "PYTHONPATH": str(folder), "HOME": str(folder)}
    environment.update(dict.fromkeys(_litellm.referenced_variables(config), "checking"))
    done = subprocess.run(
        [PYTHON, str(folder / "check_config.py"), str(folder / "config.yaml"), str(folder / "expected.json")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == (0 if result["ok"] else 1)
    return result


def case(name: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    folder = GOLDEN / name
    return tuple(yaml.safe_load((folder / file).read_text()) for file in ("config.yaml", "expected.json", "policy.json"))


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.iterdir()))
def test_golden_loads(name: str, tmp_path: Path) -> None:
    config, expected, policy = case(name)
    if "prometheus" in config["litellm_settings"]["callbacks"]:
        # Its package is an extra that the image has and a plain LiteLLM lacks.
        config["litellm_settings"]["callbacks"].remove("prometheus")
    result = check(tmp_path, config, expected, policy)
    assert result["problems"] == []
    assert result["names"] == expected["names"]
    assert result["count"] == expected["count"]


def set_in(*path: Any) -> Change:
    """Put the last item where the others lead."""

    def change(config: dict[str, Any]) -> None:
        *way, key, value = path
        node: Any = config
        for step in way:
            node = node[step]
        node[key] = value

    return change


def drop_model(config: dict[str, Any]) -> None:
    del config["model_list"][0]["litellm_params"]["model"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (set_in("model_list", 0, "litellm_params", "model", "hosted_vlm/chat"), "LiteLLM does not serve"),
        (drop_model, "model_list[0] (chat) has no litellm_params.model"),
        (set_in("model_list", None), "has no model_list"),
        (set_in("router_settings", "routing_strategy", "fastest"), "Invalid routing_strategy: 'fastest'"),
        (set_in("router_settings", "num_retry", 1), "router_settings.num_retry is no setting of this LiteLLM; num_retries is"),
        (set_in("general_settings", "cancel_on_disconect", True), "cancel_on_disconnect is"),
        (set_in("litellm_settings", "drop_param", True), "drop_params is"),
        (set_in("litellm_settings", "callbacks", ["nothere.x"]), "Could not import x from nothere"),
        (set_in("router_settings", "model_group_alias", "Z", "nope"), "points to 'nope'"),
        (set_in("router_settings", "fallbacks", [{"asr": ["nope"]}]), "names 'nope'"),
        (set_in("general_settings", "custom_auth", "gateway_auth.nothing"), "nothing"),
    ],
)
def test_broken_is_refused_with_its_reason(change: Change, reason: str, tmp_path: Path) -> None:
    config, expected, policy = case("one_card")
    broken = copy.deepcopy(config)
    change(broken)
    result = check(tmp_path, broken, expected, policy)
    assert not result["ok"]
    assert any(reason in problem for problem in result["problems"]), result["problems"]
