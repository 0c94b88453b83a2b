#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: benchmark_results
author: llmops.gpu_inference contributors (@llmops)
version_added: 0.9.0
short_description: Keeps the results of benchmarks on a host, and reads them
description:
  - Writes each document below C(/var/lib/gpu-inference/benchmarks), in a folder for each unit, and keeps the newest ten there.
  - Returns all that are there then.
options:
  documents:
    description: New results, as filter P(llmops.gpu_inference.benchmark_documents#filter) makes them. None to read only.
    type: list
    elements: dict
    default: []
extends_documentation_fragment:
  - llmops.gpu_inference._attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
seealso:
  - module: llmops.gpu_inference.benchmark
"""

EXAMPLES = r"""
- name: Read what was measured on this host
  llmops.gpu_inference.benchmark_results:
  become: true
  register: benchmarks
"""

RETURN = r"""
documents:
  description: All results of this host, the oldest first within a unit.
  type: list
  elements: dict
  returned: success
files:
  description: Where the new ones are.
  type: list
  elements: str
  returned: success
"""

import json
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.llmops.gpu_inference.plugins.module_utils._benchmark_results import all_of, store
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import Paths


def main() -> None:
    module = AnsibleModule(argument_spec={"documents": {"type": "list", "elements": "dict", "default": []}}, supports_check_mode=True)
    paths = Paths()
    files: list[Path] = []
    given = module.params["documents"]
    try:
        if not module.check_mode:
            files = [store(one["unit"], one["date"], json.dumps(one, indent=2, sort_keys=True) + "\n", paths) for one in given]
    except OSError as error:
        module.fail_json(msg=f"The results cannot be kept: {error}")
    module.exit_json(changed=bool(given), files=[str(file) for file in files], documents=all_of(paths))


if __name__ == "__main__":
    main()
