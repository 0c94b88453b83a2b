# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Which services of a host can run side by side: names, ports, and engines that several services share."""

from __future__ import annotations

from collections.abc import Sequence

from .host_findings import HostFindings
from .model import INVALID_PORT, Service
from .task import Task


def without_collisions(told: HostFindings, tasks: Sequence[Task], gateway_port: int | None) -> list[Task]:
    names: dict[str, Task] = {}
    ports: dict[int, Task] = {}
    kept: list[Task] = []
    for task in tasks:
        where, name = task.service.path, task.service.name
        good = True
        if name in names:
            told.add(f"{where}.name", name, f"is the name of {names[name].service.path} too; give one of them another name")
            good = False
        names.setdefault(name, task)
        if task.port == INVALID_PORT:
            continue
        other = ports.setdefault(task.port, task)
        if gateway_port is not None and task.port == gateway_port:
            told.add(f"{where}.port", task.port, "is the port of the gateway on this host (inference_gateway.port)")
            good = False
        elif other is not task and not (task.engine is other.engine and task.engine.shares_port):
            told.add(
                f"{where}.port",
                task.port,
                f"is the port of {other.service.path} ({other.service.name}) too; give one of them another port",
            )
            good = False
        elif other is not task:
            good = _can_share(told, task, other) and good
        if good:
            kept.append(task)
    return kept


def _can_share(told: HostFindings, task: Task, other: Task) -> bool:
    """Services of one instance must agree on what an instance has only once."""
    differing = [
        (key, mine)
        for key, mine, theirs in (
            ("device", task.device, other.device),
            ("gpus", list(task.pins), list(other.pins)),
            ("image", task.image, other.image),
            ("env", dict(task.env), dict(other.env)),
            ("host_memory", _shown_bound(task.service), _shown_bound(other.service)),
            ("pull", task.service.pull, other.service.pull),
            (
                "container_extra_arguments",
                list(task.service.container_extra_arguments),
                list(other.service.container_extra_arguments),
            ),
        )
        if mine != theirs
    ]
    for key, mine in differing:
        told.add(
            f"{task.service.path}.{key}",
            mine,
            f"{other.service.path} on the same port has another one, and services on one port share an {task.engine.title} instance; "
            "use another port or make them equal",
        )
    return not differing


def _shown_bound(service: Service) -> str | bool | None:
    return service.host_memory.text if service.host_memory is not None else None if service.host_memory_bounded else False
