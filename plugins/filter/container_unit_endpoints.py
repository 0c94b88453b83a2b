# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: container_unit_endpoints
short_description: The endpoints that container units offer on their own host
version_added: 0.1.0
description:
  - Turns container units into the O(llmops.gpu_inference.endpoint_ready#module:endpoints) that prove them ready, each with
    the unit to watch beside its port.
positional: reconciled
options:
  _input:
    description: Container units, as M(llmops.gpu_inference.container_units) takes them.
    type: list
    elements: dict
    required: true
  reconciled:
    description:
      - The RV(llmops.gpu_inference.container_units#module:units) that the module returned for them. With it, an answer counts only
        if it comes from a server of the current configuration.
    type: dict
    default: {}
author:
  - llmops.gpu_inference contributors (@llmops)
"""

EXAMPLES = r"""
- name: Wait until every engine has answered
  llmops.gpu_inference.endpoint_ready:
    endpoints: "{{ units | llmops.gpu_inference.container_unit_endpoints }}"

- name: Keep them as declared
  llmops.gpu_inference.container_units:
    kinds: [vllm]
    instances: "{{ units }}"
  register: reconciled

- name: Wait until every engine of this very configuration has answered
  llmops.gpu_inference.endpoint_ready:
    endpoints: "{{ units | llmops.gpu_inference.container_unit_endpoints(reconciled.units) }}"
"""

RETURN = r"""
_value:
  description: One endpoint for each unit, in their order.
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any


def container_unit_endpoints(units: Sequence[Mapping[str, Any]], reconciled: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    endpoints = []
    for unit in units:
        probe = dict(unit["probe"])
        known = (reconciled or {}).get(f"{unit['kind']}/{unit['name']}") or {}
        key = (unit.get("secret_environment") or {}).get(probe.pop("api_key_variable", None))
        endpoints.append(
            {
                "name": unit["name"],
                "unit": f"{unit['kind']}@{unit['name']}.service",
                **{option: value for option, value in probe.items() if value is not None},
                **({"api_key": key} if key else {}),
                **({"config_hash": known["config_hash"]} if known.get("config_hash") else {}),
            }
        )
    return endpoints


class FilterModule:
    def filters(self) -> dict[str, Callable[..., list[dict[str, Any]]]]:
        return {"container_unit_endpoints": container_unit_endpoints}
