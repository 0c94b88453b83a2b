# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.


"""The Docker command line: its words, and what its answers mean. Who runs the commands comes from outside."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_flags as docker_flags
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _memory_limit as memory_limit
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran, Run, run_command
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._instance_spec import Spec
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import LABEL, OWNER, predecessors
except ImportError:  # on the node the files lie side by side
    import _docker_flags as docker_flags  # type: ignore[import-not-found,no-redef]
    import _memory_limit as memory_limit  # type: ignore[import-not-found,no-redef]
    from _host_commands import Ran, Run, run_command  # type: ignore[import-not-found,no-redef]
    from _instance_spec import Spec  # type: ignore[import-not-found,no-redef]
    from _node import LABEL, OWNER, predecessors  # type: ignore[import-not-found,no-redef]


class DockerDown(Exception):  # noqa: N818 - an event, not an error
    """The Docker daemon does not answer."""


@dataclass(frozen=True)
class Container:
    """What docker inspect tells about a container."""

    id: str
    name: str
    running: bool
    exit_code: int
    oom_killed: bool
    labels: Mapping[str, str]
    pid: int = 0
    memory: int = 0  # its bound on main memory in bytes, 0 for none

    @property
    def owned(self) -> bool:
        return self.labels.get(LABEL + "owner") == OWNER

    @property
    def instance(self) -> str:
        return self.labels.get(LABEL + "instance", "")

    @property
    def locks(self) -> tuple[str, ...]:
        return tuple(lock for lock in self.labels.get(LABEL + "locks", "").split(",") if lock)


def parse_inspect(text: str) -> list[Container]:
    containers = []
    for document in json.loads(text or "[]"):
        state = document.get("State") or {}
        containers.append(
            Container(
                id=document["Id"],
                name=str(document.get("Name", "")).lstrip("/"),
                running=bool(state.get("Running")),
                exit_code=int(state.get("ExitCode") or 0),
                oom_killed=bool(state.get("OOMKilled")),
                labels=(document.get("Config") or {}).get("Labels") or {},
                pid=int(state.get("Pid") or 0),
                memory=int((document.get("HostConfig") or {}).get("Memory") or 0),
            )
        )
    return containers


def daemon_down(text: str) -> bool:
    """Whether the client did not reach the daemon; a path that ends in docker.sock may stand in other messages too."""
    return bool(
        re.search(
            r"onnect to the [Dd]ocker (?:daemon|API)|[Ii]s the docker daemon running|error during connect|dial unix \S*docker\.sock", text
        )
    )


# What the client adds to an answer of the daemon, and to a mistake in its arguments.
_CLIENTS_OWN = re.compile(
    r"^(?:Error: failed to start containers?: .*|(?:Run|See) 'docker .*--help'.*|Usage:\s.*|Unable to find image '.*' locally|WARNING: .*)$"
)
_DAEMON = "Error response from daemon: "


def reason(text: str) -> str:
    """Of all that a docker command wrote, the sentence that says why it failed, in one line; the daemon's if it said one."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    telling = [line for line in lines if not _CLIENTS_OWN.match(line)] or lines
    first = next((number for number, line in enumerate(telling) if _DAEMON in line), 0)
    return " ".join(telling[first:])[:1000] or "Docker gave no reason"


def create_argv(
    spec: Spec, env_file: str, name: str | None = None, labels: Mapping[str, str] | None = None, more: Mapping[str, str] | None = None
) -> list[str]:
    """Arguments of docker create. Nothing secret: keys come from the env file.

    C(name), C(labels): in place of the instance's own. C(more): further labels.
    """
    argv = ["create", "--name", name or spec.container, "--pull", "never", "--env-file", env_file]
    own = {"owner": OWNER, "instance": spec.instance, "config-hash": spec.config_hash, "locks": ",".join(spec.locks)}
    for key, value in {**(own if labels is None else labels), **(more or {})}.items():
        argv += ["--label", f"{LABEL}{key}={value}"]
    if not docker_flags.values(spec.docker_arguments, "log-driver"):
        # The journal keeps the log. Docker's copy only bridges the moments in which nobody reads.
        argv += ["--log-driver", "local", "--log-opt", "max-size=10m", "--log-opt", "max-file=2"]
    if spec.networks:
        argv += ["--network", spec.networks[0]]
    if spec.memory_limit_mib:
        argv += memory_limit.arguments(spec.memory_limit_mib)
    argv += list(spec.docker_arguments)
    if spec.entrypoint is not None:
        argv += ["--entrypoint", spec.entrypoint]
    return argv + [spec.image] + list(spec.command)


