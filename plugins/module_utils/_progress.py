# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""How far a start has come, read from log lines and from the progress reports of Docker and Ollama."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from re import Pattern
from typing import Callable

PULLING = "pulling"
DOWNLOADING = "downloading"
WAITING_FOR_GPU = "waiting_for_gpu"
WAITING_FOR_MEMBERS = "waiting_for_members"
STARTING = "starting"
LOADING_WEIGHTS = "loading_weights"
COMPILING = "compiling"
CAPTURING_GRAPHS = "capturing_graphs"
WARMING_UP = "warming_up"
READY = "ready"
STOPPING = "stopping"
STOPPED = "stopped"
FAILED = "failed"

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_VLLM_PREFIX = re.compile(r"^(?:\([A-Za-z_0-9]+ pid=\d+\)\s*)+")
_VLLM_LOGGER = re.compile(r"^(?:DEBUG|INFO|WARNING|ERROR)\s+\d\d-\d\d \d\d:\d\d:\d\d\s+\[[^\]]*\]\s*")


@dataclass(frozen=True)
class Progress:
    """What one log line tells. No phase: the line adds a detail to the phase that goes on."""

    phase: str | None
    percent: int | None = None
    detail: str = ""


def clean(line: str) -> str:
    """The text a terminal would show at the end of the line: colours gone, and of a progress bar its latest state."""
    parts = [part.strip() for part in _ANSI.sub("", line).rstrip("\n").split("\r")]
    return next((part for part in reversed(parts) if part), "")


def message(line: str) -> str:
    """A line of vLLM without the prefixes of its process and its logger."""
    return _VLLM_LOGGER.sub("", _VLLM_PREFIX.sub("", clean(line)))


_Build = Callable[["re.Match[str]"], Progress]


def _fixed(phase: str | None, percent: int | None = None, detail: str = "") -> _Build:
    def build(match: re.Match[str]) -> Progress:
        return Progress(phase, percent, detail.format(*match.groups()) if detail else "")

    return build


def _bar(phase: str, detail: str = "") -> _Build:
    def build(match: re.Match[str]) -> Progress:
        return Progress(phase, min(100, int(match.group(1))), detail.format(*match.groups()) if detail else "")

    return build


_VLLM: tuple[tuple[Pattern[str], _Build], ...] = (
    (re.compile(r"Loading (?:\S+ )?checkpoint shards:\s+(\d+)% Completed \| (\d+)/(\d+)"), _bar(LOADING_WEIGHTS, "shard {1} of {2}")),
    (re.compile(r"^(?:Profiling |Capturing )CUDA graphs? ?(?:memory)?[^:]*:\s+(\d+)%\|"), _bar(CAPTURING_GRAPHS)),
    (re.compile(r"^Capturing CUDA graph"), _fixed(CAPTURING_GRAPHS)),
    (re.compile(r"Graph capturing finished in (\S+) secs"), _fixed(CAPTURING_GRAPHS, 100, "took {0} s")),
    (re.compile(r"^(?:Fetching \d+ files|Downloading \S+|\S+\.(?:safetensors|bin|gguf|pt)):\s+(\d+)%"), _bar(DOWNLOADING)),
    (re.compile(r"Time spent downloading weights for (\S+): (\S+) seconds"), _fixed(DOWNLOADING, 100, "took {1} s")),
    (re.compile(r"Resolved architecture: (\S+)"), _fixed(STARTING, None, "{0}")),
    (re.compile(r"Initializing a V1 LLM engine \(v?([^)]+)\)"), _fixed(STARTING, None, "vLLM {0}")),
    (re.compile(r"Starting to load model (\S+?)\.\.\."), _fixed(LOADING_WEIGHTS, 0)),
    (re.compile(r"Loading weights took (\S+) seconds"), _fixed(LOADING_WEIGHTS, 100, "took {0} s")),
    (re.compile(r"Model loading took (\S+) GiB"), _fixed(LOADING_WEIGHTS, 100, "{0} GiB")),
    (re.compile(r"Dynamo bytecode transform time: (\S+) s"), _fixed(COMPILING)),
    (re.compile(r"Compiling a graph for"), _fixed(COMPILING)),
    (re.compile(r"torch\.compile took (\S+) s in total"), _fixed(COMPILING, 100, "took {0} s")),
    (re.compile(r"Directly load (?:AOT compilation|the compiled graph)"), _fixed(COMPILING, 100, "from the cache")),
    (re.compile(r"Available KV cache memory: (\S+) GiB"), _fixed(None, None, "{0} GiB for the KV cache")),
    (re.compile(r"(?:GPU|CPU) KV cache size: ([\d,]+) tokens"), _fixed(None, None, "KV cache of {0} tokens")),
    (re.compile(r"init engine \(profile, create kv cache, warmup model\) took (\S+) s"), _fixed(WARMING_UP, None, "engine took {0} s")),
    (re.compile(r"^Supported tasks?: "), _fixed(WARMING_UP)),
    (re.compile(r"Starting vLLM (?:API )?server"), _fixed(WARMING_UP)),
    (re.compile(r"^(?:INFO:\s+)?Application startup complete"), _fixed(WARMING_UP)),
)

