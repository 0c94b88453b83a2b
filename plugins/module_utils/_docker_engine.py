# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It runs on managed nodes, so it uses the standard library only and runs on Python 3.9.

"""Which Docker a host has, and whether it is one that can be set up: run by docker.service, for the whole system, with a client."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_service import UNIT, Unit

SNAP_UNIT = "snap.docker.dockerd.service"
#: What the engines need of Docker, for messages.
NEEDS = "The engines need Docker Engine run by docker.service: its runtimes for GPUs, its /etc/docker/daemon.json, and live restore"


@dataclass(frozen=True)
class Seen:
    """What the host shows. `client_version` and `dockerd_version` are empty where there is no such command."""

    unit: Unit
    client_path: str = ""
    client_version: str = ""
    dockerd_path: str = ""
    dockerd_version: str = ""
    info: Mapping[str, t.Any] = field(default_factory=dict)
    silent: bool = False
    snap: bool = False
    rootless_sockets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Engine:
    """`version` is empty without an engine; `problem` says why this one cannot be used, with what to do."""

    version: str
    runs: bool
    client: bool
    problem: str


def judge(seen: Seen, *, beside_rootless: bool = False) -> Engine:
    """Say what is there."""
    engine = str(seen.info.get("ServerVersion") or "")
    version = engine or (_version(seen.dockerd_version) if seen.unit.loaded else "")
    problem = _problem(seen, beside_rootless)
    return Engine(version, bool(engine), bool(seen.client_version), problem)


def _version(text: str) -> str:
    found = re.search(r"version ([^,\s]+)", text)
    return found.group(1) if found else ""


def _problem(seen: Seen, beside_rootless: bool) -> str:
    if seen.client_version.startswith("podman"):
        return (
            f"The command docker on this host is podman's, which only resembles Docker. {NEEDS}. "
            f"Remove the package podman-docker; podman itself may stay."
        )
    if "/snap/" in seen.client_path or (seen.snap and not seen.unit.loaded):
        return (
            f"Docker is installed as a snap here, which reads a daemon.json of its own and keeps its containers from the rest of the host. "
            f"{NEEDS}. Remove it (snap remove docker, which takes its containers, images and volumes along) and run again."
        )
    if seen.unit.load == "masked":
        return f"{UNIT} is masked, so that nobody can start Docker: systemctl unmask {UNIT}, if that is no longer wanted."
    if seen.silent:
        return (
            f"The Docker daemon does not answer docker info within 30 s. Nothing was changed. Look at journalctl --unit {UNIT}; "
            f"systemctl restart {UNIT} ends it and starts it again."
        )
    if seen.info.get("ServerVersion") and (not seen.unit.loaded or _is_rootless(seen.info)):
        return _by_somebody_else(str(seen.info.get("OperatingSystem") or ""), _is_rootless(seen.info))
    if seen.dockerd_version and not seen.unit.loaded:
        return (
            f"{seen.dockerd_path or 'dockerd'} is installed, but no {UNIT} starts it. {NEEDS}. "
            f"Add the unit that comes with Docker's packages, or remove that program, and run again."
        )
    asleep = not seen.unit.loaded or (seen.unit.active == "inactive" and seen.unit.file == "disabled")
    if seen.rootless_sockets and asleep and not beside_rootless:
        return (
            f"Docker runs here for single users only, without root ({', '.join(seen.rootless_sockets)}). {NEEDS}. "
            f"Set docker_beside_rootless to true to install and start it beside that; theirs stays as it is."
        )
    return ""


def _is_rootless(info: Mapping[str, t.Any]) -> bool:
    return any("rootless" in str(option) for option in info.get("SecurityOptions") or ())


def _by_somebody_else(system: str, rootless: bool) -> str:
    if "Docker Desktop" in system:
        return (
            f"The Docker that answers here is Docker Desktop's, whose settings are not in this host's files. {NEEDS}. "
            f"Turn its integration off for this distribution (or use another Docker context), and run again."
        )
    who = "It runs without root" if rootless else f"There is no {UNIT}"
    return (
        f"The Docker that answers root here is not the system's. {who}, so its settings cannot be kept here. {NEEDS}. "
        f"Take away DOCKER_HOST and the Docker context of root, or stop that engine, and run again."
    )
