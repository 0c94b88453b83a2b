# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What one host is to do: engine, image and GPUs of each service, its memory, and the forms that the roles take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from .._engines.base import Engine, Surroundings
from .._engines.choice import choose_engine, forced_engine, source_trouble, variant_for
from .._engines.registry import ENGINES
from .._platforms.base import Platform
from .._platforms.registry import CPU
from .._secrets.secrecy import has_credentials
from . import gateway as gateway_part
from .adapters import adapter_names, adapters_of
from .bounds import settle_bounds
from .findings import Report, hint
from .gpus import device_of, gpus_of, pins_of
from .grants import grants_of
from .host_findings import HostFindings
from .images import check_floating, is_floating
from .memory import Grant, find_device
from .model import INVALID_SOURCE, Host, Model, Service, Variant
from .platform import Hardware
from .service_findings import check_adapters, check_mounts, check_name, check_own_keys, check_part
from .sharing import without_collisions
from .task import Task


class HostPlan:
    """What one host is to do. Filled by C(resolve), read by C(output)."""

    def __init__(self, host: Host, platform: Platform, hardware: Hardware | None, report: Report) -> None:
        self.host = host
        self.platform = platform
        self.hardware = hardware
        self.access = platform.access(host.settings.gpu_access)
        self.told = HostFindings(host, platform, hardware, report)
        self.instances: dict[str, list[dict[str, Any]]] = {name: [] for name in ENGINES}
        self.table: list[dict[str, Any]] = []
        self.backends: list[gateway_part.Backend] = []
        self.proxied: list[dict[str, Any]] = []
        #: Ports of what a gateway on this host, too, reaches by the proxy: it has no name on the engines' network.
        self.open_here: list[int] = []
        #: Who reaches the ports at which the members of engines over several hosts meet. Empty where there are none.
        self.cluster: dict[str, Any] = {}
        #: MiB of GPU memory by container, over all its GPUs.
        self.gpu_memory: dict[str, float] = {}

    # --- deciding ------------------------------------------------------------------------------------------------

    def resolve(self, gateway_port: int | None) -> None:
        self._check_host()
        tasks = [
            task for task in (self._task(position, service) for position, service in enumerate(self.host.services)) if task is not None
        ]
        tasks = without_collisions(self.told, tasks, gateway_port)
        grants = grants_of(self.told, tasks)
        main_memory = settle_bounds(tasks, grants, self.hardware)
        for found in main_memory.troubles:
            self.told.tell(found)
        for warning in main_memory.warnings:
            self.told.warn(warning)
        groups: dict[tuple[str, int], list[tuple[Task, Grant | None]]] = {}
        for task, grant in zip(tasks, grants):
            groups.setdefault((task.engine.name, task.port), []).append((task, grant))
        if groups:
            around = Surroundings(self.told, self.access.name, self._proxy_env(), main_memory.mib)
            for (engine, _port), members in groups.items():
                self.instances[engine].append(ENGINES[engine].instance(around, members))
        for task, grant in zip(tasks, grants):
            trouble = task.engine.version_trouble(task.image, task.engine_version)
            if trouble and (task.image_given or task.variant.engine_version):
                self.told.report.warn(f"{task.image_path} = {task.image}: {trouble}")
            self._row(task, grant)
            self._backend(task)

    def _check_host(self) -> None:
        hardware = self.hardware
        for warning in self.platform.warnings(hardware) if hardware is not None else ():
            self.told.warn(warning)
        if hardware is not None and hardware.devices:
            for key in self.host.settings.gpu_reserve:
                if key and key not in hardware.sliced and find_device(key, hardware.devices) is None:
                    shown = ", ".join(f"{device.index} ({device.name})" for device in hardware.devices)
                    self.told.judge(f"inference_gpu_reserve.{key}", None, f"the host has no such GPU; it has {shown}")

    def _task(self, position: int, service: Service) -> Task | None:
        host, where = self.host, service.path
        if not service.enabled:
            return None
        model = host.models.get(service.model)
        if model is None:
            if service.model and "inference_models" not in host.unreadable:
                owner = next((other.name for other in host.models.values() if service.model in adapter_names(other)), None)
                if owner:
                    message = (
                        f"is an adapter of the model {owner!r}, whose services serve it; write model: {owner}, or leave the service out"
                    )
                else:
                    message = f"is not defined in inference_models.{hint(service.model, host.models)}"
                self.told.add(f"{where}.model", service.model, message)
            return None
        forced = forced_engine(model, self.platform.name, host.settings.engine)
        variant = variant_for(model, self.platform.name, forced)
        choice = choose_engine(model, variant, self.platform, forced)
        check_own_keys(self.told, model, variant, choice)
        if variant.source is None and choice.engine.needs_source:
            self.told.add(f"{model.path}.source", None, f"is required for the platform {self.platform.name}, which {where} uses")
            return None
        if variant.source == INVALID_SOURCE:
            return None
        trouble = source_trouble(model, variant, choice, self.platform.name)
        if trouble:
            over = model.on_platform.get(self.platform.name)
            of_platform = trouble.field == "source" and over is not None and over.source
            place = f"{model.path}.on_platform.{self.platform.name}" if of_platform else model.path
            value = variant.source if trouble.field == "source" else model.capability
            self.told.add(f"{place}.{trouble.field}", value, trouble.message)
            return None
        engine = choice.engine
        check_part(self.told, model, service, choice)
        port = service.port or engine.default_port
        if port is None:
            self.told.add(f"{where}.port", None, "is required: the port on 127.0.0.1 of the host where the engine answers")
            return None
        check_name(self.told, service, engine, port)
        check_mounts(self.told, service, engine)
        device = device_of(self.told, service)
        name, given, image_path = self._image(model, variant, service, engine, device)
        version = engine.version(variant, name)
        check_adapters(self.told, model, variant, service, choice, version)
        arguments = engine.arguments(self.told, model, variant, service, choice, version)
        count, pins = gpus_of(self.told, model, service, device, arguments, engine)
        env = {key: value for key, value in {**(variant.env or {}), **service.env}.items() if value is not None}
        return Task(
            position=position,
            service=service,
            model=model,
            variant=variant,
            choice=choice,
            engine=engine,
            device=device,
            port=port,
            image=name,
            engine_version=version.lstrip("v") if version else None,
            image_given=given,
            image_path=image_path,
            count=count,
            pins=pins,
            engine_args=arguments,
            env=env,
            offloads=engine.offloads(arguments, env, max(1, count), version) if device == "gpu" else (),
        )

    def _image(self, model: Model, variant: Variant, service: Service, engine: Engine, device: str) -> tuple[str, bool, str]:
        """The image, whether the user named it, and where that is done."""
        settings, hardware = self.host.settings, self.hardware
        configured = settings.images.get(engine.name, {})
        platform = CPU if device == "cpu" else self.platform
        key = platform.name
        explicit = engine.meant_image(variant)
        chosen = explicit or configured.get(key) or configured.get("")
        name, trouble = (chosen, "") if chosen else platform.image(engine, hardware)
        if name is None:
            self.told.judge(f"inference_images.{engine.name}.{key}", None, f"{service.path} ({model.name}): {trouble}")
            name = engine.fallback_image
        if explicit:
            over = model.on_platform.get(self.platform.name)
            where = f"{model.path}.on_platform.{self.platform.name}.image" if over is not None and over.image else f"{model.path}.image"
        else:
            where = f"inference_images.{engine.name}" + (f".{key}" if key in configured else "")
        if is_floating(name):
            check_floating(name, where, settings.allow_floating_tags, self.told.report, [self.host.name] if not explicit else [])
        if device == "gpu" and hardware is not None and self.host.in_play:
            bad = engine.image_trouble(name, hardware, pins_of(self.told, service, report=False))
            if bad:
                self.told.add(f"{service.path}.model", service.model, bad)
        return name, bool(chosen), where

    # --- writing down --------------------------------------------------------------------------------------------

    def _proxy_env(self) -> dict[str, str]:
        """Engines download models themselves. Credentials would be readable by everybody, so such a proxy is not passed on."""
        proxy = self.host.settings.proxy
        if any(has_credentials(proxy.get(key, "")) for key in ("http", "https", "no_proxy")):
            self.told.warn("inference_proxy holds credentials and is not passed into the engines' containers")
            return {}
        names = {"http": "HTTP_PROXY", "https": "HTTPS_PROXY", "no_proxy": "NO_PROXY"}
        return {names[key]: value for key, value in proxy.items()}

    def _backend(self, task: Task) -> None:
        part = task.service.part
        if part is not None and part.rank:
            return  # the first member answers for all
        engine = task.engine
        source = task.variant.source or ""
        unit = engine.unit_name(task.service, task.port)
        length = task.service.max_model_len or task.variant.max_model_len or engine.context_length(task.engine_args)
        backend = gateway_part.Backend(
            model=task.model,
            host=self.host.name,
            service=task.service.name,
            engine=engine.spoken(task.variant),
            served_name=engine.served_name(task.model.name, task.variant),
            container=unit,
            container_port=engine.port_inside(task.variant),
            port=task.port,
            address=self.host.address,
            order=task.service.order,
            weight=task.service.weight,
            max_model_len=length if length is not None and length > 0 else None,
            source=source,
            tls=self.host.settings.node_proxy_tls,
            by_proxy=part is not None,
        )
        self.backends.append(backend)
        for name, place in adapters_of(task.variant).items():
            self.backends.append(replace(backend, adapter=name, served_name=name, source=place))
        if not any(item["port"] == task.port for item in self.proxied):
            self.proxied.append({"name": unit, "port": task.port, "upstream_port": task.port, "engine": engine.name})
            self.open_here += [task.port] if part is not None else []

    def _own_memory(self, task: Task, grant: Grant | None) -> float | None:
        """MiB of this service alone: services of one instance share a grant."""
        size = task.service.memory
        if size is None:
            return grant.amount if grant and task.engine.takes_share else None
        if size.mib is not None:
            return size.mib
        return (size.fraction or 0.0) * grant.total if grant and grant.total is not None else None

    def _row(self, task: Task, grant: Grant | None) -> None:
        devices = {device.key: device for device in self.hardware.devices} if self.hardware else {}
        labels = [devices[key].index if key in devices else key for key in (grant.devices if grant else task.pins)]
        memory = self._own_memory(task, grant)
        part = task.service.part
        if memory is not None and task.device == "gpu":
            unit = task.engine.unit_name(task.service, task.port)
            self.gpu_memory[unit] = self.gpu_memory.get(unit, 0) + round(memory * max(1, len(labels)))
        self.table.append(
            {
                "host": self.host.name,
                "gpu": ",".join(labels) if task.device == "gpu" else "-",
                "service": task.service.name,
                "engine": task.engine.name,
                "port": task.port,
                "memory": round(memory / 1024, 1) if memory is not None else None,
                "memory_left": round(grant.left / 1024, 1) if grant and grant.left is not None else None,
                "image": task.image,
                "rule": task.choice.rule,
                "platform": self.platform.name,
                "device": task.device,
                "model": task.model.name,
                "hardware": self.origin,
                # Of an engine over several hosts the first answers for all.
                **({"rank": part.rank, "members": list(part.whole.hosts)} if part is not None else {}),
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
        toolkit = host.is_node and self.platform.toolkit
        return {
            "platform": self.platform.name,
            "hardware": self.origin,
            "address": host.address,
            "roles": roles,
            "data_dir": settings.data_dir,
            "docker": {"daemon_config_auto": daemon},
            "toolkit": {"enabled": toolkit, "platform": self.platform.name, "cdi": toolkit and self.access.name == "cdi"},
            "networks": self._all_networks(),
            **self.instances,
            "proxy": self._proxy([other.address for other in hosts.values() if other.is_gateway and other.name != host.name]),
            **({"metrics": self._metrics()} if settings.metrics else {}),
            **({"rollout": dict(settings.rollout)} if settings.rollout else {}),
            **({"cluster": self.cluster} if self.cluster else {}),
        }

    def _proxy(self, gateways: Sequence[str]) -> list[dict[str, Any]]:
        settings = self.host.settings
        own = [settings.engines_network.subnet, settings.network.subnet] if self.host.is_gateway else []
        allowed = [[*gateways, *(own if item["port"] in self.open_here else [])] for item in self.proxied]
        return [{**item, "allowed_addresses": addresses} for item, addresses in zip(self.proxied, allowed) if addresses]

    def _metrics(self) -> dict[str, Any]:
        settings = self.host.settings
        return {**settings.metrics, "folders": [settings.data_dir], "gpu_memory_mib": self.gpu_memory}

    def _all_networks(self) -> list[dict[str, Any]]:
        host, settings = self.host, self.host.settings
        networks = {}
        if host.is_node or host.is_gateway:
            networks[settings.engines_network.name] = settings.engines_network.subnet
        used = {name for instances in self.instances.values() for instance in instances for name in instance["networks"]} - {"host"}
        if host.is_gateway or host.is_client or settings.network.name in used:
            networks[settings.network.name] = settings.network.subnet
        for name in sorted(used):
            networks.setdefault(name, "")
        return [{"name": name, "subnet": subnet or None} for name, subnet in networks.items()]
