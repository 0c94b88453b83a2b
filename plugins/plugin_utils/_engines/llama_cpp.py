# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""llama.cpp's server: one for each service, with one GGUF file of the host or of the hub.

All of its settings are variables of its environment (tools/server/README.md of llama.cpp), so its command line is empty. One that it does
not know it leaves unread without a word. What it does was measured with release 0.7.0.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from .._plan.host_findings import HostFindings
from .._plan.memory import Grant
from .._plan.model import Model, Service, Variant
from .._plan.platform import Hardware
from .._plan.task import Task
from .._platforms.base import Platform
from .base import Engine, Means, Surroundings
from .dialect import Dialect
from .docker_arguments import CONFINED, volume
from .server import HUB_CACHE, gpus_given, mounted, of_hub, published, server_unit
from .vllm_flags import overlay

if TYPE_CHECKING:
    from .choice import Choice

_IMAGE = "ghcr.io/ggml-org/llama.cpp:server{}-v0.7.0"
#: For CUDA 12.8, and, with GPUs that this does not know, for CUDA 13. Both with the drivers that NVIDIA's notes on compatibility name.
_CUDA_12, _CUDA_13 = ("-cuda", 525), ("-cuda13", 580)
_JETSON = "ghcr.io/nvidia-ai-iot/llama_cpp"
#: Tokens where nobody says: else it takes the length that the model was trained with, and memory for all of it.
CONTEXT_LENGTH = 8192
#: MiB for prompts that were seen before, in main memory; it takes up to 8 GiB unless told.
_CACHE_RAM = 1024
_OURS = "the service says it"
#: As gguf-split names them (tools/gguf-split of llama.cpp).
_IN_PARTS = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)


