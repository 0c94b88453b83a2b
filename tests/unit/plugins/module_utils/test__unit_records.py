# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a report reads on a node."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _releases as releases
from ansible_collections.llmops.gpu_inference.plugins.module_utils import _unit_records as records
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import Instance, Paths


def test_the_newest_release_of_each_unit_without_its_environment(tmp_path: Path) -> None:
    folder = tmp_path / "releases/vllm@chat"
    for number in range(1, 11):
        document = {"config_hash": "aa", "environment": {"A": "b"}, "proof": {"speed": 1} if number < 10 else None}
        releases.record(Paths(lasting=tmp_path), Instance("vllm", "chat"), document)
    (folder / "before.json").write_text("{}")
    (folder / "0011.json").write_text("{")
    assert records.newest_releases(Paths(lasting=tmp_path)) == {"vllm@chat": {"number": 10, "config_hash": "aa", "proved": False}}
    assert records.newest_releases(Paths(lasting=tmp_path / "none")) == {}


def test_the_memory_of_gpus() -> None:
    def run(argv: Sequence[str], _timeout: float, _text: str = "", /) -> Ran:
        assert argv[0] == "nvidia-smi"
        return Ran(0, "GPU-1, 32607, 13100\nGPU-2, [N/A], [N/A]\n")

    assert records.gpu_memory(run) == {"GPU-1": {"total_mib": 32607, "used_mib": 13100}}
    assert records.gpu_memory(lambda *_arguments: Ran(127, "", "not found")) == {}
