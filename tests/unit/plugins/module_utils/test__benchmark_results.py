# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The results of benchmarks on a host."""

from __future__ import annotations

import json
from pathlib import Path

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _benchmark_results as results
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import Paths


def test_the_newest_ten_of_each_unit_stay(tmp_path: Path) -> None:
    paths = Paths(lasting=tmp_path)
    for day in range(1, 13):
        results.store("vllm@chat", f"2026-11-{day:02d}T10:00:00Z", json.dumps({"day": day}), paths)
    place = results.store("gateway@org/model", "2026-11-01T10:00:00Z", json.dumps({"day": 0}), paths)
    assert place == tmp_path / "benchmarks/gateway@org_model/2026-11-01T10_00_00Z.json"
    (tmp_path / "benchmarks/vllm@chat/broken.json").write_text("{")
    assert [document["day"] for document in results.all_of(paths)] == [0, *range(3, 13)]


def test_a_host_without_any(tmp_path: Path) -> None:
    assert results.all_of(Paths(lasting=tmp_path)) == []
