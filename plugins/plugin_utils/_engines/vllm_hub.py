# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What a vLLM engine loads from a model hub: its model, and every repository that its arguments name.

Which argument names one, and at which revision, was read in vLLM 0.32: config/model.py, config/speculative.py, lora/utils.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .vllm_flags import keyed, settings, whole_value

#: A tokenizer's files, templates and code among them.
TEXTS = ("*.json", "*.txt", "*.model", "*.py", "*.jinja", "*.tiktoken")
WEIGHTS = ("*.safetensors", *TEXTS)
#: Formats whose files are the safetensors of the repository; others are left to the engine.
_PLAIN_FORMATS = (None, "auto", "hf", "safetensors", "fastsafetensors")
#: Ways of speculation that older inventories name in place of a model.
_NO_DRAFTS = ("ngram", "[ngram]", "ngram_gpu", "suffix", "mtp")
_TRUE = ("1", "on", "true", "yes")

# Weights come before the lock of the GPU is taken, so that a neighbour need not wait for a download. What the program cannot
# judge it leaves to the engine. The bar is shown as lines, since the launcher reads the percentage from them.
DOWNLOAD_PROGRAM = """
import json, os, sys
try:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError
    from tqdm.auto import tqdm
except ImportError as error:
    print("not downloaded beforehand:", error)
    sys.exit(0)
class Lines(tqdm):
    name, shown = "", (0, 0)
    def display(self, *arguments, **options):
        # Several bars take turns: bytes received, bytes written, files. The total grows while files are found.
        now = (self.total or 0, int(100 * self.n / self.total) if self.total else 0)
        if self.unit == "B" and self.n and now > Lines.shown:
            Lines.shown = now
            print("Downloading %s: %d%%|" % (Lines.name, now[1]), flush=True)
for wanted in json.loads(sys.argv[1]):
    Lines.name, Lines.shown = wanted["name"], (0, 0)
    if os.path.exists(wanted["name"]):
        continue
    try:
        snapshot_download(
            wanted["name"],
            revision=wanted["revision"],
            cache_dir=wanted["folder"],
            allow_patterns=wanted["files"],
            ignore_patterns=["original/**", "metal/**"],
            tqdm_class=Lines,
        )
    except HFValidationError as error:
        print("not downloaded beforehand:", error)
""".strip()


@dataclass(frozen=True)
class Repository:
    """What to fetch. C(files) None means all of it; C(folder) None the hub's own cache."""

    name: str
    revision: str | None = None
    files: tuple[str, ...] | None = None
    folder: str | None = None


def is_local(name: str) -> bool:
    """Whether a model, adapter or tokenizer is a path or an address, and so no repository of the hub."""
    return not name or name.startswith(("/", ".", "~")) or "://" in name


def repositories(instance: Mapping[str, Any]) -> list[Repository]:
    """Every repository that the engine loads, each once."""
    found: dict[tuple[str, str | None], Repository] = {}
    for item in _named(instance):
        if not is_local(item.name):
            found.setdefault((item.name, item.revision), item)
    return list(found.values())


def _named(instance: Mapping[str, Any]) -> Iterator[Repository]:
    arguments = keyed(instance.get("engine_args") or {})
    revision = _text(instance.get("revision"))
    folder = _text(arguments.get("download-dir"))
    plain = arguments.get("load-format") in _PLAIN_FORMATS
    if plain:
        yield Repository(str(instance["model"]), revision, WEIGHTS, folder)
    draft = settings(arguments, "speculative-config")
    for name in (draft.get("model"), arguments.get("spec-model")):
        if plain and isinstance(name, str) and name not in _NO_DRAFTS:
            yield Repository(name, _text(draft.get("revision")), WEIGHTS, folder)
    yield Repository(_text(arguments.get("tokenizer")) or "", _text(arguments.get("tokenizer-revision")) or revision, TEXTS)
    yield Repository(_text(arguments.get("hf-config-path")) or "", revision, ("*.json", "*.py"))
    if arguments.get("generation-config") not in ("auto", "vllm"):
        yield Repository(_text(arguments.get("generation-config")) or "", None, ("*.json",))
    for path in (*(instance.get("adapters") or {}).values(), *_adapters(arguments)):
        yield Repository(path)


def _adapters(arguments: Mapping[str, Any]) -> Iterator[str]:
    modules = arguments.get("lora-modules")
    for module in modules if isinstance(modules, (list, tuple)) else [modules]:
        described = whole_value(module)
        if described is not None:
            yield _text(described.get("path")) or ""
        elif isinstance(module, str):
            yield module.partition("=")[2]
    for path in settings(arguments, "default-mm-loras").values():
        yield _text(path) or ""


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def asks_hub(instance: Mapping[str, Any]) -> bool:
    """Whether the engine may have to show a token to the hub."""
    return not str(instance["model"]).startswith("/") or bool(repositories(instance))


def download_command(instance: Mapping[str, Any]) -> list[str]:
    """Arguments of python3 that fetch from the hub what the engine will load; empty where there is nothing to fetch."""
    environment = {key: str(value).lower() for key, value in (instance.get("env") or {}).items()}
    if any(environment.get(name) in _TRUE for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "VLLM_USE_MODELSCOPE")):
        return []
    wanted = repositories(instance)
    return ["-c", DOWNLOAD_PROGRAM, json.dumps([asdict(item) for item in wanted])] if wanted else []
