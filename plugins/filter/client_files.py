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
positional: gateway_url, models
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
    description: Key for the gateway that files without C(key) get.
    type: str
  api_keys:
    description: Keys for the gateway by the name of the client, for files that name theirs in C(key).
    type: dict
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
  controller_dir:
    description: Folder that relative paths of files on the controller start from.
    type: str
  crawl4ai_token:
    description: Token of Crawl4AI's own API, for files without C(api_token) whose program runs as a container.
    type: str
  predict:
    description: Leave out what can only be measured later, for check mode.
    type: bool
    default: false
  variable:
    description: What messages call the input.
    type: str
    default: clients_files
"""

EXAMPLES = r"""
- name: Write the client files
  llmops.gpu_inference.client_files:
    manifest: /etc/gpu-inference/clients/manifest.json
    files: "{{ rendered | llmops.gpu_inference.client_files_to_write('host') }}"
  vars:
    rendered: >-
      {{ clients_files | llmops.gpu_inference.client_files(gateway_url='http://192.0.2.10:8400', models=clients_models,
         api_key=clients_api_key) }}
"""

RETURN = r"""
_value:
  description:
    - One entry for each file, with the options of O(llmops.gpu_inference.client_files#module:files).
    - Further keys are C(location), V(host) or V(controller), and C(gateway), how the program reaches the gateway.
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.llmops.gpu_inference.plugins.module_utils._clients import ClientFileError
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._client_render import (
    ClientRenderError,
    container_units,
    files_to_write,
    gateway_endpoints,
    models_to_measure,
    render_client_files,
    with_dimensions,
)


def client_files(
    files: Sequence[Mapping[str, Any]],
    gateway_url: str,
    models: Sequence[Mapping[str, Any]],
    api_key: str | None = None,
    api_keys: Mapping[str, str] | None = None,
    network_url: str | None = None,
    controller_dir: str | None = None,
    crawl4ai_token: str | None = None,
    predict: bool = False,
    variable: str = "clients_files",
) -> list[dict[str, Any]]:
    return _explained(
        lambda: render_client_files(
            files,
            gateway_url=gateway_url,
            models=models,
            api_key=api_key or None,
            api_keys=api_keys,
            network_url=network_url or None,
            controller_dir=controller_dir or None,
            crawl4ai_token=crawl4ai_token or None,
            predict=bool(predict),
            variable=variable,
        )
    )


def client_container_units(files: Sequence[Mapping[str, Any]], rendered: Sequence[Mapping[str, Any]], image: str) -> list[dict[str, Any]]:
    return _explained(lambda: container_units(files, rendered, image))


def _explained(work: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    try:
        return work()
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
            "client_container_units": client_container_units,
            "client_files_to_write": files_to_write,
            "client_gateway_endpoints": gateway_endpoints,
            "client_models_to_measure": models_to_measure,
            "client_models_with_dimensions": with_dimensions,
        }
