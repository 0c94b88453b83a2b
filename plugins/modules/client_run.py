#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: client_run
author: llmops.gpu_inference contributors (@llmops)
version_added: 0.9.0
short_description: Has client programs do one piece of work through the gateway
description:
  - Runs each program once, as the user that its file belongs to, and asks it to write a file with a word that is made up for this run.
  - It works in a folder of its own that is removed afterwards, and the model gets only those tools that the program's permissions leave it.
  - A program that does not write the file is a row of the result and no failure of the module.
options:
  programs:
    description: The programs, as the filter P(llmops.gpu_inference.client_programs_to_run#filter) returns them.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The type of the program.
        type: str
        required: true
      title:
        description: Its name for people.
        type: str
        required: true
      model:
        description: The model that its file names.
        type: str
        required: true
      command:
        description: Its command, with C({task}) for what it is asked.
        type: list
        elements: str
        required: true
      path:
        description: The file that leads it to the gateway.
        type: str
        required: true
      file:
        description: Where it looks for that file by itself, below its user's home.
        type: str
        required: true
      elsewhere:
        description: Variables by which it finds the file at another place, with C({path}) and C({folder}) in them.
        type: dict
        required: true
      environment:
        description: Further variables of its environment.
        type: dict
        default: {}
      secrets:
        description: What no message shows.
        type: list
        elements: str
        required: true
      user:
        description: Who runs it; by default who runs the module. Another user needs root.
        type: str
  timeout:
    description: Seconds that each program has.
    type: int
    default: 300
extends_documentation_fragment:
  - llmops.gpu_inference._attributes
attributes:
  check_mode:
    support: none
    details: Is skipped in check mode.
  diff_mode:
    support: none
  idempotent:
    support: full
    details: Of its work nothing stays but what a program itself keeps of its sessions.
seealso:
  - plugin: llmops.gpu_inference.client_programs_to_run
    plugin_type: filter
  - module: llmops.gpu_inference.verify_gateway
"""

EXAMPLES = r"""
- name: Have the coding agents of this host do a piece of work
  llmops.gpu_inference.client_run:
    programs: "{{ rendered | llmops.gpu_inference.client_programs_to_run('host') }}"
  become: true
"""

RETURN = r"""
rows:
  description: One row for each program, in the form of M(llmops.gpu_inference.verify_gateway).
  type: list
  elements: dict
  returned: success
table:
  description: The same as lines for a terminal.
  type: list
  elements: str
  returned: success
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.llmops.gpu_inference.plugins.module_utils._client_run import Program, run_program
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import run_command
from ansible_collections.llmops.gpu_inference.plugins.module_utils._verify_table import table


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "programs": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    **{name: {"type": "str", "required": True} for name in ("name", "title", "model", "path", "file")},
                    "command": {"type": "list", "elements": "str", "required": True},
                    "elsewhere": {"type": "dict", "required": True},
                    "environment": {"type": "dict", "default": {}},
                    "secrets": {"type": "list", "elements": "str", "required": True, "no_log": True},
                    "user": {"type": "str"},
                },
            },
            "timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=False,
    )
    timeout = module.params["timeout"]
    rows = [asdict(run_program(Program.from_mapping(given), timeout, run_command)) for given in module.params["programs"]]
    module.exit_json(changed=False, rows=rows, table=table(rows))


if __name__ == "__main__":
    main()
