# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What the plan asks of an engine. One file for each engine, and its line in C(registry.py)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from .._plan.defaults import READY_TIMEOUT, SILENCE_TIMEOUT, STOP_TIMEOUT, WATCHDOG
from .._plan.host_findings import Trouble
from .._plan.images import version_in
from .dialect import Dialect
from .load_generator import LoadGenerator

if TYPE_CHECKING:
    from .._plan.host_findings import HostFindings
    from .._plan.main_memory import Offload
    from .._plan.memory import Grant
    from .._plan.model import Model, Service, Variant
    from .._plan.platform import Device, Hardware
    from .._plan.task import Task
    from .._platforms.base import Platform
    from .choice import Choice


@dataclass(frozen=True)
class Surroundings:
    """What all instances of a host have in common."""

    told: HostFindings
    gpu_access: str
    proxy_env: Mapping[str, str]
    #: MiB of main memory that bound the container, by port.
    bounds: Mapping[int, int | None]

    def common(self, members: Sequence[tuple[Task, Grant | None]]) -> dict[str, Any]:
        """What instances of every engine have. The services of one are as patient as the most patient of them; 0 is no limit."""
        task, grant = members[0]
        services = [member.service for member, _grant in members]
        silences = [SILENCE_TIMEOUT if service.silence_timeout is None else service.silence_timeout for service in services]
        own = self.told.host.settings.engines_network.name
        return {
            "name": task.engine.instance_name(task.service, task.port),
            "image": task.image,
            "port": task.port,
            "device": task.device,
            "gpus": list(grant.devices) if grant else [],
            "gpu_access": self.gpu_access,
            "env": {**self.proxy_env, **task.env},
            "networks": list(dict.fromkeys(name for service in services for name in (own, *service.networks))),
            "pull": task.service.pull,
            "container_extra_arguments": list(task.service.container_extra_arguments),
            "ready_timeout": max(service.ready_timeout or READY_TIMEOUT for service in services),
            "silence_timeout": 0 if 0 in silences else max(silences),
            "stop_timeout": max(service.stop_timeout or STOP_TIMEOUT for service in services),
            "host_memory_mib": self.bounds.get(task.port),
        }


@dataclass(frozen=True)
class Asked:
    """How an instance of the plan is asked for a model."""

    #: The model's name as the engine knows it.
    upstream: str
    capability: str
    #: The port in the container.
    port: int
    #: Tokens of a prompt and its answer, where the inventory says it.
    context: int | None = None


@dataclass(frozen=True)
class Means:
    """What the units of a host are made with, besides its part of the plan."""

    data_dir: str
    #: Values of C(Engine.settings); those that are not set are C("") or missing.
    given: Mapping[str, Any] = field(default_factory=dict)
    api_key: str | None = field(default=None, repr=False)
    huggingface_token: str | None = field(default=None, repr=False)
    #: Keys of the engines of all hosts. The members of an engine over several hosts know each other by that of the first.
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)


