#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_rotation
short_description: Take backends of the gateway on this host out of rotation, and put them back
version_added: 0.9.0
description:
  - A backend that is out of rotation gets no request from the next one on. What runs there ends in peace, and nothing restarts.
  - It stays out until it is put back, also when the gateway restarts or is declared again, or for as many O(seconds) as are given. What
    is no longer declared is forgotten.
  - Several gateways have a file each, so it runs on the host of each of them. Two at once on one host wait for each other.
extends_documentation_fragment:
  - llmops.gpu_inference._attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  backends:
    description: Names of backends, as the gateway tells them in the header C(x-litellm-model-id) of its answers, such as V(chat-gpu01).
    type: list
    elements: str
    required: true
  state:
    description: Whether they are to be out of rotation or in it.
    type: str
    choices: [in, out]
    required: true
  by:
    description: Who takes them out, for people. Those that are out already keep what was said then.
    type: str
    default: ""
  reason:
    description: Why, for people.
    type: str
    default: ""
  seconds:
    description:
      - How long at most. Then it is in rotation again by itself, whatever has become of who took it out; 0 is no end.
      - What the same O(by) has taken out for a shorter time is out for this one. What another has taken out for a time is out for good
        where none is given.
    type: int
    default: 0
  last:
    description: Whether also the last backend of a model may go, whose clients then get 503.
    type: bool
    default: false
  required:
    description: Whether it is an error that no gateway runs on this host.
    type: bool
    default: true
author:
  - llmops.gpu_inference contributors (@llmops)
"""

EXAMPLES = r"""
- name: Send nobody to the engine on gpu01 any more
  llmops.gpu_inference.gateway_rotation:
    backends: [chat-gpu01]
    state: out
    by: alice
    reason: new power supply
  become: true

- name: Send clients there again
  llmops.gpu_inference.gateway_rotation:
    backends: [chat-gpu01]
    state: in
  become: true
"""

RETURN = r"""
out:
  description: What is out of rotation at this gateway now, in check mode what would be.
  returned: success
  type: list
  elements: dict
  contains:
    backend: {description: "Its name.", type: str, returned: success}
    model: {description: "The model that it answers for.", type: str, returned: success}
    by: {description: "Who took it out.", type: str, returned: success}
    at: {description: "When, in UTC.", type: str, returned: success}
    until: {description: "Until when at most, in UTC.", type: str, returned: where it was said}
    reason: {description: "Why.", type: str, returned: success}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.llmops.gpu_inference.plugins.module_utils._live_files import LIVE_FOLDER, change_rotation
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import Paths
from ansible_collections.llmops.gpu_inference.plugins.module_utils._rotation import ROTATION_FILE, Rotation, RotationError, moment

GATEWAY = ("litellm", "gateway")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "backends": {"type": "list", "elements": "str", "required": True},
            "state": {"type": "str", "choices": ["in", "out"], "required": True},
            "by": {"type": "str", "default": ""},
            "reason": {"type": "str", "default": ""},
            "seconds": {"type": "int", "default": 0},
            "last": {"type": "bool", "default": False},
            "required": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    folder = Paths().folder(*GATEWAY) / LIVE_FOLDER
    entry = {"by": wanted["by"], "at": moment(), "reason": wanted["reason"]}
    if wanted["seconds"] > 0:
        entry["until"] = moment(wanted["seconds"])

    def change(found: Rotation) -> Rotation:
        now = found.at(moment())
        if wanted["state"] == "in":
            return now.put_back(wanted["backends"])
        return now.take_out(wanted["backends"], entry, last=wanted["last"])

    try:
        before, after = change_rotation(folder, change, keep=module.check_mode)
    except RotationError as error:
        module.fail_json(msg=str(error))
    except FileNotFoundError:
        if not wanted["required"]:
            module.exit_json(changed=False, out=[])
        module.fail_json(msg=f"There is no {folder / ROTATION_FILE}: no gateway runs here, or one of an earlier release. Run site.yml.")
    except (OSError, ValueError) as error:
        module.fail_json(msg=f"{folder / ROTATION_FILE} cannot be used ({error}). Run site.yml, which writes it again.")
    header = str(folder / ROTATION_FILE)
    module.exit_json(
        changed=before != after,
        out=after.described(),
        diff={"before_header": header, "after_header": header, "before": before.text, "after": after.text},
    )


if __name__ == "__main__":
    main()
