#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_daemon
short_description: Change the configuration of the Docker daemon, and take the change back when Docker does not start with it
version_added: 0.9.0
author:
  - llmops.gpu_inference contributors (@llmops)
description:
  - Merges keys into C(/etc/docker/daemon.json), or the file that C(--config-file) of C(docker.service) names, and sets variables in the
    environment of the daemon.
  - Everything else in the file stays. Objects are merged key by key; lists that are sets to Docker (C(insecure-registries),
    C(registry-mirrors), C(dns)) are united, other lists are replaced; an entry of C(runtimes) or C(default-ulimits) is replaced as a whole.
  - A file that is a link is written where the link leads. A file that is there keeps its owner, mode, ACL and SELinux label.
  - The result is checked with C(dockerd --validate) together with the flags of C(docker.service), and a backup is kept. Then the daemon is
    reloaded or restarted, whichever the changed keys need.
  - A configuration can pass the check and still keep Docker from starting. Then the old files are put back, Docker is started with them,
    and the module fails with what the daemon has said.
  - With nothing to change, a daemon that does not run is started, and one that does not follow its file is told to.
extends_documentation_fragment:
  - llmops.gpu_inference._attributes
attributes:
  check_mode:
    support: full
    details:
      - The check with C(dockerd --validate) is done, the trial is not.
  diff_mode:
    support: full
    details:
      - Values of the environment are not shown.
  idempotent:
    support: full
options:
  wanted:
    description:
      - Keys that the file must have, with their values.
      - A key with the value V(none) is left out. Numbers and booleans in C(log-opts) become the strings that Docker wants.
    type: dict
    default: {}
  defaults:
    description:
      - Keys that are set only where neither the file nor O(wanted) nor a flag of C(docker.service) has decided.
      - C(log-opts) only where C(log-driver) is the one given here as well, and neither where the host has the other one already;
        C(live-restore) not in swarm mode.
    type: dict
    default: {}
  unwanted:
    description:
      - Keys to take away. Either C(key), or C(key.subkey), or a mapping of such a name to a list of values.
      - With values, only these items of a list are removed, and any other key only while it has one of the values.
    type: list
    elements: raw
    default: []
  environment:
    description:
      - Variables of the daemon's environment. They are kept in a file that only root can read, named in a drop-in of C(docker.service).
      - Variables that are neither here nor in O(secret_environment), or are empty, are taken away. With both left out, the environment
        stays as it is.
    type: dict
  secret_environment:
    description: More of them, whose values are shown nowhere, such as the address of a proxy, which may hold a password.
    type: dict
  at_boot:
    description: Whether to have the daemon start at boot too. V(false) leaves that as it is.
    type: bool
    default: false
    version_added: 0.9.0
  timeout:
    description: Seconds that the daemon has to come up.
    type: int
    default: 180
"""

EXAMPLES = r"""
- name: Register NVIDIA's runtime
  become: true
  llmops.gpu_inference.docker_daemon:
    wanted: {runtimes: {nvidia: {path: nvidia-container-runtime, args: []}}}
"""

RETURN = r"""
action:
  description: What the daemon needed, V(none), V(reload) or V(restart).
  returned: success
  type: str
changed_keys:
  description: Keys of the file that changed.
  returned: success
  type: list
  elements: str
file:
  description: The file, where links lead to.
  returned: success
  type: str
backup:
  description: The copy of the file as it was.
  returned: when there was a file and it changed
  type: str
