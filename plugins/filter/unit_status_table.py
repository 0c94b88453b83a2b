# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: unit_status_table
short_description: State of container units as an aligned table
version_added: 0.1.0
description:
  - Turns what M(llmops.gpu_inference.container_units_info) returns into lines for a terminal.
positional: budgets
options:
  _input:
    description: The C(units) of M(llmops.gpu_inference.container_units_info).
    type: list
    elements: dict
    required: true
  budgets:
    description: What the plan allows a unit, as text, by the name of the unit.
    type: dict
    default: {}
author:
  - llmops.gpu_inference contributors (@llmops)
"""

EXAMPLES = r"""
- name: Show the state
  ansible.builtin.debug:
    msg: "{{ state.units | llmops.gpu_inference.unit_status_table }}"
"""

RETURN = r"""
_value:
  description: The lines, the heading first.
  type: list
  elements: str
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_status import table


def unit_status_table(rows: Sequence[Mapping[str, Any]], budgets: Mapping[str, str] | None = None) -> list[str]:
    return table(rows, budgets or {})


class FilterModule:
    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"unit_status_table": unit_status_table}
