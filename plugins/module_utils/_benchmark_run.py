# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""One step of a benchmark on a host: a load generator in a container of its own, and what it says of a server.

It looks whether others use the server, before and meanwhile, and gives way to them. What is asked of whom, and by which program, is data.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
import typing as t
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import DockerDown, reason
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_watch import WatchedDocker
from ansible_collections.llmops.gpu_inference.plugins.module_utils._launch_rules import activity
from ansible_collections.llmops.gpu_inference.plugins.module_utils._local_http import fetch

#: Where the folder with the program's files is in its container; its result goes there too.
FOLDER = "/benchmark"
RESULT = "result.json"
CONTAINER = "gpu-inference-benchmark"
#: Looks at a server before a step, seconds between them, and how many of them have to see requests. The launcher's own
#: questions are one request now and then.
LOOKS, PAUSE, SEEN = 10, 0.3, 3
#: Seconds between looks during a step, and how many in a row have to see more requests than the step makes.
INTERVAL, IN_A_ROW = 1.0, 3
_MEMORY = "8g"
_SAID = 600

Look = Callable[[], t.Optional[float]]


class GaveWay(Exception):  # noqa: N818 - an event, not an error
    """Others use the server."""


@dataclass(frozen=True)
class Program:
    """A load generator, and where it runs."""

    image: str
    entrypoint: str
    network: str
    pull: str = "never"
    files: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    #: Of our figures, the program's names for them.
    figures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    concurrency: int
    requests: int
    command: Sequence[str]


def in_progress(metrics: str, gauges: Sequence[str]) -> float | None:
    """How many requests a server works on or has waiting, by its Prometheus metrics; None where it does not tell."""
    return activity(metrics, "|".join(map(re.escape, gauges))) if gauges else None


def look_at(watch: Sequence[Mapping[str, t.Any]], key: str | None, timeout: float = 5.0) -> float | None:
    """Of all servers behind what is measured; None where one does not tell."""
    total = 0.0
    for server in watch:
        if not server["gauges"]:
            return None
        try:
            with fetch(server["url"], timeout, key=key) as answer:
                found = in_progress(answer.read().decode("utf-8", "replace"), server["gauges"])
        except (OSError, ValueError):
            return None
        if found is None:
            return None
        total += found
    return total


def is_used(look: Look, sleep: Callable[[float], None] = time.sleep) -> bool | None:
    """Whether others have requests there; None where that cannot be told."""
    seen = 0
    for number in range(LOOKS):
        if number:
            sleep(PAUSE)
        found = look()
        if found is None:
            return None
        seen += found > 0
    return seen >= SEEN


class Watch:
    """To be called again and again during a step; raises GaveWay."""

    def __init__(self, look: Look, concurrency: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._look, self._most, self._clock = look, concurrency, clock
        self._next = clock() + INTERVAL
        self._more = 0

    def __call__(self) -> None:
        if self._clock() < self._next:
            return
        found = self._look()
        # A server that does not tell under load is not one that others use.
        self._more = self._more + 1 if found is not None and found > self._most else 0
        self._next = self._clock() + INTERVAL
        if self._more >= IN_A_ROW:
            raise GaveWay


def figures(result: Mapping[str, t.Any], names: Mapping[str, str]) -> dict[str, float]:
    """Ours, of those that the program's result has."""
    return {ours: float(result[its]) for ours, its in names.items() if isinstance(result.get(its), (int, float))}


def docker_argv(program: Program, step: Step, folder: str, env_file: str, name: str) -> list[str]:
    """Nothing secret: the key comes from the file."""
    argv = ["run", "--rm", "--name", name, "--pull", program.pull, "--network", program.network, "--env-file", env_file]
    argv += ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]  # noqa: S108 - the container's
    argv += ["--memory", _MEMORY, "--cpu-shares", "512", "--volume", f"{folder}:{FOLDER}", "--workdir", FOLDER]
    return [*argv, "--entrypoint", program.entrypoint, program.image, *step.command]


def run_step(program: Program, step: Step, secrets: Mapping[str, str], timeout: float, tick: Callable[[], None]) -> dict[str, t.Any]:
    """What came of it: C(figures), or C(failure) for people. Raises GaveWay."""
    name = f"{CONTAINER}-{os.getpid()}"
    docker = WatchedDocker("docker", lambda: False)
    folder = tempfile.mkdtemp(prefix=f"{CONTAINER}-")
    try:
        inside = os.path.join(folder, "files")
        os.mkdir(inside, 0o700)
        for path, text in program.files.items():
            place = os.path.join(inside, path)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(place, "w", encoding="utf-8") as file:
                file.write(text)
        env_file = os.path.join(folder, "env")
        with open(os.open(env_file, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
            file.writelines(f"{key}={value}\n" for key, value in {**program.environment, **secrets}.items())
        try:
            ran = docker.call(*docker_argv(program, step, inside, env_file, name), timeout=timeout, tick=tick)
        except DockerDown as down:
            return {"failure": f"Docker does not answer: {down}"}
        finally:
            docker.remove(name)
        return read_result(os.path.join(inside, RESULT), program, step, ran.rc, ran.out, ran.err, timeout)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def read_result(path: str, program: Program, step: Step, rc: int, out: str, err: str, timeout: float) -> dict[str, t.Any]:
    if rc == 124:
        return {"failure": f"it had not ended after {timeout:.0f} s"}
    if rc:
        said = reason(err) if rc == 125 else " ".join((err.strip() or out.strip())[-_SAID:].split())
        return {"failure": f"{program.image} ended with exit code {rc}: {said}"}
    try:
        with open(path, encoding="utf-8") as file:
            found = figures(json.load(file), program.figures)
    except (OSError, ValueError, AttributeError) as error:
        return {"failure": f"{program.image} left no result that can be read: {error}"}
    if not found.get("completed"):
        first = next((line for line in out.split("\n") if line.startswith("Error ")), "no reason was given")
        return {"failure": f"none of {step.requests} requests was answered: {' '.join(first.split())[:_SAID]}"}
    return {"figures": {**found, "failed": step.requests - found["completed"]}}
