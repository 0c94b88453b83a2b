# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a LoRA adapter for the model tiny-chat, as PEFT saves one: python3 adapter.py FOLDER [RANK]. Standard library only.

Its weights are random with a fixed seed, and so large that they drown what the model was scripted to reply: whoever is asked by the
adapter's name answers with something else.
"""

from __future__ import annotations

import json
import random
import struct
import sys
from pathlib import Path

HIDDEN, LAYERS = 64, 2
#: Its input, all heads together, is as wide as the model.
MODULE = "self_attn.o_proj"


def make(folder: Path, rank: int = 8) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": 64 * rank, "target_modules": [MODULE.rpartition(".")[2]], "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "adapter_model.safetensors").write_bytes(safetensors(tensors(rank)))


def tensors(rank: int) -> dict[str, tuple[list[int], list[float]]]:
    """Shape and values of each matrix."""
    dice = random.Random(0)
    shapes = {"lora_A": [rank, HIDDEN], "lora_B": [HIDDEN, rank]}
    return {
        f"base_model.model.model.layers.{layer}.{MODULE}.{matrix}.weight": (shape, [dice.gauss(0, 1) for _ in range(rank * HIDDEN)])
        for layer in range(LAYERS)
        for matrix, shape in shapes.items()
    }


def safetensors(wanted: dict[str, tuple[list[int], list[float]]]) -> bytes:
    """The file format: length of a JSON header, the header, then all values."""
    header: dict[str, object] = {}
    data = b""
    for name, (shape, values) in wanted.items():
        packed = struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(packed)]}
        data += packed
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


if __name__ == "__main__":
    make(Path(sys.argv[1]), *map(int, sys.argv[2:]))
