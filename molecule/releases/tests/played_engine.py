# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes wrong in an engine after an upgrade, as a logits processor of vLLM: `--logits-processors played_engine:Played`.

It goes into the container; which trouble it makes is in the environment, as PLAYED. All else is vLLM's own.
"""

from __future__ import annotations

import os
import time
from typing import Any

from vllm.v1.sample.logits_processor import LogitsProcessor

TROUBLE = os.environ.get("PLAYED", "")
SAYS = {"garbage": "!", "other": " sea"}


class Played(LogitsProcessor):
    def __init__(self, vllm_config: Any, device: Any, is_pin_memory: bool) -> None:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(vllm_config.model_config.tokenizer)
        said = SAYS.get(TROUBLE)
        self._token = tokenizer.encode(said, add_special_tokens=False)[-1] if said else None
        if TROUBLE == "silent":
            self._token = tokenizer.eos_token_id
        self._requests = 0

    def is_argmax_invariant(self) -> bool:
        return False

    def update_state(self, batch_update: Any) -> None:
        if batch_update is not None:
            self._requests += len(batch_update.added)
        if TROUBLE == "crash" and self._requests > 10:
            os._exit(1)

    def apply(self, logits: Any) -> Any:
        if TROUBLE == "slow":
            time.sleep(0.2)
        if self._token is not None:
            logits[:, :] = float("-inf")
            logits[:, self._token] = 0.0
        return logits
