#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: show
short_description: Print lines as they are
version_added: 0.9.0
description:
  - Prints a text of several lines as such. As the message of a task most callbacks show it as one line with C(\n) in it, or fold it.
  - Where the output is one document (the callbacks V(json), V(jsonl) and V(null) of any collection), nothing is printed, and the lines
    are in the result only.
  - Runs on the controller; no host is contacted.
options:
  lines:
    description: The lines.
    type: list
    elements: str
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
- name: Show the state
  llmops.gpu_inference.show:
    lines: "{{ {inventory_hostname: state} | llmops.gpu_inference.unit_status_table }}"
"""

RETURN = r"""
lines:
  description: The lines.
  returned: success
  type: list
  elements: str
"""
