#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: check_role
short_description: Refuse what is wrong with the variables of a role, all at once
version_added: 0.9.0
description:
  - Ansible ignores a variable that no role reads, so a typing error is silently a default. This fails where a variable is set that has the
    prefix of a role of this collection, and that its argument specs do not name.
  - Fails with the messages of all checks that do not hold, where M(ansible.builtin.assert) has one message and ends at the first.
  - Runs on the controller; no host is contacted.
options:
  roles:
    description: The roles whose variables are looked at; the prefix of each is its name and an underscore.
    type: list
    elements: str
    default: []
  strict:
    description:
      - Whether every unknown name with the prefix is refused.
      - V(false) refuses only names that resemble a known one, for prefixes such as C(docker_) that other people's roles use too.
    type: bool
    default: true
  units:
    description:
      - Container units, as M(llmops.gpu_inference.container_units) takes them. The role of each kind is looked at too.
      - They are returned as they are. Where a variable makes them of a plan, that is done once so, and not by each task that reads it.
    type: list
    elements: dict
  checks:
    description: What has to hold besides.
    type: list
    elements: dict
    default: []
    suboptions:
      that:
        description: Whether it does.
        type: bool
        required: true
      fail_msg:
        description: What to say where it does not. It is made in either case, so it must not need what may be missing.
        type: str
        required: true
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
- name: Preflight | Refuse what is misspelt or contradicts itself
  llmops.gpu_inference.check_role:
    roles: [node_proxy]
    checks:
      - that: "{{ (node_proxy_tls_certificate | length > 0) == (node_proxy_tls_certificate_key | length > 0) }}"
        fail_msg: node_proxy_tls_certificate and node_proxy_tls_certificate_key go together.
"""

RETURN = r"""
units:
  description: What was given. They hold keys, so the result is hidden.
  type: list
  elements: dict
  returned: when O(units) is given
"""
