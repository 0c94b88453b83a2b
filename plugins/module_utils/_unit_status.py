# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.
"""What is known of the units of a node: from systemd, Docker, the launcher's state files and nvidia-smi, each asked once."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._moments import Moment, seconds_since
except ImportError:  # on the node the files lie side by side
    from _moments import Moment, seconds_since  # type: ignore[import-not-found,no-redef]

_SIZE = re.compile(r"^([0-9.]+)\s*([KMGT]?i?B)$")
_UNITS: Mapping[str, float] = {
    "B": 1 / 1048576,
    "KiB": 1 / 1024,
    "kB": 1000 / 1048576,
    "MiB": 1,
    "MB": 1e6 / 1048576,
    "GiB": 1024,
    "GB": 1e9 / 1048576,
}


@dataclass(frozen=True)
class UnitStatus:
    """One row. Times are seconds, sizes MiB; None is "not known" and never "none"."""

    unit: str
    kind: str
    name: str
    active: str
    phase: str | None
    percent: int | None
    detail: str
    #: Where it answers, as its host reaches it.
    url: str | None
    uptime: int | None
    #: From its start until it had answered, the last time.
    ready_after: int | None
    restarts: int
    memory_mib: int | None
    gpu_memory_mib: int | None
    image: str | None
    image_digest: str | None
    #: Of the configuration that it is to have.
    config_hash: str | None
    cause: str | None
    message: str | None
    remedy: str | None
    failed_ago: int | None


def parse_size_mib(text: str) -> int | None:
    """C(docker stats) sizes, such as C(812.4MiB)."""
    match = _SIZE.match(text.strip())
    if not match or match.group(2) not in _UNITS:
        return None
    return round(float(match.group(1)) * _UNITS[match.group(2)])


def parse_stats(text: str) -> dict[str, int]:
    """Memory in MiB by container, from C(docker stats --format '{{.Name}}\\t{{.MemUsage}}')."""
    found = {}
    for line in text.split("\n"):
        name, _tab, usage = line.partition("\t")
        size = parse_size_mib(usage.split("/")[0])
        if size is not None:
            found[name] = size
    return found


def parse_containers(text: str) -> dict[str, tuple[str, str]]:
    """Container id and image id by name, from C(docker inspect --format '{{.Name}}\\t{{.Id}}\\t{{.Image}}')."""
    rows = (line.split("\t") for line in text.split("\n"))
    return {row[0].lstrip("/"): (row[1], row[2]) for row in rows if len(row) == 3}


def parse_digests(text: str) -> dict[str, str]:
    """Digest by image id, from C(docker image inspect --format '{{.Id}}\\t{{json .RepoDigests}}').

    An image that was built here has none from a registry: then its own id says what it is.
    """
    found = {}
    for line in filter(None, text.split("\n")):
        identity, _tab, digests = line.partition("\t")
        first = (json.loads(digests or "null") or [""])[0]
        found[identity] = first.partition("@")[2] or identity
    return found


def gpu_memory(compute_apps: str, cgroups: Mapping[str, str], containers: Mapping[str, tuple[str, str]]) -> dict[str, int]:
    """GPU memory in MiB by container.

    C(nvidia-smi --query-compute-apps=pid,used_memory --format=csv,noheader,nounits) names processes of the host; their
    cgroup path holds the container's id. Unified memory answers C([N/A]), which is left out.
    """
    found: dict[str, int] = {}
    for line in compute_apps.split("\n"):
        pid, _comma, used = (part.strip() for part in line.partition(","))
        if not used.isdigit():
            continue
        for name, (container_id, _image) in containers.items():
            if container_id and container_id in cgroups.get(pid, ""):
                found[name] = found.get(name, 0) + int(used)
    return found


def number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0


def ready_after(state: Mapping[str, Any]) -> float | None:
    """Seconds from the start of a unit until it had answered, the last time, by the state file of its launcher."""
    moments = state.get("monotonic") or {}
    started, ready = moments.get("started"), moments.get("ready_at")
    return round(ready - started, 3) if isinstance(started, (int, float)) and isinstance(ready, (int, float)) and ready >= started else None


def assemble(
    instances: Sequence[tuple[str, str]],
    *,
    units: Mapping[str, Mapping[str, str]],
    states: Mapping[str, Mapping[str, Any]],
    services: Mapping[str, Mapping[str, Any]],
    containers: Mapping[str, tuple[str, str]],
    digests: Mapping[str, str],
    memory: Mapping[str, int],
    gpu: Mapping[str, int],
    now: Moment,
) -> list[UnitStatus]:
    """One row per instance (kind, name), sorted by kind and name; keys of C(states) and C(services) are unit names."""
    rows = []
    for kind, name in sorted(instances):
        unit, container = f"{kind}@{name}.service", f"{kind}-{name}"
        shown = units.get(unit, {})
        state = states.get(unit) or {}
        ready_for, started_for = seconds_since(state, "ready_at", now), ready_after(state)
        active = shown.get("ActiveState") or "inactive"
        image_id = containers[container][1] if container in containers else ""
        service = services.get(unit) or {}
        # An instance that is ready again has no cause any more, but a last failure.
        failure = state if state.get("cause") else state.get("last_failure") or {}
        failed_ago = seconds_since(failure, "at", now) if failure.get("at") else seconds_since(state, "since", now)
        rows.append(
            UnitStatus(
                unit=unit,
                kind=kind,
                name=name,
                active=active,
                phase=state.get("phase"),
                percent=state.get("percent"),
                detail=str(state.get("detail") or ""),
                url=(service.get("probe") or {}).get("base_url"),
                uptime=int(ready_for) if ready_for is not None and active == "active" else None,
                ready_after=None if started_for is None else round(started_for),
                restarts=number(shown.get("NRestarts")),
                memory_mib=memory.get(container),
                gpu_memory_mib=gpu.get(container),
                image=service.get("image"),
                image_digest=digests.get(image_id),
                config_hash=service.get("config_hash"),
                cause=failure.get("cause"),
                message=failure.get("message"),
                remedy=failure.get("remedy"),
                failed_ago=int(failed_ago) if failure.get("cause") and failed_ago is not None else None,
            )
        )
    return rows
