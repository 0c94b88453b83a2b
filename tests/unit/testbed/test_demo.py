# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo: what it deploys is what the bed makes for it, fits a small machine, and is judged by what it says."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from support.inventories import cpu, host, inventory
from testbed import demo, real_models, settings

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import build_plan

VARIABLES: dict[str, Any] = yaml.safe_load((settings.REPOSITORY / "inventories/demo/group_vars/all.yml").read_text())
PARIS = "The capital of France is Paris."


def test_its_models_are_those_that_the_bed_makes_for_it() -> None:
    sources = [model["source"] for model in VARIABLES["inference_models"].values()]
    assert sources == [f"/srv/models/{real_models.SMOLLM2}", f"/srv/models/{real_models.MINILM}"]


def test_it_fits_a_machine_of_six_gib() -> None:
    plan = build_plan(inventory(demo=host("inference_nodes", "gateways", hardware=cpu(memory_mib=6 * 1024 - 200), **VARIABLES)))
    assert plan["warnings"] == []
    assert plan["gateway"]["url"] == f"http://127.0.0.1:{settings.DEMO_PORT}", "where the line to paste asks it"
    assert [(instance["name"], instance["memory_mib"]) for instance in plan["hosts"]["demo"]["vllm"]] == [
        ("chat", 2048),
        ("embedding", 1024),
    ]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [([1, 0], [2, 0], 1), ([1, 0], [0, 3], 0), ([1, 1], [-2, -2], -1), ([3, 4], [4, 3], 0.96)],
)
def test_cosine(one: list[float], other: list[float], expected: float) -> None:
    assert demo.cosine(one, other) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("answer", "near", "far", "expected"),
    [
        (PARIS, 0.66, 0.07, []),
        ("Hello from tiny-chat.", 0.66, 0.07, ["chat does not know that the answer is Paris: 'Hello from tiny-chat.'"]),
        (
            PARIS,
            0.5,
            0.5,
            ['embedding holds "stock prices fell" (0.50) for as near to "a cat sits on the mat" as "a kitten rests on a rug" (0.50)'],
        ),
        (
            PARIS,
            float("nan"),
            0.07,
            ['embedding holds "stock prices fell" (0.07) for as near to "a cat sits on the mat" as "a kitten rests on a rug" (nan)'],
        ),
    ],
    ids=["well", "another answer", "as near", "no number"],
)
def test_what_models_say_is_judged(answer: str, near: float, far: float, expected: list[str]) -> None:
    assert demo.mistakes(answer, near, far) == expected
