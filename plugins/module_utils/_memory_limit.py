# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""The bound on the main memory of a container, which Docker can change while it runs: no engine restarts for a new one.

A bound that is below what a container holds would have the kernel end it. cgroup v1 refuses such a bound, v2 does not (the kernel's
cgroup-v2.rst, memory.max), so there what is held is read first. And C(docker update) takes the GPU from a container that got it by NVIDIA's
hook, behind the back of runc (nvidia-docker#515, #1469): that one is left alone.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any, Callable

MIB = 1024 * 1024
#: Where containerd keeps what it gave to runc: one of its own, and one that dockerd started.
_BUNDLES = ("run/containerd", "run/docker/containerd/daemon")
_HOOKS = ("nvidia-container-runtime-hook", "nvidia-container-toolkit", "nvidia-container-cli")
#: A container that holds more than this of its new bound gets it with its next start.
_ROOM = 0.9


def arguments(mib: int) -> list[str]:
    """Arguments of C(docker create), where Docker allows as much swap again, and so does C(update_arguments)."""
    return ["--memory", f"{mib}m"]


def update_arguments(mib: int) -> list[str]:
    return ["--memory", f"{mib}m", "--memory-swap", f"{2 * mib}m"]


def held(pid: int, root: str = "/") -> int | None:
    """Bytes that a process's cgroup holds and could not give back; 0 with cgroup v1, None where it cannot be read."""
    try:
        with open(os.path.join(root, f"proc/{pid}/cgroup"), encoding="ascii", errors="replace") as file:
            groups = file.read()
        if re.search(r"^\d+:(?:[^:\n]*,)?memory(?:,[^:\n]*)?:", groups, re.MULTILINE):
            return 0
        unified = re.search(r"^0::(/.*)$", groups, re.MULTILINE)
        folder = os.path.join(root, "sys/fs/cgroup", unified.group(1).lstrip("/")) if unified else ""
        return held_by(folder)
    except (OSError, ValueError):
        return None


def held_by(folder: str) -> int:
    """The same of a cgroup v2 by its folder; raises OSError or ValueError."""
    with open(os.path.join(folder, "memory.current"), encoding="ascii") as file:
        current = int(file.read())
    with open(os.path.join(folder, "memory.stat"), encoding="ascii") as file:
        stat = dict(line.split(" ", 1) for line in file.read().split("\n") if " " in line)
    return current - int(stat.get("inactive_file", 0)) - int(stat.get("active_file", 0))


def by_hook(container_id: str, root: str = "/") -> bool | None:
    """Whether a hook of NVIDIA's runs for a container; None where what runc was given cannot be read."""
    for folder in _BUNDLES:
        path = os.path.join(root, folder, "io.containerd.runtime.v2.task/moby", container_id, "config.json")
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                hooks = (json.load(file).get("hooks") or {}).get("prestart") or []
            return any(os.path.basename(str(hook.get("path"))) in _HOOKS for hook in hooks)
        except (OSError, ValueError, AttributeError):
            continue
    return None


def _hindrance(container: Any, mib: int, gpu: bool, root: str) -> str:
    """Why a running container's bound cannot be changed now."""
    if gpu and by_hook(container.id, root) is not False:
        return "NVIDIA's hook gave it its GPU, which 'docker update' would take away"
    if container.memory and container.memory < mib * MIB:
        return ""
    holds = held(container.pid, root)
    if holds is None:
        return "what it holds cannot be read"
    return f"it holds {holds / MIB / 1024:.1f} GiB" if holds > _ROOM * mib * MIB else ""


def change(call: Callable[..., Any], container: Any, mib: int | None, gpu: bool, root: str = "/") -> str:
    """Gives a running container its bound, and says what was done; empty where nothing had to be.

    C(call) runs a Docker command; C(container) has C(id), C(pid) and C(memory), its bound in bytes, 0 for none.
    """
    if not mib or container.memory == mib * MIB:
        return ""
    hindrance = _hindrance(container, mib, gpu, root)
    if not hindrance:
        result = call("update", *update_arguments(mib), container.id)
        if result.rc == 0:
            return f"bounds its main memory to {mib / 1024:.1f} GiB, without a restart"
        hindrance = next((line.strip() for line in reversed(result.lines) if line.strip()), "docker update failed")
    return f"the bound of {mib / 1024:.1f} GiB on its main memory comes with its next start: {hindrance}"
