# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What one host is to do: engine, image and GPUs of each service, its memory, and the forms that the roles take."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ...module_utils._defaults import READY_TIMEOUT, SILENCE_TIMEOUT, STOP_TIMEOUT
from ...module_utils._ollama import STORE as OLLAMA_STORE
from ...module_utils._ollama import normalise_tag
from .._engines.choice import (
    Choice,
    choose_engine,
    forced_engine,
    gone_arguments,
    source_trouble,
    variant_for,
)
from .._engines.vllm_arguments import flag_troubles, slice_arguments
from .._engines.vllm_capability import capability_doubt, capability_troubles
from .._engines.vllm_flags import number, overlay
from .._engines.vllm_unit import COMPILE_CACHE, CONFIG_PATH, HUB_CACHE, cpu_utilization
from .._secrets.secrecy import has_credentials
from . import gateway as gateway_part
from .bounds import Trouble, settle_bounds, shm_size_for
from .findings import Report, Size, hint
from .grammar import normal_path
from .images import (
    KNOWN_L4T,
    OLLAMA_IMAGE,
    VLLM_IMAGE,
    VLLM_VERSION,
    audio_packages,
    check_floating,
    driver_trouble,
    has_entrypoint,
    is_floating,
    tegra_trouble,
    too_old,
    version_in,
    version_trouble,
    vllm_image,
)
from .main_memory import Offload, offloads
from .memory import DEFAULT_SHARE, Ask, Grant, find_device, gib, settle
from .model import (
    DEFAULT_OLLAMA_PORT,
    INVALID_PORT,
    INVALID_SOURCE,
    OLLAMA_CONTAINER_PORT,
    VLLM_CONTAINER_PORT,
    Host,
    Model,
    Mount,
    Service,
    Variant,
)
from .platform import (
    REMEMBERED,
    Hardware,
    mig_remedy,
    version_tuple,
)
from .task import Task, argument_path

#: Each multiplies the GPUs of an engine (vLLM 0.32, config/parallel.py: world_size, and data parallel ranks of that size).
_MULTIPLIERS = ("pipeline-parallel-size", "prefill-context-parallel-size", "data-parallel-size")

#: What the collection mounts itself, by the place in the container.
_OWN_TARGETS: Mapping[str, Mapping[str, str]] = {
    "vllm": {HUB_CACHE: "the hub's cache (vllm_huggingface_dir)", COMPILE_CACHE: "the cache of torch.compile", CONFIG_PATH: "its file"},
    "ollama": {OLLAMA_STORE: "the models of the instance (below inference_data_dir)"},
}