class LlamaCpp(Engine):
    name = "llama_cpp"
    title = "llama.cpp"
    capabilities = frozenset({"chat", "embedding"})
    sources = frozenset({"gguf"})
    wants = "a GGUF: a file such as /srv/models/x.gguf, or a repository of the hub such as owner/name-GGUF:Q4_K_M"
    container_port = 8080
    main_memory = 2048.0 + _CACHE_RAM
    own_targets: ClassVar[Mapping[str, str]] = {HUB_CACHE: "the hub's cache"}
    own_variables: ClassVar[Mapping[str, str]] = {
        "LLAMA_API_KEY": "engine keys are generated, or taken from inference_engine_key",
        "LLAMA_ARG_ALIAS": "it is the model's name",
        "LLAMA_ARG_CTX_SIZE": "use max_model_len",
        "LLAMA_ARG_EMBEDDINGS": "use capability: embedding",
        "LLAMA_ARG_ENDPOINT_METRICS": "the launcher reads them",
        "LLAMA_ARG_HF_REPO": "it is the model's source",
        "LLAMA_ARG_HOST": _OURS,
        "LLAMA_ARG_MODEL": "it is the model's source",
        "LLAMA_ARG_PORT": "the service's port is inference_services[].port",
        "LLAMA_CACHE": "models of the hub are kept below inference_data_dir",
    }
    no_use = ("kv_cache_memory", "shm_size", "drop_page_cache")
    several_gpus = "llama.cpp divides a model among the GPUs that gpus names"
    description = "llama.cpp server"
    dialect = Dialect(health_path="/health")
    fallback_image = _IMAGE.format("")

    def default_image(self, platform: Platform, hardware: Hardware | None) -> tuple[str | None, str]:
        if not platform.has_gpu:
            return self.fallback_image, ""
        if platform.l4t:
            if hardware is not None and hardware.l4t and hardware.l4t[0] >= 38:
                return f"{_JETSON}:r38.2.arm64-sbsa-cu130-24.04", ""
            return None, f"llama.cpp publishes no image for this release of L4T; name one, such as a build of {_JETSON}"
        return _IMAGE.format(_cuda(hardware)[0]), ""

    def image_trouble(self, image: str, hardware: Hardware, devices: Sequence[str]) -> str | None:
        if image.startswith(_JETSON) or hardware.kind.l4t or hardware.driver_version is None:
            return None
        least = _CUDA_13[1] if ":server-cuda13" in image else _CUDA_12[1]
        if hardware.driver_version[0] >= least:
            return None
        return f"{image} needs the NVIDIA driver {least} or newer, the host has {hardware.driver_text}; update the driver"

    def arguments(
        self, told: HostFindings, model: Model, variant: Variant, service: Service, choice: Choice, version: str | None
    ) -> dict[str, Any]:
        self.warn_of_no_use(told, model, service, choice)
        given = overlay(variant.engine_args or {}, service.engine_args)
        if given:
            message = "llama.cpp takes its settings from env, for example env: {LLAMA_ARG_N_PARALLEL: '4'}"
            told.add(f"{service.path if service.engine_args else model.path}.engine_args", given, message)
        if variant.revision:
            told.add(
                f"{model.path}.revision", variant.revision, "llama.cpp takes the newest of a repository; give the path of a file instead"
            )
        return {}

    def instance(self, around: Surroundings, members: Sequence[tuple[Task, Grant | None]]) -> dict[str, Any]:
        ((task, grant),) = members
        amount = grant.amount if grant else None
        given = task.variant.image_has_entrypoint
        return {
            **around.common(members),
            "model": str(task.variant.source),
            "served_model_name": task.model.name,
            "capability": task.model.capability,
            "modalities": list(task.model.modalities),
            "dimension": task.model.dimension,
            "max_model_len": task.service.max_model_len or task.variant.max_model_len,
            "image_has_entrypoint": not task.image.startswith(_JETSON) if given is None else given,
            "mounts": [vars(mount) for mount in task.service.mounts],
            "memory_mib": int(amount) if amount is not None else None,
        }

    def units(self, instances: Sequence[Mapping[str, Any]], means: Means) -> list[dict[str, Any]]:
        return [self._unit(instance, means) for instance in instances]

    def _unit(self, instance: Mapping[str, Any], means: Means) -> dict[str, Any]:
        source = str(instance["model"])
        # Of a model in several files it is told the first, and looks for the others beside it.
        path = posixpath.dirname(source) if _IN_PARTS.search(source) else source
        return server_unit(
            self.name,
            instance,
            [
                *CONFINED,
                *published(instance, self.container_port),
                *(volume(f"{means.data_dir}/huggingface", HUB_CACHE) if of_hub(source) else ()),
                *mounted(instance, [path]),
                *gpus_given(instance),
                *instance["container_extra_arguments"],
            ],
            entrypoint=None if instance["image_has_entrypoint"] else "llama-server",
            environment=self._environment(instance),
            secrets={"LLAMA_API_KEY": means.api_key, "HF_TOKEN": means.huggingface_token if of_hub(source) else None},
            # An unknown name is answered by what is loaded: that it is the right model, only /v1/models tells.
            probe={
                "health_path": self.dialect.health_path,
                "model": instance["served_model_name"],
                "api_key_variable": "LLAMA_API_KEY",
            },
            # Measured: with the model's file mapped into memory, which counts as page cache, what the user grants is what it may take.
            limit=instance["memory_mib"] if instance["device"] == "cpu" else instance["host_memory_mib"],
            watchdog=int(self.setting(means, "watchdog_seconds")),
        )

    def _environment(self, instance: Mapping[str, Any]) -> dict[str, str]:
        source, memory = str(instance["model"]), instance["memory_mib"]
        length = int(instance["max_model_len"] or CONTEXT_LENGTH)
        slots = str(instance["env"].get("LLAMA_ARG_N_PARALLEL", 1))
        on_cpu = instance["device"] == "cpu"
        values = {
            "LLAMA_ARG_HOST": "0.0.0.0",  # noqa: S104 -- inside the container; the published port is on 127.0.0.1
            "LLAMA_ARG_PORT": str(self.container_port),
            "LLAMA_ARG_ALIAS": instance["served_model_name"],
            "LLAMA_ARG_ENDPOINT_METRICS": "1",
            "LLAMA_ARG_N_PARALLEL": slots,
            # Requests that are answered at once divide it among them.
            "LLAMA_ARG_CTX_SIZE": str(length * (int(slots) if slots.isdigit() else 1)),
            "LLAMA_ARG_N_GPU_LAYERS": "0" if on_cpu else "999",
            "LLAMA_ARG_CACHE_RAM": str(min(_CACHE_RAM, int(memory) // 4) if on_cpu and memory else _CACHE_RAM),
            # It notices at a stop, and when a client leaves, with the next ping: else after 30 s.
            "LLAMA_ARG_SSE_PING_INTERVAL": "2",
        }
        if of_hub(source):
            values.update({"LLAMA_ARG_HF_REPO": source, "HF_HOME": HUB_CACHE, "LLAMA_CACHE": f"{HUB_CACHE}/llama.cpp"})
        else:
            values["LLAMA_ARG_MODEL"] = source
        if instance["capability"] == "embedding":
            # A text has to fit into one batch; a longer one is answered with status 500.
            values.update({"LLAMA_ARG_EMBEDDINGS": "1", "LLAMA_ARG_BATCH": str(length), "LLAMA_ARG_UBATCH": str(length)})
        return values


def _cuda(hardware: Hardware | None) -> tuple[str, int]:
    """GB10 and the newest GPUs are not in the images for CUDA 12, nor are those for 64-bit Arm."""
    if hardware is None:
        return _CUDA_12
    newest = any((device.compute_capability or (0, 0)) > (12, 0) for device in hardware.devices)
    return _CUDA_13 if newest or hardware.architecture == "aarch64" else _CUDA_12
