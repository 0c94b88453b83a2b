# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What to serve first on a host, by the memory that its hardware leaves for services.

An offer is a chat model with its share of memory and, where there is room, an embedding model. The models and their GiB are those of
the inventories in C(docs/getting-started.md) and C(inventories/), or of set-ups that people run and C(tests/setups/) plans: C(origin)
says which. None of them was measured on a GPU by us. Images are not said here: the plan takes the version that it supports.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .._plan.memory import HOST_POOL, pools_of
from .._plan.platform import Device, Hardware
from .._platforms.base import Platform

#: vLLM runs from here on, and FP8 is computed from here on (docs/plan.md).
_VLLM, _FP8 = (7, 5), (8, 9)
_OLLAMA_PORT = 11434


@dataclass(frozen=True)
class Model:
    """An entry of C(inference_models). C(name) is its key where another model is already called C(chat) or C(embedding)."""

    name: str
    entry: Mapping[str, Any]


@dataclass(frozen=True)
class Share:
    """A model with what it gets: GiB of each of its GPUs, or of main memory."""

    model: Model
    gib: float
    port: int
    keys: Mapping[str, Any]


@dataclass(frozen=True)
class Offer:
    """C(origin): where models and GiB come from. C(capability): the least compute capability of its GPUs.

    C(alone): whether it is taken without its embedding model too; else a smaller offer that has room for both is better.
    """

    chat: Share
    embedding: Share | None
    origin: str
    capability: tuple[int, int] = (0, 0)
    gpus: int = 1
    least_l4t: int = 0
    alone: bool = True

    @property
    def one_server(self) -> bool:
        """Ollama serves both on one port, so both are on one GPU."""
        return self.embedding is not None and self.embedding.port == self.chat.port


@dataclass(frozen=True)
class Choice:
    """C(gpus) and C(embedding_gpus): what the key C(gpus) of the service says, nothing where there is only one."""

    offer: Offer
    embedding: Share | None
    gpus: tuple[str, ...] = ()
    embedding_gpus: tuple[str, ...] = ()


_QWEN3_30B = Model("qwen3-30b", {"source": "Qwen/Qwen3-30B-A3B-Instruct-2507-FP8", "max_model_len": 32768})
_QWEN3_32B = Model("qwen3-32b", {"source": "Qwen/Qwen3-32B-FP8", "max_model_len": 16384})
_QWEN3_4B = Model("qwen3-4b", {"source": "Qwen/Qwen3-4B-Instruct-2507", "max_model_len": 8192})
_QWEN3_8B = Model(
    "qwen3-8b",
    # Without it the model thinks before it answers.
    {
        "source": "Qwen/Qwen3-8B-AWQ",
        "max_model_len": 8192,
        "engine_args": {"default-chat-template-kwargs": {"enable_thinking": False}},
    },
)
_TAG_VL = Model("qwen3-vl-4b", {"source": "qwen3-vl:4b-instruct", "modalities": ["text", "image"], "max_model_len": 8192})
_TAG_4B = Model("qwen3-4b-ollama", {"source": "qwen3:4b-instruct", "max_model_len": 4096})
_TAG_3B = Model("qwen2.5-3b", {"source": "qwen2.5:3b", "max_model_len": 8192})
_EMBEDDING = Model("qwen3-embedding", {"source": "Qwen/Qwen3-Embedding-0.6B", "capability": "embedding", "max_model_len": 8192})
_TAG_EMBEDDING = Model("nomic-embed-text", {"source": "nomic-embed-text", "engine": "ollama", "capability": "embedding"})


def _vllm(chat: Model, gib: float, embedding_gib: float, origin: str, **more: Any) -> Offer:
    keys = more.pop("keys", {})
    return Offer(Share(chat, gib, 8070, keys), Share(_EMBEDDING, embedding_gib, 8090, {}), origin, **more)


def _ollama(chat: Model, gib: float, embedding_gib: float, origin: str) -> Offer:
    embedding = Share(_TAG_EMBEDDING, embedding_gib, _OLLAMA_PORT, {}) if embedding_gib else None
    return Offer(Share(chat, gib, _OLLAMA_PORT, {}), embedding, origin)


