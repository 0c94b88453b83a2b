# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes: containers that boot systemd and run a Docker Engine of their own, as a bare machine would."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed import images, settings
from testbed.shell import BedError, capture, say, succeeds

_BOOT_SECONDS = 90
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}[a-z0-9]")


@dataclass(frozen=True)
class Node:
    """What a node is made of."""

    name: str
    image: str
    address: str | None = None
    publish: tuple[str, ...] = ()

    @property
    def volume(self) -> str:
        return f"gpu-inference-testbed-{self.name}"


def check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise BedError(f"'{name}' is no node name: two or more of a-z, 0-9 and '-', for it is a container's and a host's name.")
    return name


def run_arguments(node: Node, models: Path) -> list[str]:
    """`docker run` for a node.

    Not --privileged: that fails on machines without CAP_SYS_RESOURCE. `systempaths=unconfined` makes /proc/sys writable for the node's
    own Docker Engine; a volume gives it overlay2 instead of plain copies.
    """
    arguments = ["docker", "run", "--detach", "--name", node.name, "--hostname", node.name]
    for label in ("=1", ".kind=node", f".spec={spec_hash(node)}"):
        arguments += ["--label", settings.LABEL + label]
    arguments += ["--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE"]
    for option in ("seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined"):
        arguments += ["--security-opt", option]
    arguments += ["--cgroupns=host", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw"]
    arguments += ["--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp:exec"]
    arguments += ["--volume", f"{node.volume}:/var/lib/docker", "--volume", f"{models}:/srv/models:ro"]
    arguments += ["--stop-signal", "SIGRTMIN+3", "--network", settings.NETWORK]
    if node.address:
        arguments += ["--ip", node.address]
    for publish in node.publish:
        arguments += ["--publish", publish]
    return [*arguments, node.image, "/sbin/init"]


def spec_hash(node: Node) -> str:
    """Changes when the node would have to be made anew."""
    described = json.dumps([node.name, node.image, node.address, sorted(node.publish)])
    return hashlib.sha256(described.encode()).hexdigest()[:12]


def ensure_network() -> None:
    if succeeds(["docker", "network", "inspect", settings.NETWORK]):
        return
    capture(["docker", "network", "create", "--subnet", settings.SUBNET, "--label", f"{settings.LABEL}=1", settings.NETWORK])
    say(f"network: {settings.NETWORK} ({settings.SUBNET}) created")


def inspect(name: str) -> dict[str, str]:
    """Id, state and labels of a container, or an empty dictionary."""
    label = f'{{{{index .Config.Labels "{settings.LABEL}%s"}}}}'
    pattern = f"{{{{.Id}}}} {{{{.State.Status}}}} {label % ''} {label % '.spec'}"
    words = capture(["docker", "container", "inspect", "--format", pattern, name], check=False).split()
    if not words:
        return {}
    return dict(zip(("id", "state", "ours", "spec"), [*words, "", ""]))


def ensure(node: Node) -> None:
    check_name(node.name)
    ensure_network()
    settings.MODELS.mkdir(parents=True, exist_ok=True)
    found = inspect(node.name)
    if found and found["ours"] != "1":
        raise BedError(f"A container called {node.name} exists already and is not the bed's. Choose another name.")
    if found and found["spec"] != spec_hash(node):
        say(f"node {node.name}: its image or settings changed, so it is made anew")
        remove(node.name)
        found = {}
    if found and found["state"] == "running":
        say(f"node {node.name}: runs")
    elif found:
        capture(["docker", "start", node.name])
        say(f"node {node.name}: started again")
    else:
        _create(node)
    seconds = wait_until_up(node.name)
    say(f"node {node.name}: systemd is up after {seconds:.0f} s, address {address(node.name)}")


def _create(node: Node) -> None:
    if not succeeds(["docker", "volume", "inspect", node.volume]):
        capture(["docker", "volume", "create", "--label", f"{settings.LABEL}=1", node.volume])
    capture(run_arguments(node, settings.MODELS))


def wait_until_up(name: str) -> float:
    """Wait for systemd and for names to resolve."""
    began = time.monotonic()
    state = ""
    while time.monotonic() - began < _BOOT_SECONDS:
        state = _system_state(name)
        if state in ("running", "degraded") and succeeds(["docker", "exec", name, "getent", "hosts", name]):
            return time.monotonic() - began
        time.sleep(0.3)
    failed = capture(["docker", "exec", name, "systemctl", "--failed", "--no-legend"], check=False)
    logs = capture(["docker", "logs", "--tail", "20", name], check=False)
    raise BedError(
        f"Node {name} did not come up within {_BOOT_SECONDS} s: systemd says '{state or 'nothing'}'. "
        f"Failed units: {failed or 'none'}.\n{logs}"
    )


def _system_state(name: str) -> str:
    # `is-system-running` ends with an error code for every state but "running", so its text counts, not its code.
    return capture(["docker", "exec", name, "sh", "-c", "systemctl is-system-running 2>/dev/null || true"], check=False).strip()


def address(name: str) -> str:
    pattern = f'{{{{with index .NetworkSettings.Networks "{settings.NETWORK}"}}}}{{{{.IPAddress}}}}{{{{end}}}}'
    return capture(["docker", "container", "inspect", "--format", pattern, name], check=False)


def remove(name: str) -> None:
    found = inspect(name)
    if found and found["ours"] != "1":
        raise BedError(f"The container {name} is not the bed's; it stays.")
    if found:
        capture(["docker", "rm", "--force", "--volumes", name])
    capture(["docker", "volume", "rm", Node(name, "").volume], check=False)
    say(f"node {name}: removed" if found else f"node {name}: was not there")


def listing() -> list[tuple[str, str, str, str]]:
    """Name, image, state and address of every node."""
    lines = capture(
        ["docker", "ps", "--all", "--filter", f"label={settings.LABEL}.kind=node", "--format", "{{.Names}}\t{{.Image}}\t{{.Status}}"]
    ).splitlines()
    return [(name, image, state, address(name)) for name, image, state in (line.split("\t") for line in lines)]


def node(name: str, suite: str, address: str | None, publish: Sequence[str]) -> Node:
    return Node(check_name(name), images.reference(f"node-{suite}"), address, tuple(publish))
