# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a tiny model with the window that coding agents want: python3 make_agent.py FOLDER,
with the folder of make_models.py in PYTHONPATH.

What it says is up to the script beside it (agent_script.py), which vLLM has to be given.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import make_models as tiny  # type: ignore[import-not-found]
import torch
import transformers as tf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

HERE = Path(__file__).resolve().parent
WINDOW = 262144
# What a chat is told besides: the tools, and which of them were called.
TOOLS = "{% if tools %}<|im_start|>system\nTools:\n{% for t in tools %}{{ t | tojson }}\n{% endfor %}<|im_end|>\n{% endif %}"
CALLS = "{% for c in m['tool_calls'] or [] %}<tool_call>{{ c['function'] | tojson }}</tool_call>{% endfor %}"


def word_tokenizer() -> Any:
    """One that has learnt words from Python's own library: with a token for each byte the first prompt of an agent would have 50,000."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=8192, special_tokens=tiny.CHAT_TOKENS, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
    )
    tokenizer.train([str(path) for path in sorted(Path(shutil.__file__).parent.glob("*.py"))], trainer)
    return tf.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")


def main(folder: Path) -> None:
    tokenizer = word_tokenizer()
    tokenizer.chat_template = TOOLS + tiny.CHATML.replace("<|im_end|>", CALLS + "<|im_end|>")
    config = tiny.qwen3(tokenizer, tied=False)
    config.max_position_embeddings = WINDOW
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    tf.Qwen3ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    shutil.copy(HERE / "agent_script.py", folder)
    for file in folder.iterdir():
        file.chmod(0o644)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
