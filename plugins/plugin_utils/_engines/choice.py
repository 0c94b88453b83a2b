# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Which engine serves a model on a platform, by which rule, and with which arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from .._plan.images import VLLM_VERSION
from .._plan.model import Model, Variant
from .._plan.platform import version_tuple
from .vllm_flags import overlay, settings

#: Arguments that vLLM 0.32 no longer knows: it ends with exit code 2. With what takes their place.
GONE_ENGINE_ARGS: Mapping[str, str] = {
    "task": "use runner: pooling (set by itself for embedding and rerank)",
    "disable-log-requests": "remove it; requests are not logged unless enable-log-requests is set",
    "swap-space": "remove it; kv-offloading-size moves KV cache to main memory",
    "device": "remove it; the image decides (device: cpu of the service takes the CPU image)",
    "num-scheduler-steps": "remove it; scheduling is asynchronous now",
    "use-v2-block-manager": "remove it; it is the only one",
    "guided-decoding-backend": "use structured-outputs-config: {backend: ...}",
    "enable-reasoning": "remove it; reasoning-parser is enough",
    "max-seq-len-to-capture": "use compilation-config: {max_cudagraph_capture_size: ...}",
    "worker-use-ray": "use distributed-executor-backend: ray",
    "engine-use-ray": "remove it",
    "rope-scaling": "use hf-overrides: {rope_scaling: ...}",
    "override-pooler-config": "use pooler-config",
    "disable-mm-preprocessor-cache": "use mm-processor-cache-gb: 0",
}
_GONE_SINCE = (0, 20)


class By(Enum):
    """Who chose the engine, by the numbers that docs/plan.md gives the rules."""

    INVENTORY = 1
    PLATFORM = 2
    MODEL = 3
    VISION = 4
    NAME = 5
    SOURCE = 6


@dataclass(frozen=True)
class Choice:
    """An engine, who chose it, and why in words for the plan's table."""

    engine: str
    by: By
    why: str

    @property
    def rule(self) -> str:
        return self.why if self.by is By.SOURCE else f"{self.by.value}: {self.why}"


@dataclass(frozen=True)
class SourceTrouble:
    """Why an engine cannot serve a model: the field of the model that stands in the way, and a sentence with the remedy."""

    field: str
    message: str


def source_kind(source: str) -> str:
    """C(path), C(ollama) for what only Ollama can pull, else C(hub)."""
    if source.startswith("/"):
        return "path"
    if re.match(r"(hf\.co|huggingface\.co|registry\.ollama\.ai)/", source) or "/" not in source or ":" in source:
        return "ollama"
    return "hub"


def forced_engine(model: Model, platform: str, forced: str) -> str:
    """The engine that C(inference_engine) leaves a model no choice but: Ollama where it is a chat model, or where Ollama can have it.

    To force Ollama is to say which engine chats. It is no reason to lose an embedding model of the hub, rerank or speech.
    """
    if forced != "ollama" or model.capability == "chat":
        return forced
    source = variant_for(model, platform, forced).source or ""
    return forced if model.capability == "embedding" and source_kind(source) == "ollama" else "auto"


def variant_for(model: Model, platform: str, forced: str) -> Variant:
    """The model's means on one platform. Where the platform changes the engine, the other engine's settings are left behind."""
    over = model.on_platform.get(platform)
    base = model.base
    if over is None:
        return base
    explicit = over.engine not in (None, "auto")
    if explicit and forced in ("vllm", "ollama") and over.engine != forced:
        # Means for an engine that may not be used here.
        return base
    if explicit and over.engine != base.engine:
        base = Variant(source=base.source, max_model_len=base.max_model_len)
    merged = {name: value for name, value in vars(over).items() if value is not None}
    if over.source is not None and over.source != base.source:
        # A revision or digest belongs to the source that it was written for.
        base = replace(base, revision=None, digest=None)
    if base.env is not None or over.env is not None:
        merged["env"] = {name: value for name, value in {**(base.env or {}), **(over.env or {})}.items() if value is not None}
    if base.engine_args is not None or over.engine_args is not None:
        merged["engine_args"] = overlay(base.engine_args or {}, over.engine_args or {})
    merged["written"] = {**base.written, **over.written}
    return replace(base, **merged)


