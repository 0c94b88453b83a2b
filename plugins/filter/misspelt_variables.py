# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: misspelt_variables
short_description: Names that look like a misspelt variable of a role
version_added: 0.1.0
description:
  - Compares variable names with those that a role knows, so that a typing error is refused instead of silently ignored.
positional: known
options:
  _input:
    description: The names that are set, for example from P(ansible.builtin.varnames#lookup).
    type: list
    elements: str
    required: true
  known:
    description: The names that the role knows.
    type: list
    elements: str
    required: true
  strict:
    description:
      - Whether every unknown name counts.
      - V(false) leaves alone what resembles no known name, for prefixes that other people's roles use too.
    type: bool
    default: true
author:
  - llmops.gpu_inference contributors (@llmops)
"""

EXAMPLES = r"""
- name: Refuse misspelt variables
  ansible.builtin.assert:
    that: query('ansible.builtin.varnames', '^vllm_') | llmops.gpu_inference.misspelt_variables(known) | length == 0
"""

RETURN = r"""
_value:
  description: One text for each suspicious name, with the name that was probably meant.
  type: list
  elements: str
"""

from collections.abc import Callable

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.misspelt import find_misspelt


def misspelt_variables(names: list[str], known: list[str], strict: bool = True) -> list[str]:
    return [str(found) for found in find_misspelt(names, known, strict=strict)]


class FilterModule:
    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"misspelt_variables": misspelt_variables}
