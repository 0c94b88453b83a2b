# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible import context
from ansible.errors import AnsibleFilterError

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._screen.commands import command
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._screen.run import run_of
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._screen.summary import summary

DOCUMENTATION = r"""
name: run_summary
short_description: The end of a run as lines for a person
version_added: 0.9.0
description:
  - Says in at most 40 lines where the gateways answer, which hosts serve which model by which names, where the key is, what became of
    the units in this run, and which commands come next. No key is in it.
  - A host that failed, or was not part of the run, is never told as serving.
options:
  _input:
    description: The plan that M(llmops.gpu_inference.plan) returns.
    type: dict
    required: true
  reconciled:
    description: By host, the results of M(llmops.gpu_inference.container_units). Those that are missing are empty.
    type: dict
    required: true
  waits:
    description: By host, the result of M(llmops.gpu_inference.endpoint_ready) about its engines.
    type: dict
    default: {}
  engines:
    description: Hosts whose engines have answered in this run.
    type: list
    elements: str
    default: []
  gateways:
    description: Hosts whose gateway has answered in this run.
    type: list
    elements: str
    default: []
  failed:
    description: Hosts that failed or did not answer.
    type: list
    elements: str
    default: []
  key_files:
    description:
      - The files of generated keys, by name, as M(llmops.gpu_inference.secrets) returns them; C(gateway_ca) is that of the authority of the
        gateway's certificate, where one has to know it.
    type: dict
    default: {}
  check_mode:
    description: Whether nothing was changed, so that it says what would be.
    type: bool
    default: false
author:
  - llmops.gpu_inference contributors (@llmops)
"""

EXAMPLES = r"""
- name: Show what serves now
  llmops.gpu_inference.show:
    lines: "{{ inference_plan | llmops.gpu_inference.run_summary({'gpu01': [reconciled]}, engines=['gpu01'], gateways=['gpu01']) }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""


def run_summary(
    plan: Any,
    reconciled: Mapping[str, Sequence[Any]],
    waits: Mapping[str, Any] | None = None,
    engines: Sequence[str] = (),
    gateways: Sequence[str] = (),
    failed: Sequence[str] = (),
    key_files: Mapping[str, str] | None = None,
    check_mode: bool = False,
) -> list[str]:
    """The end of a run."""
    if not isinstance(plan, Mapping) or not isinstance(plan.get("table"), list):
        raise AnsibleFilterError("run_summary needs the plan that llmops.gpu_inference.plan returns")
    run = run_of(reconciled, waits or {}, engines, gateways, failed, check_mode)
    given = [str(name) for name in context.CLIARGS.get("args") or ()]
    inventories = [str(name) for name in context.CLIARGS.get("inventory") or ()]
    root = Path(__file__).resolve().parents[2]
    return summary(plan, run, key_files or {}, lambda name: command(name, given, inventories, root, Path.cwd()))


class FilterModule:
    """The end of a run."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"run_summary": run_summary}
