# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the gateway knows of its models, and which requests they are for. Needs no LiteLLM."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from gateway_errors import RequestError
from gateway_routes import MODES, PLACES


@dataclass(frozen=True)
class Model:
    """One name at the gateway."""

    #: LiteLLM's ``model_info.mode``; None where the configuration doesn't say.
    mode: str | None = None
    #: LiteLLM's names for the ways its servers speak (``hosted_vllm``, ``ollama_chat``).
    providers: frozenset[str] = frozenset()
    #: What the configuration sends to the engine each time; LiteLLM forgets it for a request with an ``extra_body`` of its own.
    extra_body: t.Mapping[str, t.Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Models:
    names: t.Mapping[str, Model] = field(default_factory=dict)
    #: Whether the configuration has names with a ``*``, so that a name that is not listed may be served.
    wildcards: bool = False
    #: Whether there is nothing but these names.
    closed: bool = False

    @classmethod
    def from_deployments(cls, deployments: t.Iterable[t.Mapping[str, t.Any]]) -> Models:
        """From what LiteLLM's router has loaded: one entry per server and name, aliases included."""
        groups: dict[str, list[t.Mapping[str, t.Any]]] = {}
        for deployment in deployments:
            groups.setdefault(str(deployment.get("model_name")), []).append(deployment)
        names: dict[str, Model] = {}
        for name, members in groups.items():
            params = [member.get("litellm_params") or {} for member in members]
            modes = {(member.get("model_info") or {}).get("mode") for member in members}
            bodies = [param.get("extra_body") or {} for param in params]
            names[name] = Model(
                mode=modes.pop() if len(modes) == 1 else None,
                providers=frozenset(str(param.get("model") or "").split("/", 1)[0] for param in params),
                # Servers of one name that differ in this get what LiteLLM itself makes of it.
                extra_body=bodies[0] if bodies and all(body == bodies[0] for body in bodies) else {},
            )
        return cls(names, any("*" in name for name in names))

    def only(self, allowed: t.AbstractSet[str]) -> Models:
        """What there is for a client that may ask for these names and no others."""
        unlisted = allowed if self.wildcards or not self.names else frozenset()
        found = {name: self.names.get(name, Model()) for name in allowed if name in self.names or name in unlisted}
        return Models(found, closed=True)

    def wanted(self, kind: str, name: t.Any) -> Model:
        """The model that a request names. Raise RequestError for one that is not there or can't do that."""
        if not isinstance(name, str) or not name:
            raise RequestError(400, "the request names no model: 'model' must be the name of one", param="model", code="missing_model")
        model = self.names.get(name)
        if model is None:
            if not self.closed and (self.wildcards or not self.names):
                return Model()
            served = ", ".join(sorted(name for name, model in self.names.items() if model.mode in (None, MODES[kind])))
            raise RequestError(
                404,
                f"The model {name[:100]!r} does not exist at this gateway. For this there are: {served}",
                param="model",
                code="model_not_found",
            )
        if model.mode is not None and model.mode != MODES[kind]:
            place = PLACES.get(model.mode, f"requests of the kind {model.mode}")
            raise RequestError(
                400, f"The model {name!r} is for {place}, not for {PLACES[MODES[kind]]}", param="model", code="model_not_supported"
            )
        return model
