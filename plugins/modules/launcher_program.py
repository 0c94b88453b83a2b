#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: launcher_program
author: llmops.gpu_inference contributors (@llmops)
version_added: 0.9.0
short_description: Installs the launcher of the units on a host
description:
  - Writes the files of the launcher, the main process of each unit, into one folder; they need nothing but Python's standard library.
  - Writes its units, and has the target started, now and at boot.
  - systemd is told to read its units again only where one has changed, because that can take the GPUs from running containers
    (nvidia-container-toolkit issue 48).
  - Running launchers are left alone; module M(llmops.gpu_inference.container_units) reloads those that run another program.
options:
  path:
    description: The folder. Files C(_*.py) in it that the program no longer has are removed.
    type: path
    required: true
  units:
    description:
      - Texts of the template units, of C(gpu-inference.target), C(gpu-inference-boot.service) and C(gpu-inference-metrics.service), by
        their names. The last one is written with O(metrics) only.
    type: dict
    default: {}
  runtime_folders:
    description: Text of the file for systemd-tmpfiles, which makes the folders below C(/run).
    type: str
    required: true
  metrics:
    description:
      - What the program for Prometheus is told; empty removes its unit and its file. It takes a change over by itself.
      - C(textfile_directory) is where it writes, C(folders) whose file systems it tells of, and C(gpu_memory_mib) the plan's GPU memory
        by container.
    type: dict
    default: {}
extends_documentation_fragment:
  - llmops.gpu_inference._attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: partial
    details: Of the program's files the names are returned, not their text.
  idempotent:
    support: full
seealso:
  - module: llmops.gpu_inference.container_units
"""

EXAMPLES = r"""
- name: Install the launcher
  llmops.gpu_inference.launcher_program:
    path: /usr/local/lib/gpu-inference
    units: "{{ lookup('ansible.builtin.template', 'units.json.j2') | from_json }}"
    runtime_folders: "{{ lookup('ansible.builtin.template', 'tmpfiles.conf.j2') }}"
"""

RETURN = r"""
written:
  description: Names of the program's files that were written or would be.
  type: list
  elements: str
  returned: success
removed:
  description: Names of the files of an earlier version that were removed or would be.
  type: list
  elements: str
  returned: success
"""

import json
import os
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _launcher_units as units
from ansible_collections.llmops.gpu_inference.plugins.module_utils._files import UnusableFileError
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import run_command
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_files import HostFiles, different
from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_program import compare, install, program
from ansible_collections.llmops.gpu_inference.plugins.module_utils._systemd import Systemd, SystemdError

MODE = 0o644
ETC = "/etc"
RUN = "/run/gpu-inference"
OWNER: str | None = "root"


def _program(host: HostFiles, folder: Path) -> dict[str, t.Any]:
    texts = program()
    found = compare(folder, texts, MODE)
    if not host.module.check_mode:
        install(folder, texts, found, MODE, host.module.atomic_move)
    host.changed = host.changed or bool(found.write or found.remove)
    return {"written": list(found.write), "removed": list(found.remove)}


def _units(host: HostFiles, runtime_folders: str, texts: dict[str, str]) -> None:
    check, systemd = host.module.check_mode, Systemd(run_command)
    tmpfiles = f"{ETC}/tmpfiles.d/gpu-inference.conf"  # noqa: S108 - the name of systemd's own folder
    host.files({tmpfiles: runtime_folders})
    if not os.path.exists(f"{RUN}/state"):
        host.changed = True
        if not check:
            answer = run_command(["systemd-tmpfiles", "--create", tmpfiles], 60)
            if answer.rc:
                raise SystemdError(f"systemd-tmpfiles: {answer.err.strip()}", answer.rc)
    wanted = {f"{ETC}/systemd/system/{name}": text for name, text in texts.items()}
    changing = different(wanted)
    for path in changing:
        if "@." in path and not check:
            units.verify(os.path.basename(path), wanted[path], run_command)
    # A run that is killed between writing and reading again leaves it to the next. Below /run: at boot systemd reads everything anyway.
    unread = Path(RUN) / "units-unread"
    if changing and not check:
        unread.touch()
    host.files(wanted)
    # Made here: systemd counts itself outdated as soon as anything appears in the folder above, and instances are enabled without a reload.
    host.folder(f"{ETC}/systemd/system/{units.TARGET}.wants")
    if unread.exists():
        host.changed = True
        if not check:
            systemd.do("daemon-reload")
            unread.unlink()
    for words in units.to_do(systemd):
        host.changed = True
        if not check:
            systemd.do(*words)


def _metrics(host: HostFiles, settings: dict[str, t.Any], text: str) -> None:
    """The program that tells numbers: here or not. No other unit is touched, and systemd reads all of them again only for a changed one."""
    check, systemd = host.module.check_mode, Systemd(run_command)
    unit, config = f"{ETC}/systemd/system/{units.METRICS}", f"{ETC}/gpu-inference/metrics.json"
    link = f"{ETC}/systemd/system/{units.TARGET}.wants/{units.METRICS}"
    if not settings:
        if os.path.exists(unit) and not check:
            systemd.do("stop", units.METRICS)
        for path in (link, unit, config):
            host.remove(path)
        return
    before = different({unit: text})
    folder = settings["textfile_directory"]
    if not os.path.isdir(folder):
        host.folder(folder)
    host.files({config: json.dumps(settings, indent=1, sort_keys=True) + "\n", unit: text})
    if not os.path.islink(link):
        host.changed = True
        if not check:
            os.symlink(unit, link)
    if before.get(unit) is not None and not check:
        systemd.do("daemon-reload")
    if before or systemd.call("--quiet", "is-active", units.METRICS).rc:
        host.changed = True
        if not check:
            systemd.do("restart", units.METRICS)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "units": {"type": "dict", "default": {}},
            "runtime_folders": {"type": "str", "required": True},
            "metrics": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    host = HostFiles(module, OWNER)
    folder = module.params["path"]
    try:
        for path in (folder, f"{ETC}/gpu-inference", f"{ETC}/gpu-inference/instances"):
            host.folder(path)
        done = _program(host, Path(folder))
        texts = dict(module.params["units"])
        teller = texts.pop(units.METRICS, "")
        _units(host, module.params["runtime_folders"], texts)
        _metrics(host, module.params["metrics"], teller)
    except (OSError, UnusableFileError, SystemdError) as error:
        module.fail_json(msg=f"the launcher could not be installed in {folder}: {error}")
    module.exit_json(changed=host.changed, diff=host.diff, **done)


if __name__ == "__main__":
    main()
