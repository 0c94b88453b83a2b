#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: package_lists
short_description: Refresh apt's package lists, and say which could not be
version_added: 0.9.0
author:
  - llmops.gpu_inference contributors (@llmops)
description:
  - Runs C(apt-get update). Somebody else's repository that is out of reach must not stop what can be installed all the same, so what cannot
    be fetched is a warning and no error.
  - Needs no C(python3-apt), and waits for another apt that is at work.
extends_documentation_fragment:
  - llmops.gpu_inference._attributes
attributes:
  check_mode:
    support: full
    details:
      - In check mode nothing is fetched.
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - The lists are a cache; refreshing them counts as no change.
options:
  timeout:
    description: Seconds after which a refresh that does not end is given up.
    type: int
    default: 600
"""

EXAMPLES = r"""
- name: Refresh the package lists
  become: true
  llmops.gpu_inference.package_lists:
"""

RETURN = r"""
problem:
  description: What could not be fetched, in apt's words; empty where all was.
  returned: always
  type: str
"""

import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import run_command
from ansible_collections.llmops.gpu_inference.plugins.module_utils._package_manager import update

OPTIONS = {"Acquire::Retries": "1", "Acquire::http::Timeout": "30", "Acquire::https::Timeout": "30"}


def main() -> None:
    module = AnsibleModule(argument_spec={"timeout": {"type": "int", "default": 600}}, supports_check_mode=True)
    problem = "" if module.check_mode else update(run_command, time.sleep, OPTIONS, module.params["timeout"])
    if problem:
        module.warn(f"apt could not refresh all package lists: {problem}. Going on with those at hand; see apt-get update on this host.")
    module.exit_json(changed=False, problem=problem)


if __name__ == "__main__":
    main()
