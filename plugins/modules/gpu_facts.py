#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_facts
short_description: Find out what kind of inference machine a host is
version_added: 0.9.0
author:
  - llmops.gpu_inference contributors (@llmops)
description:
  - Returns the platform, the GPUs with their memory and compute capability, the driver and the CUDA that it carries, the Jetson
    release, and the versions of Docker Engine and the NVIDIA Container Toolkit as C(ansible_facts.gpu_inference).
  - Works without C(nvidia-smi) and without Docker. A driver that does not answer, a GPU without a driver, and a driver without a GPU
    are facts of their own, each with what to do about it.
  - Reads query CSV, the list, and the XML of C(nvidia-smi), never its banner, each as far as it goes and whatever the exit status. A
    GPU that has fallen off the bus is left out, the others are facts, and a warning says so.
extends_documentation_fragment:
  - llmops.gpu_inference._attributes
attributes:
  check_mode:
    support: full
    details:
      - The module changes nothing.
  diff_mode:
    support: none
    details:
      - The module changes nothing.
  idempotent:
    support: full
options:
  root:
    description: Folder below which files and C(nvidia-smi) are looked for. For tests.
    type: path
    default: /
  jetpack_releases:
    description: JetPack releases by L4T release, for releases that the module does not know yet, or to correct it.
    type: dict
    default: {}
  timeout:
    description: Seconds after which a command that does not answer, such as C(nvidia-smi) with a broken driver, is given up.
    type: int
    default: 30
"""

EXAMPLES = r"""
- name: Find out what the host is
  become: true
  llmops.gpu_inference.gpu_facts:

- name: Refuse a GPU without a driver
  ansible.builtin.assert:
    that: ansible_facts.gpu_inference.driver.state in ['ok', 'none', 'no_gpu']
    fail_msg: "{{ ansible_facts.gpu_inference.driver.message }}"
"""

RETURN = r"""
ansible_facts:
  description: The facts.
  returned: always
  type: dict
  contains:
    gpu_inference:
      description: What kind of inference machine the host is.
      type: dict
      returned: always
      contains:
        platform:
          description: V(cpu) only where there is no NVIDIA hardware. A GPU whose driver is missing is V(dgpu) all the same.
          type: str
          sample: dgpu
        architecture:
          description: The machine's architecture, V(x86_64) or V(aarch64).
          type: str
        memory_mib:
          description: The host's memory.
          type: int
        memory_available_mib:
          description: What of it is available now.
          type: int
        unified_memory:
          description: Whether GPU and CPU share their memory (Jetson, GB10).
          type: bool
        wsl2:
          description: Whether the host is Linux inside Windows.
          type: bool
        driver:
          description:
            - C(version), C(cuda) (the highest CUDA that it supports), C(state), and C(message) (what is wrong, and its remedy).
            - The state is V(ok), V(missing) (a GPU without a working driver), V(mismatch) (upgraded without a reboot),
              V(no_gpu) (a driver without a GPU, or a card that is held for a virtual machine), or V(none) (neither).
          type: dict
        gpus:
          description:
            - Per GPU C(index), C(uuid), C(name), C(memory_mib), C(compute_capability), C(mig_enabled), and C(mig).
            - Per MIG slice C(uuid), C(profile), C(memory_mib), and C(gpu_instance), whose slices share one memory.
            - With unified memory C(memory_mib) is the host's. Where there is no UUID (Jetson), C(uuid) is the index.
            - Empty where the driver does not work.
          type: list
          elements: dict
        l4t:
          description: On a Jetson C(release) of L4T and C(jetpack), which is V(none) for an unknown release.
          type: dict
        docker:
          description: C(version), C(api_version), C(runtimes), C(cdi), and C(cgroup_driver); V(none) and empty without Docker Engine.
          type: dict
        toolkit:
          description: C(version) of the NVIDIA Container Toolkit, and C(vendor), whether it came with JetPack or DGX OS.
          type: dict
        os:
          description: C(id), C(version), C(codename), and C(kernel).
          type: dict
        package_manager:
          description: The distribution's package manager by Ansible's names, such as V(apt); V(none) where none is known.
          type: str
        roles:
          description: Those of the roles C(clients), C(node_proxy) and C(nvidia_container_toolkit) that have left something on the host.
          type: list
          elements: str
        units:
          description: Kinds of units of this collection that have an instance on the host, such as V(litellm).
          type: list
          elements: str
        networks:
          description: Per network interface C(interface) and C(addresses), without those of the host alone and of Docker.
          type: list
          elements: dict
        rdma:
          description: Whether there are devices of a network card for RDMA (InfiniBand, RoCE), below C(/dev/infiniband).
          type: bool
"""

import os
import platform
from collections.abc import Sequence

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.llmops.gpu_inference.plugins.module_utils._facts_nvidia import Answer
from ansible_collections.llmops.gpu_inference.plugins.module_utils._facts_observe import observe
from ansible_collections.llmops.gpu_inference.plugins.module_utils._gpu_facts import build_facts
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import run_command


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "default": "/"},
            "jetpack_releases": {"type": "dict", "default": {}},
            "timeout": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )

    def run(argv: Sequence[str]) -> Answer:
        program = argv[0] if os.path.isabs(argv[0]) else module.get_bin_path(argv[0])
        if not program:
            return Answer()
        # A driver in trouble can make nvidia-smi hang for ever.
        ran = run_command([program, *argv[1:]], module.params["timeout"], apart=True)
        return Answer(ran.rc, ran.out, ran.err)

    seen = observe(run, module.params["root"], platform.machine(), platform.release())
    result = build_facts(seen, {str(key): str(value) for key, value in module.params["jetpack_releases"].items()})
    for warning in result.warnings:
        module.warn(warning)
    module.exit_json(changed=False, ansible_facts={"gpu_inference": result.facts})


if __name__ == "__main__":
    main()
