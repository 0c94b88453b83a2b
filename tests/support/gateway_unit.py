# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway as a unit with the real launcher, reconciler and Docker; of systemd only what they ask of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support.gateway_container import docker, gateway_unit

from ansible_collections.llmops.gpu_inference.plugins.module_utils._container_units import Reconciler
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran, run_command
from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_program import program
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import Paths, container_name, predecessors
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_report import Report
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_wanted import want_all
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_work import Settings


class GatewayUnit:
    def __init__(self, folder: Path, network: str, port: int, keys: dict[str, str]) -> None:
        self.folder, self.network, self.port, self.keys = folder, network, port, keys
        self.name = f"gpuinf{os.getpid()}"
        self.container = container_name("litellm", self.name)
        self.paths = Paths(folder / "instances", folder / "run", "docker", folder / "lasting")
        self._launcher: subprocess.Popen[bytes] | None = None
        place = folder / "program"
        place.mkdir()
        for name, text in program().items():
            (place / name).write_text(text, encoding="utf-8")

    def parameters(self, described: dict[str, Any], **options: Any) -> dict[str, Any]:
        unit = gateway_unit(self.paths.instances, self.network, self.port, described, self.keys, **options)
        moved: dict[str, Any] = json.loads(json.dumps(unit).replace("/litellm/gateway/", f"/litellm/{self.name}/"))
        return {**moved, "name": self.name}

    def reconcile(self, *units: dict[str, Any]) -> Report:
        settings = Settings(self.paths, ("litellm",), wants_dir=self.folder / "wants")
        return Reconciler(settings, self._run).apply(want_all(units, ["litellm"]))

    def state(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self.paths.state("litellm", self.name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return found

    def containers(self) -> set[str]:
        return set(docker("ps", "--all", "--filter", f"name={self.container}", "--format", "{{.Names}}").split())

    def close(self) -> None:
        self._systemctl("stop", ())
        for name in (self.container, self.container + "-next", *predecessors(self.container)):
            subprocess.run(["docker", "rm", "--force", "--volumes", name], capture_output=True, check=False)

    def _run(self, argv: Sequence[str], timeout: float, text: str = "", /) -> Ran:
        return self._systemctl(argv[1], argv[2:]) if argv[0] == "systemctl" else run_command(argv, timeout, text)

    def _systemctl(self, verb: str, _words: Sequence[str]) -> Ran:
        process = self._launcher if self._launcher is not None and self._launcher.poll() is None else None
        if verb == "show":
            return Ran(0, f"LoadState=loaded\nActiveState={'active' if process else 'inactive'}\nSubState=running\n")
        if verb == "start" and process is None:
            where = ["--instances", self.paths.instances, "--runtime", self.paths.runtime, "--lasting", self.paths.lasting]
            argv = [sys.executable, str(self.folder / "program" / "_launcher.py"), "run", f"litellm/{self.name}", *map(str, where)]
            with (self.folder / "journal").open("ab") as journal:
                self._launcher = subprocess.Popen(argv, stdout=journal, stderr=journal)
        elif verb == "kill" and process is not None:
            process.send_signal(signal.SIGHUP)
        elif verb == "stop" and process is not None:
            process.terminate()
            process.wait(120)
        return Ran(0)