class Engine(ABC):
    """All that is particular to an engine while an inventory is planned, and for the gateway in front of it."""

    #: As inventories and file names have it, and as sentences have it.
    name: ClassVar[str]
    title: ClassVar[str]
    capabilities: ClassVar[frozenset[str]]
    #: Kinds of sources that it can load (C(choice.source_kind)).
    sources: ClassVar[frozenset[str]]
    #: What a source has to be, for a sentence.
    wants: ClassVar[str]
    container_port: ClassVar[int]
    #: Whether it may serve a model that names no engine, or another one: by a rule of the plan, or by C(inference_engine).
    interchangeable: ClassVar[bool] = True
    #: Whether a model must have a source.
    needs_source: ClassVar[bool] = True
    #: Keys of a model that mean something to this engine alone.
    own_keys: ClassVar[tuple[str, ...]] = ()
    #: The image that the plan goes on with where none was found.
    fallback_image: ClassVar[str]
    #: The port on the host where a service gives none; None where it has to.
    default_port: ClassVar[int | None] = None
    #: Whether all services on one port share one container.
    shares_port: ClassVar[bool] = False
    #: Whether it takes a share of its GPU's memory: what the others leave where the service gives none.
    takes_share: ClassVar[bool] = False
    #: MiB of main memory that an engine on a GPU is taken to need, and for each further GPU.
    main_memory: ClassVar[float]
    main_memory_per_further_gpu: ClassVar[float] = 0.0
    #: What the collection mounts itself, by the place in the container.
    own_targets: ClassVar[Mapping[str, str]]
    #: Environment variables that the collection sets itself or leaves unset, and what is for the user instead.
    own_variables: ClassVar[Mapping[str, str]]
    #: Settings of a service that it leaves unread.
    no_use: ClassVar[tuple[str, ...]] = ()
    #: What to do in place of C(tensor_parallel_size), where it has none.
    several_gpus: ClassVar[str] = "give the GPUs in gpus"
    #: What its units are called where systemd lists them.
    description: ClassVar[str]
    #: Variables of the user by which its units are made, without the engine's name and C(_) in front, each with its default.
    settings: ClassVar[Mapping[str, Any]] = {"watchdog_seconds": WATCHDOG}
    #: What the proxy in front of a host lets through. A path that ends in / stands for everything below it, / alone for itself.
    proxied: ClassVar[tuple[str, ...]] = ("/v1/", "/health", "/metrics")
    #: Whether one of it can run over several hosts.
    spans_hosts: ClassVar[bool] = False
    #: How the gateway speaks with it.
    dialect: ClassVar[Dialect]
    #: What measures servers and is in its image.
    load_generator: ClassVar[LoadGenerator | None] = None
    #: Whether it says without a key how it divides a text into tokens (C(/tokenize), as vLLM has it).
    counts_tokens: ClassVar[bool] = False

    def default_image(self, platform: Platform, hardware: Hardware | None) -> tuple[str | None, str]:
        """The image where the user names none, and, where there is none, what to do about it. C(CPU) stands for services on it."""
        return self.fallback_image, ""

    def meant_image(self, variant: Variant) -> str | None:
        """The image that the user gave the model, where it is meant for this engine."""
        return variant.image

    def version(self, variant: Variant, image: str) -> str | None:
        """The engine's version in an image, as far as it is known."""
        return version_in(image)

    def image_trouble(self, image: str, hardware: Hardware, devices: Sequence[str]) -> str | None:
        """Why an image cannot work with a host's driver or GPUs, with the remedy; None where nothing speaks against it."""
        return None

    def version_trouble(self, image: str, version: str | None) -> str | None:
        """What has to be known of the version of an image that the user named."""
        return None

    @abstractmethod
    def arguments(
        self, told: HostFindings, model: Model, variant: Variant, service: Service, choice: Choice, version: str | None
    ) -> dict[str, Any]:
        """The engine arguments of a service; what is wrong with them is told."""

    def adapters_trouble(self, capability: str, version: str | None) -> str | None:
        """Why it cannot serve LoRA adapters beside a model, with the remedy; None where it can."""
        return f"{self.title} takes none; use engine: vllm with a source for it"

    def argument_troubles(self, arguments: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """What no service of one host can be given, whatever its model: name and reason."""
        return ()

    def gpu_factors(self, arguments: Mapping[str, Any]) -> Mapping[str, int]:
        """The arguments that multiply the GPUs of a service, where they are more than 1."""
        return {}

    def warn_of_no_use(self, told: HostFindings, model: Model, service: Service, choice: Choice) -> None:
        """Names the settings of a service that this engine leaves unread."""
        for key in self.no_use:
            if getattr(service, key):
                told.warn(f"{service.path}.{key} has no use: {self.title} serves {model.name} ({choice.rule})")

    def gpus_needed(self, service: Service, arguments: Mapping[str, Any]) -> tuple[int, Trouble | None]:
        """How many GPUs a service takes; of those that it names, it uses all."""
        parallel = service.tensor_parallel_size
        trouble = None
        if parallel is not None and parallel > 1:
            message = f"is an engine setting of vLLM; {self.several_gpus}"
            trouble = Trouble(f"{service.path}.tensor_parallel_size", parallel, message)
        return len(service.gpus or ()) or 1, trouble

    def offloads(self, arguments: Mapping[str, Any], env: Mapping[str, Any], gpus: int, version: str | None) -> Sequence[Offload]:
        """Main memory that an engine on GPUs is told to take."""
        return ()

    def context_length(self, arguments: Mapping[str, Any]) -> int | None:
        """The context length that the engine arguments ask for."""
        return None

    def tools_trouble(self, instance: Mapping[str, Any]) -> str | None:
        """Why the model of an instance of the plan cannot call tools, and what to do; None where it can, or where that is not known."""
        return None

    def shuns(self, hardware: Hardware | None) -> Sequence[Device]:
        """GPUs that it cannot use."""
        return ()

    def takes_at_word(self, source: str) -> bool:
        """Whether a source that looks like another engine's may be right where the model names this engine."""
        return True

    def served_name(self, model: str, variant: Variant) -> str:
        """The name by which the engine itself knows a model."""
        return model

    def port_inside(self, variant: Variant) -> int:
        """Where it listens in its container."""
        return self.container_port

    def spoken(self, variant: Variant) -> str:
        """Whose dialect it speaks, as the gateway knows it."""
        return self.name

    def instance_name(self, service: Service, port: int) -> str:
        """The name of what runs for a service; services that share an instance have the same."""
        return service.name

    def unit_name(self, service: Service, port: int) -> str:
        """Of the container and of what the host proxies."""
        return f"{self.name}-{self.instance_name(service, port)}"

    @abstractmethod
    def instance(self, around: Surroundings, members: Sequence[tuple[Task, Grant | None]]) -> dict[str, Any]:
        """One container as the engine's role takes it, for one service or for all that share its port."""

    def asked(self, instance: Mapping[str, Any], model: str) -> Asked:
        """C(model): its name in the inventory."""
        names = instance.get("served_model_names") or [instance.get("served_model_name") or model]
        port = int(instance.get("container_port") or self.container_port)
        return Asked(str(names[0]), str(instance.get("capability") or "chat"), port, instance.get("max_model_len"))

    @abstractmethod
    def units(self, instances: Sequence[Mapping[str, Any]], means: Means) -> list[dict[str, Any]]:
        """The instances of a host as module container_units takes them. Raises ValueError with all that is wrong."""

    def setting(self, means: Means, name: str) -> Any:
        """As the user set it, else its default."""
        given = means.given.get(f"{self.name}_{name}")
        return self.settings[name] if given in (None, "") else given
