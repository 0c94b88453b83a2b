# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What is wrong with one service of a host before its memory is counted: its name, its mounts, and what its engine cannot do."""

from __future__ import annotations

from .._engines.base import Engine
from .._engines.choice import Choice
from .._engines.registry import ENGINES
from .adapters import adapters_of
from .grammar import LONGEST_LABEL, normal_path
from .host_findings import HostFindings
from .model import Model, Service, Variant


def check_part(told: HostFindings, model: Model, service: Service, choice: Choice) -> None:
    """What an engine over several hosts asks of each of them."""
    if service.part is not None and not choice.engine.spans_hosts:
        remedy = f"say engine: vllm in {model.path}"
        message = f"is served by {choice.engine.title} ({choice.rule}), and only vLLM runs over several hosts; {remedy}"
        told.add(f"{service.path}.model", service.model, message)


def check_adapters(told: HostFindings, model: Model, variant: Variant, service: Service, choice: Choice, version: str | None) -> None:
    names = list(adapters_of(variant))
    trouble = choice.engine.adapters_trouble(model.capability, version) if names else None
    if trouble:
        without = f"on_platform: {{{told.platform.name}: {{adapters: {{{names[0]}: null}}}}}}"
        told.add(f"{model.path}.adapters", names, f"{trouble}, or leave them out there: {without} (rule {choice.rule})")
    left = list(adapters_of(model.base)) if variant.adapters is None else []
    if left:
        told.warn(
            f"{service.path} ({model.name}) runs in {choice.engine.title} by its on_platform, without the model's adapters: "
            f"{', '.join(left)} will be asked of other hosts only"
        )


def check_name(told: HostFindings, service: Service, engine: Engine, port: int) -> None:
    label = engine.unit_name(service, port).partition(".")[0]
    if len(label) > LONGEST_LABEL:
        longest = LONGEST_LABEL - len(label) + len(service.name.partition(".")[0])
        message = f"has more than {longest} characters: the gateway asks for {engine.name}-NAME, and a name in DNS has 63 at most"
        told.add(f"{service.path}.name", service.name, message)


def check_own_keys(told: HostFindings, model: Model, variant: Variant, choice: Choice) -> None:
    for name, other in ENGINES.items():
        for key in other.own_keys:
            value = getattr(variant, key)
            if value is not None and key not in choice.engine.own_keys:
                message = f"is for models with engine: {name}, and the engine is {choice.engine.name} ({choice.rule}); leave it out"
                over = model.on_platform.get(told.platform.name)
                place = f"{model.path}.on_platform.{told.platform.name}" if over and getattr(over, key) is not None else model.path
                told.add(f"{place}.{key}", value, message)


def check_mounts(told: HostFindings, service: Service, engine: Engine) -> None:
    for mount in service.mounts:
        ours = engine.own_targets.get(normal_path(mount.target))
        if ours:
            told.add(f"{service.path}.mounts", mount.target, f"is where the collection mounts {ours}; choose another target")
