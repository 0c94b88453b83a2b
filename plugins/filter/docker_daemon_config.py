# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: docker_daemon_config
short_description: Merge keys into Docker's daemon.json
version_added: 0.1.0
author:
  - llmops.gpu_inference contributors (@llmops)
description:
  - Takes the text of C(/etc/docker/daemon.json) and the keys that should be in it.
  - Returns the merged document, its text, and what the daemon needs to notice the difference.
  - Objects are merged key by key. Lists that are sets to Docker (C(insecure-registries), C(registry-mirrors), C(dns)) are united;
    other lists are replaced. An entry of C(runtimes) or C(default-ulimits) is replaced as a whole. Everything else in the file is kept.
  - Documents are compared as JSON and not as text. Where nothing differs, the text comes back byte by byte.
  - A file that Docker would not read, or that holds a key of a wrong type, gives errors and is not changed.
  - So do keys that are also given as a flag of C(docker.service), and a C(default-runtime) that nothing defines, as Docker would not start.
positional: _input, wanted
options:
  _input:
    description: The text of the file; V(none) where there is no file.
    type: str
    required: true
  wanted:
    description:
      - Keys that the file must have, with their values.
      - A key with the value V(none) is left out. Numbers and booleans in C(log-opts) become the strings that Docker wants.
    type: dict
    required: true
  defaults:
    description:
      - Keys that are set only where the file and O(wanted) have none.
      - C(log-opts) only where C(log-driver) is the one given here as well.
    type: dict
    default: {}
  unwanted:
    description:
      - Keys to take away. Either C(key), or C(key.subkey), or a mapping of such a name to a list of values.
      - With values, only these items of a list are removed, and any other key only while it has one of the values.
    type: list
    elements: raw
    default: []
  exec_start:
    description: The command line of the docker unit, as printed by C(systemctl show --property=ExecStart docker.service).
    type: str
    default: ""
  environment:
    description: Lines C(KEY=value) that fill variables such as C($DOCKER_OPTS) in O(exec_start).
    type: str
    default: ""
  info:
    description:
      - What C(docker info) says as JSON, to notice keys that are in the file but that the running daemon does not follow yet.
    type: dict
    default: {}
  encoding:
    description: V(base64) when the text comes from M(ansible.builtin.slurp).
    type: str
    choices: [text, base64]
    default: text
  path:
    description: The name of the file in messages.
    type: str
    default: /etc/docker/daemon.json
"""

EXAMPLES = r"""
- name: Read the file
  ansible.builtin.slurp:
    src: /etc/docker/daemon.json
  register: current

- name: Merge
  ansible.builtin.set_fact:
    merged: >-
      {{ current.content | llmops.gpu_inference.docker_daemon_config(
           {'runtimes': {'nvidia': {'path': 'nvidia-container-runtime', 'args': []}}}, encoding='base64') }}
# merged.action == 'reload'
"""

RETURN = r"""
_value:
  description: What to do.
  type: dict
  contains:
    document:
      description: The merged document.
      type: dict
    text:
      description: Its text; the old text where nothing changed.
      type: str
    changed:
      description: Whether the document differs from the file.
      type: bool
    changed_keys:
      description: The keys that differ.
      type: list
      elements: str
    stale_keys:
      description: Keys that do not differ in the file, but that the running daemon does not follow according to O(info).
      type: list
      elements: str
    action:
      description: What the daemon needs for RV(_value.changed_keys) and RV(_value.stale_keys). V(reload) is a SIGHUP.
      type: str
      choices: [none, reload, restart]
    errors:
      description: Reasons why the file was left alone, each with a remedy. The file must not be written when there are any.
      type: list
      elements: str
"""

import base64
import binascii
import typing as t
from collections.abc import Callable, Mapping, Sequence

from ansible.errors import AnsibleFilterError

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _daemon_config


def docker_daemon_config(
    existing: str | None,
    wanted: Mapping[str, t.Any],
    *,
    defaults: Mapping[str, t.Any] | None = None,
    unwanted: Sequence[t.Any] = (),
    exec_start: str = "",
    environment: str = "",
    info: Mapping[str, t.Any] | None = None,
    encoding: str = "text",
    path: str = _daemon_config.PATH,
) -> dict[str, t.Any]:
    for name, value in (("wanted", wanted), ("defaults", defaults or {})):
        if not isinstance(value, Mapping):
            raise AnsibleFilterError(f"docker_daemon_config: {name} must be a dictionary, got {type(value).__name__}.")
    if encoding not in ("text", "base64"):
        raise AnsibleFilterError(f"docker_daemon_config: encoding must be text or base64, got {encoding!r}.")
    if existing is not None and encoding == "base64":
        try:
            existing = base64.b64decode(existing).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            message = f"{path} is not UTF-8 text. It was left as it is: correct it, or move it away to start afresh."
            return _daemon_config.DaemonConfig({}, "", "none", changed=False, changed_keys=(), stale_keys=(), errors=(message,)).as_dict()
    return _daemon_config.merge(
        existing,
        wanted,
        defaults=defaults,
        unwanted=unwanted,
        flags=_daemon_config.unit_flags(exec_start, environment) if exec_start else (),
        info=info,
        path=path,
    ).as_dict()


class FilterModule:
    def filters(self) -> dict[str, Callable[..., t.Any]]:
        return {"docker_daemon_config": docker_daemon_config}