"""

import os
import shutil
import stat
import tempfile
import time
import typing as t
from collections.abc import Mapping

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _daemon_config, _daemon_document, _files, _systemd
from ansible_collections.llmops.gpu_inference.plugins.module_utils._daemon_change import (
    Change,
    ChangeFailedError,
    NewFile,
    carry_out,
    needed_action,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_service import (
    UNIT,
    DockerService,
    NoAnswerError,
    Unit,
    dockerd_of,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._dockerd_flags import value_of, without
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import run_command

DROP_INS = f"/etc/systemd/system/{UNIT}.d"
ENVIRONMENT = f"{DROP_INS}/gpu-inference.env"
DROP_IN = f"{DROP_INS}/gpu-inference.conf"
DROP_IN_TEXT = f"""\
# Made by the role docker of llmops.gpu_inference: changes here are lost.
# A file of its own, because everybody may read what Environment= says.
[Service]
EnvironmentFile=-{ENVIRONMENT}
"""
#: Where the environment was in checkouts before 0.9.0.
FORMER = (f"{DROP_INS}/gpu-inference-proxy.conf", f"{DROP_INS}/gpu-inference-iptables-raw.conf")
JOURNAL = "/etc/gpu-inference/docker-change.json"


def environment_files(values: Mapping[str, t.Any]) -> list[NewFile]:
    """Drop-in and environment as they must be, as far as they differ from what is there."""
    wanted = {name: str(value) for name, value in values.items() if value not in (None, "")}
    text = _systemd.environment_file(wanted).encode("utf-8") if wanted else None
    files = [
        NewFile(ENVIRONMENT, text, 0o600),
        NewFile(DROP_IN, DROP_IN_TEXT.encode("utf-8") if wanted else None),
        *(NewFile(path, None) for path in FORMER),
    ]
    return [file for file in files if _files.read(file.path) != file.content]


def refused_by_dockerd(unit: Unit, text: str, folder: str) -> str:
    """What `dockerd --validate` has against the file; empty when it is good, or where dockerd cannot tell (before 23.0)."""
    dockerd, flags = dockerd_of(unit, shutil.which)
    if dockerd is None:
        return ""
    handle, path = tempfile.mkstemp(suffix=".json", dir=folder)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    done = run_command([dockerd, *without(flags, "--config-file"), "--validate", f"--config-file={path}"], 60)
    if done.rc == 0 or "unknown flag: --validate" in done.err:
        return ""
    lines = [line for line in (done.out + done.err).split("\n") if line.strip()]
    return (lines[-1] if lines else f"exit code {done.rc}").replace(f" with file {path}", "")


def in_swarm(info: Mapping[str, t.Any], document: Mapping[str, t.Any]) -> bool:
    """A daemon that does not run is asked by its files."""
    if info.get("ServerVersion"):
        return (info.get("Swarm") or {}).get("LocalNodeState") == "active"
    return os.path.exists(os.path.join(str(document.get("data-root") or "/var/lib/docker"), "swarm/docker-state.json"))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "wanted": {"type": "dict", "default": {}},
            "defaults": {"type": "dict", "default": {}},
            "unwanted": {"type": "list", "elements": "raw", "default": []},
            "environment": {"type": "dict"},
            "secret_environment": {"type": "dict", "no_log": True},
            "at_boot": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 180},
        },
        supports_check_mode=True,
    )
    service = DockerService(run_command, time.monotonic, time.sleep, time.time, module.params["timeout"])
    unit = service.unit()
    if not unit.loaded and not module.check_mode:
        module.fail_json(msg=_no_unit(unit))
    try:
        _run(module, service, unit)
    except (_files.UnusableFileError, ChangeFailedError) as error:
        module.fail_json(msg=str(error))
    except NoAnswerError:
        module.fail_json(
            msg=f"The Docker daemon does not answer. Nothing was changed. Look at journalctl --unit {UNIT}; "
            f"systemctl restart {UNIT} ends it and starts it again."
        )


def _no_unit(unit: Unit) -> str:
    if unit.load == "masked":
        return f"{UNIT} is masked, so that nobody can start Docker: systemctl unmask {UNIT}, if that is no longer wanted."
    return (
        f"There is no {UNIT} on this host, so there is no Docker Engine to configure. Run the role docker first, "
        f"or install Docker Engine in another way."
    )


def _run(module: AnsibleModule, service: DockerService, unit: Unit) -> None:
    given = module.params
    path = value_of(unit.flags, "--config-file") or _daemon_config.PATH
    target = _files.real_file(path)
    content = _files.read(target)
    text = None if content is None else _daemon_document.decode(content)
    if content is not None and text is None:
        module.fail_json(msg=f"{path} is not UTF-8 text. It was left as it is: correct it, or move it away to start with an empty one.")
    info = service.info()
    before = _daemon_config.merge(text, {}, path=path)
    merged = _daemon_config.merge(
        text,
        given["wanted"],
        defaults=given["defaults"],
        unwanted=given["unwanted"],
        flags=unit.flags,
        info=info,
        swarm=in_swarm(info, before.document),
        path=path,
    )
    if merged.errors:
        module.fail_json(msg=" ".join(merged.errors))
    files = [NewFile(target, merged.text.encode("utf-8"))] if merged.changed else []
    if merged.changed:
        refused = refused_by_dockerd(unit, merged.text, module.tmpdir)
        if refused:
            module.fail_json(msg=f"Docker would not start with {path} as it should be: {refused}. Nothing was changed.")
    variables = [values for values in (given["environment"], given["secret_environment"]) if values is not None]
    environment = environment_files({name: value for values in variables for name, value in values.items()}) if variables else []
    changes = _files.FileChanges(JOURNAL)
    runs = bool(info.get("ServerVersion"))
    action = needed_action(merged.action, runs=runs, units_changed=bool(environment), interrupted=changes.interrupted)
    enable = given["at_boot"] and not unit.at_boot
    result: dict[str, t.Any] = {
        "changed": bool(files or environment or action != "none" or enable),
        "action": action,
        "changed_keys": list(merged.changed_keys),
        "file": target,
        "diff": _diff(path, text, merged, environment),
    }
    if content is not None and stat.S_IMODE(os.stat(target).st_mode) & 0o002:
        module.warn(f"{path} can be written by everybody, so every user of this host can become root. Take that away: chmod o-w {target}.")
    if module.check_mode:
        module.exit_json(**result)
    change = Change(tuple(files + environment), merged.action, target, before.document, merged.document, units_changed=bool(environment))
    copy = _files.backup(target, time.strftime("%Y-%m-%d@%H:%M:%S")) if merged.changed and content is not None else ""
    try:
        carry_out(change, service, changes)
    except ChangeFailedError:
        if copy and _files.read(target) == content:
            os.unlink(copy)
        raise
    if copy:
        result["backup"] = copy
    refusal = service.start_at_boot() if enable else ""
    if refusal:
        module.fail_json(msg=f"Docker runs, but cannot be started at boot: {refusal}")
    module.exit_json(**result)


def _diff(path: str, text: str | None, merged: _daemon_config.DaemonConfig, environment: t.Sequence[NewFile]) -> list[dict[str, str]]:
    diff = [{"before": text or "", "after": merged.text, "before_header": path, "after_header": path}] if merged.changed else []
    for file in environment:
        word = "removed" if file.content is None else "written; its values are not shown"
        diff.append({"before": "", "after": f"{word}\n", "before_header": file.path, "after_header": file.path})
    return diff


if __name__ == "__main__":
    main()