class HostPlan:
    """What one host is to do. Filled by C(resolve), read by C(output)."""

    def __init__(self, host: Host, platform: str, hardware: Hardware | None, report: Report) -> None:
        self.host = host
        self.platform = platform
        self.hardware = hardware
        self.report = report
        self.vllm: list[dict[str, Any]] = []
        self.ollama: list[dict[str, Any]] = []
        self.table: list[dict[str, Any]] = []
        self.backends: list[gateway_part.Backend] = []
        self.proxied: list[dict[str, Any]] = []
        self.bounds: dict[int, int | None] = {}  # on main memory, by port

    def _add(self, variable: str, value: Any, message: str) -> None:
        self.report.add(variable, value, message, [self.host.name])

    def _judge(self, variable: str, value: Any, message: str) -> None:
        """A finding about the hardware; only a warning where the host is away and its hardware is remembered or not known at all.

        What it has may have changed since, and a host that is not part of this run must not stop it.
        """
        host, hardware = self.host, self.hardware
        if hardware is not None:
            sure = hardware.origin != REMEMBERED
        else:
            sure = host.settings.platform != "auto" or host.settings.platform_expected is not None
        if host.in_play or sure:
            self._add(variable, value, message)
        else:
            self.report.warn(f"{variable}: {message}", [host.name])

    def _trouble(self, trouble: Trouble) -> None:
        (self._judge if trouble.of_hardware else self._add)(trouble.variable, trouble.value, trouble.message)

    # --- deciding ------------------------------------------------------------------------------------------------

    def resolve(self, gateway_port: int | None) -> None:
        hardware = self.hardware
        if self.platform == "jetson" and hardware is not None and hardware.l4t and hardware.l4t[0] not in KNOWN_L4T:
            release = ".".join(map(str, hardware.l4t))
            self.report.warn(
                f"L4T {release} is not known to this release of the collection; images are chosen as for the nearest one", [self.host.name]
            )
        if hardware is not None and hardware.devices:
            for key in self.host.settings.gpu_reserve:
                if key and key not in hardware.sliced and find_device(key, hardware.devices) is None:
                    shown = ", ".join(f"{device.index} ({device.name})" for device in hardware.devices)
                    self._judge(f"inference_gpu_reserve.{key}", None, f"the host has no such GPU; it has {shown}")
        tasks = [
            task for task in (self._task(position, service) for position, service in enumerate(self.host.services)) if task is not None
        ]
        tasks = self._without_collisions(tasks, gateway_port)
        grants = self._grants(tasks)
        main_memory = settle_bounds(tasks, grants, self.hardware)
        self.bounds = main_memory.mib
        for found in main_memory.troubles:
            self._trouble(found)
        for warning in main_memory.warnings:
            self.report.warn(warning, [self.host.name])
        groups: dict[int, list[tuple[Task, Grant | None]]] = {}
        for task, grant in zip(tasks, grants):
            if task.engine == "ollama":
                groups.setdefault(task.port, []).append((task, grant))
            else:
                self._capability(task, grant)
                self._vllm_instance(task, grant)
        for port, members in groups.items():
            self._ollama_instance(port, members)
        for task, grant in zip(tasks, grants):
            trouble = version_trouble(task.engine, task.image, task.engine_version)
            if trouble and (task.image_given or task.variant.engine_version):
                self.report.warn(f"{task.image_path} = {task.image}: {trouble}")
            self._row(task, grant)
            self._backend(task)

    def _task(self, position: int, service: Service) -> Task | None:
        host, where = self.host, service.path
        if not service.enabled:
            return None
        model = host.models.get(service.model)
        if model is None:
            if service.model and "inference_models" not in host.unreadable:
                self._add(f"{where}.model", service.model, f"is no model of inference_models.{hint(service.model, host.models)}")
            return None
        forced = forced_engine(model, self.platform, host.settings.engine)
        variant = variant_for(model, self.platform, forced)
        choice = choose_engine(model, variant, self.platform, forced)
        if variant.source is None:
            self._add(f"{model.path}.source", None, f"is required for the platform {self.platform}, which {where} uses")
            return None
        if variant.source == INVALID_SOURCE:
            return None
        trouble = source_trouble(model, variant, choice, self.platform)
        if trouble:
            over = model.on_platform.get(self.platform)
            of_platform = trouble.field == "source" and over is not None and over.source
            place = f"{model.path}.on_platform.{self.platform}" if of_platform else model.path
            self._add(f"{place}.{trouble.field}", model.capability if trouble.field == "capability" else variant.source, trouble.message)
            return None
        engine = choice.engine
        if service.port is None and engine == "vllm":
            self._add(f"{where}.port", None, "is required: the port on 127.0.0.1 of the host where the engine answers")
            return None
        self._mounts(service, engine)
        device = self._device(service)
        name, given, image_path = self._image(model, variant, service, engine, device)
        version = (variant.engine_version or version_in(name)) if engine == "vllm" else version_in(name)
        arguments = self._arguments(model, variant, service, choice, version)
        count, pins = self._gpus(model, service, device, arguments, engine)
        number_of_version = version_tuple(version.lstrip("v")) if version else None
        env = {key: value for key, value in {**(variant.env or {}), **service.env}.items() if value is not None}
        return Task(
            position=position,
            service=service,
            model=model,
            variant=variant,
            choice=choice,
            engine=engine,
            device=device,
            port=service.port or DEFAULT_OLLAMA_PORT,
            image=name,
            engine_version=version.lstrip("v") if version else None,
            image_given=given,
            image_path=image_path,
            count=count,
            pins=pins,
            engine_args=arguments,
            env=env,
            offloads=tuple(offloads(arguments, env, max(1, count), number_of_version)) if engine == "vllm" and device == "gpu" else (),
        )

    def _mounts(self, service: Service, engine: str) -> None:
        for mount in service.mounts:
            ours = _OWN_TARGETS[engine].get(normal_path(mount.target))
            if ours:
                self._add(f"{service.path}.mounts", mount.target, f"is where the collection mounts {ours}; choose another target")

    def _device(self, service: Service) -> str:
        if self.platform == "cpu" and service.device == "gpu":
            remedy = "use device: cpu, or move the service to another host"
            self._judge(f"{service.path}.device", "gpu", f"the host has no GPU (its platform is cpu); {remedy}")
        elif self.platform == "cpu" and service.gpus is not None:
            self._judge(f"{service.path}.gpus", list(service.gpus), "the host has no GPU (its platform is cpu); remove gpus")
        return service.device or ("cpu" if self.platform == "cpu" else "gpu")

    def _image(self, model: Model, variant: Variant, service: Service, engine: str, device: str) -> tuple[str, bool, str]:
        """The image, whether the user named it, and where that is done."""
        settings, hardware = self.host.settings, self.hardware
        configured = settings.images.get(engine, {})
        key = "cpu" if device == "cpu" else self.platform
        explicit = variant.image
        if engine == "ollama":
            if explicit is not None and variant.engine != "ollama" and "ollama" not in explicit:
                explicit = None
            name: str | None = explicit or configured.get(key) or configured.get("") or OLLAMA_IMAGE
            trouble = ""
        else:
            name, trouble = vllm_image(explicit, configured, device, self.platform, hardware)
        if name is None:
            self._judge(f"inference_images.{engine}.{key}", None, f"{service.path} ({model.name}): {trouble}")
            name = VLLM_IMAGE
        if explicit:
            over = model.on_platform.get(self.platform)
            where = f"{model.path}.on_platform.{self.platform}.image" if over is not None and over.image else f"{model.path}.image"
        else:
            where = f"inference_images.{engine}" + (f".{key}" if key in configured else "")
        if is_floating(name):
            check_floating(name, where, settings.allow_floating_tags, self.report, [self.host.name] if not explicit else [])
        if device == "gpu" and hardware is not None and self.host.in_play:
            pins = self._pins(service, report=False)
            bad = driver_trouble(engine, name, hardware, pins) or (tegra_trouble(name, hardware) if engine == "vllm" else None)
            if bad:
                self._add(f"{service.path}.model", service.model, bad)
        return name, bool(explicit or configured.get(key) or configured.get("")), where

    def _arguments(self, model: Model, variant: Variant, service: Service, choice: Choice, version: str | None) -> dict[str, Any]:
        merged = overlay(variant.engine_args or {}, service.engine_args)
        if choice.engine == "ollama":
            for key in ("kv_cache_memory", "shm_size", "drop_page_cache"):
                if getattr(service, key):
                    self.report.warn(f"{service.path}.{key} has no use: Ollama serves {model.name} ({choice.rule})", [self.host.name])
            if merged:
                explicit = bool(service.engine_args) or variant.engine == "ollama"
                where = f"{service.path}.engine_args" if service.engine_args else f"{model.path}.engine_args"
                if explicit:
                    self._add(
                        where,
                        merged,
                        "Ollama takes no engine arguments; use env, for example env: {OLLAMA_KEEP_ALIVE: '-1'}, and max_model_len",
                    )
                else:
                    self.report.warn(
                        f"the engine_args of {model.name} are not used: Ollama serves it there ({choice.rule})", [self.host.name]
                    )
            return {}
        troubles = [*gone_arguments(merged, version), *flag_troubles(merged)]
        if "max-model-len" in merged and (service.max_model_len or variant.max_model_len) is not None:
            troubles.append(("max-model-len", "max_model_len is set too; keep one of the two"))
        if "kv-cache-memory-bytes" in merged and service.kv_cache_memory is not None:
            troubles.append(("kv-cache-memory-bytes", "kv_cache_memory of the service is set too; keep one of the two"))
        for name, message in troubles:
            self._add(self._argument_path(name, model, service), merged[name], message)
        return merged

    def _argument_path(self, name: str, model: Model, service: Service) -> str:
        return argument_path(model, service, name, self.platform)

    def _pins(self, service: Service, *, report: bool) -> tuple[str, ...]:
        """The keys of the GPUs that the user gave."""
        if service.gpus is None:
            return ()
        hardware = self.hardware
        if hardware is None or not (hardware.devices or hardware.unsliced):
            return service.gpus
        keys: list[str] = []
        for position, name in enumerate(service.gpus):
            device = find_device(name, hardware.devices)
            where = f"{service.path}.gpus[{position}]"
            if device is not None:
                if device.key not in keys:
                    keys.append(device.key)
                elif report:
                    self._add(where, name, f"is the same GPU as another one in the list ({device.key})")
            elif report and any(name in (item.index, item.key) for item in hardware.unsliced):
                bare = next(item for item in hardware.unsliced if name in (item.index, item.key))
                self._judge(where, name, mig_remedy(bare))
            elif report and name in hardware.sliced:
                slices = ", ".join(d.key for d in hardware.devices if d.is_slice)
                self._judge(where, name, f"is split by MIG; name one of its slices: {slices}")
            elif report:
                shown = ", ".join(f"{d.index} ({d.name})" for d in hardware.devices)
                self._judge(where, name, f"the host has no such GPU; it has {shown}")
        return tuple(keys)

    def _gpus(self, model: Model, service: Service, device: str, arguments: Mapping[str, Any], engine: str) -> tuple[int, tuple[str, ...]]:
        if device == "cpu":
            return 0, ()
        where = service.path
        pins = self._pins(service, report=True)
        factors = {name: value for name in _MULTIPLIERS for value in (number(arguments, name),) if value is not None and value > 1}
        factor = math.prod(factors.values())
        parallel = service.tensor_parallel_size
        given = len(service.gpus) if service.gpus is not None else None
        if engine == "ollama":
            if parallel is not None and parallel > 1:
                self._add(f"{where}.tensor_parallel_size", parallel, "is an engine setting of vLLM; for Ollama give the GPUs in gpus")
            count = given or 1
        elif parallel is None:
            count = given if given is not None and factor == 1 else factor if given is None else given
            if given is not None and factor > 1 and given % factor:
                self._add(
                    f"{where}.gpus",
                    list(service.gpus or ()),
                    f"{given} GPUs cannot be divided by {factor} ({', '.join(factors)})",
                )
        else:
            count = parallel * factor
            if given is not None and given != count:
                self._add(
                    f"{where}.gpus",
                    list(service.gpus or ()),
                    f"{count} GPUs are needed (tensor_parallel_size {parallel}{f' x {factor}' if factor > 1 else ''}), {given} are given",
                )
        hardware = self.hardware
        if hardware is not None and hardware.unsliced and not hardware.devices and service.gpus is None:
            self._judge(f"{where}.gpus", None, mig_remedy(hardware.unsliced[0]))
        if hardware is not None and hardware.devices:
            whole = sum(1 for item in hardware.devices if not item.is_slice)
            if not pins and count > max(whole, 1):
                wish = {self._argument_path(name, model, service): value for name, value in factors.items()}
                if parallel is not None and parallel > 1:
                    wish = {f"{where}.tensor_parallel_size": parallel, **wish}
                # GPUs that are not there, and an engine over several hosts, are told as such already.
                if wish and not any(flag_troubles(arguments)):
                    product = f" ({' x '.join(f'{name} {value}' for name, value in wish.items())})" if len(wish) > 1 else ""
                    self._judge(*next(iter(wish.items())), f"needs {count} GPUs{product}, the host has {whole}")
                count = 1
            if pins and len(pins) > 1 and any(item.is_slice for item in hardware.devices if item.key in pins):
                self._add(f"{where}.gpus", list(service.gpus or ()), "an engine cannot run over several MIG slices; give it one")
        return (len(pins) or count), pins

    def _without_collisions(self, tasks: Sequence[Task], gateway_port: int | None) -> list[Task]:
        names: dict[str, Task] = {}
        ports: dict[int, Task] = {}
        kept: list[Task] = []
        for task in tasks:
            where, name = task.service.path, task.service.name
            good = True
            if name in names:
                self._add(f"{where}.name", name, f"is the name of {names[name].service.path} too; give one of them another name")
                good = False
            names.setdefault(name, task)
            if task.port == INVALID_PORT:
                continue
            other = ports.setdefault(task.port, task)
            if gateway_port is not None and task.port == gateway_port:
                self._add(f"{where}.port", task.port, "is the port of the gateway on this host (inference_gateway.port)")
                good = False
            elif other is not task and not (other.engine == "ollama" and task.engine == "ollama"):
                self._add(
                    f"{where}.port",
                    task.port,
                    f"is the port of {other.service.path} ({other.service.name}) too; give one of them another port",
                )
                good = False
            elif other is not task:
                good = self._can_share(task, other) and good
            if good:
                kept.append(task)
        return kept

    def _can_share(self, task: Task, other: Task) -> bool:
        """Services of one Ollama instance must agree on what an instance has only once."""
        where = task.service.path
        differing = [
            (key, mine)
            for key, mine, theirs in (
                ("device", task.device, other.device),
                ("gpus", list(task.pins), list(other.pins)),
                ("image", task.image, other.image),
                ("env", dict(task.env), dict(other.env)),
                ("host_memory", _shown_bound(task.service), _shown_bound(other.service)),
                ("pull", task.service.pull, other.service.pull),
                (
                    "container_extra_arguments",
                    list(task.service.container_extra_arguments),
                    list(other.service.container_extra_arguments),
                ),
            )
            if mine != theirs
        ]
        for key, mine in differing:
            self._add(
                f"{where}.{key}",
                mine,
                f"{other.service.path} on the same port has another one, and services on one port share an Ollama instance; "
                "use another port or make them equal",
            )
        return not differing

    def _grants(self, tasks: Sequence[Task]) -> list[Grant | None]:
        hardware = self.hardware
        old = frozenset(device.key for device in too_old(hardware))
        if hardware is not None and len(old) == len(hardware.devices):
            old = frozenset()  # refused already
        asks = [
            Ask(
                name=task.service.name,
                count=task.count,
                size=task.service.memory,
                pins=task.pins,
                rest=task.engine == "vllm" and task.device == "gpu" and task.service.memory is None,
                shun=old if task.engine == "vllm" else frozenset(),
            )
            for task in tasks
        ]
        # Services of one Ollama instance go where its first one goes.
        first: dict[int, int] = {}
        joined: list[Ask] = []
        owner: list[int] = []
        told: dict[int, tuple[Task, Offload]] = {}
        for task, ask in zip(tasks, asks):
            if task.engine == "ollama" and task.port in first:
                target = first[task.port]
                joined[target] = _join(joined[target], ask)
                owner.append(target)
                continue
            if task.engine == "ollama":
                first[task.port] = len(joined)
            owner.append(len(joined))
            joined.append(ask)
            for item in task.offloads:
                told[len(joined)] = (task, item)
                joined.append(Ask(f"{task.service.name} ({item.name})", count=0, size=Size(gib(item.mib), mib=item.mib)))
            if task.engine == "ollama" and ask.size is None and task.device == "gpu":
                self.report.warn(f"{task.service.path} gives no memory, so the ledger does not know what Ollama takes", [self.host.name])
        ledger = settle(joined, hardware, self.host.settings.gpu_reserve)
        for position, problem in ledger.problems:
            if position in told:
                task, item = told[position]
                where = (task.variable_path if item.variable else task.argument_path)(item.name, self.platform)
                self._judge(
                    where, (task.env if item.variable else task.engine_args).get(item.name), f"{problem}. Give less, or use another host"
                )
                continue
            culprit = tasks[owner.index(position)]
            size = culprit.service.memory
            remedy = "Give less memory, use another GPU or host, or lower inference_gpu_reserve"
            if culprit.device == "cpu" and not (hardware is not None and hardware.unified):
                remedy = "Give less memory, or use another host"  # the reserve of main memory is fixed
            self._judge(f"{culprit.service.path}.memory", size.text if size else None, f"{problem}. {remedy}")
        grants = [ledger.grants[target] for target in owner]
        self._unknown_memory(tasks, grants)
        return grants

    def _unknown_memory(self, tasks: Sequence[Task], grants: Sequence[Grant | None]) -> None:
        """A GPU whose memory is not known is the same alone and beside others: a size cannot be a share of it, and sums are not checked."""
        hardware = self.hardware
        names = {device.key: f"GPU {device.index} ({device.name})" for device in hardware.devices} if hardware is not None else {}
        unknown: list[str] = []
        for task, grant in zip(tasks, grants):
            if task.device != "gpu" or (grant is not None and grant.total is not None) or (grant is None and names):
                continue
            which = [names[key] for key in (grant.devices if grant else ()) if key in names]
            unknown += which
            size = task.service.memory
            if task.engine == "vllm" and size is not None and size.mib is not None and self.host.in_play:
                self._add(
                    f"{task.service.path}.memory",
                    size.text,
                    f"the memory of {', '.join(which) or 'the host GPU'} is not known; declare it in inference_hardware, or give a "
                    "fraction such as 0.38",
                )
            elif not which:
                unknown.append("the GPUs")
        if unknown:
            self.report.warn(
                f"the memory of {', '.join(dict.fromkeys(unknown))} is not known, so the sum of the services is not checked; declare it in "
                "inference_hardware",
                [self.host.name],
            )

    # --- writing down --------------------------------------------------------------------------------------------

    def _gpu_access(self) -> str:
        """Of the host and not of the service: a service on the CPU beside a GPU has to be kept from it."""
        if self.platform == "cpu":
            return "none"
        return "jetson" if self.platform == "jetson" else self.host.settings.gpu_access

    def _drop_page_cache(self, service: Service) -> bool:
        if service.drop_page_cache and self.hardware is not None and not self.hardware.unified:
            self.report.warn(f"{service.path}.drop_page_cache has no use: CPU and GPU do not share the memory", [self.host.name])
            return False
        return bool(service.drop_page_cache)

    def _networks(self, service: Service) -> list[str]:
        return list(dict.fromkeys((self.host.settings.engines_network.name, *service.networks)))

    def _proxy_env(self) -> dict[str, str]:
        """Engines download models themselves. Credentials would be readable by everybody, so such a proxy is not passed on."""
        proxy = self.host.settings.proxy
        if any(has_credentials(proxy.get(key, "")) for key in ("http", "https", "no_proxy")):
            self.report.warn("inference_proxy holds credentials and is not passed into the engines' containers", [self.host.name])
            return {}
        names = {"http": "HTTP_PROXY", "https": "HTTPS_PROXY", "no_proxy": "NO_PROXY"}
        return {names[key]: value for key, value in proxy.items()}

    def _vllm_instance(self, task: Task, grant: Grant | None) -> None:
        service, model, variant = task.service, task.model, task.variant
        source = str(variant.source)
        utilization, memory_mib = _utilization(service, grant, task.device)
        kv_cache = service.kv_cache_memory
        if (
            kv_cache is not None
            and kv_cache.mib is not None
            and grant is not None
            and grant.amount is not None
            and kv_cache.mib > grant.amount
        ):
            self._add(f"{service.path}.kv_cache_memory", kv_cache.text, "is more than memory, of which it is a part")
        packages = variant.image_packages
        if packages is None and model.capability == "transcription":
            packages, trouble = audio_packages(task.image, task.image_given, task.engine_version, model.name)
            if trouble:
                self.report.warn(f"{task.image_path}: {trouble}", [self.host.name])
        factor = max(1, task.count)
        parallel = service.tensor_parallel_size or (factor if service.gpus is not None and not _other_parallel(task.engine_args) else 1)
        served = list(dict.fromkeys((model.name, source)))
        shm_size, trouble_of_shm = shm_size_for(task, parallel)
        if trouble_of_shm is not None:
            self._trouble(trouble_of_shm)
        device = find_device(grant.devices[0], self.hardware.devices) if grant and grant.devices and self.hardware else None
        engine_args = {**(slice_arguments(device, model.capability, task.engine_args) if device else {}), **task.engine_args}
        self.vllm.append(
            {
                "name": service.name,
                "model": source,
                "revision": variant.revision,
                "served_model_names": served,
                "capability": model.capability,
                "modalities": list(model.modalities),
                "image": task.image,
                "engine_version": task.engine_version,
                "image_has_entrypoint": has_entrypoint(task.image)
                if variant.image_has_entrypoint is None
                else variant.image_has_entrypoint,
                "image_packages": list(packages or ()),
                "port": task.port,
                "device": task.device,
                "gpus": list(grant.devices) if grant else [],
                "gpu_access": self._gpu_access(),
                "gpu_memory_utilization": utilization,
                "kv_cache_memory_bytes": int(kv_cache.mib * 1024 * 1024) if kv_cache is not None and kv_cache.mib is not None else None,
                "max_model_len": service.max_model_len or variant.max_model_len,
                "tensor_parallel_size": parallel if task.device == "gpu" else service.tensor_parallel_size or 1,
                "shm_size": shm_size,
                "engine_args": engine_args,
                "env": {**self._proxy_env(), **task.env},
                "mounts": [vars(mount) for mount in service.mounts],
                "networks": self._networks(service),
                "pull": service.pull,
                "container_extra_arguments": list(service.container_extra_arguments),
                "ready_timeout": service.ready_timeout or READY_TIMEOUT,
                "silence_timeout": _silence_timeout([service]),
                "stop_timeout": service.stop_timeout or STOP_TIMEOUT,
                "memory_mib": memory_mib,
                "host_memory_mib": self.bounds.get(task.port),
                "drop_page_cache": self._drop_page_cache(service),
                "dimension": model.dimension,
            }
        )

    def _capability(self, task: Task, grant: Grant | None) -> None:
        """What the weakest GPU of an engine cannot do. A release of vLLM after the one that was read may have learnt it."""
        hardware = self.hardware
        given = [device for device in hardware.devices if device.key in (grant.devices if grant else ())] if hardware is not None else []
        known = [(device.compute_capability, device) for device in given if device.compute_capability is not None]
        if not known or known[0][1] in too_old(hardware):
            return
        capability, device = min(known, key=lambda pair: pair[0])
        who = f"GPU {device.index} ({device.name}) has compute capability {device.capability_text}"
        newer = (version_tuple(task.engine_version) or ()) > (version_tuple(VLLM_VERSION) or ())
        for name, message in capability_troubles(task.engine_args, capability):
            where = self._argument_path(name, task.model, task.service)
            if newer:
                self.report.warn(f"{where}: {who}; {message} (true of vLLM {VLLM_VERSION})", [self.host.name])
            else:
                self._judge(where, task.engine_args.get(name), f"{who}; {message}")
        doubt = capability_doubt(str(task.variant.source), task.engine_args, capability)
        if doubt:
            self.report.warn(f"{task.service.path} ({task.service.name}): {who}, and its model's name speaks of {doubt}", [self.host.name])

    def _ollama_instance(self, port: int, members: Sequence[tuple[Task, Grant | None]]) -> None:
        task, grant = members[0]
        name = str(port)
        services = [member.service for member, _grant in members]
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
        l4t = self.hardware.l4t if self.hardware else None
        jetpack = {35: "5", 36: "6"}.get(l4t[0]) if l4t and self.platform == "jetson" and task.device == "gpu" else None
        amount = grant.amount if grant else None
        self.ollama.append(
            {
                "name": name,
                "port": port,
                "image": task.image,
                "image_has_entrypoint": task.variant.image_has_entrypoint is not False,
                "device": task.device,
                "gpus": list(grant.devices) if grant else [],
                "gpu_access": self._gpu_access(),
                "models": list(models.values()),
                "jetpack": jetpack,
                "env": {**self._proxy_env(), **task.env},
                "mounts": self._shared_mounts(services),
                "networks": list(dict.fromkeys(network for service in services for network in self._networks(service))),
                "pull": task.service.pull,
                "container_extra_arguments": list(task.service.container_extra_arguments),
                "ready_timeout": max(service.ready_timeout or READY_TIMEOUT for service in services),
                "silence_timeout": _silence_timeout(services),
                "stop_timeout": max(service.stop_timeout or STOP_TIMEOUT for service in services),
                "memory_mib": int(amount) if amount is not None else _sum_mib(services),
                "host_memory_mib": self.bounds.get(port),
            }
        )

    def _shared_mounts(self, services: Sequence[Service]) -> list[dict[str, Any]]:
        """The mounts of all services of an Ollama instance, each place in the container once."""
        found: dict[str, Mount] = {}
        for service in services:
            for mount in service.mounts:
                other = found.setdefault(normal_path(mount.target), mount)
                if other != mount:
                    message = f"another service on the same port mounts {other.source} there, and they share an Ollama instance"
                    self._add(f"{service.path}.mounts", mount.target, f"{message}; choose another target, or another port")
        return [vars(mount) for mount in found.values()]

    def _backend(self, task: Task) -> None:
        ollama = task.engine == "ollama"
        source = str(task.variant.source)
        length = task.service.max_model_len or task.variant.max_model_len or number(task.engine_args, "max-model-len")
        self.backends.append(
            gateway_part.Backend(
                model=task.model,
                host=self.host.name,
                service=task.service.name,
                engine=task.engine,
                served_name=normalise_tag(source) if ollama else task.model.name,
                container=f"ollama-{task.port}" if ollama else f"vllm-{task.service.name}",
                container_port=OLLAMA_CONTAINER_PORT if ollama else VLLM_CONTAINER_PORT,
                port=task.port,
                address=self.host.address,
                order=task.service.order,
                weight=task.service.weight,
                max_model_len=length if length is not None and length > 0 else None,
                source=source,
            )
        )
        if not any(item["port"] == task.port for item in self.proxied):
            self.proxied.append(
                {
                    "name": f"ollama-{task.port}" if ollama else f"vllm-{task.service.name}",
                    "port": task.port,
                    "upstream_port": task.port,
                    "engine": task.engine,
                }
            )

    def _own_memory(self, task: Task, grant: Grant | None) -> float | None:
        """MiB of this service alone: services of one Ollama instance share a grant."""
        size = task.service.memory
        if size is None:
            return grant.amount if grant and task.engine == "vllm" else None
        if size.mib is not None:
            return size.mib
        return (size.fraction or 0.0) * grant.total if grant and grant.total is not None else None

    def _row(self, task: Task, grant: Grant | None) -> None:
        devices = {device.key: device for device in self.hardware.devices} if self.hardware else {}
        labels = [devices[key].index if key in devices else key for key in (grant.devices if grant else task.pins)]
        memory = self._own_memory(task, grant)
        self.table.append(
            {
                "host": self.host.name,
                "gpu": ",".join(labels) if task.device == "gpu" else "-",
                "service": task.service.name,
                "engine": task.engine,
                "port": task.port,
                "memory": round(memory / 1024, 1) if memory is not None else None,
                "memory_left": round(grant.left / 1024, 1) if grant and grant.left is not None else None,
                "image": task.image,
                "rule": task.choice.rule,
                "platform": self.platform,
                "device": task.device,
                "model": task.model.name,
                "hardware": self.origin,
            }
        )

    @property
    def origin(self) -> str:
        """Where the hardware is known from."""
        return self.hardware.origin if self.hardware is not None else "unknown"

    def output(self, hosts: Mapping[str, Host]) -> dict[str, Any]:
        host, settings = self.host, self.host.settings
        roles = [
            role for role, member in (("inference_node", host.is_node), ("gateway", host.is_gateway), ("client", host.is_client)) if member
        ]
        daemon: dict[str, Any] = {}
        if settings.registry_mirrors:
            daemon["registry-mirrors"] = list(settings.registry_mirrors)
        if settings.dns:
            daemon["dns"] = list(settings.dns)
        gpu = host.is_node and self.platform in ("dgpu", "jetson")
        others = [other for other in hosts.values() if other.is_gateway and other.name != host.name]
        return {
            "platform": self.platform,
            "hardware": self.origin,
            "address": host.address,
            "roles": roles,
            "data_dir": settings.data_dir,
            "docker": {"daemon_config_auto": daemon},
            "toolkit": {"enabled": gpu, "platform": self.platform, "cdi": gpu and settings.gpu_access == "cdi" and self.platform == "dgpu"},
            "networks": self._all_networks(),
            "vllm": self.vllm,
            "ollama": self.ollama,
            "proxy": [{**item, "allowed_addresses": [other.address for other in others]} for item in self.proxied] if others else [],
        }

    def _all_networks(self) -> list[dict[str, Any]]:
        host, settings = self.host, self.host.settings
        networks = {}
        if host.is_node or host.is_gateway:
            networks[settings.engines_network.name] = settings.engines_network.subnet
        used = {name for instance in (*self.vllm, *self.ollama) for name in instance["networks"]}
        if host.is_gateway or host.is_client or settings.network.name in used:
            networks[settings.network.name] = settings.network.subnet
        for name in sorted(used):
            networks.setdefault(name, "")
        return [{"name": name, "subnet": subnet or None} for name, subnet in networks.items()]


