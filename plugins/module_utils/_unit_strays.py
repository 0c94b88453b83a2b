# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What is on a host and is wanted no more: found by our marks, and removed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import Docker, reason
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import Instance, Paths, container_name
from ansible_collections.llmops.gpu_inference.plugins.module_utils._releases import forget
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_changes import read_service
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_errors import UnitsError
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_folder import Folder, read_folder, remove_folder
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_present import Container
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_wanted import NAME


@dataclass(frozen=True)
class Stray(Instance):
    """Something of ours that nobody wants any more."""

    folder: Folder

    @property
    def locks(self) -> tuple[str, ...]:
        return tuple(read_service(self.folder.texts).get("locks") or ())


def find_strays(paths: Paths, kinds: Sequence[str], wanted: Collection[str], containers: Mapping[str, Container]) -> list[Stray]:
    """Folders with our marker, and containers with our labels, of these kinds and not among the instances that are wanted."""
    strays: dict[str, Stray] = {}
    for kind in kinds:
        try:
            entries = sorted(os.listdir(paths.instances / kind))
        except (FileNotFoundError, NotADirectoryError):
            continue
        for name in entries:
            if f"{kind}/{name}" in wanted or not NAME.fullmatch(name):
                continue
            folder = read_folder(paths.folder(kind, name))
            if folder.owned:
                strays[f"{kind}/{name}"] = Stray(kind, name, folder)
    for container in containers.values():
        kind, _slash, name = container.instance.partition("/")
        if not container.owned or kind not in kinds or not NAME.fullmatch(name):
            continue
        if container.instance not in wanted and container.instance not in strays and container.name == container_name(kind, name):
            strays[container.instance] = Stray(kind, name, Folder(paths.folder(kind, name)))
    return list(strays.values())


def remove_what_is_left(stray: Stray, containers: Sequence[Container], paths: Paths, docker: Docker) -> None:
    """Containers, records and folder of a unit that has stopped."""
    for container in containers:
        ran = docker.remove(container.name, timeout=120)
        if ran.rc != 0 and "No such container" not in ran.err:
            raise UnitsError(f"cannot remove the container {container.name}: {reason(ran.err)}")
    for path in (paths.state, paths.history, paths.served):
        with contextlib.suppress(FileNotFoundError):
            path(stray.kind, stray.name).unlink()
    forget(paths, stray, docker)
    if stray.folder.exists:
        remove_folder(stray.folder)
