# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: verification_report
author: llmops.gpu_inference contributors (@llmops)
version_added: 0.1.0
short_description: One report of what runs where and what answers
description:
  - Puts together what M(llmops.gpu_inference.verify_gateway) found from each point of view, the plan's table, and what
    M(llmops.gpu_inference.container_units_info) found on each node.
  - A point of view from which nothing could be asked counts as a failure.
positional: gateway, time, placement, units
options:
  _input:
    description: Registered results of M(llmops.gpu_inference.verify_gateway) by the name of the point of view.
    type: dict
    required: true
  gateway:
    description: Address of the gateway.
    type: str
    required: true
  time:
    description: When the requests were made.
    type: str
    required: true
  placement:
    description: The table of the plan.
    type: list
    elements: dict
    default: []
  units:
    description: Registered results of M(llmops.gpu_inference.container_units_info) by host.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Report
  ansible.builtin.set_fact:
    inference_report: >-
      {{ {'the gateway host': verification}
         | llmops.gpu_inference.verification_report(gateway='http://192.0.2.10:8400', time=now(true).isoformat()) }}
"""

RETURN = r"""
_value:
  description: The report, with C(gateway), C(time), C(checks), C(failed), C(placement), C(units) and C(views).
  type: dict
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.llmops.gpu_inference.plugins.module_utils._plain import plain
from ansible_collections.llmops.gpu_inference.plugins.module_utils._verify import assemble, markdown


def verification_report(
    results: Mapping[str, Any],
    gateway: str,
    time: str,
    placement: Sequence[Mapping[str, Any]] = (),
    units: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    return assemble(gateway, time, plain(results), plain(placement), plain(units or {}))


def verification_markdown(report: Mapping[str, Any]) -> str:
    return markdown(plain(report))


class FilterModule:
    """Filters of the playbook verify."""

    def filters(self) -> dict[str, Any]:
        return {"verification_report": verification_report, "verification_markdown": verification_markdown}
