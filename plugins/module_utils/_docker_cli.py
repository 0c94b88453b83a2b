# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""The Docker command line: commands that can be cancelled, containers as docker inspect tells them, and two watchers of one."""

from __future__ import annotations

import json
import queue
import re
import subprocess  # nosec: argument lists only
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Callable

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_flags as docker_flags
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _memory_limit as memory_limit
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._instance_spec import Spec
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import LABEL, OWNER, predecessors
except ImportError:  # on the node the files lie side by side
    import _docker_flags as docker_flags  # type: ignore[import-not-found,no-redef]
    import _memory_limit as memory_limit  # type: ignore[import-not-found,no-redef]
    from _instance_spec import Spec  # type: ignore[import-not-found,no-redef]
    from _node import LABEL, OWNER, predecessors  # type: ignore[import-not-found,no-redef]


class Stopped(Exception):  # noqa: N818 - an event, not an error
    """SIGTERM came."""


class DockerDown(Exception):  # noqa: N818
    """The Docker daemon does not answer."""


@dataclass(frozen=True)
class Result:
    rc: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What it wrote, blank lines left out. Lines end with a line feed alone: a log line may hold anything else."""
        return [line for line in (*self.out.split("\n"), *self.err.split("\n")) if line.strip()]


CHILDREN: set[subprocess.Popen[bytes]] = set()


def kill_children() -> None:
    """For the moment before the process becomes another program: threads vanish then, their children would not."""
    for child in list(CHILDREN):
        child.kill()
        child.wait()


class _Output:
    """What a process writes. Threads read it, and the caller's thread takes it, line by line."""

    def __init__(self, process: subprocess.Popen[bytes], on_line: Callable[[str], None] | None) -> None:
        if process.stdout is None or process.stderr is None:  # for the type checker
            raise RuntimeError("no pipes")
        self.texts: tuple[list[str], list[str]] = ([], [])
        self._on_line = on_line
        self._lines: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()
        streams = enumerate((process.stdout, process.stderr))
        self._readers = [threading.Thread(target=self._read, args=item, daemon=True) for item in streams]
        for reader in self._readers:
            reader.start()

    def _read(self, number: int, stream: IO[bytes]) -> None:
        for raw in stream:
            self._lines.put((number, raw.decode("utf-8", "replace")))

    def take(self, wait: float) -> None:
        """Takes what there is, and waits so many seconds for the first line."""
        while True:
            try:
                number, line = self._lines.get(timeout=wait) if wait else self._lines.get_nowait()
            except queue.Empty:
                return
            self.texts[number].append(line)
            if self._on_line:
                self._on_line(line.rstrip("\n"))
            wait = 0

    def take_the_rest(self) -> None:
        for reader in self._readers:
            reader.join(2.0)
        self.take(0)

    def result(self, rc: int, complaint: str = "") -> Result:
        return Result(rc, "".join(self.texts[0]), "".join(self.texts[1]) + complaint)


