#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_proxy
author: llmops.gpu_inference contributors (@llmops)
version_added: 0.9.0
short_description: Keeps the proxy in front of a node's engines as declared
description:
  - Writes the files of an nginx that is a systemd unit of its own, starts it, now and at boot, and has it take what has changed.
  - A configuration takes the place of the old one only after C(nginx -t) has accepted it.
  - nginx is reloaded, which running requests outlive. It is restarted only where its unit has changed.
  - What runs is compared with what is written by the checksums that the unit writes when it starts and reloads, so that a run that was
    killed is taken up by the next.
  - It ends with an error where nginx does not listen on an address that it should.
options:
  state:
    description: V(absent) stops the proxy, and removes its folder and its unit.
    type: str
    choices: [present, absent]
    default: present
  unit:
    description: Name of the systemd unit.
    type: str
    required: true
  directory:
    description: Folder of the configuration, for nobody but root.
    type: path
    required: true
  runtime_directory:
    description: The unit's folder below C(/run), with the file C(loaded.sha256).
    type: path
  unit_text:
    description: What stands in the unit.
    type: str
  configuration:
    description: What stands in C(nginx.conf) of the folder.
    type: str
  secret_files:
    description:
      - Texts of other files in the folder by their names, readable for nobody but root. They are shown nowhere.
      - Files that end in C(-), 16 hexadecimal digits and a suffix, and are not among these, are removed once the configuration is in its
        place. With a hash of the content in the name, new files do not touch those of the running configuration.
    type: dict
    default: {}
  listen:
    description: Addresses with ports on which it listens, as C(ss) prints them.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - llmops.gpu_inference._attributes
attributes:
  check_mode:
    support: full
    details: The new configuration is not shown to nginx, which could not read the files that it includes.
  diff_mode:
    support: full
    details: Of O(secret_files) only the names are shown.
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Run the proxy
  become: true
  llmops.gpu_inference.node_proxy:
    unit: gpu-inference-proxy.service
    directory: /etc/gpu-inference/proxy
    runtime_directory: /run/gpu-inference-proxy
    unit_text: "{{ lookup('ansible.builtin.template', 'gpu-inference-proxy.service.j2') }}"
    configuration: "{{ lookup('ansible.builtin.template', 'nginx.conf.j2') }}"
    listen: ["192.0.2.20:8070"]
"""

RETURN = r"""
action:
  description: What the proxy needed, V(none), V(start), V(reload) or V(restart).
  type: str
  returned: when O(state=present)
"""

import os
import re
import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.llmops.gpu_inference.plugins.module_utils._files import UnusableFileError
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import run_command
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_files import HostFiles, different
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node_proxy import Action, NodeProxy, ProxyError
from ansible_collections.llmops.gpu_inference.plugins.module_utils._systemd import Systemd, SystemdError

UNITS = "/etc/systemd/system"
OWNER: str | None = "root"
HASHED = re.compile(r".+-[0-9a-f]{16}\.[a-z]+")


def _present(host: HostFiles, proxy: NodeProxy) -> Action:
    given, check = host.module.params, host.module.check_mode
    folder = given["directory"]
    host.folder(folder, "0700")
    host.files({os.path.join(folder, name): text for name, text in given["secret_files"].items()}, "0600", secret=True)
    configuration = {os.path.join(folder, "nginx.conf"): given["configuration"]}
    if different(configuration) and not check:
        proxy.test(given["configuration"], host.module.tmpdir)
    host.files(configuration)
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        if HASHED.fullmatch(name) and name not in given["secret_files"]:
            host.remove(os.path.join(folder, name))
    rewritten = host.files({os.path.join(UNITS, proxy.unit): given["unit_text"]})
    action = proxy.wanted_action(bool(rewritten))
    enabled = proxy.starts_at_boot()
    host.changed = host.changed or action != "none" or not enabled
    if not check:
        if action != "none":
            proxy.carry_out(action)
        if not enabled:
            Systemd(run_command).do("enable", proxy.unit)
    return action


def _absent(host: HostFiles, unit: str, folder: str) -> None:
    path = os.path.join(UNITS, unit)
    if not os.path.exists(path):
        return
    systemd, check = Systemd(run_command), host.module.check_mode
    if not check:
        systemd.do("disable", "--now", unit)
    # The unit goes last: as long as it is there, a run that was killed is taken up again.
    host.remove(folder)
    host.remove(path)
    if not check:
        systemd.do("daemon-reload")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "unit": {"type": "str", "required": True},
            "directory": {"type": "path", "required": True},
            "runtime_directory": {"type": "path"},
            "unit_text": {"type": "str"},
            "configuration": {"type": "str"},
            "secret_files": {"type": "dict", "default": {}, "no_log": True},
            "listen": {"type": "list", "elements": "str", "default": []},
        },
        required_if=[("state", "present", ("runtime_directory", "unit_text", "configuration"))],
        supports_check_mode=True,
    )
    host, given = HostFiles(module, OWNER), module.params
    result = {}
    try:
        if given["state"] == "present":
            proxy = NodeProxy(given["unit"], given["runtime_directory"], given["listen"], run_command, time.sleep)
            result["action"] = _present(host, proxy)
        else:
            _absent(host, given["unit"], given["directory"])
    except ProxyError as error:
        module.fail_json(msg=str(error))
    except (OSError, UnusableFileError, SystemdError) as error:
        module.fail_json(msg=f"the proxy could not be made {given['state']}: {error}. See `journalctl -u {given['unit']}`.")
    module.exit_json(changed=host.changed, diff=host.diff, **result)


if __name__ == "__main__":
    main()
