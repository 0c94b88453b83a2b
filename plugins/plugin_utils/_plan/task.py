# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""One service of one host, with what was decided of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .main_memory import Offload
from .model import Model, Service, Variant

if TYPE_CHECKING:
    from .._engines.base import Engine
    from .._engines.choice import Choice


@dataclass(frozen=True)
class Task:
    """One enabled service with all that was decided before the memory was counted."""

    position: int
    service: Service
    model: Model
    variant: Variant
    choice: Choice
    engine: Engine
    device: str
    port: int
    image: str
    engine_version: str | None
    image_given: bool  # by the user
    image_path: str
    count: int
    pins: tuple[str, ...]
    engine_args: Mapping[str, Any]
    env: Mapping[str, Any]
    offloads: Sequence[Offload] = ()

    def argument_path(self, name: str, platform: str) -> str:
        """Where the user wrote an engine argument, and how."""
        return argument_path(self.model, self.service, name, platform)

    def variable_path(self, name: str, platform: str) -> str:
        """Where the user wrote a variable of C(env)."""
        over = self.model.on_platform.get(platform)
        if name in self.service.env:
            return f"{self.service.path}.env.{name}"
        if over is not None and name in (over.env or {}):
            return f"{self.model.path}.on_platform.{platform}.env.{name}"
        return f"{self.model.path}.env.{name}"


def argument_path(model: Model, service: Service, name: str, platform: str) -> str:
    over = model.on_platform.get(platform)
    if name in service.engine_args:
        return f"{service.path}.engine_args.{service.written.get(name, name)}"
    if over is not None and name in (over.engine_args or {}):
        return f"{model.path}.on_platform.{platform}.engine_args.{over.written.get(name, name)}"
    return f"{model.path}.engine_args.{model.base.written.get(name, name)}"
