# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The engines that there are."""

from __future__ import annotations

from collections.abc import Mapping

from .base import Engine
from .container import SPEAKS, Container
from .dialect import Dialect, Provider
from .llama_cpp import LlamaCpp
from .ollama import Ollama
from .vllm import Vllm

#: By name, in the order in which their roles run.
ENGINES: Mapping[str, Engine] = {engine.name: engine for engine in (Vllm(), Ollama(), LlamaCpp(), Container())}
#: Where nothing speaks for another one.
DEFAULT = Vllm.name
#: The engines that may serve a model which names none.
INTERCHANGEABLE = tuple(name for name, engine in ENGINES.items() if engine.interchangeable)
#: A server of somebody else's with an OpenAI-compatible API.
ANY_SERVER = "openai"
_DIALECTS: Mapping[str, Dialect] = {**{name: ENGINES[name].dialect for name in INTERCHANGEABLE}, **SPEAKS}
#: What an external endpoint may be: also an engine of these that somebody else runs.
EXTERNAL = tuple(_DIALECTS)
#: LiteLLM's providers of which is known how they speak, by name.
PROVIDERS: Mapping[str, Provider] = {provider.name: provider for dialect in _DIALECTS.values() for provider in dialect.providers}


def dialect_of(server: str) -> Dialect:
    """Of an engine, or of any server that is none of these."""
    return _DIALECTS.get(server, _DIALECTS[ANY_SERVER])


def engines_for(capability: str) -> list[str]:
    """The engines that serve it."""
    return [name for name in INTERCHANGEABLE if capability in ENGINES[name].capabilities]
