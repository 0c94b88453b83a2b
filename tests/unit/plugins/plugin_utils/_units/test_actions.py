# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._units.actions import lines

UNITS = {
    "vllm/chat": {"action": "restart", "reason": "the running container has another configuration: image a -> b"},
    "vllm/ocr": {"action": "keep", "reason": "runs as wanted"},
    "vllm/new": {"action": "start", "reason": "not running"},
    "vllm/old": {"action": "remove", "reason": "left the list of instances"},
    "litellm/gateway": {"action": "reload", "reason": "the launcher was upgraded"},
    "vllm/bad": {"action": "refused", "reason": "unknown flag"},
}


@pytest.mark.parametrize(("check_mode", "words"), [(False, ("restarts", "starts", "removes", "reloads")), (True, ("would",) * 4)])
def test_every_unit_that_is_touched_has_a_line_with_its_reason(check_mode: bool, words: tuple[str, ...]) -> None:
    told = lines("gpu1", UNITS, check_mode=check_mode)
    assert [line.split()[1] for line in told] == list(words)
    assert told[0].endswith("restart vllm/chat: " + UNITS["vllm/chat"]["reason"] if check_mode else UNITS["vllm/chat"]["reason"])
    assert told[0].startswith("gpu1: ")
