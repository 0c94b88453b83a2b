# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node whose launcher really runs, with a played docker command: sockets, threads and clocks are real ones."""

from __future__ import annotations

import io
import json
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _launcher as launcher
from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_events import Reload
from ansible_collections.llmops.gpu_inference.plugins.module_utils._moments import Clock
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import Paths, write_atomically
from ansible_collections.llmops.gpu_inference.plugins.module_utils._sd_notify import Notifier

from . import played_docker
from .virtual_node import IMAGE, write_instance


class Node:
    """A node with one instance, and the launcher's process as a thread."""

    def __init__(self, folder: Path, kind: str = "vllm") -> None:
        self.kind = kind
        program = folder / "docker"
        shutil.copy(played_docker.__file__, program)
        program.chmod(0o755)
        self.docker = played_docker.Played(folder)
        self.paths = Paths(folder / "instances", folder / "run", str(program), folder / "lasting")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(folder / "notify"))
        self.address = str(folder / "notify")
        self.notified = ""
        threading.Thread(target=self.listen, daemon=True).start()
        self.play(images=[IMAGE])

    def play(self, **what: Any) -> None:
        write_atomically(self.docker.folder / "play.json", json.dumps(what))

    def instance(self, base_url: str | None, **changes: Any) -> None:
        common = {
            "start_timeout": 600,  # a busy machine takes its time; tests of a limit set their own
            "watchdog": 600,
            "drop_page_cache": False,
            "probe": {"base_url": base_url, "model": "chat", "api_key_variable": "VLLM_API_KEY"} if base_url else None,
        }
        write_instance(self.paths, self.kind, **{**common, **changes})

    def start(self, clock: Clock | None = None) -> launcher.Launcher:
        self.out = io.BytesIO()
        self.launcher = launcher.Launcher(self.kind, "chat", self.paths, Notifier(self.address), self.out, clock)
        self.code: int | None = None

        def body() -> None:
            try:
                code = self.launcher.run()
            except Reload:
                self.launcher.following.let_go()
                code = -1
            for lock in (self.launcher.own_lock, *self.launcher.gpu.locks):
                lock.release()  # a process that ends loses its locks
            self.code = code

        self.thread = threading.Thread(target=body, daemon=True)
        self.thread.start()
        return self.launcher

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.paths.state(self.kind, "chat").read_text(encoding="utf-8"))
        return found

    def until(self, phase: str) -> dict[str, Any]:
        wait_for(lambda: self.paths.state(self.kind, "chat").exists() and self.state()["phase"] == phase, self.said)
        return self.state()

    def ends(self) -> int:
        self.thread.join(60)
        assert not self.thread.is_alive(), self.said()
        assert self.code is not None
        return self.code

    def stop(self) -> int:
        self.launcher.life.on_signal(signal.SIGTERM, None)
        return self.ends()

    def said(self) -> str:
        return self.out.getvalue().decode()

    def calls(self) -> list[str]:
        path = self.docker.folder / "calls"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def listen(self) -> None:
        """As systemd does, at once: a full socket would stop the launcher."""
        while True:
            text = self.socket.recv(65536).decode()
            if text == "closed":
                self.socket.close()
                return
            self.notified += text + "\n"

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.sendto(b"closed", self.address)


class Time:
    """A wall clock that is set, and time that passes faster than it does."""

    def __init__(self) -> None:
        self.ahead = self.passed = 0.0
        self.clock = Clock(lambda: time.time() + self.ahead + self.passed, lambda: time.monotonic() + self.passed)


def wait_for(what: Callable[[], Any], said: Callable[[], str], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(said())