def _join(first: Ask, second: Ask) -> Ask:
    """Two services of one Ollama instance as one ask."""
    if first.size is None or second.size is None:
        return Ask(first.name, first.count, first.size or second.size, first.pins or second.pins)
    if first.size.mib is not None and second.size.mib is not None:
        size = type(first.size)(first.size.text, mib=first.size.mib + second.size.mib)
    elif first.size.fraction is not None and second.size.fraction is not None:
        size = type(first.size)(first.size.text, fraction=first.size.fraction + second.size.fraction)
    else:
        size = first.size if first.size.mib is not None else second.size
    return Ask(first.name, first.count, size, first.pins or second.pins)


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


def _silence_timeout(services: Sequence[Service]) -> int:
    """Of services that share an instance: the most patient one's. 0 is no limit."""
    limits = [SILENCE_TIMEOUT if service.silence_timeout is None else service.silence_timeout for service in services]
    return 0 if 0 in limits else max(limits)


def _sum_mib(services: Sequence[Service]) -> int | None:
    sizes = [service.memory.mib if service.memory is not None else None for service in services]
    return int(sum(size or 0.0 for size in sizes)) if all(size is not None for size in sizes) else None


def _shown_bound(service: Service) -> str | bool | None:
    return service.host_memory.text if service.host_memory is not None else None if service.host_memory_bounded else False


def _other_parallel(arguments: Mapping[str, Any]) -> bool:
    return any((number(arguments, name) or 1) > 1 for name in _MULTIPLIERS)
