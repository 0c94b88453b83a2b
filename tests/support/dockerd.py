# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Docker daemon under systemd, simulated as far as its configuration goes: the commands systemctl, docker info and journalctl."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_service import DockerService
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran


class Dockerd:
    """It ends at once with the key `broken` in its file, as with a log option that its driver does not know, and hangs with `hangs`."""

    def __init__(self, file: Path, *, runs: bool = True) -> None:
        self.file = file
        self.runs = False
        self.loaded: dict[str, Any] = {}
        self.commands: list[str] = []
        self.journal = ""
        self.containers = runs
        self.seconds = 0.0
        self.swarm = False
        self.silent = False
        command = f"/usr/sbin/dockerd -H fd:// --config-file={file}"
        self.at_boot = True
        self.shown = f"LoadState=loaded\nActiveState=active\nExecStart={{ path=/usr/sbin/dockerd ; argv[]={command} ; ignore_errors=no }}\n"
        if runs:
            self._start()
            self.journal = ""

    def service(self, limit: float = 60.0) -> DockerService:
        return DockerService(self.run, lambda: self.seconds, self._sleep, lambda: self.seconds, limit)

    def _sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def run(self, argv: Sequence[str], seconds: float, _text: str = "", /) -> Ran:
        words = " ".join(argv)
        answers: dict[str, Callable[[float], Ran]] = {
            "docker info": lambda _limit: Ran(
                124 if self.silent else 0 if self.runs else 1, "" if self.silent else json.dumps(self._info()), ""
            ),
            "journalctl": lambda _limit: Ran(0, self.journal, ""),
            "systemctl show": lambda _limit: Ran(0, f"{self.shown}UnitFileState={'enabled' if self.at_boot else 'disabled'}\n", ""),
            "systemctl enable": self._enable,
            "/usr/sbin/dockerd": lambda _limit: self._validate(argv[-1].partition("=")[2]),
            "systemctl reload": self._reload,
            "systemctl restart": self._restart,
        }
        if words.startswith("systemctl") and not words.startswith("systemctl show"):
            self.commands.append(words.removeprefix("systemctl ").removesuffix(" docker.service"))
        return next((answer(seconds) for words_of, answer in answers.items() if words.startswith(words_of)), Ran(0, "", ""))

    def _info(self) -> dict[str, Any]:
        if not self.runs:
            return {"ServerErrors": ["Cannot connect to the Docker daemon"]}
        return {
            "ServerVersion": "26.1.5",
            "LiveRestoreEnabled": self.loaded.get("live-restore", False),
            "Runtimes": self._runtimes(),
            "Swarm": {"LocalNodeState": "active" if self.swarm else "inactive"},
        }

    def _runtimes(self) -> dict[str, Any]:
        return {"runc": {}, **self.loaded.get("runtimes", {})}

    def _validate(self, path: str) -> Ran:
        nonsense = "nonsense" in json.loads(Path(path).read_text(encoding="utf-8"))
        return Ran(1, "", f"unable to configure the Docker daemon with file {path}: no such directive\n") if nonsense else Ran(0, "", "")

    def _read(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.file.read_text()) if self.file.exists() else {}
        return document

    def _enable(self, _limit: float) -> Ran:
        self.at_boot = True
        return Ran(0, "", "")

    def _reload(self, _limit: float) -> Ran:
        document = self._read()
        if "unreloadable" in document:
            self.journal += 'level=error msg="Error reconfiguring the daemon: invalid mirror"\n'
        else:
            self.loaded = {**self.loaded, **document}
            self.journal += 'level=info msg="Reloaded configuration: {}"\n'
        return Ran(0, "", "")

    def _restart(self, limit: float) -> Ran:
        if not self.loaded.get("live-restore", False):
            self.containers = False
        self.runs = False
        return self._start(limit)

    def _start(self, limit: float = 0) -> Ran:
        document = self._read()
        if "hangs" in document:
            self.seconds += limit
            return Ran(124, "", "no answer")
        if "broken" in document:
            self.journal += "failed to start daemon: unknown log opt\n"
            return Ran(1, "", "Job for docker.service failed.\n")
        self.runs, self.loaded = True, document
        if not document.get("live-restore", False):
            self.containers = False
        return Ran(0, "", "")