def download_argv(spec: Spec, env_file: str) -> list[str]:
    """Arguments of docker run for the download that precedes the start: same image, mounts and environment, but no port or address."""
    argv = ["run", "--rm", "--name", spec.container + "-download", "--pull", "never", "--env-file", env_file]
    argv += ["--label", f"{LABEL}owner={OWNER}", "--label", f"{LABEL}download-of={spec.instance}"]
    if spec.networks:
        argv += ["--network", spec.networks[0]]
    argv += docker_flags.words(docker_flags.beside(spec.docker_arguments))
    if spec.download_entrypoint is not None:
        argv += ["--entrypoint", spec.download_entrypoint]
    return argv + [spec.image] + list(spec.download_command)


class Docker:
    """The Docker command line. Only this class knows its words. What a command answered is returned, also where it failed."""

    def __init__(self, program: str = "docker", run: Run = run_command) -> None:
        self.program = program
        self._run = run

    def call(self, *argv: str, timeout: float = 60.0) -> Ran:
        """Any command."""
        return self._run([self.program, *argv], timeout)

    def feed(self, text: str, *argv: str, timeout: float) -> Ran:
        """A command that reads a text from its standard input."""
        return self._run([self.program, *argv], timeout, text)

    # -- containers

    def inspect(self, *names: str) -> list[Container]:
        """Those of them that exist. Raises DockerDown."""
        result = self.call("container", "inspect", *names)
        if result.rc not in (0, 1):
            raise DockerDown(result.err.strip())
        return parse_inspect(result.out)

    def find(self, name: str) -> Container | None:
        found = self.inspect(name)
        return found[0] if found else None

    def left_by_handover(self, spec: Spec) -> list[Container]:
        """What still has the port of a container that took it over."""
        if not spec.handover_socket:
            return []
        found = self.inspect(*predecessors(spec.container))
        return [container for container in found if container.owned and container.instance == spec.instance]

    def owned_running(self) -> list[Container]:
        result = self.call("ps", "--quiet", "--no-trunc", "--filter", f"label={LABEL}owner={OWNER}")
        ids = result.out.split()
        return self.inspect(*ids) if ids else []

    def connect(self, network: str, name: str, timeout: float = 60.0) -> Ran:
        return self.call("network", "connect", network, name, timeout=timeout)

    def start(self, name: str, timeout: float = 180.0) -> Ran:
        return self.call("start", name, timeout=timeout)

    def stop(self, name: str, seconds: int, patience: float = 30.0) -> Ran:
        """C(seconds) until it is killed; C(patience) for Docker beyond that."""
        return self.call("stop", "--time", str(seconds), name, timeout=seconds + patience)

    def remove(self, name: str, timeout: float = 60.0, volumes: bool = False) -> Ran:
        """Also one that runs. C(volumes): those that its image asked for, which nothing else has."""
        return self.call("rm", "--force", *["--volumes"] * volumes, name, timeout=timeout)

    def image_of(self, name: str) -> Ran:
        """The id of the image that a container was made of."""
        return self.call("inspect", "--type", "container", "--format", "{{.Image}}", name)

    def rename(self, name: str, other: str) -> Ran:
        return self.call("rename", name, other, timeout=120)

    # -- images

    def pull(self, image: str, timeout: float) -> str:
        """What went wrong; empty when the image is here."""
        ran = self.call("pull", "--quiet", image, timeout=timeout)
        return "" if ran.rc == 0 else reason(ran.err)

    def image_id(self, image: str) -> str | None:
        """Nothing where the image is not on this host."""
        ran = self.call("image", "inspect", "--format", "{{.Id}}", image)
        return ran.out.strip() if ran.rc == 0 else None

    def image_digests(self, image: str) -> list[str]:
        """By which registries have it."""
        ran = self.call("image", "inspect", "--format", "{{json .RepoDigests}}", image)
        return (json.loads(ran.out) if ran.rc == 0 and ran.out.strip() else None) or []