_OLLAMA: tuple[tuple[Pattern[str], _Build], ...] = (
    (re.compile(r'msg="Listening on \S+ \(version ([^)]+)\)"'), _fixed(STARTING, None, "Ollama {0}")),
    (re.compile(r'msg="inference compute".*?library=(\S+)'), _fixed(STARTING, None, "computes on {0}")),
    (re.compile(r'msg="starting (?:llama server|runner)"'), _fixed(LOADING_WEIGHTS, 0)),
    (re.compile(r'msg="model load progress (0\.\d+|1\.0+)"'), lambda m: Progress(LOADING_WEIGHTS, int(float(m.group(1)) * 100))),
    (re.compile(r"waiting for (?:llama )?(?:runner|server) to (?:start responding|become available)"), _fixed(LOADING_WEIGHTS)),
    (re.compile(r"offloaded (\d+)/(\d+) layers to GPU"), _fixed(LOADING_WEIGHTS, None, "{0} of {1} layers on the GPU")),
    (re.compile(r'msg="llama runner started in (\S+) seconds"'), _fixed(WARMING_UP, None, "model took {0} s")),
)

_OTHER: tuple[tuple[Pattern[str], _Build], ...] = (
    (re.compile(r"Waiting for application startup"), _fixed(STARTING)),
    (re.compile(r"Application startup complete"), _fixed(WARMING_UP)),
)

_TABLES: Mapping[str, tuple[tuple[Pattern[str], _Build], ...]] = {"vllm": _VLLM, "ollama": _OLLAMA}


def parse_line(kind: str, line: str) -> Progress | None:
    """What a line of an engine's log tells about its start; nothing for most lines."""
    text = message(line) if kind == "vllm" else clean(line)
    for pattern, build in _TABLES.get(kind, _OTHER):
        match = pattern.search(text)
        if match:
            return build(match)
    return None


def merge(before: Progress, line: Progress) -> Progress:
    """The state after a line: a detail alone leaves the phase as it was; a new phase forgets the old percentage."""
    if line.phase is None:
        return Progress(before.phase, before.percent, line.detail or before.detail)
    return line


_DOCKER_LAYER = re.compile(r"^([0-9a-f]{12}): (.+)$")
_DOCKER_STEPS: Mapping[str, float] = {
    "Pulling fs layer": 0.0,
    "Waiting": 0.0,
    "Verifying Checksum": 0.6,
    "Download complete": 0.6,
    "Pull complete": 1.0,
    "Already exists": 1.0,
}


class DockerPull:
    """Percentage of a C(docker pull) from its lines. Layers count alike, as their sizes are not told without a terminal."""

    def __init__(self) -> None:
        self._layers: dict[str, float] = {}

    def feed(self, line: str) -> int | None:
        match = _DOCKER_LAYER.match(clean(line))
        if match and match.group(2) in _DOCKER_STEPS:
            self._layers[match.group(1)] = _DOCKER_STEPS[match.group(2)]
        if not self._layers:
            return None
        return int(100 * sum(self._layers.values()) / len(self._layers))


@dataclass(frozen=True)
class PullReport:
    """One line of Ollama's pull stream. It answers 200 at once, so an error comes as a line as well."""

    status: str = ""
    percent: int | None = None
    error: str | None = None
    done: bool = False


def parse_ollama_pull(line: str) -> PullReport | None:
    """Reads one NDJSON line of C(POST /api/pull)."""
    try:
        document = json.loads(line)
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
    if document.get("error"):
        return PullReport(error=str(document["error"]))
    status = str(document.get("status", ""))
    total, completed = document.get("total"), document.get("completed")
    percent = None
    if isinstance(total, (int, float)) and isinstance(completed, (int, float)) and total > 0:
        percent = max(0, min(100, int(100 * completed / total)))
    return PullReport(status=status, percent=percent, done=status == "success")


_NAMES: Mapping[str, str] = {WAITING_FOR_GPU: "waiting for GPU", LOADING_WEIGHTS: "loading weights", CAPTURING_GRAPHS: "capturing graphs"}


def describe(phase: str, percent: int | None = None, detail: str = "") -> str:
    """The text of C(systemctl status), such as "loading weights 43 % (shard 3 of 7)"."""
    text = _NAMES.get(phase, phase.replace("_", " "))
    if percent is not None:
        text += f" {percent} %"
    if detail:
        text += f" ({detail})"
    return text
