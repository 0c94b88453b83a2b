# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The models at the gateway and the servers behind them, typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._engines.registry import DEFAULT, ENGINES

#: Seconds. LiteLLM's own default is 6000, which is as good as none.
DEFAULT_TIMEOUT = 600
#: Seconds without a byte in a stream.
DEFAULT_STREAM_TIMEOUT = 120


@dataclass(frozen=True)
class Backend:
    """One server that answers for a model."""

    id: str
    host: str | None
    engine: str
    model: str
    url: str | None
    container: str | None = None
    container_port: int = ENGINES[DEFAULT].container_port
    key_variable: str | None = None
    provider: str | None = None
    order: int | None = None
    weight: int | None = None
    health: bool = True
    #: Also for the gateway on its own host, which else asks the container.
    by_proxy: bool = False
    #: Where it differs from the model's: the same model may be served with a shorter context on a smaller machine.
    max_input_tokens: int | None = None

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> Backend:
        return cls(
            id=str(data["id"]),
            host=data.get("host"),
            engine=str(data.get("engine") or DEFAULT),
            model=str(data["model"]),
            url=data.get("url"),
            container=data.get("container"),
            container_port=int(data.get("container_port") or cls.container_port),
            key_variable=data.get("key_variable"),
            provider=data.get("provider"),
            order=_optional_int(data.get("order")),
            weight=_optional_int(data.get("weight")),
            health=bool(data.get("health", True)),
            by_proxy=bool(data.get("by_proxy")),
            max_input_tokens=_optional_int(data.get("max_input_tokens")),
        )

    def openai_base(self, gateway_host: str) -> str:
        """The OpenAI base URL as the gateway's container on C(gateway_host) reaches it."""
        if self.container and self.host == gateway_host and not self.by_proxy:
            return f"http://{self.container}:{self.container_port}/v1"
        return str(self.url or "").rstrip("/")

    def server_root(self, gateway_host: str) -> str:
        base = self.openai_base(gateway_host)
        return base[: -len("/v1")] if base.endswith("/v1") else base


@dataclass(frozen=True)
class Model:
    """One name at the gateway."""

    name: str
    capability: str
    modalities: tuple[str, ...]
    aliases: tuple[str, ...]
    request_defaults: Mapping[str, Any]
    timeout: float
    stream_timeout: float
    fallbacks: tuple[str, ...]
    max_images: int | None
    max_input_tokens: int | None
    dimension: int | None
    sources: tuple[str, ...]
    backends: tuple[Backend, ...]

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> Model:
        return cls(
            name=str(data["name"]),
            capability=str(data.get("capability") or "chat"),
            modalities=tuple(data.get("modalities") or ("text",)),
            aliases=tuple(data.get("aliases") or ()),
            request_defaults=dict(data.get("request_defaults") or {}),
            timeout=_number(data.get("timeout"), DEFAULT_TIMEOUT),
            stream_timeout=_number(data.get("stream_timeout"), DEFAULT_STREAM_TIMEOUT),
            fallbacks=tuple(data.get("fallbacks") or ()),
            max_images=_optional_int(data.get("max_images")),
            max_input_tokens=_optional_int(data.get("max_input_tokens")),
            dimension=_optional_int(data.get("dimension")),
            sources=tuple(data.get("sources") or ()),
            backends=tuple(Backend.from_mapping(backend) for backend in data.get("backends") or ()),
        )


def _optional_int(value: Any) -> int | None:
    return None if value is None else int(value)


def _number(value: Any, default: float) -> float:
    return default if value is None else value


def models_of(gateway: Mapping[str, Any]) -> tuple[Model, ...]:
    return tuple(Model.from_mapping(model) for model in gateway.get("models") or ())
