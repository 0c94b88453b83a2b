# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _served as served


def test_configurations_are_recorded_the_last_one_last(tmp_path: Path) -> None:
    path = tmp_path / "served/vllm@chat.json"
    assert served.read(path) == {}
    served.record(path, "a", 1.0)
    served.record(path, "b", 2.0)
    served.record(path, "a", 1.5)  # the clock was set back
    assert list(served.read(path).items()) == [("b", 2.0), ("a", 1.5)]
    for number in range(40):
        served.record(path, str(number), 3.0)
    assert list(served.read(path)) == [str(number) for number in range(40 - served.KEPT, 40)]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"ready": []}', '{"ready": {"a": "soon"}}'])
def test_a_damaged_record_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    assert served.read(path) == {}