def run_process(
    argv: Sequence[str],
    timeout: float,
    cancelled: Callable[[], bool] = lambda: False,
    on_line: Callable[[str], None] | None = None,
    tick: Callable[[], None] = lambda: None,
) -> Result:
    """Runs a command; the callbacks run in the caller's thread, C(tick) ten times a second.

    Cancelling, the time limit, or whatever a callback raises kills the command.
    """
    process = subprocess.Popen(list(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    CHILDREN.add(process)
    output = _Output(process, on_line)
    deadline = time.monotonic() + timeout
    rc: int | None = None
    try:
        while rc is None:
            tick()
            if cancelled():
                raise Stopped
            if time.monotonic() > deadline:
                process.kill()
                process.wait()
                return output.result(124, f"no answer within {timeout:.0f} s: {' '.join(argv[:3])}\n")
            output.take(0.1)
            rc = process.poll()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        CHILDREN.discard(process)
    output.take_the_rest()
    return output.result(rc)


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
    """The Docker command line. Only this class knows its words."""

    def __init__(self, program: str, cancelled: Callable[[], bool], tick: Callable[[], None] = lambda: None) -> None:
        self.program = program
        self._cancelled = cancelled
        self._tick = tick

    def call(
        self,
        *argv: str,
        timeout: float = 60.0,
        on_line: Callable[[str], None] | None = None,
        interruptible: bool = True,
        tick: Callable[[], None] = lambda: None,
    ) -> Result:
        def ticks() -> None:
            self._tick()
            tick()

        try:
            cancelled = self._cancelled if interruptible else lambda: False
            result = run_process([self.program] + list(argv), timeout, cancelled, on_line, ticks)
        except FileNotFoundError as error:
            raise DockerDown(f"{self.program}: not found") from error
        if result.rc != 0 and daemon_down(result.err):
            raise DockerDown(result.err.strip())
        return result

    def inspect(self, *names: str, interruptible: bool = True) -> list[Container]:
        result = self.call("container", "inspect", *names, interruptible=interruptible)
        if result.rc not in (0, 1):
            raise DockerDown(result.err.strip())
        return parse_inspect(result.out)

    def find(self, name: str, interruptible: bool = True) -> Container | None:
        found = self.inspect(name, interruptible=interruptible)
        return found[0] if found else None

    def left_by_handover(self, spec: Spec, interruptible: bool = True) -> list[Container]:
        """What still has the port of a container that took it over."""
        if not spec.handover_socket:
            return []
        found = self.inspect(*predecessors(spec.container), interruptible=interruptible)
        return [container for container in found if container.owned and container.instance == spec.instance]

    def owned_running(self) -> list[Container]:
        result = self.call("ps", "--quiet", "--no-trunc", "--filter", f"label={LABEL}owner={OWNER}")
        ids = result.out.split()
        return self.inspect(*ids) if ids else []

    def has_image(self, image: str) -> bool:
        return self.call("image", "inspect", "--format", "{{.Id}}", image).rc == 0


@dataclass(frozen=True)
class LogLine:
    text: str
    stamp: str


@dataclass(frozen=True)
class Exited:
    code: int | None  # None: the container is gone
    oom_killed: bool = False


@dataclass(frozen=True)
class DaemonState:
    up: bool


def split_timestamp(raw: bytes) -> tuple[str, bytes]:
    """Parts a line of docker logs --timestamps."""
    stamp, separator, line = raw.partition(b" ")
    if separator and re.match(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", stamp):
        return stamp.decode("ascii", "replace"), line
    return "", raw


class Follower(threading.Thread):
    """Copies a container's log, picks the thread up again after a restart of the daemon, and ends with the container."""

    def __init__(self, program: str, container: str, since: str, emit: Callable[[str, bytes], None]) -> None:
        super().__init__(daemon=True)
        self._program = program
        self._container = container
        self._last = since
        self._emit = emit
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def resume(self, since: str) -> None:
        """Asks anew for what comes after this time: Docker leaves out lines that are older than what it was asked for."""
        self._last = since
        if self._process is not None and self._process.poll() is None:
            self._process.kill()

    def run(self) -> None:
        while not self._closed:
            known = self._last
            argv = [self._program, "logs", "--follow", "--timestamps"]
            if known:
                argv += ["--since", known]
            self._process = subprocess.Popen(
                argv + [self._container], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            for raw in self._process.stdout or ():
                stamp, line = split_timestamp(raw)
                if not stamp:
                    continue  # a message of the docker command itself
                if stamp <= known:
                    continue
                known = ""  # what follows is new, also if the clock is set back meanwhile
                self._last = stamp
                self._emit(stamp, line)
            self._process.wait()
            if self._closed or self._ended():
                return
            time.sleep(1.0)

    def _ended(self) -> bool:
        try:
            result = run_process([self._program, "container", "inspect", "--format", "{{.State.Running}}", self._container], 30)
        except OSError:
            return False
        return result.out.strip() == "false" or (result.rc != 0 and "No such" in result.err)

    def close(self) -> None:
        self._closed = True
        if self._process is not None and self._process.poll() is None:
            self._process.kill()


class Waiter(threading.Thread):
    """Tells when the container has ended. While the daemon is away it keeps asking: the container may well be running."""

    def __init__(self, program: str, container: str, emit: Callable[[Any], None]) -> None:
        super().__init__(daemon=True)
        self._docker = Docker(program, lambda: self._closed)
        self._container = container
        self._emit = emit
        self._closed = False

    def run(self) -> None:
        up = True
        while not self._closed:
            try:
                if up:
                    self._docker.call("wait", self._container, timeout=365 * 86400.0)
                container = self._docker.find(self._container)
            except DockerDown:
                if up:
                    self._emit(DaemonState(up=False))
                up = False
                time.sleep(1.0)
                continue
            except (Stopped, OSError):
                return
            if not up:
                self._emit(DaemonState(up=True))
                up = True
            if container is None:
                self._emit(Exited(None))
                return
            if not container.running:
                self._emit(Exited(container.exit_code, container.oom_killed))
                return
            time.sleep(0.5)

    def close(self) -> None:
        self._closed = True
