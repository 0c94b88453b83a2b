#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_engine_info
short_description: Find out which Docker a host has, and where a missing one would come from
version_added: 0.9.0
author:
  - llmops.gpu_inference contributors (@llmops)
description:
  - Tells Docker Engine that C(docker.service) runs from a snap, rootless Docker, Docker Desktop and podman's look-alike, and says of those
    what to do.
  - An engine without a client, a client without an engine, and a daemon that does not answer are told apart as well.
extends_documentation_fragment:
  - llmops.gpu_inference._attributes
attributes:
  check_mode:
    support: full
    details:
      - The module changes nothing.
  diff_mode:
    support: none
    details:
      - The module changes nothing.
  idempotent:
    support: full
options:
  minimum_version:
    description: Oldest engine that will do.
    type: str
    default: "23.0"
  source:
    description: Where a missing engine comes from; V(auto) takes the distribution's where that is new enough, else Docker's own.
    type: str
    choices: [auto, distribution, docker]
    default: auto
  packages:
    description: Packages to install instead of the usual ones.
    type: list
    elements: str
    default: []
  package_manager:
    description: The package manager of the host, by which the packages are called. Where it is left out, the module finds it.
    type: str
  beside_rootless:
    description: Whether an engine for the whole system may run beside rootless ones of single users.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Look at Docker
  become: true
  llmops.gpu_inference.docker_engine_info:
  register: docker
"""

RETURN = r"""
problem:
  description: Why the Docker of this host cannot be used, with what to do; empty where it can.
  returned: always
  type: str
version:
  description: Version of the engine, running or not; empty without one.
  returned: always
  type: str
runs:
  description: Whether the daemon answers.
  returned: always
  type: bool
enough:
  description: Whether there is an engine that is not older than O(minimum_version).
  returned: always
  type: bool
client:
  description: Whether there is the command C(docker).
  returned: always
  type: bool
client_package:
  description: The package that brings the command for this engine.
  returned: always
  type: str
requests:
  description: Whether the package C(python3-requests) is installed, which Ansible's modules for Docker need.
  returned: always
  type: bool
system:
  description: The distribution's name.
  returned: always
  type: str
package_manager:
  description: The option O(package_manager), or what was found, by Ansible's names; V(unknown) where none is known.
  returned: always
  type: str
service_manager:
  description: V(systemd), or the name of the first process.
  returned: always
  type: str
install:
  description: Where a missing engine would come from.
  returned: always
  type: dict
  contains:
    source:
      description: V(distribution) or V(docker).
      type: str
    packages:
      description: The packages.
      type: list
      elements: str
    folder:
      description: Folder of https://download.docker.com/linux.
      type: str
    suite:
      description: The release, for apt. Of a derivative, that of the distribution it derives from.
      type: str
    offered:
      description: What the distribution has where that is too old; V(0) for nothing.
      type: str
    distribution_will_do:
      description: Whether the distribution's package is new enough.
      type: bool
l4t:
  description: Major version of Linux for Tegra on a Jetson; empty elsewhere.
  returned: always
  type: str
iptable_raw:
  description: Whether the kernel of a Jetson has the table C(raw), which Docker 28 wants; elsewhere V(true).
  returned: always
  type: bool
"""

import glob
import os
import re
import shutil
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import Docker
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_engine import SNAP_UNIT, Seen, judge
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_packages import choose, client_package, parse_os
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_service import DockerService, NoAnswerError, dockerd_of, text_of
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran, run_command
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_system import package_manager, service_manager
from ansible_collections.llmops.gpu_inference.plugins.module_utils._systemd import Systemd
from ansible_collections.llmops.gpu_inference.plugins.module_utils._versions import at_least

_ASK = 30.0


def _first_line(answer: Ran) -> str:
    return answer.out.split("\n", 1)[0].strip() if answer.rc == 0 else ""


def look() -> Seen:
    service = DockerService(run_command, time.monotonic, time.sleep, time.time)
    unit = service.unit()
    client = shutil.which("docker") or ""
    silent = False
    info: dict[str, t.Any] = {}
    try:
        info = service.info()
    except NoAnswerError:
        silent = True
    dockerd, _flags = dockerd_of(unit, shutil.which)
    return Seen(
        unit=unit,
        client_path=os.path.realpath(client) if client and "/snap/" not in client else client,
        client_version=_first_line(Docker().call("--version", timeout=_ASK)) if client else "",
        dockerd_path=dockerd or "",
        dockerd_version=_first_line(run_command([dockerd, "--version"], _ASK)) if dockerd else "",
        info=info,
        silent=silent,
        snap="LoadState=loaded" in Systemd().call("show", SNAP_UNIT, "--property=LoadState", seconds=_ASK).out,
        rootless_sockets=tuple(sorted(glob.glob("/run/user/*/docker.sock"))),
    )


def owner_of(path: str) -> str:
    """The package that has the file; empty where none is known to."""
    if not path:
        return ""
    for argv, pattern in ((["dpkg-query", "--search", path], r"^([^:,\s]+)[^:]*:"), (["rpm", "--query", "--file", path], r"^(\S+)$")):
        found = re.search(pattern, _first_line(run_command(argv, _ASK)))
        if found:
            return found.group(1)
    return ""


def installed(package: str, apt: bool) -> bool:
    """Whether the package manager has it."""
    if not apt:
        return run_command(["rpm", "--query", package], _ASK).rc == 0
    return run_command(["dpkg-query", "--show", "--showformat=${db:Status-Status}", package], _ASK).out == "installed"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "minimum_version": {"type": "str", "default": "23.0"},
            "source": {"type": "str", "choices": ["auto", "distribution", "docker"], "default": "auto"},
            "packages": {"type": "list", "elements": "str", "default": []},
            "package_manager": {"type": "str"},
            "beside_rootless": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    given = module.params
    seen = look()
    engine = judge(seen, beside_rootless=given["beside_rootless"])
    os_release = text_of("/etc/os-release")
    system = parse_os(os_release)
    manager = given["package_manager"] or package_manager(os_release) or "unknown"
    apt = manager == "apt"
    packages = choose(system, apt=apt, minimum=given["minimum_version"], source=given["source"], names=given["packages"])
    tegra = re.match(r"# R(\d+)", text_of("/etc/nv_tegra_release"))
    module.exit_json(
        changed=False,
        problem=engine.problem,
        version=engine.version,
        runs=engine.runs,
        enough=bool(engine.version) and at_least(engine.version, given["minimum_version"]),
        client=engine.client,
        client_package=client_package(owner_of(seen.dockerd_path)),
        requests=installed("python3-requests", apt),
        system=system.name,
        package_manager=manager,
        service_manager=service_manager() or "unknown",
        install={
            "source": packages.source,
            "packages": list(packages.names),
            "folder": packages.folder,
            "suite": packages.suite,
            "offered": packages.offered,
            "distribution_will_do": packages.distribution_will_do,
        },
        l4t=tegra.group(1) if tegra else "",
        iptable_raw=tegra is None or run_command(["modprobe", "--dry-run", "--quiet", "iptable_raw"], _ASK).rc == 0,
    )


if __name__ == "__main__":
    main()
