# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Whether Docker takes a changed container: asked with one of its own, while the container that it is to replace serves.

C(docker create) refuses arguments, runtimes and missing sources of C(--mount). Only a start shows the rest: networks, addresses and ports,
devices, CDI, the driver that an image asks NVIDIA's runtime for, resource limits, folders that cannot be made. So a second container is
started as well, with C(true) for a program, and without what only one container can have: addresses, aliases, and ports that the old one
holds.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_flags as docker_flags
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import Docker, create_argv, reason
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_flags import Flag, Port
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran
from ansible_collections.llmops.gpu_inference.plugins.module_utils._instance_spec import Spec
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import OWNER

SUFFIX = "-trial"
TIMEOUT = 120.0  # seconds for one command; a start by a busy Docker takes some

# It got as far as its program: images that consist of their engine alone have no `true`.
_NO_PROGRAM = re.compile(r'exec: "true": (?:executable file not found|stat .*no such file)')
# Nothing of the arguments' fault: the old container gives its address back.
_NO_ADDRESS_LEFT = re.compile(r"no available IPv[46] addresses")


def trial_name(spec: Spec) -> str:
    return spec.container + SUFFIX


def exact_argv(spec: Spec, env_file: str, folder: Path) -> list[str]:
    """The container as it will be, but for its name, labels, and the mounts of its own folder, whose files are not in place yet."""
    return _argv(spec, env_file, [flag for flag in docker_flags.read(spec.docker_arguments)[0] if not _mounts(flag, folder)])


def startable_argv(spec: Spec, env_file: str, folder: Path, held: Collection[Port]) -> list[str]:
    """The container as it can be started beside the old one. C(held): ports of the host that those hold that are going to stop."""
    flags = [flag for flag in docker_flags.beside(spec.docker_arguments) if not _mounts(flag, folder)]
    published = [Flag("publish", _beside(value, held), 0) for value in docker_flags.values(spec.docker_arguments, "publish")]
    return _argv(replace(spec, entrypoint="true", command=()), env_file, flags + published)


def _argv(spec: Spec, env_file: str, flags: list[Flag]) -> list[str]:
    labels = {"owner": OWNER, "trial-of": spec.instance}
    return create_argv(replace(spec, docker_arguments=tuple(docker_flags.words(flags))), env_file, trial_name(spec), labels)


def _mounts(flag: Flag, folder: Path) -> bool:
    return flag.name in ("volume", "mount") and re.search(rf"{re.escape(str(folder))}(?=[/:,]|$)", flag.value) is not None


def _beside(value: str, held: Collection[Port]) -> str:
    """The same port, or where it is held, another one of the same address: whether the host has the address is seen then too."""
    publication = docker_flags.publication(value)
    if publication is None or not set(publication.ports) & set(held):
        return value
    return f"{publication.address}::{publication.target}" if publication.address else publication.target


def refusal(docker: Docker, spec: Spec, env_file: str, folder: Path, held: Collection[Port] = ()) -> str:
    """Why Docker does not take this container, in its own words; empty where it does. Nothing is left behind."""
    name = trial_name(spec)

    def remove() -> None:
        docker.remove(name, TIMEOUT, volumes=True)

    remove()  # of a run that was killed
    try:
        ran = docker.call(*exact_argv(spec, env_file, folder), timeout=TIMEOUT)
        if ran.rc != 0:
            return reason(ran.err)
        remove()
        steps = [startable_argv(spec, env_file, folder, held)]
        steps += [["network", "connect", network, name] for network in spec.networks[1:]]
        for step in steps:
            ran = docker.call(*step, timeout=TIMEOUT)
            if ran.rc != 0:
                return "" if _NO_ADDRESS_LEFT.search(ran.err) else reason(ran.err)
        return _of_start(docker.call("start", "--attach", name, timeout=TIMEOUT))
    finally:
        remove()


def _of_start(ran: Ran) -> str:
    if ran.rc in (0, 127) or _NO_PROGRAM.search(ran.err) or _NO_ADDRESS_LEFT.search(ran.err):
        return ""
    if ran.err.strip() or ran.out.strip():
        return reason(ran.err or ran.out)
    return f"a container with these settings, and 'true' for a program, ended with exit code {ran.rc}"
