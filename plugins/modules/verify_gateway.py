#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_gateway
author: llmops.gpu_inference contributors (@llmops)
version_added: 0.9.0
short_description: Asks a gateway for every model by every name
description:
  - Sends one real request of its capability for each model and each alias, with a shipped image and a shipped spoken sentence.
  - Chat models are asked for a plain answer and for a stream. Where they take images, the count of prompt tokens proves that the image
    arrived. Embeddings must differ between texts and have the expected dimension. A transcription must not be empty.
  - One request is sent without a key and must be refused.
  - A failed check does not fail the task; look at RV(failures). So every check is made and reported.
options:
  base_url:
    description: Address of the gateway as seen from where the requests are made, with or without C(/v1).
    type: str
    required: true
  api_key:
    description: A key that may use the models.
    type: str
  ca:
    description: Certificates of authorities to trust where O(base_url) is an https address, as PEM, beside those of the system.
    type: str
  models:
    description: What the gateway is to serve. Further keys, which the plan has, are left out on the controller.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Its name at the gateway.
        type: str
        required: true
      capability:
        description: What it does.
        type: str
        choices: [chat, embedding, rerank, transcription]
        default: chat
      modalities:
        description: What a chat or embedding model takes in. With V(image), chat models are sent one.
        type: list
        elements: str
        default: [text]
      aliases:
        description: Its further names.
        type: list
        elements: str
        default: []
      dimension:
        description: Expected length of its vectors.
        type: int
      required:
        description:
          - Whether the summary counts a missing answer as failed, or only as down. Filled in on the controller from C(health) of the plan's
            C(backends), which is false for an external server that is not required.
        type: bool
        default: true
  passthrough:
    description: Paths that the gateway forwards unchanged, for multimodal embeddings.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The path at the gateway.
        type: str
        required: true
      model:
        description: The model behind it, one of O(models).
        type: str
        required: true
      upstream_model:
        description: The name that the engine itself knows the model by; by default the same.
        type: str
  parallel:
    description: How many requests are made at once. Latencies are those under this load.
    type: int
    default: 4
  timeout:
    description: Seconds for one request.
    type: float
    default: 60
  image:
    description: An image with text, as a file on the controller; by default the shipped one.
    type: path
  audio:
    description: A spoken sentence as 16 kHz mono WAV, as a file on the controller; by default the shipped one.
    type: path
  image_content:
    description: The image in Base64. Filled in from O(image) on the controller.
    type: str
  audio_content:
    description: The sound in Base64. Filled in from O(audio) on the controller.
    type: str
  shipped:
    description: Whether the samples are the shipped ones, whose text is known. Filled in on the controller.
    type: bool
    default: false
  container:
    description: Make the requests inside a throw-away container on this host, to see what a client in a container sees.
    type: dict
    suboptions:
      image:
        description: An image with Python 3.9 or later that is present on the host, such as the gateway's own.
        type: str
        required: true
      network:
        description: The Docker network of the clients.
        type: str
        required: true
      python:
        description: The Python program in the image.
        type: str
        default: python3
extends_documentation_fragment:
  - llmops.gpu_inference._attributes
attributes:
  check_mode:
    support: full
    details: Nothing is changed at any time; in check mode the requests are made all the same.
  diff_mode:
    support: none
  idempotent:
    support: full
requirements:
  - With O(container), a Docker command line client and the right to use it.
seealso:
  - module: llmops.gpu_inference.endpoint_ready
"""

EXAMPLES = r"""
- name: Ask the gateway for every model
  llmops.gpu_inference.verify_gateway:
    base_url: http://127.0.0.1:8400
    api_key: "{{ inference_secrets.master_key }}"
    models: "{{ inference_plan.gateway.models }}"
  register: verification

- name: The same as a client in a container sees it
  llmops.gpu_inference.verify_gateway:
    base_url: http://litellm-gateway:4000
    api_key: "{{ inference_secrets.master_key }}"
    models: "{{ inference_plan.gateway.models }}"
    container:
      image: "{{ inference_plan.gateway.image }}"
      network: inference
  become: true
  register: verification_in_network
