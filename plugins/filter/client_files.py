# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: client_files
author: llmops.gpu_inference contributors (@llmops)
version_added: 0.1.0
short_description: Renders the files that client programs read to reach the gateway
description:
  - Turns a list of wanted client files into the list that the module M(llmops.gpu_inference.client_files) writes.
  - Every text is parsed back as the program that reads it would, before it is returned.
  - All mistakes in the input are reported in one message, each with the variable, the value, and what would be right.
  - The result contains the API key. Keep it out of the output with C(no_log) or pass it straight on to the module.
positional: gateway_url, api_key, models, network_url, variable
options:
  _input:
    description:
      - The files, as described for the variable C(clients_files) of the role P(llmops.gpu_inference.clients#role).
    type: list
    elements: dict
    required: true
  gateway_url:
    description: Address of the gateway as a program on this host reaches it; with or without C(/v1).
    type: str
    required: true
  api_key:
    description: The client's own key for the gateway.
    type: str
    required: true
  models:
    description:
      - The models that the gateway serves, as the plan lists them.
      - Used keys are C(name), C(capability), C(aliases), C(max_input_tokens), C(dimension), C(timeout) and C(request_defaults).
    type: list
    elements: dict
    required: true
  network_url:
    description:
      - Address of the gateway for a container on the gateway's own network, for example V(http://litellm-gateway:4000).
      - Leave out where the gateway runs on another host.
    type: str
  variable:
    description: What messages call the input.
    type: str
    default: clients_files
"""

EXAMPLES = r"""
- name: Write the client files
  llmops.gpu_inference.client_files:
    files: >-
      {{ clients_files | llmops.gpu_inference.client_files(gateway_url='http://192.0.2.10:8400', api_key=clients_api_key,
         models=clients_models) }}
"""

RETURN = r"""
_value:
  description: Files for the option O(llmops.gpu_inference.client_files#module:files).
  type: list
  elements: dict
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.llmops.gpu_inference.plugins.module_utils._clients import ClientFileError
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._client_render import (
    ClientRenderError,
    models_to_measure,
    render_client_files,
    with_dimensions,
)


def client_files(
    files: Sequence[Mapping[str, Any]],
    gateway_url: str,
    api_key: str,
    models: Sequence[Mapping[str, Any]],
    network_url: str | None = None,
    variable: str = "clients_files",
) -> list[dict[str, Any]]:
    try:
        return render_client_files(
            files, gateway_url=gateway_url, api_key=api_key, models=models, network_url=network_url or None, variable=variable
        )
    except ClientRenderError as error:
        listed = "\n".join(f"- {finding}" for finding in error.findings)
        raise AnsibleFilterError(f"the client files cannot be written:\n{listed}") from None
    except ClientFileError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Filters of the role clients."""

    def filters(self) -> dict[str, Any]:
        return {
            "client_files": client_files,
            "client_models_to_measure": models_to_measure,
            "client_models_with_dimensions": with_dimensions,
        }
