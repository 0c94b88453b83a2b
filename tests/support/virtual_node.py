# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node on which time passes only while the launcher waits: whole lives of an instance in one thread, and within milliseconds.

The played docker command runs in this process. What it cannot know of (threads that follow a container, an engine that answers) is
looked at whenever time has passed.
"""

from __future__ import annotations

import contextlib
import io
import json
import queue
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_watch as docker_watch
from ansible_collections.llmops.gpu_inference.plugins.module_utils import _engine_probe as engine_probe
from ansible_collections.llmops.gpu_inference.plugins.module_utils import _launcher as launcher
from ansible_collections.llmops.gpu_inference.plugins.module_utils import _ollama_models as ollama_models
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran
from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_events import Reload
from ansible_collections.llmops.gpu_inference.plugins.module_utils._moments import Clock
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import LABEL, OWNER, Paths, write_atomically
from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe import Endpoint, Observation
from ansible_collections.llmops.gpu_inference.plugins.module_utils._sd_notify import Notifier

from . import played_docker

IMAGE = "vllm/vllm-openai:v0.32.0"
KEY = "key-0123456789-engine"
LONGEST = 20_000.0  # seconds; whoever waits for more waits for something that never comes
GOOD = Observation(True)
SILENT = Observation(False, None, "timeout", "no answer")
RELOADED = -1  # instead of an exit code

Answer = Callable[[Endpoint, float, "str | None"], Observation]


def write_instance(paths: Paths, kind: str, **values: Any) -> None:
    """The folder of an instance with the name chat; C(values) are of its service.json, with what all launchers here have in common."""
    service = {
        "owner": OWNER,
        "kind": kind,
        "name": "chat",
        "image": IMAGE,
        "config_hash": "abc",
        "locks": ["GPU-a"],
        "networks": ["inference_engines", "extra"],
        "secret_names": ["VLLM_API_KEY"],
        "stop_timeout": 1,
        **values,
    }
    write_atomically(paths.folder(kind, "chat") / "service.json", json.dumps(service))
    write_atomically(paths.folder(kind, "chat") / "env", f"VLLM_API_KEY={KEY}\n")


class _Heard(Notifier):
    """systemd's side of the socket."""

    def __init__(self) -> None:
        super().__init__("")
        self.fields: list[dict[str, str]] = []

    def send(self, **fields: str) -> None:
        self.fields.append(fields)


class _Here:
    """In place of a thread."""

    def __init__(self, target: Callable[..., None], args: Sequence[Any] = (), **_rest: Any) -> None:
        self.start = lambda: target(*args)


