# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A language model from GGUF to safetensors with its tokenizer and chat template: python3 convert.py FILE.gguf FOLDER

It runs in the engine's image: vLLM reads GGUF only through a plugin, and what it reads best is what transformers writes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
from transformers.utils import logging


def main(source: Path, out: Path) -> None:
    logging.disable_progress_bar()
    # Without dequantize the weights stay packed, and cannot be saved.
    model = AutoModelForCausalLM.from_pretrained(
        source.parent, gguf_file=source.name, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
    )
    model.save_pretrained(out)
    AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name).save_pretrained(out)
    for file in out.iterdir():
        file.chmod(0o644)  # weights are saved as 0600, and not every server runs as root


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
