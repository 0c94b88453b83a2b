#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: unit_releases
short_description: Prove engines against those that they replaced, and record what serves as a release
description:
  - Asks engines that are ready the questions that M(llmops.gpu_inference.container_units) has asked those before them, and compares
    answers, tools, embeddings, context and speed.
  - What holds is recorded on the host as a release. It has the configuration without its secrets, the image with its digest, the driver,
    the time until it was ready, memory, and what was measured. The last ten of an instance are kept. The image of the release before
    is kept by a container that never starts, so that C(docker image prune) leaves it.
  - An instance without a release is recorded and not compared. Only the prompts of your own must hold.
version_added: 0.9.0
extends_documentation_fragment:
  - llmops.gpu_inference._attributes
  - llmops.gpu_inference._proof
attributes:
  check_mode:
    support: full
    details:
      - Nothing is asked or recorded.
  diff_mode:
    support: N/A
    details:
      - Has nothing to show as a difference.
  idempotent:
    support: N/A
    details:
      - Records what it finds, and changes nothing that serves, but for O(stop_refused).
options:
  units:
    description: The instances, such as C(vllm/chat). They must be ready.
    type: list
    elements: str
    required: true
  went_back:
    description: By instance the number of the release that it went back to, for the record.
    type: dict
    default: {}
  probation:
    description:
      - Seconds for which one that replaced another has to last under the traffic of its clients before it is recorded. It must not die, and
        at most one answer of twenty may be an error of the server, where the server counts them, as vLLM does.
    type: float
    default: 0
  stage:
    description:
      - V(first) asks and compares only, while clients are kept away, and V(last) goes on from there with probation and record.
    type: str
    choices: [all, first, last]
    default: all
  stop_refused:
    description:
      - Whether an engine that replaced another one and does not hold is stopped at once, for somebody who goes back to the release before.
    type: bool
    default: false
author:
  - llmops.gpu_inference contributors (@llmops)
seealso:
  - module: llmops.gpu_inference.container_units
"""

EXAMPLES = r"""
- name: Prove the chat engine, and record it
  llmops.gpu_inference.unit_releases:
    units: [vllm/chat]
    proof:
      speed: 0.9
      answers:
        chat:
          - prompt: What is the capital of France?
            contains: Paris
  become: true
"""

RETURN = r"""
releases:
  description: The release that was recorded, by instance.
  returned: always
  type: dict
  sample: {"vllm/chat": 4}
refused:
  description: What does not hold, by instance.
  returned: always
  type: dict
  sample: {"vllm/chat": ["12.1 tokens per second, 61.0 before; at least 0.80 of it is wanted"]}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import Instance, Paths
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_options import PROOF
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_releases import Proof, Prover


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "units": {"type": "list", "elements": "str", "required": True},
            "proof": {"type": "dict", "options": PROOF},
            "went_back": {"type": "dict", "default": {}},
            "probation": {"type": "float", "default": 0},
            "stage": {"type": "str", "choices": ["all", "first", "last"], "default": "all"},
            "stop_refused": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=False, releases={}, refused={})
    instances = [Instance(*unit.split("/", 1)) for unit in module.params["units"] if "/" in unit]
    try:
        prover = Prover(Paths(), Proof.of(module.params["proof"] or {}), stops=module.params["stop_refused"])
        verdicts = prover.prove(instances, module.params["went_back"], module.params["probation"], module.params["stage"])
    except OSError as error:
        module.fail_json(msg=f"cannot work on {error.filename or 'a file'}: {error.strerror or error}")
    result = {
        "changed": False,
        "releases": {one.instance: one.release for one in verdicts if one.release is not None},
        "refused": {one.instance: list(one.problems) for one in verdicts if one.problems},
    }
    told = []
    for one in verdicts:
        if one.problems:
            told += [
                f"{one.instance} answers, and does not prove itself: {'; '.join(one.problems)}",
                *(f"  {line}" for line in one.columns),
            ]
    if told:
        module.fail_json(msg="\n".join(told), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
