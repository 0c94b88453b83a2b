# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: ollama_servers
short_description: Ollama instances as module ollama_models takes them
version_added: 0.1.0
description:
  - Turns Ollama instances, the form of C(ollama_instances) of role P(llmops.gpu_inference.ollama#role), into the servers of
    M(llmops.gpu_inference.ollama_models).
options:
  _input:
    description: The instances.
    type: list
    elements: dict
    required: true
author:
  - llmops.gpu_inference contributors (@llmops)
"""

EXAMPLES = r"""
- name: Compare models
  llmops.gpu_inference.ollama_models:
    instances: "{{ ollama_instances | llmops.gpu_inference.ollama_servers }}"
"""

RETURN = r"""
_value:
  description: The servers, in the order of the instances.
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.llmops.gpu_inference.plugins.module_utils._ollama import OllamaError, read_instances, server


def ollama_servers(instances: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    try:
        return [server(instance) for instance in read_instances(instances)]
    except OllamaError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., list[dict[str, Any]]]]:
        return {"ollama_servers": ollama_servers}
