#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: engine_idle
short_description: Wait until engines on this host have no request in work
version_added: 0.9.0
description:
  - Looks at the engines' own count of requests that they work at or that wait for it, whoever has sent them.
  - Fails where one of them still has some at the end. An engine that does not tell its number gets O(quiet) seconds, and counts as unknown.
extends_documentation_fragment:
  - llmops.gpu_inference._attributes
attributes:
  check_mode:
    support: full
    details:
      - Does not wait, and does not fail for requests in work.
  diff_mode:
    support: N/A
    details:
      - Changes nothing.
  idempotent:
    support: full
options:
  units:
    description: Names of units, such as V(vllm@chat.service). Those that are not on this host are left out.
    type: list
    elements: str
    required: true
  timeout:
    description: Seconds until it gives up.
    type: int
    default: 300
  quiet:
    description: Seconds for engines that do not tell how many requests they have, at most O(timeout).
    type: int
    default: 30
author:
  - llmops.gpu_inference contributors (@llmops)
"""

EXAMPLES = r"""
- name: Wait for running requests
  llmops.gpu_inference.engine_idle:
    units: [vllm@chat.service]
    timeout: 600
  become: true
"""

RETURN = r"""
engines:
  description: How each of them was at the end.
  returned: always
  type: list
  elements: dict
  contains:
    unit: {description: "Name of the unit.", type: str, returned: success}
    state:
      description: "V(idle), V(busy), V(stopped) where nothing listens, V(unknown) where the engine did not tell."
      type: str
      returned: success
    requests: {description: "Requests in work or waiting for it, or null.", type: int, returned: success}
waited:
  description: Seconds.
  returned: always
  type: int
"""

import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.llmops.gpu_inference.plugins.module_utils._engine_idle import BUSY, Engine, wait_idle
from ansible_collections.llmops.gpu_inference.plugins.module_utils._instance_spec import parse_env
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import ENV_FILE, SERVICE_FILE, Paths, is_ours, read_json


def engine_of(paths: Paths, unit: str) -> Engine | None:
    kind, _at, rest = unit.partition("@")
    folder = paths.folder(kind, rest.removesuffix(".service"))
    document = read_json(folder / SERVICE_FILE)
    if document is None or not is_ours(document):
        return None
    probe = document.get("probe") or {}
    try:
        variables = parse_env((folder / ENV_FILE).read_text(encoding="utf-8"))
    except OSError:
        variables = {}
    return Engine(unit, kind, str(probe.get("base_url") or ""), variables.get(str(probe.get("api_key_variable"))))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "units": {"type": "list", "elements": "str", "required": True},
            "timeout": {"type": "int", "default": 300},
            "quiet": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    engines = [engine for engine in (engine_of(Paths(), unit) for unit in wanted["units"]) if engine is not None]
    began = time.monotonic()
    limit = 0 if module.check_mode else wanted["timeout"]
    found = wait_idle(engines, timeout=limit, quiet=wanted["quiet"], clock=time.monotonic, sleep=time.sleep)
    waited = int(time.monotonic() - began)
    told = [{"unit": one.unit, "state": one.state, "requests": one.requests} for one in found]
    busy = [f"{one.unit} has {one.requests} requests" for one in found if one.state == BUSY]
    if busy and not module.check_mode:
        module.fail_json(
            msg=f"{', '.join(busy)} in work after {waited} s. The gateways send no more there; wait longer, or stop it all the same.",
            engines=told,
            waited=waited,
        )
    module.exit_json(changed=False, engines=told, waited=waited)


if __name__ == "__main__":
    main()
