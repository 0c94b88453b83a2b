# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""C(vllm bench serve), which every image of vLLM has, as the load generator of a benchmark.

It makes its prompts of a tokenizer's words. Ours is a list of words, so it needs neither the model's files nor the hub, and measures any
server. A server of vLLM tells it how it divides them itself, and it cuts each prompt to the length that is asked for
(C(_align_prompts_to_server_tokenizer) in vllm/benchmarks/serve.py, read in 0.32).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar

from ...module_utils._benchmark_run import FOLDER, RESULT
from .load_generator import Load, LoadGenerator

_TOKENIZER = "tokenizer"
_FIRST = (
    "amber ancient autumn blue brave bright broad calm clear cloud cold copper coral dark dawn deep dry early east evening far fast "
    "fire flat fresh frost gentle glass gold grand gray green harbor heavy high hollow iron ivory kind late light long low mild moon "
    "morning narrow new night north old open pale plain quick quiet red rich river round salt sharp"
)
_SECOND = (
    "apple arch bank bark basin bay beach bell bird boat bridge brook castle cave chair city coast corner desert door farm field flower "
    "forest garden gate glen hall hat hill horse house island lake lamp land leaf map market meadow mill mountain ocean paper park path "
    "pond road rock sail school shore smith song spring stone street table tower tree valley village wall wind"
)
#: Tokens that a word of two has with most models.
_PER_WORD = 2


class VllmBench(LoadGenerator):
    title = "vllm bench serve"
    capabilities = frozenset({"chat", "embedding"})
    entrypoint = "vllm"
    key_variable = "OPENAI_API_KEY"
    environment: ClassVar[Mapping[str, str]] = {
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "HOME": "/tmp",  # noqa: S108 - the container's own
        "NO_COLOR": "1",
        "NVIDIA_VISIBLE_DEVICES": "void",  # the images ask for all GPUs
        "VLLM_NO_USAGE_STATS": "1",
    }
    figures: ClassVar[Mapping[str, str]] = {
        "completed": "completed",
        "duration": "duration",
        "input_tokens": "total_input_tokens",
        "output_tokens": "total_output_tokens",
        "request_throughput": "request_throughput",
        "output_throughput": "output_throughput",
        "total_throughput": "total_token_throughput",
        **{
            f"{ours}_{what}": f"{what}_{its}_ms"
            for ours, its in (("ttft", "ttft"), ("itl", "itl"), ("tpot", "tpot"))
            for what in ("median", "p99")
        },
        "e2e_median": "median_e2el_ms",
        "e2e_p99": "p99_e2el_ms",
    }

    def files(self) -> Mapping[str, str]:
        words = ["[UNK]", *(first + second for first in _FIRST.split() for second in _SECOND.split())]
        unknown = {
            "id": 0,
            "content": words[0],
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        tokenizer = {
            "version": "1.0",
            "added_tokens": [unknown],
            "pre_tokenizer": {"type": "WhitespaceSplit"},
            "model": {"type": "WordLevel", "vocab": {word: number for number, word in enumerate(words)}, "unk_token": words[0]},
        }
        return {
            f"{_TOKENIZER}/tokenizer.json": json.dumps(tokenizer, separators=(",", ":")),
            f"{_TOKENIZER}/tokenizer_config.json": json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": words[0]}),
        }

    def arguments(self, load: Load) -> list[str]:
        words = load.input_tokens if load.counts_tokens else max(1, load.input_tokens // _PER_WORD)
        chat = load.capability == "chat"
        argv = ["bench", "serve", "--base-url", load.base_url, "--model", load.model]
        argv += ["--backend", "openai-chat" if chat else "openai-embeddings"]
        argv += ["--endpoint", "/v1/chat/completions" if chat else "/v1/embeddings"]
        argv += ["--tokenizer", f"{FOLDER}/{_TOKENIZER}", "--dataset-name", "random", "--seed", str(load.seed)]
        argv += ["--random-input-len", str(words), "--num-prompts", str(load.requests)]
        argv += ["--max-concurrency", str(load.concurrency), "--num-warmups", str(load.concurrency), "--disable-tqdm"]
        if chat:
            # Of random prompts it also asks for answers that go on to their full length.
            argv += ["--random-output-len", str(load.output_tokens), "--temperature", "0", "--percentile-metrics", "ttft,tpot,itl,e2el"]
        return [*argv, "--metric-percentiles", "99", "--save-result", "--result-dir", FOLDER, "--result-filename", RESULT]
