# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: docker_network_plan
short_description: Tell which Docker networks to create, recreate, or remove
version_added: 0.9.0
author:
  - llmops.gpu_inference contributors (@llmops)
description:
  - Compares wanted networks with those of an engine and with the routes of its host.
  - A network that is there and has the wanted settings is left alone, whoever made it.
positional: _input, inspected, routes
options:
  _input:
    description: The wanted networks, as in the role variable C(network_networks).
    type: list
    elements: dict
    required: true
  inspected:
    description: What C(docker network inspect) says of all networks.
    type: list
    elements: dict
    required: true
  routes:
    description: The text of C(/proc/net/route), followed by that of C(ip route show table all) where there is such a program.
    type: str
    default: ""
  recreate:
    description: Whether a network with other settings is recreated; otherwise it is an error.
    type: bool
    default: false
  remove_unlisted:
    description: Whether networks of this collection that are not wanted are removed.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Compare
  ansible.builtin.set_fact:
    todo: "{{ [{'name': 'inference', 'subnet': '10.89.16.0/24'}] | llmops.gpu_inference.docker_network_plan(inspected) }}"
"""

RETURN = r"""
_value:
  description: What to do.
  type: dict
  contains:
    create:
      description: Networks that are missing, as options of M(community.docker.docker_network).
      type: list
      elements: dict
    recreate:
      description: Networks with other settings than wanted.
      type: list
      elements: dict
    remove:
      description: Names of networks to remove.
      type: list
      elements: str
    errors:
      description: What stands in the way, each with a remedy.
      type: list
      elements: str
"""

import typing as t
from collections.abc import Callable, Mapping, Sequence

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._docker.networks import plan_networks


def docker_network_plan(
    wanted: Sequence[Mapping[str, t.Any]],
    inspected: Sequence[Mapping[str, t.Any]],
    routes: str = "",
    recreate: bool = False,
    remove_unlisted: bool = False,
) -> dict[str, t.Any]:
    return plan_networks(wanted, inspected, routes, recreate=recreate, remove_unlisted=remove_unlisted).as_dict()


class FilterModule:
    def filters(self) -> dict[str, Callable[..., t.Any]]:
        return {"docker_network_plan": docker_network_plan}
