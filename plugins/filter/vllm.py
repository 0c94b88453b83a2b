# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.vllm_unit import container_unit, image_layers


def vllm_units(instances: Sequence[Mapping[str, Any]], **options: Any) -> list[dict[str, Any]]:
    return [container_unit(instance, **options) for instance in instances]


def vllm_image_layers(instances: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return image_layers(instances)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., list[dict[str, Any]]]]:
        return {"vllm_units": vllm_units, "vllm_image_layers": vllm_image_layers}
