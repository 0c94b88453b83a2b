# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What no file can hold, anywhere in an inventory."""

from __future__ import annotations

from typing import Any

import pytest
from support.inventories import changed

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import PlanError, build_plan
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.values import DEEPEST


def findings(given: dict[str, Any]) -> list[str]:
    try:
        build_plan(given)
    except PlanError as error:
        return [str(finding) for finding in error.findings]
    return []


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("a\x00b", "NUL"),
        ("a\udc80b", "surrogate"),
        (float("nan"), "no number"),
        (float("-inf"), "no number"),
        pytest.param(10**5000, "larger number", id="huge"),
        (2**63, "larger number"),
        ({"a\x00": 1}, "a key with a NUL"),
        ([[["a\ud800"]]], "surrogate"),
    ],
)
@pytest.mark.parametrize(
    "path",
    [
        ("inference_models", "chat", "request_defaults", "user"),
        ("inference_models", "chat", "engine_args", "hf-overrides"),
        ("inference_gateway", "settings", "litellm_settings", "x"),
        ("inference_clients_config", 1, "connections"),
        ("inference_services",),
        ("inference_data_dir",),
        ("inference_no_such_variable",),
    ],
)
def test_what_no_file_can_hold(path: tuple[Any, ...], value: Any, said: str) -> None:
    found = findings(changed(path, value))
    (finding,) = (line for line in found if said in line)
    assert finding.startswith(path[0])
    # What is wrong about a place that is null now, or of another type, is told too.
    assert len(found) == 1 or len(path) == 1


@pytest.mark.parametrize("kind", [list, dict])
def test_what_is_nested_too_deep(kind: type) -> None:
    deep: Any = 1
    for _ in range(DEEPEST - 3):
        deep = [deep] if kind is list else {"a": deep}
    path = ("inference_models", "chat", "request_defaults", "user")
    assert findings(changed(path, deep)) == []
    for _ in range(400):
        deep = [deep] if kind is list else {"a": deep}
    (finding,) = findings(changed(path, deep))
    assert f"more than {DEEPEST} levels" in finding