class VirtualNode:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str = "vllm") -> None:
        self.kind = kind
        self.docker = played_docker.Played(folder)
        self.paths = Paths(folder / "instances", folder / "run", "docker", folder / "lasting")
        self.passed = self.ahead = 0.0
        self.heard = _Heard()
        self.out = io.BytesIO()
        self.answer: Answer = lambda _endpoint, _limit, _level: GOOD
        self.takes: dict[str, float] = {}  # seconds of a docker command, by its first word
        self.programs: list[list[str]] = []  # others than docker
        self._began = time.time()
        self._plans: list[tuple[Callable[[], bool], Callable[[], Any]]] = []
        self._watchers: list[_Follower | _Waiter] = []
        self.clock = Clock(lambda: self._began + self.passed + self.ahead, lambda: 1000.0 + self.passed)
        node = self
        monkeypatch.setattr(docker_watch, "run_process", self._run_process)
        monkeypatch.setattr(docker_watch, "Follower", lambda *given: node.watch(_Follower(node, *given)))
        monkeypatch.setattr(docker_watch, "Waiter", lambda *given: node.watch(_Waiter(node, *given)))
        monkeypatch.setattr(engine_probe, "threading", SimpleNamespace(Thread=_Here))
        monkeypatch.setattr(ollama_models, "threading", SimpleNamespace(Thread=_Here))
        monkeypatch.setattr(engine_probe, "probe", lambda endpoint, timeout, level: node.answer(endpoint, timeout, level))
        self.play()

    # -- what is there

    def play(self, **what: Any) -> None:
        write_atomically(self.docker.folder / "play.json", json.dumps({"images": [IMAGE], **what}))

    def instance(self, **changes: Any) -> None:
        probe = {"base_url": "http://127.0.0.1:9/v1", "model": "chat", "api_key_variable": "VLLM_API_KEY"}
        write_instance(self.paths, self.kind, **{"watchdog": 90, "probe": probe, **changes})

    def failed_before(self, times: int) -> None:
        write_atomically(self.paths.history(self.kind, "chat"), json.dumps({"failures": times}))

    # -- what happens

    def when(self, what: str | Callable[[], bool], *then: Callable[[], Any]) -> None:
        """Each C(then) once that is so, one after another; C(what) may be a phase."""
        wanted = what if callable(what) else lambda: self.state().get("phase") == what
        for one in then:
            self._plans.append((wanted, one))

    def after(self, seconds: float, *then: Callable[[], Any]) -> Callable[[], None]:
        """For C(when): so many seconds later."""

        def plan() -> None:
            moment = self.passed + seconds
            self._plans[:0] = [(lambda: self.passed >= moment, one) for one in then]

        return plan

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.launcher.life.on_signal(number, None)

    def end(self, code: int) -> None:
        self.docker.end(f"{self.kind}-chat", code)

    def run(self) -> int:
        """A launcher from its start to its end: the exit code."""
        self._watchers.clear()
        self.launcher = launcher.Launcher(self.kind, "chat", self.paths, self.heard, self.out, self.clock, self.sleep)
        self.launcher.life.events = _Events(self)
        try:
            return self.launcher.run()
        except Reload:
            return RELOADED
        finally:
            for lock in (self.launcher.own_lock, *self.launcher.gpu.locks):
                lock.release()  # a process that ends loses its locks

    def sleep(self, seconds: float) -> None:
        self.passed += seconds
        assert self.passed < LONGEST, self.said()
        while self._plans and self._plans[0][0]():
            self._plans.pop(0)[1]()
        self.look()

    def watch(self, watcher: Any) -> Any:
        self._watchers.append(watcher)
        return watcher

    def look(self) -> None:
        for watcher in self._watchers:
            watcher.look()

    # -- what is seen of it

    def state(self) -> dict[str, Any]:
        path = self.paths.state(self.kind, "chat")
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return found

    def said(self) -> str:
        return self.out.getvalue().decode()

    def calls(self) -> list[str]:
        path = self.docker.folder / "calls"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def statuses(self) -> list[str]:
        """systemd's STATUS=, each once."""
        return list(dict.fromkeys(fields["STATUS"] for fields in self.heard.fields if "STATUS" in fields))

    # -- docker

    def _run_process(
        self,
        argv: Sequence[str],
        timeout: float,
        cancelled: Callable[[], bool] = lambda: False,
        on_line: Callable[[str], None] | None = None,
        tick: Callable[[], None] = lambda: None,
    ) -> Ran:
        if argv[0] != self.paths.docker:
            self.programs.append(list(argv))
            return Ran(1, "", "read-only file system\n")
        left = min(timeout, self.takes.get(argv[1], 0.0))
        while left >= 0:
            tick()
            if cancelled():
                raise docker_watch.Stopped
            if left:
                self.sleep(min(1.0, left))
            left -= 1.0
        if self.takes.get(argv[1], 0.0) > timeout:
            return Ran(124, "", f"no answer within {timeout:.0f} s\n")
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = played_docker.main(self.docker.folder, list(argv[1:]))
        result = Ran(code, out.getvalue(), err.getvalue())
        for line in result.lines if on_line else ():
            on_line(line)  # type: ignore[misc]
        return result


class _Events(queue.SimpleQueue[Any]):
    """The launcher's events; waiting for one lets time pass."""

    def __init__(self, node: VirtualNode) -> None:
        super().__init__()
        self._node = node

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if self.empty():
            self._node.look()
        if self.empty():
            self._node.sleep(timeout or 0.0)
        return self.get_nowait()


class _Follower:
    def __init__(self, node: VirtualNode, _program: str, _container: str, since: str, emit: Callable[[str, bytes], None]) -> None:
        self._log = node.docker.folder / "log"
        self._since = since
        self._emit = emit
        self._shown = 0
        self._closed = False
        self.start: Callable[[], None] = lambda: None

    def look(self) -> None:
        if self._closed:
            return
        lines = self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []
        new, self._shown = lines[self._shown :], len(lines)
        for stamp, _space, text in (line.partition(" ") for line in new):
            if stamp > self._since:
                self._since = ""
                self._emit(stamp, text.encode() + b"\n")

    def join(self, _timeout: float) -> None:
        self.look()

    def resume(self, since: str) -> None:
        self._since = since

    def close(self) -> None:
        self._closed = True


class _Waiter:
    def __init__(self, node: VirtualNode, _program: str, container: str, emit: Callable[[Any], None]) -> None:
        self._docker = node.docker
        self._container = container
        self._emit = emit
        self._up = True
        self._closed = False
        self.start: Callable[[], None] = lambda: None

    def look(self) -> None:
        if self._closed:
            return
        up = not self._docker.play().get("down")
        if up is not self._up:
            self._emit(docker_watch.DaemonState(up=up))
        self._up = up
        container = self._docker.find(self._container)
        if up and (container is None or not container["State"]["Running"]):
            self._closed = True
            self._emit(docker_watch.Exited(None if container is None else container["State"]["ExitCode"]))

    def close(self) -> None:
        self._closed = True


def container(name: str = "vllm-chat", pid: int = 0, memory: int = 0, **labels: str) -> dict[str, Any]:
    """One of ours that runs, as docker inspect shows it."""
    own = {"owner": OWNER, "instance": "vllm/chat", "config_hash": "abc", "locks": "GPU-a", **labels}
    return {
        "Id": f"id-of-{name}",
        "Name": f"/{name}",
        "State": {"Running": True, "ExitCode": 0, "Pid": pid, "StartedAt": "2026-11-20T10:00:00Z"},
        "HostConfig": {"Memory": memory},
        "Config": {"Labels": {LABEL + key.replace("_", "-"): value for key, value in own.items()}},
    }
