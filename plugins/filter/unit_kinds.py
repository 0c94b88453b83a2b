# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: unit_kinds
short_description: Kinds of units by what they are for
version_added: 0.1.0
description:
  - Names the kinds of units that this collection has for engines, the gateway or client programs, so that playbooks need not list them.
  - The unit of an instance is C(KIND@NAME.service).
options:
  _input:
    description: V(engines), V(gateway), V(clients), in the order in which their kinds are wanted.
    type: list
    elements: str
    required: true
author:
  - llmops.gpu_inference contributors (@llmops)
seealso:
  - plugin: llmops.gpu_inference.container_units
    plugin_type: module
"""

EXAMPLES = r"""
- name: Stop and remove all units of engines
  llmops.gpu_inference.container_units:
    kinds: "{{ ['engines'] | llmops.gpu_inference.unit_kinds }}"
    instances: []
"""

RETURN = r"""
_value:
  description: The kinds, such as V(vllm).
  type: list
  elements: str
"""

from collections.abc import Callable, Sequence

from ansible.errors import AnsibleFilterError

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._units.kinds import kinds_of


def unit_kinds(groups: Sequence[str]) -> list[str]:
    try:
        return kinds_of(groups)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"unit_kinds": unit_kinds}
