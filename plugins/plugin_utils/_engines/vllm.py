# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""vLLM in the plan: a server of its own for each service, with a share of its GPUs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from .._plan.adapters import adapters_of
from .._plan.defaults import WATCHDOG
from .._plan.host_findings import HostFindings, Trouble
from .._plan.main_memory import Offload
from .._plan.memory import DEFAULT_SHARE, Grant, find_device
from .._plan.model import Model, Service, Variant
from .._plan.platform import Device, Hardware, version_tuple
from .._plan.task import Task, argument_path
from .._platforms.base import Platform
from .base import Engine, Means, Surroundings
from .dialect import Dialect
from .server import HUB_CACHE
from .vllm_adapters import TRANSCRIPTION_SINCE, adapter_troubles
from .vllm_arguments import GPU_FACTORS, flag_troubles, gone_arguments, half_troubles, slice_arguments
from .vllm_bench import VllmBench
from .vllm_capability import capability_doubt, capability_troubles
from .vllm_flags import number, overlay
from .vllm_group import ADDRESS_VARIABLE, group_part, group_troubles
from .vllm_group import version_trouble as group_version_trouble
from .vllm_images import (
    VLLM_IMAGE,
    VLLM_VERSION,
    audio_packages,
    default_image,
    driver_trouble,
    has_entrypoint,
    tegra_trouble,
    too_old,
    version_in,
    version_trouble,
)
from .vllm_offloads import offloads, shm_size_for
from .vllm_tools import tools_trouble
from .vllm_unit import COMPILE_CACHE, CONFIG_PATH, CONTAINER_PORT, HEALTH_PATH, INSTALL_COMMAND, container_unit, cpu_utilization

if TYPE_CHECKING:
    from .choice import Choice


