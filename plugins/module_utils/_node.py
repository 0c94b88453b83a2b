# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""What launcher and reconciler have in common on a node: names, owner marker, locks and state files."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

OWNER = "llmops.gpu_inference"
LABEL = "io.llmops.gpu-inference."
SERVICE_FILE = "service.json"
ENV_FILE = "env"


def unit_name(kind: str, name: str) -> str:
    return f"{kind}@{name}.service"


def container_name(kind: str, name: str) -> str:
    return f"{kind}-{name}"


def predecessors(container: str) -> tuple[str, str]:
    """Containers that a handover leaves behind: the one that has the published port, and one that ends what it has begun."""
    return f"{container}-port", f"{container}-before"


def safe_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", text)


@dataclass(frozen=True)
class Instance:
    """What an instance is called: in our own words, by systemd, and by Docker."""

    kind: str
    name: str

    @property
    def instance(self) -> str:
        return f"{self.kind}/{self.name}"

    @property
    def unit(self) -> str:
        return unit_name(self.kind, self.name)

    @property
    def container(self) -> str:
        return container_name(self.kind, self.name)


@dataclass(frozen=True)
class Paths:
    """Where things lie on a node. Tests choose other places."""

    instances: Path = Path("/etc/gpu-inference/instances")
    runtime: Path = Path("/run/gpu-inference")
    docker: str = "docker"
    lasting: Path = Path("/var/lib/gpu-inference")  # what outlives a reboot; models may be kept elsewhere (inference_data_dir)

    def folder(self, kind: str, name: str) -> Path:
        return self.instances / kind / name

    def state(self, kind: str, name: str) -> Path:
        return self.runtime / "state" / f"{kind}@{name}.json"

    def history(self, kind: str, name: str) -> Path:
        return self.runtime / "state" / f"{kind}@{name}.history"

    def served(self, kind: str, name: str) -> Path:
        return self.lasting / "served" / f"{kind}@{name}.json"

    def releases(self, kind: str, name: str) -> Path:
        return self.lasting / "releases" / f"{kind}@{name}"

    def group(self, kind: str, name: str) -> Path:
        return self.lasting / "groups" / f"{kind}@{name}.json"

    def gpu_lock(self, lock: str) -> Path:
        return self.runtime / "locks" / f"gpu-{safe_name(lock)}.lock"

    def instance_lock(self, kind: str, name: str) -> Path:
        return self.runtime / "locks" / f"instance-{kind}@{name}.lock"

    @property
    def run_lock(self) -> Path:
        return self.runtime / "reconcile.lock"


class FileLock:
    """flock on one file. The kernel frees it with the process, however that ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None

    @property
    def held(self) -> bool:
        return self._file is not None

    def try_lock(self, text: str = "") -> bool:
        if self._file is not None:
            return True
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = open(self.path, "a+", encoding="utf-8")  # noqa: SIM115 - kept open while locked
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.close()
            return False
        handle.seek(0)
        handle.truncate()
        handle.write(text)
        handle.flush()
        self._file = handle
        return True

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def is_locked(path: Path) -> bool:
    """Whether somebody holds the FileLock on this file."""
    try:
        with open(path, encoding="utf-8") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def holder_of(path: Path) -> str | None:
    """Who holds the lock of a run, or was the last one to hold it, in words."""
    holder = read_json(path)
    if holder is None:
        return None
    return f"{holder.get('by') or 'an unknown run'}, since {holder.get('since', '?')}, process {holder.get('pid', '?')} on this host"


def write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(temporary, "w", encoding="utf-8") as handle:
        os.fchmod(handle.fileno(), mode)
        handle.write(text)
    os.replace(temporary, path)


def program_hash(folder: Path) -> str:
    """Of the launcher's program files in this folder; empty where they cannot be read."""
    digest = hashlib.sha256()
    try:
        for file in sorted(folder.glob("_*.py")):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    except OSError:
        return ""
    return digest.hexdigest()


def read_json(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def is_ours(document: Mapping[str, Any] | None) -> bool:
    """Whether a service.json carries our owner marker."""
    return document is not None and document.get("owner") == OWNER
