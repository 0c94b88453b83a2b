# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Which engine serves a model on a platform, by which rule, and why it cannot load what the model gives it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial

from .._plan.model import CAPABILITIES, Model, Variant
from .._platforms.base import Platform
from .._platforms.registry import PLATFORMS
from .base import Engine
from .registry import DEFAULT, ENGINES, INTERCHANGEABLE, engines_for
from .vllm_flags import overlay


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

    engine: Engine
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


#: A file, or a repository of the hub by its name, with or without what its files are quantised to.
_GGUF = re.compile(r"/.*\.gguf|(?!hf\.co/|huggingface\.co/)[^/:]+/[^/:]*gguf(:[^/:]+)?", re.I)


def source_kind(source: str) -> str:
    """C(gguf), C(path), C(ollama) for what only Ollama can pull, else C(hub)."""
    if _GGUF.fullmatch(source):
        return "gguf"
    if source.startswith("/"):
        return "path"
    if re.match(r"(hf\.co|huggingface\.co|registry\.ollama\.ai)/", source) or "/" not in source or ":" in source:
        return "ollama"
    return "hub"


def loads(engine: Engine, source: str) -> bool:
    """Whether an engine can load a source. A GGUF file is a path too: vLLM can be told to try it."""
    return source_kind(source) in engine.sources or (source.startswith("/") and "path" in engine.sources)


def forced_engine(model: Model, platform: str, forced: str) -> str:
    """The engine that C(inference_engine) leaves a model no choice but; where it cannot serve everything, chat models and what it can have.

    To force Ollama is to say which engine chats. It is no reason to lose an embedding model of the hub, rerank or speech.
    """
    own = variant_for(model, platform, "auto").engine
    if own in ENGINES and own not in INTERCHANGEABLE:
        return "auto"
    engine = ENGINES.get(forced)
    if engine is None or engine.capabilities.issuperset(CAPABILITIES) or model.capability == "chat":
        return forced
    source = variant_for(model, platform, forced).source or ""
    return forced if model.capability in engine.capabilities and loads(engine, source) else "auto"


def variant_for(model: Model, platform: str, forced: str) -> Variant:
    """The model's means on one platform. Where the platform changes the engine, the other engine's settings are left behind."""
    over = model.on_platform.get(platform)
    base = model.base
    if over is None:
        return base
    explicit = over.engine not in (None, "auto")
    if explicit and forced in ENGINES and over.engine != forced:
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
    if base.adapters is not None or over.adapters is not None:
        merged["adapters"] = {**(base.adapters or {}), **(over.adapters or {})}
    merged["written"] = {**base.written, **over.written}
    return replace(base, **merged)


@dataclass(frozen=True)
class Preference:
    """An engine that is preferred for some models where it can serve them; C(otherwise) begins the reason for another one."""

    by: By
    engine: str
    applies: Callable[[Model, str, Platform], bool]  # model, source, platform
    why: str
    otherwise: str | None = None  # None: where the engine cannot serve the model, the next preference counts


def _is_on(wanted: Platform, _model: Model, _source: str, platform: Platform) -> bool:
    return platform is wanted


#: For models that leave the engine open, the first that applies.
PREFERENCES = (
    Preference(By.SOURCE, "llama_cpp", lambda _model, source, _platform: source_kind(source) == "gguf", "the source is a GGUF"),
    *(
        Preference(By.PLATFORM, kind.prefers, partial(_is_on, kind), f"{kind.title} prefers {ENGINES[kind.prefers].title}", kind.title)
        for kind in PLATFORMS.values()
        if kind.prefers
    ),
    Preference(
        By.VISION,
        "ollama",
        lambda model, _source, _platform: model.capability == "chat" and "image" in model.modalities,
        "vision models go to Ollama",
        "vision",
    ),
    Preference(
        By.NAME, "ollama", lambda model, source, _platform: model.capability == "chat" and "vl" in source.lower(), "the name contains vl"
    ),
    Preference(By.SOURCE, "ollama", lambda _model, _source, _platform: True, "the source is an Ollama tag"),
)
#: A kind of source in a sentence.
_KINDS = {"gguf": "a GGUF", "path": "a path", "ollama": "an Ollama tag", "hub": "a hub id"}


def choose_engine(model: Model, variant: Variant, platform: Platform, forced: str) -> Choice:
    """The one forced for all, else the model's own, else by C(PREFERENCES), else vLLM."""
    if forced in ENGINES:
        return Choice(ENGINES[forced], By.INVENTORY, f"inference_engine is {forced}")
    own = variant.engine
    if own is not None and own != "auto":
        over = model.on_platform.get(platform.name)
        place = f"on_platform.{platform.name}.engine" if over is not None and over.engine == own else "engine"
        return Choice(ENGINES[own], By.MODEL, f"{place} of the model is {own}")
    source = variant.source or ""
    kind, default = source_kind(source), ENGINES[DEFAULT]
    for preference in PREFERENCES:
        if not preference.applies(model, source, platform):
            continue
        engine = ENGINES[preference.engine]
        if loads(engine, source) and model.capability in engine.capabilities:
            return Choice(engine, preference.by, preference.why)
        if preference.otherwise is not None:
            what = _KINDS[kind] if model.capability in engine.capabilities else model.capability
            return Choice(default, preference.by, f"{preference.otherwise}, but {engine.title} cannot serve {what}")
    return Choice(default, By.SOURCE, f"otherwise {default.title}")


def source_trouble(model: Model, variant: Variant, choice: Choice, platform: str) -> SourceTrouble | None:
    """Why this engine cannot load this source or serve this capability, with the remedy."""
    source, engine = variant.source or "", choice.engine
    kind = source_kind(source)
    if model.capability not in engine.capabilities:
        able = " or ".join(engines_for(model.capability))
        return SourceTrouble("capability", f"{engine.title} has no {model.capability} (rule {choice.rule}); use engine: {able}")
    if loads(engine, source):
        return None
    remedy = f"give a source for it: on_platform: {{{platform}: {{engine: {engine.name}, source: ...}}}}"
    if choice.by is By.INVENTORY:
        remedy += ", or leave inference_engine out"
    if kind == "path":
        return SourceTrouble("source", f"{engine.title} cannot load a path (rule {choice.rule}); {remedy}")
    if choice.by is not By.MODEL:
        given = f"and the rule '{choice.rule}' gives the model to {engine.title}, which needs {engine.wants}"
    elif not engine.takes_at_word(source):
        given = f"but the engine is {engine.name} ({choice.rule}), which needs {engine.wants}"
    else:
        return None
    return SourceTrouble("source", f"is {_KINDS[kind]}, {given}; {remedy}")
