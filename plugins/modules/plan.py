#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: plan
short_description: Resolve and check the whole inventory before any host is touched
version_added: 0.9.0
description:
  - Reads the C(inference_*) variables and the hardware of every declared host in the groups C(inference_nodes), C(gateways)
    and C(inference_clients), whatever C(--limit) says, and resolves them to what each role is to do.
  - Chooses the engine, the image and the GPU of every service, keeps the ledger of the GPUs' memory, and lists the gateway's
    models over all hosts, so that an unreachable or left-out host never loses its route.
  - Every mistake of the inventory is reported in one message, each with its variable, its value and what would be right.
  - The hardware of hosts that answered is kept in C(known_hardware.json) in C(inference_secrets_dir), so that a later run can
    plan for them while they are away.
  - Runs on the controller, once per run; no host is contacted.
options:
  remember_hardware:
    description: Whether to keep the hardware facts of the hosts that answered.
    type: bool
    default: true
  offline:
    description: Whether no host was asked on purpose, so that none of them counts as not reached.
    type: bool
    default: false
  warn:
    description: Whether warnings of the plan are warnings of the task. Where the plan is shown they stand below it instead.
    type: bool
    default: true
  show:
    description:
      - Whether to print the plan as a table, as P(llmops.gpu_inference.plan_table#filter) renders it. Where the output is one document
        (the callbacks V(json), V(jsonl) and V(null)), it is in the result only.
    type: bool
    default: false
extends_documentation_fragment:
  - llmops.gpu_inference._attributes
attributes:
  check_mode:
    support: full
    details:
      - Nothing is kept in check mode.
  diff_mode:
    support: none
  idempotent:
    support: full
notes:
  - The variables and what they mean are described in C(docs/inventory.md and docs/plan.md).
seealso:
  - module: llmops.gpu_inference.gpu_facts
  - plugin: llmops.gpu_inference.plan_table
    plugin_type: filter
author:
  - llmops.gpu_inference contributors (@llmops)
"""

EXAMPLES = r"""
- name: Ask every node what it is
  llmops.gpu_inference.gpu_facts:

- name: Resolve and check the inventory
  llmops.gpu_inference.plan:
  run_once: true
  register: resolved

- name: Show what a deployment would do
  llmops.gpu_inference.plan:
    show: true
    remember_hardware: false
  run_once: true
"""

RETURN = r"""
lines:
  description: The table.
  returned: with O(show=true)
  type: list
  elements: str
unreached:
  description: Hosts of this run that did not say what they are. What is planned for them is not verified.
  returned: success
  type: list
  elements: str
plan:
  description:
    - What every role is to do. It holds no secrets, only the names of the variables that will hold them.
    - No fact, so that no fact cache keeps it for a later run.
  returned: success
  type: dict
  contains:
    warnings:
      description: What is worth knowing but no mistake.
      type: list
      elements: str
    table:
      description:
        - One row per service, in the order of the ledger.
        - C(hardware) says where it is known from, V(facts), V(inference_hardware), V(an earlier run), or V(unknown).
      type: list
      elements: dict
      sample:
        - host: gpu01
          gpu: "0"
          service: chat
          model: chat
          engine: vllm
          port: 8070
          memory: 12.0
          memory_left: 18.3
          image: vllm/vllm-openai:v0.32.0
          rule: "3: engine of the model is vllm"
          platform: dgpu
          device: gpu
          hardware: facts
    hosts:
      description: Per host its platform, address, roles, networks, engine instances and proxied ports.
      type: dict
    gateway:
      description: The models, aliases and settings of the gateway, or null where no host is in the group C(gateways).
      type: dict
    clients:
      description: Per client host the client files that are wanted.
      type: dict
"""
