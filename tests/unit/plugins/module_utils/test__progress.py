# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _progress as progress
from ansible_collections.llmops.gpu_inference.plugins.module_utils._progress import DockerPull, Progress, PullReport

# Lines of vLLM 0.32.0; those about CUDA graphs and torch.compile are put together from its source.
VLLM = [
    (
        "(APIServer pid=6) INFO 11-20 10:38:12 [model.py:617] Resolved architecture: Qwen3ForCausalLM",
        Progress("starting", None, "Qwen3ForCausalLM"),
    ),
    (
        "(EngineCore pid=77) INFO 11-20 10:38:20 [core.py:95] Initializing a V1 LLM engine (v0.32.0) with config: model='/srv/models/x'",
        Progress("starting", None, "vLLM 0.32.0"),
    ),
    (
        "(EngineCore pid=77) INFO 11-20 10:38:21 [weight_utils.py:501] Time spent downloading weights for Qwen/Qwen3-0.6B: 12.345 seconds",
        Progress("downloading", 100, "took 12.345 s"),
    ),
    (
        "(EngineCore pid=77) INFO 11-20 10:38:21 [gpu_model_runner.py:2844] Starting to load model /srv/models/x...",
        Progress("loading_weights", 0),
    ),
    (
        "(EngineCore pid=77) \rLoading safetensors checkpoint shards:  25% Completed | 2/8 [00:01<00:03,  1.61it/s]\n",
        Progress("loading_weights", 25, "shard 2 of 8"),
    ),
    (
        "\rLoading safetensors checkpoint shards: 100% Completed | 8/8 [00:04<00:00,  1.9it/s]\r\n",
        Progress("loading_weights", 100, "shard 8 of 8"),
    ),
    (
        "(Worker_TP0 pid=90) Loading pt checkpoint shards:  50% Completed | 1/2 [00:01<00:01]",
        Progress("loading_weights", 50, "shard 1 of 2"),
    ),
    (
        "(EngineCore pid=77) INFO 11-20 10:38:22 [default_loader.py:308] Loading weights took 3.21 seconds",
        Progress("loading_weights", 100, "took 3.21 s"),
    ),
    (
        "(EngineCore pid=77) INFO 11-20 10:38:22 [gpu_model_runner.py:2896] Model loading took 4.1234 GiB memory and 5.67 seconds",
        Progress("loading_weights", 100, "4.1234 GiB"),
    ),
    ("INFO 11-20 10:38:30 [backends.py:559] Dynamo bytecode transform time: 6.01 s", Progress("compiling")),
    ("INFO 11-20 10:38:39 [backends.py:218] Compiling a graph for compile range (1, 8192) takes 9.90 s", Progress("compiling")),
    ("INFO 11-20 10:38:41 [monitor.py:34] torch.compile took 20.10 s in total", Progress("compiling", 100, "took 20.10 s")),
    (
        "INFO 11-20 10:38:30 [decorators.py:256] Directly load AOT compilation from path /root/.cache/vllm/x",
        Progress("compiling", 100, "from the cache"),
    ),
    ("INFO 11-20 10:38:42 [gpu_worker.py:298] Available KV cache memory: 7.52 GiB", Progress(None, None, "7.52 GiB for the KV cache")),
    (
        "INFO 11-20 10:38:42 [kv_cache_utils.py:1087] GPU KV cache size: 109,520 tokens, Maximum concurrency for 8192: 13.37x",
        Progress(None, None, "KV cache of 109,520 tokens"),
    ),
    ("Capturing CUDA graphs (decode, FULL):  35%|███▌      | 12/35 [00:02<00:04,  5.2it/s]", Progress("capturing_graphs", 35)),
    (
        "\rCapturing CUDA graphs (mixed, PIECEWISE):   0%|  | 0/67\rCapturing CUDA graphs (mixed, PIECEWISE):  99%|█▉| 66/67\r",
        Progress("capturing_graphs", 99),
    ),
    (
        "INFO 11-20 10:38:50 [gpu_model_runner.py:3480] Graph capturing finished in 8 secs, took 0.61 GiB",
        Progress("capturing_graphs", 100, "took 8 s"),
    ),
    (
        "INFO 11-20 10:38:51 [core.py:218] init engine (profile, create kv cache, warmup model) took 24.50 seconds",
        Progress("warming_up", None, "engine took 24.50 s"),
    ),
    ("(APIServer pid=6) INFO 11-20 10:38:52 [api_server.py:1634] Supported tasks: ['generate']", Progress("warming_up")),
    ("(APIServer pid=6) INFO 11-20 10:38:52 [api_server.py:1912] Starting vLLM server on http://0.0.0.0:8000", Progress("warming_up")),
    ("INFO:     Application startup complete.", Progress("warming_up")),
    ("model-00001-of-00002.safetensors:  12%|█▏        | 503M/4.20G [00:05<00:36, 101MB/s]", Progress("downloading", 12)),
    ("Fetching 10 files:  30%|███       | 3/10 [00:02<00:05,  1.29it/s]", Progress("downloading", 30)),
    ('INFO:     10.200.0.1:56116 - "GET /health HTTP/1.1" 200 OK', None),
    ("(APIServer pid=6) INFO 11-20 10:38:29 [launcher.py:195] Route: /v1/messages, Methods: POST", None),
    ("", None),
]

