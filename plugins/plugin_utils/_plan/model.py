# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The contract that users write, as frozen dataclasses: catalogue, services, external endpoints, gateway, hosts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .._gateway.limits import DEFAULT_REQUEST_LIMIT, DEFAULT_WORK_LIMIT
from .defaults import DATA_DIR, ENGINES_NETWORK
from .findings import Size

CAPABILITIES = ("chat", "embedding", "rerank", "transcription")
MODALITIES = ("text", "image", "audio", "video")
PULL = ("missing", "always", "never")

DEFAULT_GATEWAY_PORT = 8400
#: A port and a source that were given but are none; the finding is already noted.
INVALID_PORT = -1
INVALID_SOURCE = "/invalid"

#: Every top-level variable with the prefix of the collection. The prefix is ours: any other name is a typing error.
VARIABLES = (
    "inference_address",
    "inference_allow_floating_tags",
    "inference_clients_config",
    "inference_cluster_address",
    "inference_cluster_interface",
    "inference_data_dir",
    "inference_dns",
    "inference_engine",
    "inference_engine_key",
    "inference_engines_network",
    "inference_external_endpoints",
    "inference_gateway",
    "inference_gpu_access",
    "inference_gpu_reserve",
    "inference_hardware",
    "inference_huggingface_token",
    "inference_images",
    "inference_master_key",
    "inference_metrics",
    "inference_model_aliases",
    "inference_models",
    "inference_multinode_services",
    "inference_network",
    "inference_node_proxy_tls",
    "inference_platform",
    "inference_platform_expected",
    "inference_proxy",
    "inference_registry_mirrors",
    "inference_rollout",
    "inference_rotate",
    "inference_secrets_dir",
    "inference_services",
)
#: Facts that our own plays set: not the user's, never checked.
FACTS = ("inference_nodes", "inference_clients", "inference_plan", "inference_secrets", "inference_report")


@dataclass(frozen=True)
class Variant:
    """What may differ per platform: the means by which a model is served. None = not said."""

    source: str | None = None
    revision: str | None = None
    digest: str | None = None
    engine: str | None = None
    max_model_len: int | None = None
    engine_args: Mapping[str, Any] | None = None
    env: Mapping[str, Any] | None = None
    image: str | None = None
    engine_version: str | None = None
    image_packages: tuple[str, ...] | None = None
    image_has_entrypoint: bool | None = None
    #: Place of each LoRA adapter by its name; null: not on this platform.
    adapters: Mapping[str, str | None] | None = None
    # Of a container of the user's own.
    command: tuple[str, ...] | None = None
    container_port: int | None = None
    health_path: str | None = None
    key_variable: str | None = None
    served_name: str | None = None
    speaks: str | None = None
    #: How the user wrote each key of engine_args.
    written: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """One entry of the catalogue."""

    name: str
    path: str
    base: Variant
    on_platform: Mapping[str, Variant]
    capability: str = "chat"
    modalities: tuple[str, ...] = ("text",)
    aliases: tuple[str, ...] = ()
    max_images: int | None = None
    request_defaults: Mapping[str, Any] = field(default_factory=dict)
    timeout: int | None = None
    stream_timeout: int | None = None
    fallbacks: tuple[str, ...] = ()
    dimension: int | None = None
    passthrough: str | None = None  # None = by the rule for multimodal embeddings; "" = none


@dataclass(frozen=True)
class Mount:
    source: str
    target: str
    read_only: bool = True


@dataclass(frozen=True)
class Service:
    """One entry of a host's C(inference_services)."""

    path: str
    model: str
    name: str
    port: int | None = None
    enabled: bool = True
    memory: Size | None = None
    kv_cache_memory: Size | None = None
    gpus: tuple[str, ...] | None = None
    device: str | None = None
    tensor_parallel_size: int | None = None
    shm_size: str | None = None
    host_memory: Size | None = None
    host_memory_bounded: bool = True  # False: the user wants no bound
    ready_timeout: int | None = None
    silence_timeout: int | None = None
    stop_timeout: int | None = None
    order: int | None = None
    weight: int | None = None
    networks: tuple[str, ...] = ()
    container_extra_arguments: tuple[str, ...] = ()
    engine_args: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, Any] = field(default_factory=dict)
    max_model_len: int | None = None
    mounts: tuple[Mount, ...] = ()
    pull: str = "missing"
    drop_page_cache: bool | None = None
    written: Mapping[str, str] = field(default_factory=dict)
    #: What the host is in a service over several hosts.
    part: Part | None = None


