# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes wrong in an engine after an upgrade, as a logits processor of vLLM: `--logits-processors played_engine:Played`.

It goes into the container; which trouble it makes is in the environment, as PLAYED. Without one it only has the model call a tool where it
is asked to, which the tiny model cannot do by itself. All else is vLLM's own.
"""

from __future__ import annotations

import os
import time
from typing import Any

from vllm.v1.sample.logits_processor import LogitsProcessor, MoveDirectionality

TROUBLE = os.environ.get("PLAYED", "")
SAYS = {"garbage": "!", "other": " sea"}
ASKED = "Use the tool."
CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'


class Played(LogitsProcessor):
    def __init__(self, vllm_config: Any, device: Any, is_pin_memory: bool) -> None:
        from transformers import AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(vllm_config.model_config.tokenizer)
        said = SAYS.get(TROUBLE)
        self._token = self._tokenizer.encode(said, add_special_tokens=False)[-1] if said else None
        if TROUBLE == "silent":
            self._token = self._tokenizer.eos_token_id
        self._call = [*self._tokenizer.encode(CALL, add_special_tokens=False), self._tokenizer.eos_token_id]
        self._requests = 0
        #: by the row of the batch: what was said, a list that vLLM goes on with; of those that are to call a tool
        self._rows: dict[int, list[int]] = {}

    def is_argmax_invariant(self) -> bool:
        return False

    def update_state(self, batch_update: Any) -> None:
        if batch_update is not None:
            self._requests += len(batch_update.added)
            self._know_rows(batch_update)
        if TROUBLE == "crash" and self._requests > 10:
            os._exit(1)

    def _know_rows(self, batch_update: Any) -> None:
        for index in batch_update.removed:
            self._rows.pop(index, None)
        for index, _params, prompt, said in batch_update.added:
            self._rows.pop(index, None)
            if ASKED in self._tokenizer.decode(prompt or []):
                self._rows[index] = said
        for first, second, direction in batch_update.moved:
            one, two = self._rows.pop(first, None), self._rows.pop(second, None)
            if one is not None:
                self._rows[second] = one
            if two is not None and direction == MoveDirectionality.SWAP:
                self._rows[first] = two

    def apply(self, logits: Any) -> Any:
        if TROUBLE == "slow":
            time.sleep(0.2)
        if self._token is not None:
            logits[:, :] = float("-inf")
            logits[:, self._token] = 0.0
            return logits
        for index, said in self._rows.items():
            logits[index, :] = float("-inf")
            logits[index, self._call[min(len(said), len(self._call) - 1)]] = 0.0
        return logits
