#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: benchmark
author: llmops.gpu_inference contributors (@llmops)
version_added: 0.9.0
short_description: Measures how fast a model answers
description:
  - Runs a load generator in a container of its own on this host, once for each number of requests at once, against an engine or a gateway.
  - Before each step it looks for three seconds whether others have requests there, and measures nothing then. It ends a step during which
    others come. RV(steps) has what was measured until then.
  - A step that failed does not fail the task; look at RV(failure). Prints a line for each step while it runs.
options:
  target:
    description:
      - What is measured by which program, one entry of what filter P(llmops.gpu_inference.benchmark_targets#filter) returns for this host.
        Further keys are left out on the controller.
    type: dict
    required: true
    suboptions:
      name:
        description: What it is called in the lines that are printed.
        type: str
        required: true
      watch:
        description: The servers that answer, with the address of their metrics and the names that count requests in progress.
        type: list
        elements: dict
        default: []
        suboptions:
          url:
            description: Where the metrics are.
            type: str
            required: true
          gauges:
            description: Names of Prometheus gauges whose sum is the number of requests. None where the server has none.
            type: list
            elements: str
            required: true
      under_load:
        description: Measure also while others use it, and do not give way.
        type: bool
        default: false
      steps:
        description: What is run, in this order. None to look only.
        type: list
        elements: dict
        default: []
        suboptions:
          concurrency:
            description: Requests at once.
            type: int
            required: true
          requests:
            description: Requests in all.
            type: int
            required: true
          command:
            description: Arguments of the program.
            type: list
            elements: str
            required: true
      image:
        description: The image with the load generator.
        type: str
      pull:
        description: Whether an image that is missing is pulled.
        type: str
        choices: [missing, never]
        default: never
      entrypoint:
        description: The program in the image.
        type: str
      network:
        description: The Docker network on which the server is reached.
        type: str
      environment:
        description: Variables of the program.
        type: dict
        default: {}
      files:
        description: Files of the program as texts, by their path.
        type: dict
        default: {}
      key_variable:
        description: The variable by which the program takes O(api_key).
        type: str
      figures:
        description: By name of RV(steps), the name in the program's result.
        type: dict
        default: {}
      timeout:
        description: Seconds for one step.
        type: int
        default: 600
  api_key:
    description: A key of the server that is measured.
    type: str
  watch_key:
    description: A key of the servers in C(watch) of O(target).
    type: str
  ca:
    description: Certificates of authorities that the program shall trust, as PEM.
    type: str
extends_documentation_fragment:
  - llmops.gpu_inference._attributes
attributes:
  check_mode:
    support: none
    details: Is skipped in check mode.
  diff_mode:
    support: none
  idempotent:
    support: N/A
    details: Changes nothing on the host; it only works.
requirements:
  - A Docker command line client and the right to use it.
seealso:
  - module: llmops.gpu_inference.benchmark_results
"""

EXAMPLES = r"""
- name: Measure a service
  llmops.gpu_inference.benchmark:
    target: "{{ chosen.targets[inventory_hostname] | first }}"
    api_key: "{{ engine_key }}"
  become: true
  register: measured
"""

RETURN = r"""
used:
  description: Whether others used it; null where it does not tell, and where nobody looked.
  type: bool
  returned: success
gave_way:
  description: Whether a step was ended because others came.
  type: bool
  returned: success
failure:
  description: Why a step failed, or null.
  type: str
  returned: success
started:
  description: When it began, in UTC.
  type: str
  returned: success
steps:
  description: For each step that ended well its C(concurrency), C(requests), C(failed), and the figures that the program tells.
  type: list
  elements: dict
  returned: success
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.llmops.gpu_inference.plugins.module_utils._benchmark_run import (
    FOLDER,
    GaveWay,
    Program,
    Step,
    Watch,
    is_used,
    look_at,
    run_step,
)


def target_options() -> dict[str, Any]:
    return {
        "name": {"type": "str", "required": True},
        "watch": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {"url": {"type": "str", "required": True}, "gauges": {"type": "list", "elements": "str", "required": True}},
        },
        "under_load": {"type": "bool", "default": False},
        "steps": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "concurrency": {"type": "int", "required": True},
                "requests": {"type": "int", "required": True},
                "command": {"type": "list", "elements": "str", "required": True},
            },
        },
        "pull": {"type": "str", "choices": ["missing", "never"], "default": "never"},
        **{key: {"type": "str"} for key in ("image", "entrypoint", "network")},
        "key_variable": {"type": "str", "no_log": False},
        **{name: {"type": "dict", "default": {}} for name in ("environment", "files", "figures")},
        "timeout": {"type": "int", "default": 600},
    }


def measure(target: dict[str, Any], api_key: str | None, watch_key: str | None, ca: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {"used": None, "gave_way": False, "failure": None, "steps": []}

    def look() -> float | None:
        return look_at(target["watch"], watch_key)

    environment = {**target["environment"], **({"SSL_CERT_FILE": f"{FOLDER}/ca.pem"} if ca else {})}
    program = Program(
        image=target["image"],
        entrypoint=target["entrypoint"],
        network=target["network"],
        pull=target["pull"],
        files={**target["files"], **({"ca.pem": ca} if ca else {})},
        environment={name: str(value) for name, value in environment.items()},
        figures=target["figures"],
    )
    secrets = {target["key_variable"]: api_key} if target["key_variable"] and api_key else {}
    for step in target["steps"] or [None]:
        if not target["under_load"]:
            found["used"] = is_used(look) if target["watch"] else None
            if found["used"]:
                return found
        if step is None:
            return found
        tick = (lambda: None) if target["under_load"] else Watch(look, step["concurrency"])
        try:
            ran = run_step(program, Step(**step), secrets, target["timeout"], tick)
        except GaveWay:
            return {**found, "gave_way": True}
        if "failure" in ran:
            return {**found, "failure": ran["failure"]}
        found["steps"].append({"concurrency": step["concurrency"], "requests": step["requests"], **ran["figures"]})
    return found


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "target": {"type": "dict", "required": True, "options": target_options()},
            "api_key": {"type": "str", "no_log": True},
            "watch_key": {"type": "str", "no_log": True},
            "ca": {"type": "str"},
        },
        supports_check_mode=False,
    )
    given = module.params
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    found = measure(given["target"], given["api_key"], given["watch_key"], given["ca"])
    module.exit_json(changed=False, started=started, **found)


if __name__ == "__main__":
    main()
