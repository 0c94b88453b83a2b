# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines import ollama_unit, units, vllm_unit
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.defaults import DATA_DIR, WATCHDOG

Units = list[dict[str, Any]]


def vllm_units(instances: Sequence[Mapping[str, Any]], **options: Any) -> Units:
    return [vllm_unit.container_unit(instance, **options) for instance in instances]


def ollama_units(instances: Sequence[Mapping[str, Any]], data_dir: str = DATA_DIR, watchdog: int = WATCHDOG) -> Units:
    return [ollama_unit.container_unit(instance, data_dir, watchdog) for instance in ollama_unit.read_instances(instances)]


def told(function: Callable[..., Any]) -> Callable[..., Any]:
    """What is wrong with the input, as the message of the task."""

    def call(*args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        except ValueError as error:
            raise AnsibleFilterError(str(error)) from error

    return call


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "engine_units": told(units.engine_units),
            "engine_variables": units.engine_variables,
            "ollama_units": told(ollama_units),
            "proxied_services": told(units.proxied_services),
            "vllm_image_layers": vllm_unit.image_layers,
            "vllm_units": vllm_units,
        }