class Vllm(Engine):
    name = "vllm"
    title = "vLLM"
    capabilities = frozenset({"chat", "embedding", "rerank", "transcription"})
    sources = frozenset({"hub", "path"})
    wants = "a hub id or a path"
    container_port = CONTAINER_PORT
    takes_share = True
    spans_hosts = True
    #: API server and engine with CUDA's libraries, and a process for each further GPU. An estimate.
    main_memory = 4096.0
    main_memory_per_further_gpu = 3072.0
    own_targets: ClassVar[Mapping[str, str]] = {
        HUB_CACHE: "the hub's cache (vllm_huggingface_dir)",
        COMPILE_CACHE: "the cache of torch.compile",
        CONFIG_PATH: "its file",
    }
    own_variables: ClassVar[Mapping[str, str]] = {
        "VLLM_PORT": "vLLM uses it for internal ports and fails when it is set; the service's port is inference_services[].port",
        "VLLM_API_KEY": "engine keys are generated, or taken from inference_engine_key",
        "VLLM_SERVER_DEV_MODE": "it opens endpoints that need no key",
        "HF_TOKEN": "use inference_huggingface_token",
        "HUGGING_FACE_HUB_TOKEN": "use inference_huggingface_token",
    }
    description = "vLLM engine"
    settings: ClassVar[Mapping[str, Any]] = {
        "watchdog_seconds": WATCHDOG,
        "huggingface_dir": None,  # below the folder of the host's data
        "image_layer_install_command": INSTALL_COMMAND,
    }
    dialect = Dialect(health_path=HEALTH_PATH)
    load_generator = VllmBench()
    counts_tokens = True
    fallback_image = VLLM_IMAGE

    def default_image(self, platform: Platform, hardware: Hardware | None) -> tuple[str | None, str]:
        return default_image(platform, hardware)

    def version(self, variant: Variant, image: str) -> str | None:
        return variant.engine_version or version_in(image)

    def image_trouble(self, image: str, hardware: Hardware, devices: Sequence[str]) -> str | None:
        return driver_trouble(image, hardware, devices) or tegra_trouble(image, hardware)

    def version_trouble(self, image: str, version: str | None) -> str | None:
        return version_trouble(image, version)

    def arguments(
        self, told: HostFindings, model: Model, variant: Variant, service: Service, choice: Choice, version: str | None
    ) -> dict[str, Any]:
        given = overlay(variant.engine_args or {}, service.engine_args)
        troubles = [*gone_arguments(given, version)]
        if service.part is None:
            troubles += flag_troubles(given)
        else:
            troubles += [*group_troubles(given), *half_troubles(given)]
            _check_part(told, model, variant, service, version)
        if adapters_of(variant):
            troubles += adapter_troubles(given)
        if "max-model-len" in given and (service.max_model_len or variant.max_model_len) is not None:
            troubles.append(("max-model-len", "max_model_len is set too; keep one of the two"))
        if "kv-cache-memory-bytes" in given and service.kv_cache_memory is not None:
            troubles.append(("kv-cache-memory-bytes", "kv_cache_memory of the service is set too; keep one of the two"))
        for name, message in troubles:
            told.add(argument_path(model, service, name, told.platform.name), given[name], message)
        return given

    def adapters_trouble(self, capability: str, version: str | None) -> str | None:
        number = version_tuple(version.lstrip("v")) if version else None
        if capability != "transcription" or number is None or number >= TRANSCRIPTION_SINCE:
            return None
        return f"vLLM {version} takes no adapters for {capability}; use an image with {'.'.join(map(str, TRANSCRIPTION_SINCE))} or newer"

    def argument_troubles(self, arguments: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        return flag_troubles(arguments)

    def gpu_factors(self, arguments: Mapping[str, Any]) -> Mapping[str, int]:
        values = {name: number(arguments, name) for name in GPU_FACTORS}
        return {name: value for name, value in values.items() if value is not None and value > 1}

    def gpus_needed(self, service: Service, arguments: Mapping[str, Any]) -> tuple[int, Trouble | None]:
        if service.part is not None:
            return service.part.whole.per_host, None
        factors = self.gpu_factors(arguments)
        factor = math.prod(factors.values())
        parallel = service.tensor_parallel_size
        given = len(service.gpus) if service.gpus is not None else None
        shown = list(service.gpus or ())
        if parallel is None:
            if given is not None and factor > 1 and given % factor:
                message = f"{given} GPUs cannot be divided by {factor} ({', '.join(factors)})"
                return given, Trouble(f"{service.path}.gpus", shown, message)
            return factor if given is None else given, None
        count = parallel * factor
        if given is not None and given != count:
            product = f"tensor_parallel_size {parallel}{f' x {factor}' if factor > 1 else ''}"
            return count, Trouble(f"{service.path}.gpus", shown, f"{count} GPUs are needed ({product}), {given} are given")
        return count, None

    def offloads(self, arguments: Mapping[str, Any], env: Mapping[str, Any], gpus: int, version: str | None) -> Sequence[Offload]:
        return tuple(offloads(arguments, env, gpus, version_tuple(version.lstrip("v")) if version else None))

    def context_length(self, arguments: Mapping[str, Any]) -> int | None:
        return number(arguments, "max-model-len")

    def tools_trouble(self, instance: Mapping[str, Any]) -> str | None:
        return tools_trouble(instance["model"], instance["engine_args"])

    def shuns(self, hardware: Hardware | None) -> Sequence[Device]:
        return too_old(hardware)

    def takes_at_word(self, source: str) -> bool:
        """A hub id can do without an organisation (C(gpt2)); a tag's version it cannot have."""
        return ":" not in source

    def instance(self, around: Surroundings, members: Sequence[tuple[Task, Grant | None]]) -> dict[str, Any]:
        task, grant = members[0]
        told, service, model, variant = around.told, task.service, task.model, task.variant
        source = str(variant.source)
        _check_capability(told, task, grant)
        utilization, memory_mib = _utilization(service, grant, task.device)
        _check_kv_cache(told, service, grant)
        packages = _packages(told, task)
        parallel = service.tensor_parallel_size or (
            max(1, task.count) if service.gpus is not None and not self.gpu_factors(task.engine_args) else 1
        )
        shm_size, trouble = shm_size_for(task, parallel if service.part is None else service.part.whole.ranks)
        if trouble is not None:
            told.tell(trouble)
        device = find_device(grant.devices[0], told.hardware.devices) if grant and grant.devices and told.hardware else None
        kv_cache = service.kv_cache_memory
        adapters = adapters_of(variant)
        return {
            **around.common(members),
            "model": source,
            "revision": variant.revision,
            "served_model_names": list(dict.fromkeys((model.name, source))),
            "capability": model.capability,
            "modalities": list(model.modalities),
            "engine_version": task.engine_version,
            "image_has_entrypoint": has_entrypoint(task.image) if variant.image_has_entrypoint is None else variant.image_has_entrypoint,
            "image_packages": packages,
            "gpu_memory_utilization": utilization,
            "kv_cache_memory_bytes": int(kv_cache.mib * 1024 * 1024) if kv_cache is not None and kv_cache.mib is not None else None,
            "max_model_len": service.max_model_len or variant.max_model_len,
            "tensor_parallel_size": parallel if task.device == "gpu" else service.tensor_parallel_size or 1,
            "shm_size": shm_size,
            "engine_args": {**(slice_arguments(device, model.capability, task.engine_args) if device else {}), **task.engine_args},
            "mounts": [vars(mount) for mount in service.mounts],
            "memory_mib": memory_mib,
            "drop_page_cache": _drop_page_cache(told, service),
            "dimension": model.dimension,
            **({"adapters": adapters} if adapters else {}),
            **(group_part(service.part, task) if service.part is not None else {}),
        }

    def units(self, instances: Sequence[Mapping[str, Any]], means: Means) -> list[dict[str, Any]]:
        return [
            container_unit(
                instance,
                api_key=means.keys[instance["group"]["members"][0]["host"]] if instance.get("group") and means.keys else means.api_key,
                huggingface_token=means.huggingface_token,
                data_dir=means.data_dir,
                huggingface_dir=self.setting(means, "huggingface_dir"),
                watchdog=int(self.setting(means, "watchdog_seconds")),
                install_command=self.setting(means, "image_layer_install_command"),
            )
            for instance in instances
        ]


def _check_part(told: HostFindings, model: Model, variant: Variant, service: Service, version: str | None) -> None:
    """What a member of an engine over several hosts cannot be."""
    trouble = group_version_trouble(version)
    if trouble:
        told.add(f"{service.path}.hosts", None, trouble)
    if ADDRESS_VARIABLE in {**(variant.env or {}), **service.env}:
        message = "is set by the collection for an engine over several hosts, from inference_cluster_address; leave it out"
        told.add(f"{service.path if ADDRESS_VARIABLE in service.env else model.path}.env.{ADDRESS_VARIABLE}", None, message)


def _check_capability(told: HostFindings, task: Task, grant: Grant | None) -> None:
    """What the weakest GPU of an engine cannot do. A release of vLLM after the one that was read may have learnt it."""
    hardware = told.hardware
    given = [device for device in hardware.devices if device.key in (grant.devices if grant else ())] if hardware is not None else []
    known = [(device.compute_capability, device) for device in given if device.compute_capability is not None]
    if not known or known[0][1] in too_old(hardware):
        return
    capability, device = min(known, key=lambda pair: pair[0])
    who = f"GPU {device.index} ({device.name}) has compute capability {device.capability_text}"
    newer = (version_tuple(task.engine_version) or ()) > (version_tuple(VLLM_VERSION) or ())
    for name, message in capability_troubles(task.engine_args, capability):
        where = task.argument_path(name, told.platform.name)
        if newer:
            told.warn(f"{where}: {who}; {message} (true of vLLM {VLLM_VERSION})")
        else:
            told.judge(where, task.engine_args.get(name), f"{who}; {message}")
    doubt = capability_doubt(str(task.variant.source), task.engine_args, capability)
    if doubt:
        told.warn(f"{task.service.path} ({task.service.name}): {who}, and its model's name speaks of {doubt}")


def _check_kv_cache(told: HostFindings, service: Service, grant: Grant | None) -> None:
    given = service.kv_cache_memory
    amount = grant.amount if grant is not None else None
    if given is not None and given.mib is not None and amount is not None and given.mib > amount:
        told.add(f"{service.path}.kv_cache_memory", given.text, "is more than memory, which includes it")


def _packages(told: HostFindings, task: Task) -> list[str]:
    """What is installed on top of the image."""
    packages = task.variant.image_packages
    if packages is None and task.model.capability == "transcription":
        packages, doubt = audio_packages(task.image, task.image_given, task.engine_version, task.model.name)
        if doubt:
            told.warn(f"{task.image_path}: {doubt}")
    return list(packages or ())


def _drop_page_cache(told: HostFindings, service: Service) -> bool:
    if service.drop_page_cache and told.hardware is not None and not told.hardware.unified:
        told.warn(f"{service.path}.drop_page_cache has no use: CPU and GPU do not share the memory")
        return False
    return bool(service.drop_page_cache)


def _utilization(service: Service, grant: Grant | None, device: str) -> tuple[float | None, int | None]:
    """The engine's share of a GPU's whole memory, or of its container's limit, rounded down, and the same in MiB."""
    amount = grant.amount if grant else None
    total = grant.total if grant else None
    if amount is None and service.memory is not None:
        amount = service.memory.mib
    if device == "cpu":
        return (cpu_utilization(int(amount), total), int(amount)) if amount else (None, None)
    fraction = service.memory.fraction if service.memory is not None else None
    if amount is None or not total:
        return fraction, int(amount) if amount is not None else None
    share = fraction if fraction is not None else amount / total
    if service.memory is None:
        share = min(share, DEFAULT_SHARE)  # a service without memory never takes more
    return int(share * 1000 + 1e-9) / 1000, int(amount)
