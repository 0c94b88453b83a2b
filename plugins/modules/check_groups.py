#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: check_groups
short_description: Refuse an inventory whose groups no playbook of this collection speaks of
version_added: 0.9.0
description:
  - A play whose groups have no hosts does nothing and ends well. So this fails where none of the groups C(inference_nodes), C(gateways)
    and C(inference_clients) has a host, and where a group looks like one of them that is not there, such as C(gateway).
  - Hosts that C(dgpu) and C(jetson) have and C(inference_nodes) has not, and hosts with C(inference_services) that are in none of the
    groups, are a warning.
  - Runs on the controller, once per run; no host is contacted.
options:
  strict:
    description: V(false) only warns of a group that looks like one of ours, for playbooks that an operator needs in any case.
    type: bool
    default: true
extends_documentation_fragment:
  - llmops.gpu_inference._attributes
attributes:
  check_mode:
    support: full
    details:
      - Nothing is changed.
  diff_mode:
    support: none
  idempotent:
    support: full
author:
  - llmops.gpu_inference contributors (@llmops)
"""

EXAMPLES = r"""
- name: Check the groups
  hosts: all:localhost
  gather_facts: false
  tasks:
    - name: Refuse an inventory that deploys nothing
      llmops.gpu_inference.check_groups:
      run_once: true
"""

RETURN = r"""
python:
  description: Ansible's setting for the Python of hosts, C(interpreter_python), which finds it without a warning where nothing is set.
  returned: success
  type: str
"""
