# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: units_with_secrets
short_description: Container units with the secret values of their environment
version_added: 0.1.0
description:
  - The plan has a reference in place of each value of C(env) that may be secret. This puts the values in, into the
    O(llmops.gpu_inference.container_units#module:instances[].secret_environment) of the units.
positional: secrets
options:
  _input:
    description: Container units, as M(llmops.gpu_inference.container_units) takes them.
    type: list
    elements: dict
    required: true
  secrets:
    description: The values by reference, one host's part of C(environments) that M(llmops.gpu_inference.secrets) returns.
    type: dict
    required: true
author:
  - llmops.gpu_inference contributors (@llmops)
"""

EXAMPLES = r"""
- name: Keep the engines as declared
  llmops.gpu_inference.container_units:
    kinds: [vllm]
    instances: "{{ units | llmops.gpu_inference.units_with_secrets(secrets.environments[inventory_hostname] | default({})) }}"
"""

RETURN = r"""
_value:
  description: The units.
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any


def units_with_secrets(units: Sequence[Mapping[str, Any]], secrets: Mapping[str, str]) -> list[dict[str, Any]]:
    found = []
    for unit in units:
        environment = dict(unit.get("environment") or {})
        secret = {name: secrets[value] for name, value in environment.items() if isinstance(value, str) and value in secrets}
        rest = {name: value for name, value in environment.items() if name not in secret}
        found.append({**unit, "environment": rest, "secret_environment": {**(unit.get("secret_environment") or {}), **secret}})
    return found


class FilterModule:
    def filters(self) -> dict[str, Callable[..., list[dict[str, Any]]]]:
        return {"units_with_secrets": units_with_secrets}
