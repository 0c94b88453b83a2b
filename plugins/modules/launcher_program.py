#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: launcher_program
author: llmops.gpu_inference contributors (@llmops)
version_added: 0.1.0
short_description: Installs the launcher of the units on a host
description:
  - Writes the files of the launcher, the main process of each unit, into one folder; they need nothing but Python's standard library.
  - Running launchers are left alone; module M(llmops.gpu_inference.container_units) reloads those that run another program.
options:
  path:
    description: The folder, which exists. Files C(_*.py) in it that the program no longer has are removed.
    type: path
    required: true
extends_documentation_fragment:
  - llmops.gpu_inference._attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: The names of the files are returned, not their text.
  idempotent:
    support: full
seealso:
  - module: llmops.gpu_inference.container_units
"""

EXAMPLES = r"""
- name: Install the launcher
  llmops.gpu_inference.launcher_program:
    path: /usr/local/lib/gpu-inference
"""

RETURN = r"""
written:
  description: Names of the files that were written or would be.
  type: list
  elements: str
  returned: success
removed:
  description: Names of the files of an earlier version that were removed or would be.
  type: list
  elements: str
  returned: success
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_program import compare, install, program

MODE = 0o644


def main() -> None:
    module = AnsibleModule(argument_spec={"path": {"type": "path", "required": True}}, supports_check_mode=True)
    folder = Path(module.params["path"])
    try:
        texts = program()
        found = compare(folder, texts, MODE)
        if not module.check_mode:
            install(folder, texts, found, MODE, module.atomic_move)
    except OSError as error:
        module.fail_json(msg=f"the launcher could not be installed in {folder}: {error}")
    module.exit_json(changed=bool(found.write or found.remove), written=list(found.write), removed=list(found.remove))


if __name__ == "__main__":
    main()
