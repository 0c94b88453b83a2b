#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: container_units_info
short_description: State of the container units of a node
version_added: 0.9.0
description:
  - Lists every instance that M(llmops.gpu_inference.container_units) keeps on this node, with what systemd, Docker, the
    launcher and C(nvidia-smi) know of it. Each of them is asked once, whatever the number of instances.
  - Works without Docker and without a GPU; what can't be known is null. So is what Docker or the driver don't tell within 30 seconds.
extends_documentation_fragment:
  - llmops.gpu_inference._attributes
attributes:
  check_mode:
    support: full
    details:
      - Only looks.
  diff_mode:
    support: N/A
    details:
      - Changes nothing.
  idempotent:
    support: N/A
    details:
      - Changes nothing.
options:
  names:
    description: Only the instances with these names. All where empty.
    type: list
    elements: str
    default: []
author:
  - llmops.gpu_inference contributors (@llmops)
"""

EXAMPLES = r"""
- name: Look at the engines
  llmops.gpu_inference.container_units_info:
  register: state

- name: Name those that aren't ready
  ansible.builtin.debug:
    msg: "{{ state.units | rejectattr('phase', 'equalto', 'ready') | map(attribute='unit') }}"
"""

RETURN = r"""
units:
  description: One entry per instance, sorted by kind and name.
  returned: success
  type: list
  elements: dict
  contains:
    unit: {description: "Name of the unit.", type: str, returned: success}
    kind: {description: "Its template, such as V(vllm).", type: str, returned: success}
    name: {description: "Name of the instance.", type: str, returned: success}
    active: {description: "systemd's C(ActiveState).", type: str, returned: success}
    phase: {description: "The launcher's phase, such as V(loading_weights) or V(ready).", type: str, returned: success}
    percent: {description: "Progress within the phase, or null.", type: int, returned: success}
    detail: {description: "What the phase is about.", type: str, returned: success}
    url: {description: "Where it answers, as its host reaches it, or null.", type: str, returned: success}
    uptime: {description: "Seconds since it became ready, null unless it is.", type: int, returned: success}
    ready_after: {description: "Seconds from its last start until it had answered, or null.", type: int, returned: success}
    restarts: {description: "Restarts by systemd since the unit was started.", type: int, returned: success}
    memory_mib: {description: "Main memory of the container in MiB.", type: int, returned: success}
    gpu_memory_mib: {description: "GPU memory of the container in MiB, null where the driver doesn't tell.", type: int, returned: success}
    image: {description: "The image as configured.", type: str, returned: success}
    image_digest: {description: "The image's digest, its own id where it was built here.", type: str, returned: success}
    config_hash: {description: "What tells its configuration from any other.", type: str, returned: success}
    cause: {description: "The last failure's cause, or null.", type: str, returned: success}
    message: {description: "What it said.", type: str, returned: success}
    remedy: {description: "What to do; null once it is ready again.", type: str, returned: success}
    failed_ago: {description: "Seconds since then, or null.", type: int, returned: success}
out_of_rotation:
  description: Backends that the gateway of this node sends nobody to, as M(llmops.gpu_inference.gateway_rotation) tells them.
  returned: success
  type: list
  elements: dict
"""

import contextlib
import dataclasses
import functools
from collections.abc import Collection
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _unit_status as status
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import Docker
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import run_command
from ansible_collections.llmops.gpu_inference.plugins.module_utils._live_files import LIVE_FOLDER
from ansible_collections.llmops.gpu_inference.plugins.module_utils._moments import Clock
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import SERVICE_FILE, Paths, is_ours, read_json
from ansible_collections.llmops.gpu_inference.plugins.module_utils._rotation import ROTATION_FILE, Rotation, moment
from ansible_collections.llmops.gpu_inference.plugins.module_utils._systemd import Systemd, SystemdError

LONGEST_ANSWER = 30  # seconds


def main() -> None:
    module = AnsibleModule(argument_spec={"names": {"type": "list", "elements": "str", "default": []}}, supports_check_mode=True)
    paths = Paths()
    wanted = set(module.params["names"])
    services, states = {}, {}
    out: list[dict[str, str]] = []
    for file in sorted(paths.instances.glob(f"*/*/{SERVICE_FILE}")):
        document = read_json(file)
        if is_ours(document):
            with contextlib.suppress(OSError, ValueError):
                found = Rotation.from_text((file.parent / LIVE_FOLDER / ROTATION_FILE).read_text(encoding="utf-8"))
                out += found.at(moment()).described()
        if is_ours(document) and (not wanted or file.parent.name in wanted):
            kind, name = file.parent.parent.name, file.parent.name
            services[f"{kind}@{name}.service"] = document or {}
            states[f"{kind}@{name}.service"] = read_json(paths.state(kind, name)) or {}
    instances = [(unit.partition("@")[0], unit.partition("@")[2].removesuffix(".service")) for unit in services]

    # A driver or a Docker daemon in trouble can keep its client waiting for ever.
    run = functools.partial(run_command, apart=True)
    docker = Docker(run=run)

    def look(*argv: str, at: Collection[str]) -> str:
        return docker.call(*argv, *at, timeout=LONGEST_ANSWER).out if at else ""

    names = [f"{kind}-{name}" for kind, name in instances]
    inspected = look("inspect", "--type", "container", "--format", "{{.Name}}\t{{.Id}}\t{{.Image}}", at=names)
    containers = status.parse_containers(inspected)
    images = {image for _container, image in containers.values()}
    asked = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
    apps = run(asked, LONGEST_ANSWER).out if instances else ""
    cgroups = {}
    for line in apps.split("\n"):
        pid = line.partition(",")[0].strip()
        try:
            cgroups[pid] = Path("/proc", pid, "cgroup").read_text(encoding="ascii", errors="replace")
        except OSError:
            continue
    try:
        shown = Systemd().show(list(services), ("ActiveState", "NRestarts"))
    except SystemdError:
        shown = {}
    digests = look("image", "inspect", "--format", "{{.Id}}\t{{json .RepoDigests}}", at=images)
    memory = look("stats", "--no-stream", "--format", "{{.Name}}\t{{.MemUsage}}", at=containers)
    rows = status.assemble(
        instances,
        units=shown,
        states=states,
        services=services,
        containers=containers,
        digests=status.parse_digests(digests),
        memory=status.parse_stats(memory),
        gpu=status.gpu_memory(apps, cgroups, containers),
        now=Clock().now(),
    )
    module.exit_json(changed=False, units=[dataclasses.asdict(row) for row in rows], out_of_rotation=out)


if __name__ == "__main__":
    main()
