#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: package_hold
short_description: Keep packages at their version whatever else is upgraded, and release what was held here
version_added: 0.9.0
author:
  - llmops.gpu_inference contributors (@llmops)
description:
  - For apt the packages are put on hold. For dnf they are named in C(excludepkgs) of C(/etc/dnf/dnf.conf), which dnf4 and dnf5 follow for
    packages of every repository; everything else in that file stays.
  - What somebody else holds already is left alone, also when the packages are released.
extends_documentation_fragment:
  - llmops.gpu_inference._attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  names:
    description: The packages to hold. With O(state=released) those that the module has held are released, whatever is named here.
    type: list
    elements: str
    default: []
  manager:
    description: Whose packages.
    type: str
    choices: [apt, dnf]
    required: true
  state:
    description: Whether to hold or to release.
    type: str
    choices: [held, released]
    default: held
  record:
    description: File in which the module remembers what it has held.
    type: path
    default: /etc/gpu-inference/held_packages.json
"""

EXAMPLES = r"""
- name: Hold the toolkit
  become: true
  llmops.gpu_inference.package_hold:
    names: [nvidia-container-toolkit]
    manager: apt
"""

RETURN = r"""
names:
  description: Packages that were held or released now.
  returned: always
  type: list
  elements: str
"""

import json
import os
import typing as t
from collections.abc import Sequence

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _dnf_files, _files
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran, run_command

DNF_CONF = "/etc/dnf/dnf.conf"


class Apt:
    def __init__(self, module: AnsibleModule) -> None:
        self._module = module

    def held(self) -> list[str]:
        return self._mark("showhold").out.split()

    def hold(self, names: Sequence[str]) -> None:
        self._mark("hold", *names)

    def release(self, names: Sequence[str]) -> None:
        self._mark("unhold", *names)

    def _mark(self, *words: str) -> Ran:
        done = run_command(["apt-mark", *words], 60)
        if done.rc:
            self._module.fail_json(msg=f"apt-mark {words[0]}: {done.err.strip() or done.out.strip()}")
        return done


class Dnf:
    def __init__(self) -> None:
        self._path = _files.real_file(DNF_CONF)
        self._text = (_files.read(self._path) or b"").decode("utf-8")

    def held(self) -> list[str]:
        return _dnf_files.excluded(self._text)

    def hold(self, names: Sequence[str]) -> None:
        self._write(_dnf_files.with_excluded(self._text, names))

    def release(self, names: Sequence[str]) -> None:
        self._write(_dnf_files.without_excluded(self._text, names))

    def _write(self, text: str) -> None:
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        try:
            _files.replace(self._path, text.encode("utf-8"))
        except OSError as error:
            raise _files.UnusableFileError(_files.why_not_written(self._path, error)) from None


def _recorded(path: str) -> list[str]:
    try:
        names = json.loads(_files.read(path) or b"[]")
    except ValueError:
        return []
    return [str(name) for name in names] if isinstance(names, list) else []


def _run(module: AnsibleModule) -> dict[str, t.Any]:
    given = module.params
    manager = Apt(module) if given["manager"] == "apt" else Dnf()
    held, ours = manager.held(), _recorded(given["record"])
    hold = given["state"] == "held"
    names = [name for name in given["names"] if name not in held] if hold else [name for name in ours if name in held]
    forget = not hold and os.path.exists(given["record"])
    if module.check_mode or not (names or forget):
        return {"changed": bool(names or forget), "names": names}
    if hold:
        # Before anything is held, so that a run that is killed can be taken back too.
        os.makedirs(os.path.dirname(given["record"]), mode=0o755, exist_ok=True)
        _files.replace(given["record"], (json.dumps(sorted({*ours, *names})) + "\n").encode("utf-8"))
        manager.hold(names)
    else:
        if names:
            manager.release(names)
        os.unlink(given["record"])
    return {"changed": True, "names": names}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "default": []},
            "manager": {"type": "str", "choices": ["apt", "dnf"], "required": True},
            "state": {"type": "str", "choices": ["held", "released"], "default": "held"},
            "record": {"type": "path", "default": "/etc/gpu-inference/held_packages.json"},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**_run(module))
    except _files.UnusableFileError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