def choose_engine(model: Model, variant: Variant, platform: str, forced: str) -> Choice:
    """Seed order: forced for all; Jetson; the model's own; vision; the name; else vLLM.

    The preferences for Ollama (Jetson, vision, the name) hold for models that leave the engine open and whose source and
    capability Ollama can serve.
    """
    if forced in ("vllm", "ollama"):
        return Choice(forced, By.INVENTORY, f"inference_engine is {forced}")
    own = variant.engine
    source = variant.source or ""
    if own not in (None, "auto"):
        over = model.on_platform.get(platform)
        place = f"on_platform.{platform}.engine" if over is not None and over.engine == own else "engine"
        return Choice(str(own), By.MODEL, f"{place} of the model is {own}")
    kind = source_kind(source)
    possible = kind == "ollama" and model.capability in ("chat", "embedding")
    if platform == "jetson":
        return (
            Choice("ollama", By.PLATFORM, "Jetson prefers Ollama")
            if possible
            else Choice("vllm", By.PLATFORM, f"Jetson, but Ollama cannot serve {_why(kind, model)}")
        )
    if "image" in model.modalities and model.capability == "chat":
        return (
            Choice("ollama", By.VISION, "vision models go to Ollama")
            if possible
            else Choice("vllm", By.VISION, f"vision, but Ollama cannot serve {_why(kind, model)}")
        )
    if possible and model.capability == "chat" and "vl" in source.lower():
        return Choice("ollama", By.NAME, "the name contains vl")
    if possible:
        return Choice("ollama", By.SOURCE, "the source is an Ollama tag")
    return Choice("vllm", By.SOURCE, "otherwise vLLM")


def _why(kind: str, model: Model) -> str:
    if model.capability not in ("chat", "embedding"):
        return model.capability
    return "a path" if kind == "path" else "a hub id"


def source_trouble(model: Model, variant: Variant, choice: Choice, platform: str) -> SourceTrouble | None:
    """Why this engine cannot load this source or serve this capability, with the remedy."""
    source = variant.source or ""
    kind = source_kind(source)
    remedy = f"give a source for it: on_platform: {{{platform}: {{engine: {choice.engine}, source: ...}}}}"
    if choice.by is By.INVENTORY:
        remedy += ", or leave inference_engine out"
    if choice.engine == "ollama":
        if model.capability not in ("chat", "embedding"):
            return SourceTrouble("capability", f"Ollama has no {model.capability} (rule {choice.rule}); use engine: vllm")
        if kind == "path":
            return SourceTrouble("source", f"Ollama cannot load a path (rule {choice.rule}); {remedy}")
        if kind == "hub" and choice.by is not By.MODEL:
            return SourceTrouble(
                "source",
                f"is a hub id, and the rule '{choice.rule}' gives the model to Ollama, which needs a tag such as qwen3:4b; {remedy}",
            )
    elif kind == "ollama" and choice.by is not By.MODEL:
        return SourceTrouble(
            "source", f"is an Ollama tag, and the rule '{choice.rule}' gives the model to vLLM, which needs a hub id or a path; {remedy}"
        )
    elif kind == "ollama" and ":" in source:
        return SourceTrouble(
            "source", f"is an Ollama tag, but the engine is vllm ({choice.rule}), which needs a hub id or a path; {remedy}"
        )
    return None


def gone_arguments(arguments: Mapping[str, Any], engine_version: str | None) -> list[tuple[str, str]]:
    """The arguments that this version of vLLM refuses, with what to write instead. An unknown version counts as current."""
    version = version_tuple(engine_version)
    if version is not None and version < _GONE_SINCE:
        return []
    shown = engine_version or VLLM_VERSION
    found = [
        (name, f"vLLM {shown} no longer has this flag; {GONE_ENGINE_ARGS[name.partition('.')[0]]}")
        for name in arguments
        if name.partition(".")[0] in GONE_ENGINE_ARGS
    ]
    if "level" in settings(arguments, "compilation-config"):
        key = "compilation-config.level" if "compilation-config.level" in arguments else "compilation-config"
        found.append((key, f"vLLM {shown} no longer has its key level; use optimization-level: 0 to 3"))
    return found
