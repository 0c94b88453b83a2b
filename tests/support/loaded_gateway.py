# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway's container with an engine that costs nothing behind it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.containers import LITELLM
from support.gateway_container import LABEL, container, docker, gateway, network

ROOT = Path(__file__).resolve().parents[2]
LOAD = ROOT / "tests" / "load"
KEYS = {name: f"client-key-{name}-0123456789" for name in ("crowd", "quiet")}


@dataclass(frozen=True)
class LoadedGateway:
    name: str
    network: str
    engine: str
    port: int

    def identity(self) -> list[str]:
        """Changes when one of the containers was started anew."""
        return [docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}} {{.State.Running}}", name) for name in (self.name, self.engine)]

    def peak(self) -> tuple[int, int]:
        """Most bytes that the gateway's cgroup has had, and its limit. cgroup v1 and v2 call them differently."""
        names = ("memory/memory.max_usage_in_bytes memory/memory.limit_in_bytes", "memory.peak memory.max")
        for pair in names:
            found = subprocess.run(
                ["docker", "exec", self.name, "sh", "-c", f"cd /sys/fs/cgroup && cat {pair}"], capture_output=True, text=True, check=False
            )
            if found.returncode == 0:
                peak, limit = map(int, found.stdout.split())
                return peak, limit
        raise RuntimeError("the kernel tells no peak of a cgroup: Linux 5.19 or cgroup v1 is needed")

    def stats(self) -> dict[str, int]:
        program = "import sys,urllib.request as u; sys.stdout.write(u.urlopen('http://127.0.0.1:8000/stats').read().decode())"
        found: dict[str, int] = json.loads(docker("exec", self.engine, "python3", "-c", program))
        return found

    def clients(self, client: str, where: str, kind: str, count: int, size: int = 0) -> subprocess.Popen[str]:
        """Clients that come by the published port (``where`` is one), or from the gateway's own network (``network``)."""
        if where == "network":
            argv = ["docker", "run", "--rm", "--network", self.network, "--label", LABEL, "--volume", f"{LOAD}:{LOAD}:ro"]
            argv += ["--entrypoint", "python3", LITELLM, str(LOAD / "clients.py"), "litellm-gateway", "4000"]
        else:
            argv = [sys.executable, str(LOAD / "clients.py"), "127.0.0.1", where]
        return subprocess.Popen([*argv, KEYS[client], kind, str(count), str(size)], stdout=subprocess.PIPE, text=True)


def result(clients: subprocess.Popen[str], timeout: float = 900) -> dict[str, Any]:
    output, _nothing = clients.communicate(timeout=timeout)
    assert clients.returncode == 0, output
    found: dict[str, Any] = json.loads(output)
    return found


def plan(engine: str) -> dict[str, Any]:
    def model(name: str, capability: str) -> dict[str, Any]:
        backend = {"id": f"{name}-n", "host": "n", "engine": "vllm", "model": "m", "url": f"http://{engine}:8000/v1"}
        return {"name": name, "capability": capability, "backends": [backend]}

    models = [model("chat", "chat"), model("embedding", "embedding"), model("asr", "transcription")]
    models[0]["modalities"] = ["text", "image"]
    return {"models": models}


@contextmanager
def loaded_gateway(folder: Path, port: int) -> Iterator[LoadedGateway]:
    """The gateway, published on a port of 127.0.0.1."""
    name = f"gpuinf-load-{os.getpid()}"
    engine = f"{name}-engine"
    options = ("--volume", f"{LOAD}:{LOAD}:ro", "--entrypoint", "python3")
    with (
        network(name),
        container(engine, name, LITELLM, f"{LOAD}/engine.py", "8000", options=options),
        gateway(folder, name, name, port, plan(engine), KEYS),
    ):
        yield LoadedGateway(name, name, engine, port)
