# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What the gateway has to know of an engine: how LiteLLM speaks with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Provider:
    """LiteLLM's name for a way to speak, and what goes with it."""

    name: str
    #: Whether it is told the root of the server, below which it adds the engine's own paths; the others are told where the OpenAI API is.
    at_root: bool = False
    #: Whether the key goes as a bearer token, so that the gateway's plug-in can put in the one that is good now.
    bearer: bool = True


#: Serves chat, embeddings, rerank and transcription of any OpenAI-compatible server and works without a key, which C(openai) does not.
HOSTED_VLLM = Provider("hosted_vllm")
OPENAI = Provider("openai")
#: The rerank of Text Embeddings Inference: C(/rerank) at the root, with C(texts) in place of C(documents).
HUGGINGFACE = Provider("huggingface", at_root=True)


@dataclass(frozen=True)
class Dialect:
    """How one kind of server is asked. As it stands: any server with an OpenAI-compatible API."""

    #: Where it tells of its health; empty where that is not known.
    health_path: str = ""
    #: By capability, where LiteLLM speaks the server's own API. All else goes by the OpenAI-compatible one.
    own: Mapping[str, Provider] = field(default_factory=dict)
    #: Whether it lists its models under C(/v1/models), by which is known that it has the right one.
    lists_models: bool = True
    #: More that somebody may choose for a server.
    others: tuple[Provider, ...] = (OPENAI,)

    def provider(self, capability: str) -> Provider:
        return self.own.get(capability, HOSTED_VLLM)

    @property
    def providers(self) -> tuple[Provider, ...]:
        return (HOSTED_VLLM, *self.own.values(), *self.others)