_SMALL = (
    _ollama(_TAG_4B, 5, 1, "docs/getting-started.md, CPU only and Jetson"),
    _ollama(_TAG_4B, 3.5, 0.5, "tests/setups/orin-nano-ollama.yml"),
    _ollama(_TAG_3B, 3, 0, "inventories/dgpu-and-jetson/"),
)
_DROP = {"drop_page_cache": True}
#: The best that fits stands first.
OFFERS: Mapping[str, tuple[Offer, ...]] = {
    "cards": (
        _vllm(_QWEN3_32B, 30, 4, "docs/getting-started.md, Several cards", capability=_FP8, gpus=2, keys={"tensor_parallel_size": 2}),
        _vllm(_QWEN3_30B, 64, 8, "docs/getting-started.md, DGX Spark", capability=_FP8),
        # 29 GiB of weights, 3 GiB for the KV cache of its 32,768 tokens (96 KiB each), and room for activations and CUDA graphs.
        _vllm(_QWEN3_30B, 38, 4, "the sizes of its files and of its KV cache", capability=_FP8),
        _vllm(_QWEN3_4B, 14, 4, "docs/getting-started.md, One card", capability=_VLLM, alone=False),
        _vllm(_QWEN3_8B, 10, 4, "tests/setups/four-capabilities-rtx-4090.yml; docs/getting-started.md, One card", capability=_VLLM),
        *_SMALL,
    ),
    "shared": (_vllm(_QWEN3_30B, 64, 8, "docs/getting-started.md, DGX Spark", capability=_FP8, keys=_DROP), *_SMALL),
    "jetson": (
        _vllm(
            _QWEN3_30B,
            64,
            8,
            "docs/getting-started.md, DGX Spark; vLLM as in tests/setups/thor-nvfp4.yml",
            capability=_FP8,
            least_l4t=38,
            keys=_DROP,
        ),
        _ollama(_TAG_VL, 6, 1, "docs/getting-started.md, Jetson"),
        *_SMALL[1:],
    ),
    "cpu": _SMALL,
}


def choose(hardware: Hardware, platform: Platform) -> Choice | None:
    """The first offer that fits; None where not even the smallest does."""
    offers = OFFERS[platform.offers(hardware.unified)]
    if not platform.has_gpu:
        free = pools_of(hardware, {})[0][HOST_POOL].usable
        rooms = {"": (free or 0.0) / 1024}
        return next((Choice(offer, found.embedding) for offer in offers for found in _on_one(offer, rooms)), None)
    return next((choice for offer in offers for choice in _on_gpus(offer, hardware)), None)


def _on_gpus(offer: Offer, hardware: Hardware) -> Iterator[Choice]:
    if offer.least_l4t > (hardware.l4t or (0,))[0]:
        return
    pools, pool_of = pools_of(hardware, {})
    several = len(hardware.devices) > 1
    fitting = [device for device in hardware.devices if (device.compute_capability or _least(offer)) >= offer.capability]
    rooms = {device.key: (pools[pool_of[device.key]].usable or 0.0) / 1024 for device in fitting}
    pins = {device.key: device.key if device.is_slice else device.index for device in fitting}
    for found in _on_several(offer, fitting, rooms) if offer.gpus > 1 else _on_one(offer, rooms):
        named = replace(found, gpus=tuple(pins[key] for key in found.gpus), embedding_gpus=tuple(pins[key] for key in found.embedding_gpus))
        yield named if several else Choice(offer, found.embedding)


def _least(offer: Offer) -> tuple[int, int]:
    """A GPU whose compute capability is not known counts as one for vLLM, not as one for FP8."""
    return _VLLM if offer.capability == _FP8 else offer.capability


def _on_several(offer: Offer, devices: list[Device], rooms: Mapping[str, float]) -> Iterator[Choice]:
    """Over GPUs that are alike; the embedding model on the last GPU that has room beside it."""
    for first in devices:
        alike = [d.key for d in devices if (d.name, d.memory_mib, d.is_slice) == (first.name, first.memory_mib, False)][: offer.gpus]
        if len(alike) == offer.gpus and min(rooms[key] for key in alike) >= offer.chat.gib:
            left = {key: gib - (offer.chat.gib if key in alike else 0) for key, gib in rooms.items()}
            beside = tuple(key for key, gib in left.items() if offer.embedding and gib >= offer.embedding.gib)[-1:]
            yield Choice(offer, offer.embedding if beside else None, tuple(alike), beside)


def _on_one(offer: Offer, rooms: Mapping[str, float]) -> Iterator[Choice]:
    """On one GPU: the first with room for both, else the first with room for the chat model and another for the embedding model."""
    both = offer.chat.gib + (offer.embedding.gib if offer.embedding else 0)
    for key, gib in rooms.items():
        if gib >= both:
            yield Choice(offer, offer.embedding, (key,), (key,))
    for key, gib in rooms.items():
        if gib >= offer.chat.gib:
            beside = [other for other, room in rooms.items() if offer.embedding and other != key and room >= offer.embedding.gib]
            if beside and not offer.one_server:
                yield Choice(offer, offer.embedding, (key,), (beside[0],))
            elif offer.alone:
                yield Choice(offer, None, (key,))
