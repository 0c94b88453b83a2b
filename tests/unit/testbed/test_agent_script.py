# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the model of the scenario `agents` says, so that it says it to what module client_run asks for."""

from __future__ import annotations

import json

import pytest
from testbed.recipes.agent.agent_script import ANSWER, reply

from ansible_collections.llmops.gpu_inference.plugins.module_utils._client_run import FILE_NAME, task

FOLDER = "/tmp/gpu-inference-verify-a1b2"


def prompt(tool: str, *, answered: bool = False) -> str:
    parts = [
        f'system\nTools:\n{{"type": "function", "function": {{"name": "{tool}"}}}}\n',
        f"user\nYou work in {FOLDER}.\n{task('word-1')}",
        *(["tool\nwritten"] if answered else []),
    ]
    return "".join(f"<|im_start|>{part}<|im_end|>\n" for part in parts) + "<|im_start|>assistant\n"


@pytest.mark.parametrize("tool", ["Write", "write", "exec_command", "shell_command", "shell"])
def test_it_calls_the_tool_that_is_offered(tool: str) -> None:
    said = reply(prompt(tool))
    call = json.loads(said.removeprefix("<tool_call>\n").removesuffix("\n</tool_call>"))
    assert call["name"] == tool
    assert f"{FOLDER}/{FILE_NAME}" in json.dumps(call["arguments"])
    assert "word-1" in json.dumps(call["arguments"])


TALK = "<|im_start|>user\nA title for this?<|im_end|>\n"


@pytest.mark.parametrize("asked", [prompt("Write", answered=True), prompt("Read"), TALK], ids=["done", "tool", "talk"])
def test_otherwise_it_ends(asked: str) -> None:
    assert reply(asked) == ANSWER
