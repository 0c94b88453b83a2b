#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: first_inventory
short_description: Write an inventory from what the hosts have
version_added: 0.9.0
description:
  - Writes an inventory in YAML, with comments, that M(llmops.gpu_inference.plan) accepts for these hosts. For each it takes a chat model
    and, where there is room, an embedding model that fit the memory of its GPU, or of the host where there is none.
  - How the hosts were reached (address, port, user, key file, connection) is written too. Passwords are not.
  - The first host becomes the gateway, or the one that is the machine itself.
  - Where a host has a GPU without a working driver, did not answer, or has too little memory, nothing is written, and the message says
    so for every such host.
  - Runs on the controller, once per run; no host is contacted.
options:
  dest:
    description: The file to write, on the controller. Folders above it are made.
    type: path
    required: true
  overwrite:
    description: Whether a file that is there is replaced.
    type: bool
    default: false
  only_check:
    description:
      - Only fails where O(dest) must not be replaced, or where the inventory of this run has groups of this collection already.
    type: bool
    default: false
  facts:
    description: By host what M(llmops.gpu_inference.gpu_facts) returned.
    type: dict
    default: {}
extends_documentation_fragment:
  - llmops.gpu_inference._attributes
attributes:
  check_mode:
    support: full
    details:
      - The file is not written in check mode.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - The same facts give the same file, and a file that is there is refused without O(overwrite).
seealso:
  - module: llmops.gpu_inference.gpu_facts
  - module: llmops.gpu_inference.plan
author:
  - llmops.gpu_inference contributors (@llmops)
"""

EXAMPLES = r"""
- name: Find out what the hosts are
  llmops.gpu_inference.gpu_facts:
  register: answers

- name: Write an inventory for them
  llmops.gpu_inference.first_inventory:
    dest: inventory/hosts.yml
    facts: "{{ dict(ansible_play_hosts_all | zip(ansible_play_hosts_all | map('extract', hostvars) | map(attribute='answers'))) }}"
  run_once: true
"""

RETURN = r"""
python:
  description: As module M(llmops.gpu_inference.check_groups) returns it.
  returned: with O(only_check)
  type: str
dest:
  description: The file.
  returned: unless O(only_check)
  type: str
lines:
  description: What is told to people, with the next commands.
  returned: unless O(only_check)
  type: list
  elements: str
inventory:
  description: What it says.
  returned: unless O(only_check)
  type: dict
"""
