# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What the collection asks of a client program. One file for each program, and its line in C(registry.py)."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from .._plan.keys import Key


@dataclass(frozen=True)
class Mistake:
    """What is wrong with one key of an entry, and what would be right."""

    variable: str
    message: str

    def __str__(self) -> str:
        return f"{self.variable}: {self.message}"


class ClientRenderError(ValueError):
    """One or more client files cannot be rendered; `findings` has one sentence for each reason."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        self.findings = tuple(map(str, mistakes))
        super().__init__("; ".join(self.findings))


@dataclass(frozen=True)
class ClientModel:
    """A model as the gateway offers it."""

    name: str
    capability: str
    aliases: tuple[str, ...] = ()
    max_input_tokens: int | None = None
    #: The context that each of its servers takes; None where one does not say.
    window: int | None = None
    dimension: int | None = None
    timeout: int | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    #: Why it cannot call tools, where that is known; only a plan says so.
    tools_trouble: str | None = None
    #: The gateway's clients that may ask for it; None for all.
    clients: tuple[str, ...] | None = None

    @classmethod
    def from_plan(cls, model: Mapping[str, Any]) -> ClientModel:
        defaults = model.get("request_defaults") or {}
        lengths = [backend.get("max_input_tokens") for backend in model.get("backends") or ()] or [model.get("max_input_tokens")]
        return cls(
            name=model["name"],
            capability=model["capability"],
            aliases=tuple(model.get("aliases") or ()),
            max_input_tokens=model.get("max_input_tokens"),
            window=None if None in lengths else min(lengths),
            dimension=model.get("dimension"),
            timeout=model.get("timeout"),
            temperature=defaults.get("temperature"),
            max_tokens=defaults.get("max_tokens"),
            tools_trouble=model.get("tools_trouble"),
            clients=None if model.get("clients") is None else tuple(model["clients"]),
        )

    def is_for(self, client: str | None) -> bool:
        """None: a client that the gateway has no name for."""
        return self.clients is None or client is None or client in self.clients

    def answers_to(self, name: str) -> bool:
        return name == self.name or name in self.aliases


#: On a host; the same in the containers of programs.
CA_FOLDER = "/etc/gpu-inference"


@dataclass(frozen=True)
class CaFiles:
    """Files with the authority of the gateway's certificate."""

    folder: str

    @property
    def paths(self) -> Mapping[str, str]:
        """C(alone): it and no other, for programs that add it to those they know; C(bundle): with those that the host trusts."""
        return {"alone": f"{self.folder}/gateway-ca.pem", "bundle": f"{self.folder}/gateway-ca-bundle.pem"}


@dataclass(frozen=True)
class Context:
    """What a program may use: its own entry, where the gateway is for it, the key, and the models."""

    client: Client
    entry: Mapping[str, Any]
    label: str
    root_url: str  # without /v1
    api_key: str
    models: Sequence[ClientModel]
    key_name: str | None = None  # of the key at the gateway
    mistakes: list[Mistake] = field(default_factory=list)
    own_token: str | None = None  # the one that was made for its container
    predict: bool = False  # the text is for a comparison in check mode, so what is not known yet may be missing
    used: list[str] = field(default_factory=list)  # the models that the file names
    path: str = ""  # where the file is written
    on_host: bool = True  # and not on the controller, to be fetched from there
    targets: Sequence[Mapping[str, Any]] = ()  # what a Prometheus is to ask
    ca: CaFiles | None = None  # where the gateway's certificate is by an authority that only its clients know

    @property
    def ca_variables(self) -> Mapping[str, str]:
        """By which the program knows that authority; of programs that read their environment when they start, and not from a file."""
        return {} if self.ca is None else {name: self.ca.paths[kind] for name, kind in self.client.ca_variables.items()}

    @property
    def v1_url(self) -> str:
        return f"{self.root_url}/v1"

    def refuse(self, key: str, message: str) -> None:
        self.mistakes.append(Mistake(f"{self.label}.{key}", message))

    def served(self, capability: str) -> list[ClientModel]:
        return [model for model in self.models if model.capability == capability and model.is_for(self.key_name)]

    def has_use_for(self, key: str) -> bool:
        """Whether a model that the program can do without is asked for, or served."""
        return self.entry.get(key) is not None or bool(self.served(self.client.needs[key]))

    def model(self, key: str, wanted: str | None = None) -> tuple[str, ClientModel] | None:
        """The name to write and the model behind it: the one asked for, else the first of the capability that C(key) needs."""
        capability = self.client.needs[re.sub(r"\[\d+\]", "[]", key)]
        name = wanted if wanted is not None else self.entry.get(key)
        candidates = self.served(capability)
        if name is None:
            if candidates:
                self.used.append(candidates[0].name)
                return candidates[0].name, candidates[0]
            self.refuse(key, self._none_of(capability))
            return None
        for model in self.models:
            if model.answers_to(name):
                if not model.is_for(self.key_name):
                    self.refuse(
                        key, f"the client {self.key_name!r} may not ask for {name!r}; add it to {self._allowed}, or take another model"
                    )
                    return None
                if model.capability == capability:
                    self.used.append(model.name)
                    return name, model
                self.refuse(key, f"{name!r} has the capability {model.capability}, but {self.client.name} needs {capability} here")
                return None
        served = ", ".join(model.name for model in candidates) or "none"
        self.refuse(key, f"{name!r} is not served by the gateway; {capability} models: {served}")
        return None

    def _none_of(self, capability: str) -> str:
        if any(model.capability == capability for model in self.models):
            asks = f"the client {self.key_name!r} may ask for no {capability} model"
            return f"{asks}, and {self.client.name} needs one; add one to {self._allowed}"
        return f"the gateway serves no {capability} model, and {self.client.name} needs one; declare one in inference_models"

    @property
    def _allowed(self) -> str:
        return f"inference_gateway.client_keys.{self.key_name}.models"


