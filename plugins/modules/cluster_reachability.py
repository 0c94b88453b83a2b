#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_reachability
short_description: Whether the hosts of a group reach each other
version_added: 0.9.0
description:
  - Runs on all members of a group at the same time. Each listens at its address for up to 15 seconds, and connects to every other one.
  - Fails where one does not reach another. Warns where their MTUs differ, or where the path does not carry the MTU that both have.
  - Returns at once where the group's unit already has the port.
  - Ansible needs as many forks as the run has hosts. With fewer, a member that seems not to be there is a warning.
options:
  groups:
    description: The groups of this host.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: For messages.
        type: str
        required: true
      group:
        description: O(llmops.gpu_inference.container_units#module:instances[].group).
        type: dict
        required: true
        suboptions:
          rank: {description: Which of the members this host is., type: int, required: true}
          port: {description: TCP and UDP port that is tried., type: int, required: true}
          digest: {description: By which members know each other., type: str, required: true}
          key_variable: {description: Not used., type: str, required: true}
          members:
            description: All hosts of the group.
            type: list
            elements: dict
            required: true
            suboptions:
              host: {description: Its name in the inventory., type: str, required: true}
              address: {description: Its IP address on the network between the members., type: str, required: true}
  hosts:
    description: The hosts of this run. Nothing is expected of other members.
    type: list
    elements: str
    required: true
  forks:
    description: How many of them Ansible asks at a time.
    type: int
    required: true
extends_documentation_fragment:
  - llmops.gpu_inference._attributes
attributes:
  check_mode:
    support: full
    details: Does the same.
  diff_mode:
    support: N/A
    details: Changes nothing.
  idempotent:
    support: full
author:
  - llmops.gpu_inference contributors (@llmops)
"""

EXAMPLES = r"""
- name: Try whether the members reach each other
  llmops.gpu_inference.cluster_reachability:
    groups: [{name: big, group: "{{ engines_units[0].group }}"}]
    hosts: "{{ ansible_play_batch }}"
    forks: "{{ ansible_forks }}"
  become: true
"""

RETURN = r"""
interfaces:
  description: By group that was tried, and by host that takes part, C(interface) and C(mtu).
  returned: success
  type: dict
"""

import asyncio
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.llmops.gpu_inference.plugins.module_utils._cluster_reachability import Check, has_its_unit, is_new
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import run_command
from ansible_collections.llmops.gpu_inference.plugins.module_utils._instance_spec import GroupSpec
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import Paths
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_options import GROUP


def group_spec(given: t.Mapping[str, t.Any]) -> GroupSpec:
    members = tuple((member["host"], member["address"]) for member in given["members"])
    return GroupSpec(given["rank"], given["port"], given["digest"], given["key_variable"], members)


async def watch(checks: t.Iterable[Check]) -> None:
    await asyncio.gather(*(check.watch() for check in checks))


def main() -> None:
    group = {"name": {"type": "str", "required": True}, "group": {"type": "dict", "required": True, "options": GROUP}}
    module = AnsibleModule(
        argument_spec={
            "groups": {"type": "list", "elements": "dict", "required": True, "options": group},
            "hosts": {"type": "list", "elements": "str", "required": True},
            "forks": {"type": "int", "required": True},
        },
        supports_check_mode=True,
    )
    given, hosts = module.params["groups"], module.params["hosts"]
    groups = {one["name"]: group_spec(one["group"]) for one in given}
    checks = {name: Check(spec, hosts, run_command) for name, spec in groups.items() if not has_its_unit(Paths(), run_command, spec)}
    asyncio.run(watch(checks.values()))
    found = {name: check.verdict(module.params["forks"] >= len(hosts)) for name, check in checks.items()}
    for name, (_errors, warnings) in found.items():
        for warning in warnings:
            module.warn(f"{name}: {warning}")
    new = {name for name, spec in groups.items() if is_new(Paths(), spec) and not module.check_mode}
    errors = []
    for name, (told, _warnings) in found.items():
        for error in told:
            if name in new:
                errors.append(f"{name}: {error}")
            else:
                module.warn(f"{name}: {error}")
    if errors:
        module.fail_json(msg="\n".join(errors))
    module.exit_json(changed=False, interfaces={name: check.interfaces() for name, check in checks.items()})


if __name__ == "__main__":
    main()
