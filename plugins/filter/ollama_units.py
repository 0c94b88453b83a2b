# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: ollama_units
short_description: Container units of Ollama instances
version_added: 0.1.0
description:
  - Turns Ollama instances, the form of C(ollama_instances) of role P(llmops.gpu_inference.ollama#role), into container units for
    M(llmops.gpu_inference.container_units).
  - Every error of every instance is in one message.
options:
  _input:
    description: The instances.
    type: list
    elements: dict
    required: true
  data_dir:
    description: Folder on the node for what outlives a container; the models lie in C(ollama/NAME) below it.
    type: str
    default: /var/lib/gpu-inference
  watchdog:
    description: Seconds without a sign of life after which a ready engine is started again. 0 for never.
    type: int
    default: 120
author:
  - llmops.gpu_inference contributors (@llmops)
"""

EXAMPLES = r"""
- name: Show the units
  ansible.builtin.debug:
    msg: "{{ ollama_instances | llmops.gpu_inference.ollama_units(data_dir='/srv/inference') }}"
"""

RETURN = r"""
_value:
  description: The units, in the order of the instances.
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.llmops.gpu_inference.plugins.module_utils._defaults import DATA_DIR, WATCHDOG
from ansible_collections.llmops.gpu_inference.plugins.module_utils._ollama import OllamaError, container_unit, read_instances


def ollama_units(instances: Sequence[Mapping[str, Any]], data_dir: str = DATA_DIR, watchdog: int = WATCHDOG) -> list[dict[str, Any]]:
    try:
        return [container_unit(instance, data_dir, watchdog) for instance in read_instances(instances)]
    except OllamaError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., list[dict[str, Any]]]]:
        return {"ollama_units": ollama_units}
