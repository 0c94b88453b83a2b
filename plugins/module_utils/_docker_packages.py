# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It runs on managed nodes, so it uses the standard library only and runs on Python 3.9.

"""Where a missing Docker Engine comes from on this distribution, and how its packages are called there."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping
from dataclasses import dataclass

from ansible_collections.llmops.gpu_inference.plugins.module_utils._versions import at_least

Source = t.Literal["distribution", "docker"]

#: What a release offers where that is old. One that is not listed is taken to be new enough; the installation shows whether it is.
OFFERED: Mapping[str, str] = {
    "buster": "18.09",
    "bullseye": "20.10",
    "bookworm": "20.10",
    "bionic": "20.10",
    "focal": "20.10",
}
#: Releases of Debian whose package docker.io brings the client. Since trixie it is a package of its own, which docker.io only recommends.
CLIENT_INSIDE = frozenset({"buster", "bullseye", "bookworm"})
#: Folders of https://download.docker.com/linux; Rocky, Alma, Oracle and others like them use CentOS's.
RPM_FOLDERS: Mapping[str, str] = {"fedora": "fedora", "rhel": "rhel"}
OWN_PACKAGES = ("docker-ce", "docker-ce-cli", "containerd.io", "docker-buildx-plugin")
#: What docker.io needs and only recommends.
WITH_DOCKER_IO = ("iptables", "apparmor", "ca-certificates")


@dataclass(frozen=True)
class Os:
    """What /etc/os-release says; of a derivative, also which release it derives from."""

    id: str = ""
    like: tuple[str, ...] = ()
    codename: str = ""
    name: str = ""
    version: str = ""

    @property
    def is_ubuntu(self) -> bool:
        return "ubuntu" in (self.id, *self.like)


@dataclass(frozen=True)
class Packages:
    """`offered` is what the distribution has where that is too old: "0" for nothing, "" where it will do."""

    source: Source
    names: tuple[str, ...]
    folder: str
    suite: str
    offered: str
    distribution_will_do: bool


def parse_os(text: str) -> Os:
    """The file, whose values are quoted like those of a shell, or not at all."""
    values = {name: value.strip("\"'") for name, value in re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE)}
    codename = values.get("UBUNTU_CODENAME") or values.get("DEBIAN_CODENAME") or values.get("VERSION_CODENAME") or ""
    like = tuple(values.get("ID_LIKE", "").split())
    if values.get("UBUNTU_CODENAME") and "ubuntu" not in like:
        like = (*like, "ubuntu")
    return Os(
        values.get("ID", ""),
        like,
        codename,
        values.get("PRETTY_NAME") or values.get("NAME") or values.get("ID", ""),
        values.get("VERSION_ID", ""),
    )


def choose(system: Os, *, apt: bool, minimum: str, source: str, names: t.Sequence[str] = ()) -> Packages:
    """`source` as in docker_source, `names` as in docker_packages."""
    offered = OFFERED.get(system.codename, "") if apt else "0"
    will_do = offered == "" or at_least(offered, minimum)
    chosen = t.cast(Source, source) if source != "auto" else "distribution" if will_do else "docker"
    folder = ("ubuntu" if system.is_ubuntu else "debian") if apt else RPM_FOLDERS.get(system.id, "centos")
    usual = OWN_PACKAGES if chosen == "docker" else _of_distribution(system)
    return Packages(chosen, tuple(names) or usual, folder, system.codename, "" if will_do else offered, will_do)


def _of_distribution(system: Os) -> tuple[str, ...]:
    client = () if system.is_ubuntu or system.codename in CLIENT_INSIDE else ("docker-cli",)
    return ("docker.io", *client, *WITH_DOCKER_IO)


def client_package(owner_of_dockerd: str) -> str:
    """The package with the command `docker` for the package that has dockerd."""
    return "docker-ce-cli" if owner_of_dockerd.startswith("docker-ce") else "docker-cli"
