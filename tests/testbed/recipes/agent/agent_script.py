# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the model tiny-agent says, as a logits processor of vLLM: `--logits-processors agent_script:AgentScript`.

A coding agent that asks for the task of module client_run gets a call of its own tool for writing a file, and once a tool has answered,
an end. The words of the task differ from run to run, so no chain of tokens in the weights could say them. All else is vLLM's own:
the chat template, the parser of tool calls, the schedule, the streams.
"""

from __future__ import annotations

import json
import re
from typing import Any

ANSWER = "The file is written."
TOOL_ANSWERED = "<|im_start|>tool\n"
#: As module client_run asks, and where it has programs work.
TEXT_OF_TASK = re.compile(r"Write a file named ([\w.]+) in the current folder\. Its whole text is: ([\w-]+)")
FOLDER_OF_RUN = re.compile(r"/tmp/gpu-inference-verify-\w+")


def writing(path: str, text: str) -> dict[str, dict[str, Any]]:
    """By the names of tools that write files: the arguments with which this one is written."""
    return {
        "Write": {"file_path": path, "content": text},
        "write": {"filePath": path, "content": text},
        "exec_command": {"cmd": f"printf '%s' '{text}' > {path}"},
        "shell_command": {"command": f"printf '%s' '{text}' > {path}"},
        "shell": {"command": ["sh", "-c", f"printf '%s' '{text}' > {path}"]},
    }


def reply(prompt: str) -> str:
    """What is said to a prompt in the form of this model's chat template."""
    task, folder = TEXT_OF_TASK.search(prompt), FOLDER_OF_RUN.search(prompt)
    if task is None or folder is None or TOOL_ANSWERED in prompt:
        return ANSWER
    for name, arguments in writing(f"{folder.group()}/{task.group(1)}", task.group(2)).items():
        if re.search(rf'"name":\s*"{name}"', prompt):
            return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"
    return ANSWER


try:
    from vllm.v1.sample.logits_processor import LogitsProcessor, MoveDirectionality
except ModuleNotFoundError:  # where only the words are wanted
    pass
else:

    class AgentScript(LogitsProcessor):
        """Lets each request say its reply and nothing else."""

        def __init__(self, vllm_config: Any, device: Any, is_pin_memory: bool) -> None:
            from transformers import AutoTokenizer

            self._tokenizer = AutoTokenizer.from_pretrained(vllm_config.model_config.tokenizer)
            #: by the row of the batch: the tokens to say, and those that were said, a list that vLLM goes on with
            self._rows: dict[int, tuple[list[int], list[int]]] = {}

        def is_argmax_invariant(self) -> bool:
            return False

        def update_state(self, batch_update: Any) -> None:
            if batch_update is None:
                return
            for index in batch_update.removed:
                self._rows.pop(index, None)
            for index, _params, prompt, said in batch_update.added:
                words = reply(self._tokenizer.decode(prompt or []))
                tokens = self._tokenizer.encode(words, add_special_tokens=False)
                self._rows[index] = ([*tokens, self._tokenizer.eos_token_id], said)
            for first, second, direction in batch_update.moved:
                one, two = self._rows.pop(first, None), self._rows.pop(second, None)
                if one is not None:
                    self._rows[second] = one
                if two is not None and direction == MoveDirectionality.SWAP:
                    self._rows[first] = two

        def apply(self, logits: Any) -> Any:
            for index, (tokens, said) in self._rows.items():
                token = tokens[min(len(said), len(tokens) - 1)]
                logits[index, :] = float("-inf")
                logits[index, token] = 0.0
            return logits
