# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Ollama in the plan: one server for each port, which loads the models of all services there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ...module_utils._ollama import normalise_tag
from .._plan.advisories import OLLAMA, vulnerable
from .._plan.grammar import normal_path
from .._plan.host_findings import HostFindings
from .._plan.memory import Grant
from .._plan.model import Model, Mount, Service, Variant
from .._plan.platform import Hardware
from .._plan.task import Task
from .base import Asked, Engine, Means, Surroundings
from .dialect import Dialect, Provider
from .ollama_unit import STORE, container_unit, read_instances
from .vllm_flags import overlay

if TYPE_CHECKING:
    from .choice import Choice

IMAGE = "ollama/ollama:0.32.15"
_DRIVER = 550
_DRIVER_OF_OLD_GPUS = 570
#: By the major of L4T, the JetPack whose libraries Ollama takes.
_JETPACK = {35: "5", 36: "6"}


class Ollama(Engine):
    name = "ollama"
    title = "Ollama"
    capabilities = frozenset({"chat", "embedding"})
    sources = frozenset({"ollama"})
    wants = "a tag such as qwen3:4b"
    container_port = 11434
    default_port = 11434
    shares_port = True
    main_memory = 2048.0
    own_targets: ClassVar[Mapping[str, str]] = {STORE: "the models of the instance (below inference_data_dir)"}
    own_variables: ClassVar[Mapping[str, str]] = {
        "OLLAMA_HOST": "the port is the service's: inference_services[].port",
        "OLLAMA_MODELS": "models are kept below inference_data_dir",
    }
    no_use = ("kv_cache_memory", "shm_size", "drop_page_cache")
    several_gpus = "for Ollama give the GPUs in gpus"
    description = "Ollama server"
    #: No pull, create, copy, push or delete: they change what the node serves. show and ps only tell.
    proxied = ("/", "/v1/", "/api/chat", "/api/generate", "/api/embed", "/api/show", "/api/tags", "/api/ps", "/api/version")
    #: Embeddings go through its OpenAI-compatible API: LiteLLM's C(ollama/) embeddings send no key, so a guarded server would refuse them.
    dialect = Dialect(
        health_path="/",
        own={"chat": Provider("ollama_chat", at_root=True)},
        others=(Provider("ollama", at_root=True, bearer=False),),
    )
    fallback_image = IMAGE

    def meant_image(self, variant: Variant) -> str | None:
        image = variant.image
        return image if image is None or variant.engine == self.name or "ollama" in image else None

    def image_trouble(self, image: str, hardware: Hardware, devices: Sequence[str]) -> str | None:
        driver = hardware.driver_version
        if driver is None or hardware.kind.l4t:
            return None
        chosen = [device for device in hardware.devices if not devices or device.key in devices]
        least = _DRIVER_OF_OLD_GPUS if any((device.compute_capability or (9, 9)) < (7, 0) for device in chosen) else _DRIVER
        if driver[0] >= least:
            return None
        return f"Ollama needs the NVIDIA driver {least} or newer, the host has {hardware.driver_text}; update the driver"

    def version_trouble(self, image: str, version: str | None) -> str | None:
        return vulnerable(OLLAMA, version)

    def arguments(
        self, told: HostFindings, model: Model, variant: Variant, service: Service, choice: Choice, version: str | None
    ) -> dict[str, Any]:
        self.warn_of_no_use(told, model, service, choice)
        given = overlay(variant.engine_args or {}, service.engine_args)
        if given and (service.engine_args or variant.engine == self.name):
            told.add(
                f"{service.path if service.engine_args else model.path}.engine_args",
                given,
                "Ollama takes no engine arguments; use env, for example env: {OLLAMA_KEEP_ALIVE: '-1'}, and max_model_len",
            )
        elif given:
            told.warn(f"the engine_args of {model.name} are not used: Ollama serves it there ({choice.rule})")
        return {}

    def asked(self, instance: Mapping[str, Any], model: str) -> Asked:
        entry = next(entry for entry in instance["models"] if entry["name"] == model)
        return Asked(str(entry["tag"]), str(entry["capability"]), self.container_port, entry.get("max_model_len"))

    def served_name(self, model: str, variant: Variant) -> str:
        return normalise_tag(str(variant.source))

    def instance_name(self, service: Service, port: int) -> str:
        return str(port)

    def instance(self, around: Surroundings, members: Sequence[tuple[Task, Grant | None]]) -> dict[str, Any]:
        task, grant = members[0]
        services = [member.service for member, _grant in members]
        hardware = around.told.hardware
        l4t = hardware.l4t if hardware else None
        amount = grant.amount if grant else None
        return {
            **around.common(members),
            "image_has_entrypoint": task.variant.image_has_entrypoint is not False,
            "models": _models(members),
            "jetpack": _JETPACK.get(l4t[0]) if l4t and around.told.platform.l4t and task.device == "gpu" else None,
            "mounts": _mounts(around.told, services),
            "memory_mib": int(amount) if amount is not None else _sum_mib(services),
        }

    def units(self, instances: Sequence[Mapping[str, Any]], means: Means) -> list[dict[str, Any]]:
        watchdog = int(self.setting(means, "watchdog_seconds"))
        return [container_unit(instance, means.data_dir, watchdog) for instance in read_instances(instances)]


def _models(members: Sequence[tuple[Task, Grant | None]]) -> list[dict[str, Any]]:
    models: dict[str, dict[str, Any]] = {}
    for member, _grant in members:
        source = normalise_tag(str(member.variant.source))
        models.setdefault(
            source.lower(),
            {
                "tag": source,
                "digest": member.variant.digest,
                "name": member.model.name,
                "capability": member.model.capability,
                "modalities": list(member.model.modalities),
                "max_model_len": member.service.max_model_len or member.variant.max_model_len,
            },
        )
    return list(models.values())


def _mounts(told: HostFindings, services: Sequence[Service]) -> list[dict[str, Any]]:
    """The mounts of all services, each place in the container once."""
    found: dict[str, Mount] = {}
    for service in services:
        for mount in service.mounts:
            other = found.setdefault(normal_path(mount.target), mount)
            if other != mount:
                message = f"another service on the same port mounts {other.source} there, and they share an Ollama instance"
                told.add(f"{service.path}.mounts", mount.target, f"{message}; choose another target, or another port")
    return [vars(mount) for mount in found.values()]


def _sum_mib(services: Sequence[Service]) -> int | None:
    sizes = [service.memory.mib if service.memory is not None else None for service in services]
    return int(sum(size or 0.0 for size in sizes)) if all(size is not None for size in sizes) else None
