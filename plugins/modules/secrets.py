#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: secrets
short_description: Take the keys of a deployment from the user, or generate each once
version_added: 0.9.0
description:
  - Runs on the controller alone, and reads the variables of the hosts itself. Given as options, a secret in a template that fails would
    be in Ansible's message.
  - A key that the user sets is checked and used. One that is not set is generated once and kept as a file of its own with
    mode V(0600) in O(directory), which gets a C(.gitignore) that keeps all of it out of a repository.
  - The result is hidden from output and logs whatever the verbosity. Failures are shown, they never contain a key.
extends_documentation_fragment:
  - llmops.gpu_inference._attributes
attributes:
  check_mode:
    support: full
    details:
      - A key that is not there yet is made up for this run and not written, and nothing is recorded.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  directory:
    description: Folder on the controller for generated keys.
    type: path
    required: true
  engine_hosts:
    description:
      - Hosts with engines. Each gets one key, which its engines ask for. Their own variables C(inference_engine_key),
        C(inference_huggingface_token), C(inference_models) and C(inference_services) count.
    type: list
    elements: str
    default: []
  gateway_host:
    description:
      - The host whose variables C(inference_master_key), C(inference_gateway) and C(inference_external_endpoints) count. Without a
        gateway there is no master key.
    type: str
  rotate:
    description:
      - Keys that get a new one generated, C(master_key), C(client_keys/NAME), C(engine_keys/HOST), or C(client_keys), C(engine_keys) and
        C(all) for several. Only with O(pending=true).
      - The new key waits in C(.pending) of O(directory) until a call with O(served) has it take the place of the old one, and so does every
        following call until then. A file that was taken away asks for the same.
    type: list
    elements: str
    default: []
  pending:
    description:
      - Whether new keys that wait are what is returned, with those that they are to replace in RV(secrets.previous). Otherwise it is
        what the hosts serve with.
    type: bool
    default: false
  tls:
    description:
      - What the plan says of TLS, C(inference_plan.tls). Hosts get certificates by an authority that is made once and kept in O(directory)
        too; with O(pending) another one is made when less than a third of its life is left, or when its names are others.
    type: dict
  served:
    description:
      - Hosts that have been proved to serve with the keys that this returns. A key that all hosts which have to do with it serve with
        takes the place of the one before it.
    type: dict
    suboptions:
      engines:
        description: Hosts whose engines have answered with their key.
        type: list
        elements: str
        default: []
      gateways:
        description: Gateways that have answered with the master key.
        type: list
        elements: str
        default: []
      clients:
        description: Hosts that have their client files.
        type: list
        elements: str
        default: []
author:
  - llmops.gpu_inference contributors (@llmops)
"""

EXAMPLES = r"""
- name: Take or generate the keys
  llmops.gpu_inference.secrets:
    directory: "{{ inventory_dir }}/.secrets"
    engine_hosts: [gpu01]
    gateway_host: gpu01
  run_once: true
  register: generated
"""

RETURN = r"""
secrets:
  description: The keys of the deployment, hidden from all output. No fact, so that no fact cache gets them.
  returned: success
  type: dict
  contains:
    master_key:
      description: The gateway's master key.
      type: str
      returned: success
    engine_keys:
      description: Keys of the engines by host.
      type: dict
      returned: success
    client_keys:
      description: Keys of clients by name.
      type: dict
      returned: success
    external_keys:
      description: Keys of servers that are not ours by name.
      type: dict
      returned: success
    redis_password:
      description: Password of the Redis that gateways share, or null.
      type: str
      returned: success
    huggingface_tokens:
      description: Tokens for the hub by host.
      type: dict
      returned: success
    environments:
      description: By host, the secret values of C(env), by what the plan has in their place.
      type: dict
      returned: success
    previous:
      description:
        - Keys that hosts may still serve with. SHA-256 as C(master_key) and in C(client_keys), the keys themselves in C(engine_keys).
      type: dict
      returned: success
    changing:
      description: Names of the keys that are to replace another one.
      type: list
      elements: str
      returned: success
    unserved:
      description: Names of the keys that no run has proved.
      type: list
      elements: str
      returned: success
    files:
      description: Where the generated keys are on the controller, by their names. Keys that are variables of the user's have no file.
      type: dict
      returned: success
"""
