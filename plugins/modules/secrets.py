#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: secrets
short_description: Take the keys of a deployment from the user, or generate each once
version_added: 0.1.0
description:
  - Runs on the controller alone.
  - A key that the user sets is checked and used. One that is not set is generated once and kept as a file of its own with
    mode V(0600) in O(directory), which gets a C(.gitignore) that keeps all of it out of a repository.
  - The result is hidden from output and logs whatever the verbosity. Failures are shown, they never contain a key.
extends_documentation_fragment:
  - llmops.gpu_inference._attributes
attributes:
  check_mode:
    support: full
    details:
      - A key that is not there yet is made up for this run and not written.
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
    description: Hosts with engines. Each gets one key, which its engines ask for.
    type: list
    elements: str
    default: []
  engine_keys:
    description: Keys that the user set, by host. For a host that is missing here its own variable C(inference_engine_key) counts.
    type: dict
    default: {}
  master_key:
    description: The gateway's master key, where the user set it. LiteLLM refuses blank and example keys.
    type: str
  client_keys:
    description: The gateway's further keys by client name. A null value has one generated.
    type: dict
    default: {}
  external_keys:
    description: Keys of servers that are not ours, by name. Never generated.
    type: dict
    default: {}
  redis_password:
    description: Password of the Redis that gateways share. Never generated.
    type: str
  gateway:
    description: Whether there is a gateway, which needs a master key.
    type: bool
    default: true
author:
  - llmops.gpu_inference contributors (@llmops)
"""

EXAMPLES = r"""
- name: Take or generate the keys
  llmops.gpu_inference.secrets:
    directory: "{{ inventory_dir }}/.secrets"
    engine_hosts: [gpu01]
    client_keys:
      crawler: # generated
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
"""