OLLAMA = [
    (
        'time=2026-11-20T10:00:00.000Z level=INFO source=routes.go:1332 msg="Listening on [::]:11434 (version 0.32.15)"',
        Progress("starting", None, "Ollama 0.32.15"),
    ),
    (
        'time=2026-11-20T10:00:00.000Z level=INFO source=types.go:42 msg="inference compute" id=GPU-8f library=CUDA compute=12.0',
        Progress("starting", None, "computes on CUDA"),
    ),
    ("load_tensors: offloaded 29/37 layers to GPU", Progress("loading_weights", None, "29 of 37 layers on the GPU")),
    ('time=2026-11-20T10:00:03.000Z level=DEBUG source=server.go:1 msg="model load progress 0.43"', Progress("loading_weights", 43)),
    (
        'time=2026-11-20T10:00:03.000Z level=INFO source=server.go:1 msg="waiting for llama runner to start responding"',
        Progress("loading_weights"),
    ),
    (
        'time=2026-11-20T10:00:05.000Z level=INFO source=server.go:1 msg="llama runner started in 2.51 seconds"',
        Progress("warming_up", None, "model took 2.51 s"),
    ),
    ('[GIN] 2026/11/20 - 10:00:06 | 200 |  1.2ms | 127.0.0.1 | GET "/api/tags"', None),
]


@pytest.mark.parametrize(("line", "expected"), VLLM)
def test_vllm_lines(line: str, expected: Progress | None) -> None:
    assert progress.parse_line("vllm", line) == expected


@pytest.mark.parametrize(("line", "expected"), OLLAMA)
def test_ollama_lines(line: str, expected: Progress | None) -> None:
    assert progress.parse_line("ollama", line) == expected


def test_other_kinds_know_uvicorn() -> None:
    assert progress.parse_line("litellm", "INFO:     Application startup complete.") == Progress("warming_up")


@pytest.mark.parametrize(
    ("before", "line", "after"),
    [
        (Progress("compiling", 100, "took 3 s"), Progress(None, None, "KV cache"), Progress("compiling", 100, "KV cache")),
        (Progress("loading_weights", 100, "x"), Progress("compiling"), Progress("compiling")),
    ],
)
def test_merge(before: Progress, line: Progress, after: Progress) -> None:
    assert progress.merge(before, line) == after


def test_docker_pull_counts_layers() -> None:
    pull = DockerPull()
    lines = [
        ("v0.32.0: Pulling from vllm/vllm-openai", None),
        ("0123456789ab: Pulling fs layer", 0),
        ("1123456789ab: Already exists", 50),
        ("0123456789ab: Download complete", 80),
        ("0123456789ab: Pull complete", 100),
        ("Digest: sha256:00", 100),
    ]
    assert [pull.feed(line) for line, _percent in lines] == [percent for _line, percent in lines]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"status":"pulling manifest"}', PullReport("pulling manifest")),
        ('{"status":"pulling abc","digest":"sha256:abc","total":200,"completed":50}', PullReport("pulling abc", 25)),
        ('{"status":"success"}', PullReport("success", None, None, True)),
        ('{"error":"pull model manifest: file does not exist"}', PullReport(error="pull model manifest: file does not exist")),
        ("not json", None),
        ("[]", None),
    ],
)
def test_ollama_pull(line: str, expected: PullReport | None) -> None:
    assert progress.parse_ollama_pull(line) == expected


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("loading_weights", 43, ""), "loading weights 43 %"),
        (("loading_weights", 43, "shard 3 of 7"), "loading weights 43 % (shard 3 of 7)"),
        (("waiting_for_gpu", None, "held by vllm@chat.service"), "waiting for GPU (held by vllm@chat.service)"),
        (("ready", None, ""), "ready"),
    ],
)
def test_describe(arguments: tuple[str, int | None, str], text: str) -> None:
    assert progress.describe(*arguments) == text
