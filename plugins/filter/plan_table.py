# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.table import render

DOCUMENTATION = r"""
name: plan_table
short_description: Show a plan as an aligned table
version_added: 0.9.0
description:
  - Renders the table of a plan as text, one line per service, with the memory that it asks for and what is left on its GPU
    after it, its image, and the rule that chose its engine.
  - Below it follow the gateway's models with their other names and the hosts that serve them, and the warnings.
options:
  _input:
    description: The plan that M(llmops.gpu_inference.plan) returns.
    type: dict
    required: true
author:
  - llmops.gpu_inference contributors (@llmops)
"""

EXAMPLES = r"""
- name: Show the plan
  ansible.builtin.debug:
    msg: "{{ inference_plan | llmops.gpu_inference.plan_table }}"
"""

RETURN = r"""
_value:
  description: The table, a line per service below a line of titles; then the gateway's models; then the warnings.
  type: str
"""


def plan_table(plan: Any) -> str:
    """The table of a plan as aligned text."""
    if not isinstance(plan, Mapping) or not isinstance(plan.get("table"), list):
        raise AnsibleFilterError("plan_table needs the plan that llmops.gpu_inference.plan returns")
    return render(plan)


class FilterModule:
    """Filters about the plan."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"plan_table": plan_table}
