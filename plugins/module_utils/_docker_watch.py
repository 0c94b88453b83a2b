# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.


"""How the launcher runs Docker, as long as its container lives: commands that end with it, heard line by line, and two watchers."""

from __future__ import annotations

import queue
import re
import subprocess  # nosec: argument lists only
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any, Callable

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import Docker, DockerDown, daemon_down
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran
except ImportError:  # on the node the files lie side by side
    from _docker_cli import Docker, DockerDown, daemon_down  # type: ignore[import-not-found,no-redef]
    from _host_commands import Ran  # type: ignore[import-not-found,no-redef]


class Stopped(Exception):  # noqa: N818 - an event, not an error
    """SIGTERM came."""


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

    def result(self, rc: int, complaint: str = "") -> Ran:
        return Ran(rc, "".join(self.texts[0]), "".join(self.texts[1]) + complaint)


def run_process(
    argv: Sequence[str],
    timeout: float,
    cancelled: Callable[[], bool] = lambda: False,
    on_line: Callable[[str], None] | None = None,
    tick: Callable[[], None] = lambda: None,
) -> Ran:
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


class WatchedDocker(Docker):
    """Docker, of whose commands C(cancelled) is asked and C(tick) called ten times a second. Raises DockerDown where the daemon is away."""

    def __init__(self, program: str, cancelled: Callable[[], bool], tick: Callable[[], None] = lambda: None) -> None:
        super().__init__(program)
        self._cancelled = cancelled
        self._tick = tick

    def call(
        self,
        *argv: str,
        timeout: float = 60.0,
        on_line: Callable[[str], None] | None = None,
        tick: Callable[[], None] = lambda: None,
    ) -> Ran:
        def ticks() -> None:
            self._tick()
            tick()

        try:
            result = run_process([self.program, *argv], timeout, self._cancelled, on_line, ticks)
        except FileNotFoundError as error:
            raise DockerDown(f"{self.program}: not found") from error
        if result.rc != 0 and daemon_down(result.err):
            raise DockerDown(result.err.strip())
        return result


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
        self._docker = WatchedDocker(program, lambda: self._closed)
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
