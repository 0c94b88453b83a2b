#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: unit_records_info
author: llmops.gpu_inference contributors (@llmops)
version_added: 0.9.0
short_description: What is recorded of the units of a node
description:
  - Reads the newest release of each unit and all results of benchmarks, and asks the driver for the memory of its GPUs.
options: {}
extends_documentation_fragment:
  - llmops.gpu_inference._attributes
attributes:
  check_mode:
    support: full
    details: Only looks.
  diff_mode:
    support: N/A
    details: Changes nothing.
  idempotent:
    support: N/A
    details: Changes nothing.
seealso:
  - module: llmops.gpu_inference.container_units_info
  - module: llmops.gpu_inference.benchmark_results
"""

EXAMPLES = r"""
- name: Read what is recorded
  llmops.gpu_inference.unit_records_info:
  become: true
  register: records
"""

RETURN = r"""
releases:
  description: By unit, such as C(vllm@chat), what there is of its newest release.
  type: dict
  returned: success
benchmarks:
  description: All results of benchmarks.
  type: list
  elements: dict
  returned: success
gpus:
  description: By UUID, C(total_mib) and C(used_mib). Empty without a driver.
  type: dict
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _unit_records as records
from ansible_collections.llmops.gpu_inference.plugins.module_utils._benchmark_results import all_of
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import run_command
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import Paths


def main() -> None:
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    paths = Paths()
    module.exit_json(changed=False, releases=records.newest_releases(paths), benchmarks=all_of(paths), gpus=records.gpu_memory(run_command))


if __name__ == "__main__":
    main()