"""

RETURN = r"""
rows:
  description: One entry for each check, in the order of the models.
  type: list
  elements: dict
  returned: success
  contains:
    model:
      description: The model.
      type: str
    name:
      description: The name it was asked for by.
      type: str
    check:
      description: V(text), V(stream), V(image), V(embedding), V(rerank), V(transcription), V(passthrough), or V(key).
      type: str
    ok:
      description: Whether the check passed.
      type: bool
    latency:
      description: Seconds of the request.
      type: float
    cause:
      description: Why it failed, as one of the causes of M(llmops.gpu_inference.endpoint_ready).
      type: str
    message:
      description: What was tried and what came back.
      type: str
    remedy:
      description: What to do about it.
      type: str
    answer:
      description: The beginning of the answer.
      type: str
    prompt_tokens:
      description: Count of prompt tokens, where the answer tells it.
      type: int
    dimension:
      description: Length of the vectors of an embedding model.
      type: int
    recognised:
      description: Whether the answer repeats what the shipped sample shows or says. Small models need not.
      type: bool
    required:
      description: Whether it counts as failed where it did not pass.
      type: bool
failures:
  description: The entries of RV(rows) that did not pass, required or not.
  type: list
  elements: dict
  returned: success
summary:
  description: Counts of checks, of those that failed, of optional servers found C(down), and of models; names of the failed models.
  type: dict
  returned: success
table:
  description: The rows as aligned lines of text.
  type: list
  elements: str
  returned: success
"""

import json
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _verify, _verify_table
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import Docker
from ansible_collections.llmops.gpu_inference.plugins.module_utils._shipped import BOOTSTRAP, sources

LONGEST = 3600.0  # seconds; each request has a limit of its own


def run_in_container(module: AnsibleModule, container: dict[str, str], request: dict[str, Any]) -> list[dict[str, Any]]:
    docker = Docker(module.get_bin_path("docker", required=True))
    command = ["run", "--rm", "--interactive", "--pull", "never", "--network", container["network"], "--read-only"]
    command += ["--cap-drop", "ALL", "--entrypoint", container["python"], container["image"], "-I", "-c", BOOTSTRAP]
    where = f"in a container of {container['image']} on the network {container['network']}"
    # Not that of AnsibleModule: where docker ends before it has read all, it reports the broken pipe and not what docker said.
    done = docker.feed(json.dumps({"sources": list(sources("_verify").items()), "request": request}), *command, timeout=LONGEST)
    try:
        rows: list[dict[str, Any]] = json.loads(done.out)
    except ValueError:
        module.fail_json(
            msg=f"the requests could not be made {where} (exit code {done.rc}): {done.err.strip()[-1000:]}",
            rc=done.rc,
        )
    return rows


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "base_url": {"type": "str", "required": True},
            "api_key": {"type": "str", "no_log": True},
            "ca": {"type": "str"},
            "models": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "capability": {"type": "str", "choices": ["chat", "embedding", "rerank", "transcription"], "default": "chat"},
                    "modalities": {"type": "list", "elements": "str", "default": ["text"]},
                    "aliases": {"type": "list", "elements": "str", "default": []},
                    "dimension": {"type": "int"},
                    "required": {"type": "bool", "default": True},
                },
            },
            "passthrough": {
                "no_log": False,
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "str", "required": True},
                    "model": {"type": "str", "required": True},
                    "upstream_model": {"type": "str"},
                },
            },
            "parallel": {"type": "int", "default": 4},
            "timeout": {"type": "float", "default": 60},
            "image": {"type": "path"},
            "audio": {"type": "path"},
            "image_content": {"type": "str"},
            "audio_content": {"type": "str"},
            "shipped": {"type": "bool", "default": False},
            "container": {
                "type": "dict",
                "options": {
                    "image": {"type": "str", "required": True},
                    "network": {"type": "str", "required": True},
                    "python": {"type": "str", "default": "python3"},
                },
            },
        },
        supports_check_mode=True,
    )
    parameters: dict[str, Any] = module.params
    request = {key: parameters[key] for key in ("base_url", "api_key", "ca", "models", "passthrough", "parallel", "timeout", "shipped")}
    request.update(image=parameters["image_content"], audio=parameters["audio_content"])
    container = parameters["container"]
    rows = run_in_container(module, container, request) if container else _verify.run(request)
    module.exit_json(
        changed=False,
        rows=rows,
        failures=[row for row in rows if not row["ok"]],
        summary=_verify_table.summary(rows),
        table=_verify_table.table(rows),
    )


if __name__ == "__main__":
    main()
