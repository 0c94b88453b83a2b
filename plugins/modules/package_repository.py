#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: package_repository
short_description: Put a package repository into apt's or dnf's files once, and prove that the package manager works with it
version_added: 0.9.0
author:
  - llmops.gpu_inference contributors (@llmops)
description:
  - Writes a source for apt (deb822) or a section for dnf.
  - Takes out other sources of the same repository, found by what they say in every form that the package manager reads and not by the
    name of their file, for apt reads no source of the host any more when two of them give one repository different keys. Only these lines
    go, a copy of each changed file stays beside it, and what names another repository is left alone.
  - Proves that the package manager still reads its sources and can fetch the new one. Else all files are put back, and the module fails
    with the reason.
  - A package manager that was broken before is told as such. Where O(required) is V(false) nothing is changed then, and that is a warning.
extends_documentation_fragment:
  - llmops.gpu_inference._attributes
attributes:
  check_mode:
    support: full
    details:
      - Check mode does not predict whether apt or dnf accept the result.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description: Name of the file, and of the section for dnf.
    type: str
    required: true
  manager:
    description: Whose files.
    type: str
    choices: [apt, dnf]
    required: true
  state:
    description: V(absent) takes away what V(present) made, and nothing else.
    type: str
    choices: [present, absent]
    default: present
  url:
    description: Address of the repository. For dnf it may hold C($basearch) and C($releasever).
    type: str
    default: ""
  suite:
    description: The release, for apt; V(/) for a flat repository.
    type: str
    default: /
  components:
    description: Its parts, for apt; none for a flat repository.
    type: list
    elements: str
    default: []
  key:
    description: File with the signing key. It goes with the repository, also with one that is refused, unless another source names it.
    type: path
    default: ""
  description:
    description: One line for people, for dnf.
    type: str
    default: ""
  options:
    description: Further options of the section, for dnf.
    type: dict
    default: {}
  aliases:
    description: Regular expressions for other places of the same repository, as HOST/PATH without the scheme.
    type: list
    elements: str
    default: []
  required:
    description: Whether packages must come from it now, so that a package manager that is broken already is an error.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Add NVIDIA's repository
  become: true
  llmops.gpu_inference.package_repository:
    name: nvidia-container-toolkit
    manager: apt
    url: https://nvidia.github.io/libnvidia-container/stable/deb/amd64
    key: /etc/apt/keyrings/nvidia-container-toolkit.asc
"""

RETURN = r"""
files:
  description: Files that changed.
  returned: always
  type: list
  elements: str
backups:
  description: Copies of the files of others as they were.
  returned: always
  type: list
  elements: str
