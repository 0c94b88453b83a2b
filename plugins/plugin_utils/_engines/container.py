# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""A container of the user's own: any server with an OpenAI-compatible API, such as SGLang, or Text Embeddings Inference.

What it runs is the user's: image, command and environment go to Docker as they are. What is ours is all around it: GPUs, memory, its unit,
readiness, and its place at the gateway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from .._plan.host_findings import HostFindings, Trouble
from .._plan.memory import Grant
from .._plan.model import CAPABILITIES, Model, Service, Variant
from .._plan.task import Task
from .base import Engine, Means, Surroundings
from .dialect import HUGGINGFACE, Dialect
from .docker_arguments import CONFINED, volume
from .server import HUB_CACHE, gpus_given, mounted, of_hub, published, server_unit
from .vllm_flags import overlay

if TYPE_CHECKING:
    from .choice import Choice

OPENAI_API = "openai"
#: What such a server may speak, by the word of the inventory. TEI has embeddings in OpenAI's form, its own rerank, and no list of models
#: (docs.rs/text-embeddings-router, C(/info) and C(/rerank)).
SPEAKS: Mapping[str, Dialect] = {
    OPENAI_API: Dialect(),
    "tei": Dialect(health_path="/health", own={"rerank": HUGGINGFACE}, lists_models=False),
}
_TEI = frozenset({"embedding", "rerank"})
_NOT_FOR_IT = ("revision", "digest", "engine_version", "image_packages", "image_has_entrypoint")


class Container(Engine):
    name = "container"
    title = "a container of your own"
    capabilities = frozenset(CAPABILITIES)
    sources = frozenset({"gguf", "hub", "ollama", "path"})
    wants = "nothing"
    container_port = 8000
    interchangeable = False
    needs_source = False
    own_keys = ("command", "container_port", "health_path", "key_variable", "served_name", "speaks")
    main_memory = 4096.0
    no_use = ("kv_cache_memory", "max_model_len")
    own_targets: ClassVar[Mapping[str, str]] = {HUB_CACHE: "the hub's cache"}
    own_variables: ClassVar[Mapping[str, str]] = {}
    description = "Inference server"
    proxied = ("/v1/", "/health", "/metrics", "/rerank")
    dialect = Dialect()
    #: Stands where the model has none, which is told.
    fallback_image = "registry.invalid/none:0"

    def arguments(
        self, told: HostFindings, model: Model, variant: Variant, service: Service, choice: Choice, version: str | None
    ) -> dict[str, Any]:
        self.warn_of_no_use(told, model, service, choice)
        if variant.image is None:
            told.add(f"{model.path}.image", None, "is required with engine: container, such as lmsysorg/sglang:v0.5.5")
        for key in _NOT_FOR_IT:
            value = getattr(variant, key)
            if value is not None:
                told.add(f"{model.path}.{key}", value, "has no use with engine: container; say it in command or env, or leave it out")
        given = overlay(variant.engine_args or {}, service.engine_args)
        if given:
            message = "engine: container takes the words of command, for example command: [serve, --port, '8000']"
            told.add(f"{service.path if service.engine_args else model.path}.engine_args", given, message)
        if variant.speaks == "tei" and model.capability not in _TEI:
            message = f"TEI serves embedding and rerank, and the model's capability is {model.capability}; use speaks: {OPENAI_API}"
            told.add(f"{model.path}.speaks", variant.speaks, message)
        name = variant.key_variable
        if name and {**(variant.env or {}), **service.env}.get(name) is not None:
            where = service.path if name in service.env else model.path
            message = f"is key_variable of {model.path} too, so the engine key of the host is put into it; leave it out of one of the two"
            told.add(f"{where}.env.{name}", None, message)
        if name == "HF_TOKEN" and of_hub(variant.source or ""):
            message = "is where the hub's token goes; name the variable by which the server is told the key that it has to ask for"
            told.add(f"{model.path}.key_variable", name, message)
        return {}

    def gpus_needed(self, service: Service, arguments: Mapping[str, Any]) -> tuple[int, Trouble | None]:
        return len(service.gpus or ()) or service.tensor_parallel_size or 1, None

    def served_name(self, model: str, variant: Variant) -> str:
        return variant.served_name or model

    def port_inside(self, variant: Variant) -> int:
        return variant.container_port or self.container_port

    def spoken(self, variant: Variant) -> str:
        return variant.speaks or OPENAI_API

    def instance(self, around: Surroundings, members: Sequence[tuple[Task, Grant | None]]) -> dict[str, Any]:
        ((task, grant),) = members
        variant = task.variant
        dialect = SPEAKS[self.spoken(variant)]
        amount = grant.amount if grant else None
        return {
            **around.common(members),
            "model": variant.source,
            "served_model_name": self.served_name(task.model.name, variant),
            "capability": task.model.capability,
            "modalities": list(task.model.modalities),
            "dimension": task.model.dimension,
            "command": list(variant.command or ()),
            "container_port": self.port_inside(variant),
            "health_path": variant.health_path or dialect.health_path or "/health",
            "key_variable": variant.key_variable,
            "speaks": self.spoken(variant),
            "mounts": [vars(mount) for mount in task.service.mounts],
            "shm_size": task.service.shm_size,
            "drop_page_cache": bool(task.service.drop_page_cache),
            "memory_mib": int(amount) if amount is not None else None,
        }

    def units(self, instances: Sequence[Mapping[str, Any]], means: Means) -> list[dict[str, Any]]:
        return [self._unit(instance, means) for instance in instances]

    def _unit(self, instance: Mapping[str, Any], means: Means) -> dict[str, Any]:
        source, key_variable, extra = instance["model"] or "", instance["key_variable"], instance["container_extra_arguments"]
        secrets = {"HF_TOKEN": means.huggingface_token if of_hub(source) else None}
        return server_unit(
            self.name,
            instance,
            [
                *CONFINED,
                # An image's own check asks the port of its own command; readiness and the watchdog ask the one that is served.
                *([] if any(str(word).startswith("--health-") for word in extra) else ["--no-healthcheck"]),
                *published(instance, instance["container_port"]),
                *(["--shm-size", instance["shm_size"]] if instance["shm_size"] else []),
                # What a server fetches from the hub outlives it.
                *(volume(f"{means.data_dir}/huggingface", HUB_CACHE) if of_hub(source) else ()),
                *mounted(instance, [source]),
                *gpus_given(instance),
                *extra,
            ],
            entrypoint=None,
            command=instance["command"],
            environment={},
            secrets={key_variable: means.api_key, **secrets} if key_variable else secrets,
            probe={
                "health_path": instance["health_path"],
                "model": instance["served_model_name"],
                "api_key_variable": key_variable,
                **({"speaks": instance["speaks"]} if instance["speaks"] != OPENAI_API else {}),
            },
            limit=instance["memory_mib"] if instance["device"] == "cpu" else instance["host_memory_mib"],
            watchdog=int(self.setting(means, "watchdog_seconds")),
            drop_page_cache=instance["drop_page_cache"],
        )