@dataclass(frozen=True)
class Multinode:
    """One entry of C(inference_multinode_services): a vLLM engine over several hosts, of which the first answers."""

    service: Service  # what every member has in common
    hosts: tuple[str, ...]
    sizes: Mapping[str, int]  # those that are given, by key

    @property
    def ranks(self) -> int:
        """How many GPUs the members have to have together."""
        return math.prod(self.sizes.values())

    @property
    def per_host(self) -> int:
        return max(1, self.ranks // max(1, len(self.hosts)))

    @property
    def product(self) -> str:
        return " x ".join(f"{name} {value}" for name, value in self.sizes.items())


@dataclass(frozen=True)
class Part:
    """One host of such a service."""

    whole: Multinode
    rank: int
    addresses: tuple[str, ...]  # of all members, by which they reach each other
    interface: str | None
    rdma: bool = False  # whether all members have devices for it


@dataclass(frozen=True)
class ExternalModel:
    name: str
    path: str
    model: str
    capability: str = "chat"
    modalities: tuple[str, ...] = ("text",)
    aliases: tuple[str, ...] = ()
    request_defaults: Mapping[str, Any] = field(default_factory=dict)
    max_images: int | None = None
    max_model_len: int | None = None
    timeout: int | None = None
    stream_timeout: int | None = None
    fallbacks: tuple[str, ...] = ()
    order: int | None = None
    weight: int | None = None


@dataclass(frozen=True)
class External:
    """A server that is not ours."""

    name: str
    path: str
    base_url: str
    engine: str
    models: tuple[ExternalModel, ...]
    has_key: bool
    required: bool


@dataclass(frozen=True)
class Network:
    name: str
    subnet: str


@dataclass(frozen=True)
class Gateway:
    port: int = DEFAULT_GATEWAY_PORT
    bind: str = "0.0.0.0"  # noqa: S104 -- the documented default: clients are elsewhere, every request needs a key
    public_url: str | None = None
    redis: Mapping[str, Any] | None = None
    clients: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # name -> limits
    settings: Mapping[str, Any] = field(default_factory=dict)
    default_fallbacks: tuple[str, ...] = ()
    cache: Any = None
    media: Mapping[str, Any] = field(default_factory=dict)
    health_check_interval: int | None = None
    request_limit: int = DEFAULT_REQUEST_LIMIT  # bytes
    work_limit: int = DEFAULT_WORK_LIMIT  # bytes
    sticky_sessions: bool = True
    passthrough: tuple[Mapping[str, Any], ...] = ()
    tls: Mapping[str, str] | None = None  # empty: an authority of our own

    @property
    def client_names(self) -> tuple[str, ...]:
        return tuple(self.clients)


@dataclass(frozen=True)
class Settings:
    """The small per-host variables."""

    engine: str = "auto"
    platform: str = "auto"
    platform_expected: str | None = None
    address: str | None = None
    gpu_access: str = "runtime"
    gpu_reserve: Mapping[str, Size] = field(default_factory=dict)  # "" = every GPU
    data_dir: str = DATA_DIR
    allow_floating_tags: bool = False
    images: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # engine -> platform or "" -> image
    dns: tuple[str, ...] = ()
    registry_mirrors: tuple[str, ...] = ()
    proxy: Mapping[str, str] = field(default_factory=dict)
    node_proxy_tls: bool = False
    network: Network = field(default_factory=lambda: Network("inference", "10.89.16.0/24"))
    engines_network: Network = field(default_factory=lambda: Network(ENGINES_NETWORK, "10.89.17.0/24"))
    metrics: Mapping[str, Any] = field(default_factory=dict)
    rollout: Mapping[str, Any] = field(default_factory=dict)
    cluster_address: str | None = None
    cluster_interface: str | None = None


@dataclass(frozen=True)
class Host:
    """One host of the inventory, read."""

    name: str
    groups: frozenset[str]
    in_play: bool
    address: str
    settings: Settings
    models: Mapping[str, Model]
    services: tuple[Service, ...]
    unreadable: frozenset[str] = frozenset()  # variables whose templates failed: the caller reports those

    @property
    def is_node(self) -> bool:
        return "inference_nodes" in self.groups

    @property
    def is_gateway(self) -> bool:
        return "gateways" in self.groups

    @property
    def is_client(self) -> bool:
        return "inference_clients" in self.groups