"""

import os
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _files
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import run_command
from ansible_collections.llmops.gpu_inference.plugins.module_utils._package_manager import Apt, Dnf, Manager
from ansible_collections.llmops.gpu_inference.plugins.module_utils._package_sources import HEADER, BadValueError, Wanted

JOURNAL = "/etc/gpu-inference/sources-of-{name}.json"


def wanted_of(given: t.Mapping[str, t.Any]) -> Wanted | None:
    if given["state"] == "absent":
        return None
    options = {name: ("1" if value else "0") if isinstance(value, bool) else str(value) for name, value in given["options"].items()}
    wanted = Wanted(
        given["name"],
        given["url"],
        given["key"],
        given["suite"],
        tuple(given["components"]),
        given["description"],
        options,
        tuple(given["aliases"]),
    )
    wanted.check()
    return wanted


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "manager": {"type": "str", "choices": ["apt", "dnf"], "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "url": {"type": "str", "default": ""},
            "suite": {"type": "str", "default": "/"},
            "components": {"type": "list", "elements": "str", "default": []},
            "key": {"type": "path", "default": "", "no_log": False},
            "description": {"type": "str", "default": ""},
            "options": {"type": "dict", "default": {}},
            "aliases": {"type": "list", "elements": "str", "default": []},
            "required": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    manager: Manager = Apt(run_command, time.sleep) if module.params["manager"] == "apt" else Dnf(run_command, time.sleep)
    try:
        _run(module, manager)
    except BadValueError as error:
        module.fail_json(msg=f"The repository {module.params['name']}: {error}.")
    except _files.UnusableFileError as error:
        module.fail_json(msg=str(error))


def _run(module: AnsibleModule, manager: Manager) -> None:
    given = module.params
    wanted = wanted_of(given)
    texts = manager.texts()
    changes = {path: _new_content(path, text) for path, text in manager.changes(wanted, given["name"], texts).items()}
    key_goes = wanted is None and _key_goes(
        given["key"], {**texts, **{path: (content or b"").decode() for path, content in changes.items()}}
    )
    result: dict[str, t.Any] = {
        "changed": bool(changes or key_goes),
        "files": sorted(changes),
        "backups": [],
        "diff": [
            {"before": texts.get(path, ""), "after": (content or b"").decode(), "before_header": path, "after_header": path}
            for path, content in changes.items()
        ],
    }
    files = _files.FileChanges(JOURNAL.format(name=given["name"]))
    if module.check_mode or not (changes or key_goes or files.interrupted):
        module.exit_json(**result)
    _change(module, manager, wanted, changes, texts, files, result)
    if key_goes:
        os.unlink(given["key"])
    module.exit_json(**result)


def _new_content(path: str, text: str) -> bytes | None:
    """A file of which nothing is left goes; but not one that a link leads to, or that apt's own installer made."""
    real = _files.real_file(path)
    goes = not text.strip() and real == os.path.abspath(path) and os.path.basename(path) != "sources.list"
    return None if goes else text.encode("utf-8")


def _key_goes(key: str, texts: t.Mapping[str, str]) -> bool:
    return bool(key) and os.path.exists(key) and not any(key in text for text in texts.values())


def _change(
    module: AnsibleModule,
    manager: Manager,
    wanted: Wanted | None,
    changes: t.Mapping[str, bytes | None],
    texts: t.Mapping[str, str],
    files: _files.FileChanges,
    result: dict[str, t.Any],
) -> None:
    name = module.params["name"]
    before, interrupted = manager.complaint(), files.interrupted
    copies = []
    stamp = time.strftime("%Y-%m-%d@%H:%M:%S")
    own = manager.path(name)
    try:
        for path, content in changes.items():
            real = _files.real_file(path)
            if path in texts and HEADER not in texts[path]:
                copies.append(_files.backup(real, stamp))
            files.write(real, content)
        after = manager.complaint()
        refused = manager.refused(own, name) if wanted and not after and (own in changes or interrupted) else ""
    except _files.UnusableFileError as error:
        _take_back(files, copies)
        module.fail_json(msg=f"{error} Nothing was changed.")
    if not after and not refused:
        files.keep()
        result["backups"] = copies
        if before:
            module.warn(f"{manager.name} could not read its sources before this run: {before}. It can now.")
        return
    left = _take_back(files, copies)
    state = f"The old files could not be put back: {' '.join(left)}" if left else "All files are as they were."
    if after and before:
        message = f"{manager.name} could not read the sources of this host before this run, so it cannot install: {before}. {state}"
        if module.params["required"] or left:
            module.fail_json(msg=message)
        module.warn(message)
        result.update(changed=False, files=[])
        module.exit_json(**result)
    if wanted and not left and _key_goes(wanted.key, manager.texts()):
        os.unlink(wanted.key)  # it was put there for this repository alone
    if refused:
        url = wanted.url if wanted else ""
        module.fail_json(
            msg=f"{manager.name} cannot fetch the repository {name} ({url}): {refused}. {state} Is a mirror or a proxy needed here?"
        )
    module.fail_json(msg=f"{manager.name} could not read the sources of this host with the repository {name} in them: {after}. {state}")


def _take_back(files: _files.FileChanges, copies: t.Sequence[str]) -> list[str]:
    left = files.take_back()
    if not left:
        for copy in copies:
            os.unlink(copy)
    return left


if __name__ == "__main__":
    main()
