# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_engine import Engine, Seen, judge
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_service import Unit

RUNNING = Unit("loaded", "active", "running", "enabled", "/usr/sbin/dockerd", ("-H", "fd://"))
NONE = Unit("not-found", "inactive", "dead", "", "", ())
CLIENT = "Docker version 26.1.5+dfsg1, build a72d7cd"
GOOD = Seen(
    unit=RUNNING,
    client_path="/usr/bin/docker",
    client_version=CLIENT,
    dockerd_path="/usr/sbin/dockerd",
    dockerd_version=CLIENT,
    info={"ServerVersion": "26.1.5+dfsg1", "Name": "podman-and-snap-host", "SecurityOptions": ["name=seccomp,profile=builtin"]},
)
BARE = Seen(unit=NONE)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (GOOD, Engine("26.1.5+dfsg1", True, True, "")),
        (BARE, Engine("", False, False, "")),
        # Installed and stopped, or not yet started, as dnf leaves it.
        (replace(GOOD, info={}, unit=replace(RUNNING, active="inactive")), Engine("26.1.5+dfsg1", False, True, "")),
        # A client alone asks nobody.
        (replace(BARE, client_path="/usr/bin/docker", client_version=CLIENT), Engine("", False, True, "")),
        # docker.io without docker-cli: Debian only recommends it.
        (replace(GOOD, client_path="", client_version="", info={}), Engine("26.1.5+dfsg1", False, False, "")),
        # The package is gone, its unit is left behind.
        (replace(GOOD, info={}, dockerd_path="", dockerd_version=""), Engine("", False, True, "")),
        # Rootless beside the system's own, which somebody has switched on.
        (replace(GOOD, rootless_sockets=("/run/user/1000/docker.sock",)), Engine("26.1.5+dfsg1", True, True, "")),
    ],
)
def test_what_can_be_set_up(seen: Seen, expected: Engine) -> None:
    assert judge(seen) == expected


ROOTLESS = {"ServerVersion": "28.5.2", "SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"]}


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (
            replace(BARE, client_path="/usr/bin/docker", client_version="podman version 5.4.2"),
            ["podman's", "Remove the package podman-docker"],
        ),
        (replace(BARE, client_path="/snap/bin/docker", client_version=CLIENT, snap=True), ["installed as a snap", "snap remove docker"]),
        # Where root's PATH has no /snap/bin.
        (replace(BARE, snap=True), ["installed as a snap"]),
        # The snap's client before that of the package.
        (replace(GOOD, client_path="/snap/bin/docker"), ["installed as a snap"]),
        (replace(GOOD, unit=replace(RUNNING, load="masked"), info={}), ["docker.service is masked", "systemctl unmask docker.service"]),
        (replace(GOOD, silent=True, info={}), ["does not answer", "systemctl restart docker.service"]),
        (replace(GOOD, unit=NONE), ["is not the system's", "There is no docker.service"]),
        (replace(GOOD, unit=NONE, info={"ServerVersion": "29.1.3", "OperatingSystem": "Docker Desktop"}), ["Docker Desktop's"]),
        (replace(GOOD, info=ROOTLESS), ["It runs without root", "DOCKER_HOST"]),
        (replace(BARE, rootless_sockets=("/run/user/1000/docker.sock",)), ["/run/user/1000/docker.sock", "docker_beside_rootless"]),
        (
            replace(
                GOOD, unit=replace(RUNNING, active="inactive", file="disabled"), info={}, rootless_sockets=("/run/user/1000/docker.sock",)
            ),
            ["for single users only", "docker_beside_rootless"],
        ),
        (
            replace(GOOD, unit=NONE, info={}, dockerd_path="/usr/local/bin/dockerd"),
            ["/usr/local/bin/dockerd is installed", "no docker.service"],
        ),
    ],
)
def test_what_cannot_be_set_up_is_told(seen: Seen, words: list[str]) -> None:
    problem = judge(seen).problem
    assert [word for word in words if word not in problem] == [], problem
    assert "run by docker.service" in problem or "docker.service" in problem


def test_rootless_may_stay_beside_it() -> None:
    assert judge(replace(BARE, rootless_sockets=("/run/user/1000/docker.sock",)), beside_rootless=True).problem == ""