@dataclass(frozen=True)
class Token:
    """A secret of the program's own; one is made where the program runs as a container and its entry has none."""

    #: Of the entry, and of the program's environment.
    key: str
    variable: str
    #: What happens by it, for a sentence: the program needs it ...
    purpose: str


@dataclass(frozen=True)
class Container:
    """How a program runs as a container. Its environment is what the file that is rendered for it says."""

    #: Of its template unit.
    description: str
    image: str
    #: In the container, and on the host where an entry gives none.
    port: int
    health_path: str
    #: Where an entry gives none; None is Docker's own.
    shm_size: str | None = None
    #: In the container, a folder that outlives it, in a volume named after the program.
    data: str | None = None
    token: Token | None = None


@dataclass(frozen=True)
class Task:
    """How a program does one piece of work with nobody there to ask, started in the folder that it is to work in."""

    #: The words of its command, among them C({task}).
    command: tuple[str, ...]
    #: Where it looks for its file by itself, below the home of its user.
    file: str
    #: Variables by which it finds its file elsewhere, with C({path}) and C({folder}) in them.
    elsewhere: Mapping[str, str]
    #: Further variables; they bound what the model may have it do.
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Beside:
    """A file that a program reads beside its own."""

    text: str = field(repr=False)
    mode: str = "0644"
    merge: str = "none"


class Client(ABC):
    """All that is particular to a client program."""

    #: C(type) of an entry, also the kind of its unit; and the program as sentences have it.
    name: ClassVar[str]
    title: ClassVar[str]
    #: Models that it is told of: the key that names one, with C([]) for positions of a list, and the capability that it must have.
    needs: ClassVar[Mapping[str, str]] = {}
    #: Keys of C(needs) for embedding models whose dimension is written too, with the key that gives it. Else it is measured.
    dimensions: ClassVar[Mapping[str, str]] = {}
    #: Keys of its entry besides those of every program.
    keys: ClassVar[Mapping[str, Key[Any]]] = {}
    #: What else its file holds: C(none), C(connections) of others, or settings of others in C(json) or C(toml) (module client_files).
    merge: ClassVar[str] = "none"
    #: Whether it usually runs on the gateway's container network.
    in_container: ClassVar[bool] = False
    #: Whether it reads the gateway's numbers and asks no model, by a key that is good for nothing else.
    reads_metrics: ClassVar[bool] = False
    #: How it is run, where the collection does that.
    container: ClassVar[Container | None] = None
    #: Variables that name a file with authorities -> one of CaFiles: C(alone) where those of the program stay, else C(bundle).
    ca_variables: ClassVar[Mapping[str, str]] = {}
    #: How it proves itself, where it can work without a person.
    task: ClassVar[Task | None] = None

    @abstractmethod
    def render(self, context: Context) -> str | None:
        """The text of its file; None where it cannot be made, which is told by C(context.refuse)."""

    def beside(self, context: Context) -> Mapping[str, Beside]:
        """Further files of the program's, by their paths."""
        return {}
