#!/usr/bin/python3
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plays the docker command for the launcher: containers are files, and play.json says what goes wrong."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Played:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def play(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "play.json").read_text(encoding="utf-8"))
        return found

    def containers(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(self.folder.glob("container-*.json"))]

    def find(self, name: str) -> dict[str, Any] | None:
        return next((one for one in self.containers() if name in (one["Id"], one["Name"].lstrip("/"))), None)

    def write(self, container: dict[str, Any]) -> None:
        path = self.folder / f"container-{container['Id']}.json"
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(container), encoding="utf-8")
        temporary.replace(path)

    def remove(self, name: str) -> None:
        found = self.find(name)
        if found:
            (self.folder / f"container-{found['Id']}.json").unlink()

    def end(self, name: str, code: int) -> None:
        found = self.find(name)
        if found:
            found["State"].update(Running=False, ExitCode=code)
            self.write(found)

    def log(self, *lines: str) -> None:
        """Lines for whoever follows; their times only have to grow."""
        with open(self.folder / "log", "a", encoding="utf-8") as handle:
            for line in lines:
                handle.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime())}.{time.monotonic_ns():020d}Z {line}\n")


def answer(said: list[Any]) -> int:
    code, text = said
    print(text, file=sys.stderr if code else sys.stdout)
    return int(code)


def main(folder: Path, argv: list[str]) -> int:
    docker = Played(folder)
    play = docker.play()
    with open(folder / "calls", "a", encoding="utf-8") as handle:
        handle.write(" ".join(argv) + "\n")
    if play.get("down"):
        return answer([1, "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"])
    word = argv[0]
    time.sleep(play.get("slow", {}).get(word, 0))
    if word in COMMANDS:
        return COMMANDS[word](docker, argv)
    return answer(play[word]) if word in play else 0  # version, pull, network


def container(docker: Played, argv: list[str]) -> int:
    names = [name for name in argv[2:] if not name.startswith("-") and "{{" not in name]
    found = [one for one in map(docker.find, names) if one]
    if "--format" in argv:
        print("true" if found and found[0]["State"]["Running"] else "false")
    else:
        print(json.dumps(found))
    return 0 if len(found) == len(names) else answer([1, "Error response from daemon: No such container: x"])


def ps(docker: Played, argv: list[str]) -> int:
    print("\n".join(one["Id"] for one in docker.containers() if one["State"]["Running"]))
    return 0


def image(docker: Played, argv: list[str]) -> int:
    if argv[-1] not in docker.play().get("images", []):
        return 1
    if "--format" in argv:
        print(docker.play().get("image_id", "sha256:0123456789abcdef"))
    return 0


def create(docker: Played, argv: list[str]) -> int:
    if "create" in docker.play():
        return answer(docker.play()["create"])
    labels = dict(argv[number + 1].split("=", 1) for number, item in enumerate(argv) if item == "--label")
    name = argv[argv.index("--name") + 1]
    state = {"Running": False, "ExitCode": 0, "StartedAt": "2026-11-20T10:00:00Z"}
    docker.write({"Id": f"id-of-{name}", "Name": f"/{name}", "State": state, "Config": {"Labels": labels}})
    print(f"id-of-{name}")
    return 0


def start(docker: Played, argv: list[str]) -> int:
    play = docker.play()
    if "start" in play:
        return answer(play["start"])
    started = docker.find(argv[-1])
    if started:
        code = play.get("exit")
        docker.log(*play.get("log", []))
        started["State"].update(Running=code is None, ExitCode=code or 0, Pid=play.get("pid", 0))
        docker.write(started)
    return 0


def logs(docker: Played, argv: list[str]) -> int:
    since = argv[argv.index("--since") + 1] if "--since" in argv else ""
    shown = 0
    while True:
        one = docker.find(argv[-1])
        log = docker.folder / "log"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        for line in lines[shown:]:
            if line.split(" ", 1)[0] > since:
                print(line, flush=True)
        shown = len(lines)
        if one is None or not one["State"]["Running"]:
            return 0
        time.sleep(0.1)


def wait(docker: Played, argv: list[str]) -> int:
    while True:
        one = docker.find(argv[-1])
        if one is None or not one["State"]["Running"] or docker.play().get("down"):
            return 0
        time.sleep(0.1)


def stop(docker: Played, argv: list[str]) -> int:
    docker.end(argv[-1], 0)
    return 0


def remove(docker: Played, argv: list[str]) -> int:
    docker.remove(argv[-1])
    return 0


def execute(docker: Played, argv: list[str]) -> int:
    no_such = 'OCI runtime exec failed: exec: "nvidia-smi": executable file not found in $PATH: unknown'
    return answer(docker.play().get("exec", [127, no_such]))


def run(docker: Played, argv: list[str]) -> int:
    play = docker.play()
    if play.get("run") != "hangs":
        return answer(play["run"]) if "run" in play else 0
    name = argv[argv.index("--name") + 1]
    docker.write({"Id": f"id-of-{name}", "Name": f"/{name}", "State": {"Running": True, "Pid": play["pid"]}, "Config": {}})
    time.sleep(600)
    return 0


COMMANDS: dict[str, Callable[[Played, list[str]], int]] = {
    "container": container,
    "ps": ps,
    "image": image,
    "create": create,
    "start": start,
    "logs": logs,
    "wait": wait,
    "stop": stop,
    "rm": remove,
    "exec": execute,
    "run": run,
}


if __name__ == "__main__":
    sys.exit(main(Path(__file__).parent, sys.argv[1:]))
