#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_models
short_description: Keep the models of Ollama servers as declared
version_added: 0.9.0
description:
  - Pulls models that are missing, compares pinned digests, removes other models if asked, and tells which loaded models are partly on
    the CPU.
  - Names are compared as Ollama means them, so C(qwen3) and C(registry.ollama.ai/library/qwen3:latest) are the same model.
  - An error that Ollama reports inside a successful pull stream is an error here.
extends_documentation_fragment:
  - llmops.gpu_inference._attributes
attributes:
  check_mode:
    support: full
    details:
      - A server that does not answer is not an error in check mode, as an earlier task may start it. Its models count as missing.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  instances:
    description: The servers.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The name in messages and results.
        type: str
        required: true
      base_url:
        description: The root of the server, for example V(http://127.0.0.1:11434).
        type: str
        required: true
      device:
        description: With V(cpu) nobody expects a model on a GPU.
        type: str
        choices: [gpu, cpu]
        default: gpu
      models:
        description: The models it shall have.
        type: list
        elements: dict
        required: true
        suboptions:
          tag:
            description: The model as Ollama names it. Without a tag it means C(:latest).
            type: str
            required: true
          digest:
            description:
              - The digest that C(/api/tags) or C(ollama list) show, 12 to 64 hexadecimal digits.
              - A model with another digest is pulled again. The module fails when the registry has another one.
            type: str
  prune:
    description: Whether to remove models that are not listed.
    type: bool
    default: false
  partly_on_cpu:
    description: What to do about a loaded model that does not wholly fit in the memory of the GPU.
    type: str
    choices: [warn, fail, ignore]
    default: warn
  timeout:
    description: The longest silence of a server in seconds. A pull may take longer, it reports progress all the time.
    type: int
    default: 60
seealso:
  - module: llmops.gpu_inference.container_units
author:
  - llmops.gpu_inference contributors (@llmops)
"""

EXAMPLES = r"""
- name: Pin a model and remove all others
  llmops.gpu_inference.ollama_models:
    instances:
      - name: jetson
        base_url: http://127.0.0.1:11434
        models:
          - tag: qwen3-vl:4b-instruct
            digest: 1343d82ebee3
    prune: true

- name: Refuse models that are partly on the CPU
  llmops.gpu_inference.ollama_models:
    instances:
      - name: jetson
        base_url: http://127.0.0.1:11434
        models:
          - tag: qwen3-vl:4b-instruct
    partly_on_cpu: fail
"""

RETURN = r"""
instances:
  description: What was found and done, one entry for each server.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name of the server.
      type: str
      sample: jetson
    reachable:
      description: Whether it answered. Always V(true) outside check mode.
      type: bool
    pulled:
      description: Models that were pulled.
      type: list
      elements: str
    removed:
      description: Models that were removed.
      type: list
      elements: str
    models:
      description: Digest of each model that is present afterwards, by its tag.
      type: dict
      sample: {"qwen3-vl:4b-instruct": "1343d82ebee3..."}
    partly_on_cpu:
      description: Percentage that is on the CPU, by the tag of the loaded model. Empty where all is on the GPU.
      type: dict
      sample: {"qwen3:32b": 41}
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.llmops.gpu_inference.plugins.module_utils._ollama import (
    OllamaError,
    Wanted,
    normalise_tag,
    partly_on_cpu,
    synchronise,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._ollama_api import OllamaApi, UnreachableError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "instances": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "base_url": {"type": "str", "required": True},
                    "device": {"type": "str", "choices": ["gpu", "cpu"], "default": "gpu"},
                    "models": {
                        "type": "list",
                        "elements": "dict",
                        "required": True,
                        "options": {"tag": {"type": "str", "required": True}, "digest": {"type": "str"}},
                    },
                },
            },
            "prune": {"type": "bool", "default": False},
            "partly_on_cpu": {"type": "str", "choices": ["warn", "fail", "ignore"], "default": "warn"},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    results: list[dict[str, t.Any]] = []
    diffs: list[dict[str, t.Any]] = []
    problems: list[str] = []
    for instance in module.params["instances"]:
        result, diff = _one(module, instance, problems)
        results.append(result)
        diffs.append(diff)
    changed = any(result["pulled"] or result["removed"] for result in results)
    if problems:
        module.fail_json(msg="\n".join(problems), changed=changed, instances=results, diff=diffs)
    module.exit_json(changed=changed, instances=results, diff=diffs)


def _one(module: AnsibleModule, instance: dict[str, t.Any], problems: list[str]) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
    """One server; an error of one does not keep the others from being looked after."""
    name = instance["name"]
    wanted = [Wanted(normalise_tag(model["tag"]), model["digest"]) for model in instance["models"]]
    result: dict[str, t.Any] = {"name": name, "reachable": True, "pulled": [], "removed": [], "models": {}, "partly_on_cpu": {}}
    diff: dict[str, t.Any] = {"before_header": name, "after_header": name, "before": {}, "after": {}}
    api = OllamaApi(instance["base_url"], module.params["timeout"])
    try:
        done = synchronise(api, wanted, prune=module.params["prune"], dry_run=module.check_mode)
        result.update(pulled=list(done.pulled), removed=list(done.removed), models={entry.tag: entry.digest for entry in done.after})
        diff.update(before={entry.tag: entry.digest for entry in done.before}, after=result["models"])
        if instance["device"] == "gpu":
            result["partly_on_cpu"] = partly_on_cpu(api.loaded())
    except UnreachableError as error:
        result["reachable"] = False
        if module.check_mode:
            result["pulled"] = [model.tag for model in wanted]
            diff["after"] = {model.tag: "unknown" for model in wanted}
        else:
            problems.append(f"Ollama {name}: {error}. See `systemctl status ollama@{name}.service` and its journal.")
    except OllamaError as error:
        problems.append(f"Ollama {name}: {error}")
    for tag, percent in result["partly_on_cpu"].items():
        text = (
            f"Ollama {name}: {percent} % of the model {tag} are on the CPU (partly_on_cpu), so it answers slowly. It does not fit in the "
            "free memory of its GPU: lower context_length or num_parallel, choose a smaller kv_cache_type or model, or free memory."
        )
        if module.params["partly_on_cpu"] == "fail":
            problems.append(text)
        elif module.params["partly_on_cpu"] == "warn":
            module.warn(text)
    return result, diff


if __name__ == "__main__":
    main()
