# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What the services of a host get of its GPUs' memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .findings import Size
from .host_findings import HostFindings
from .main_memory import Offload
from .memory import Ask, Grant, gib, settle
from .task import Task


def grants_of(told: HostFindings, tasks: Sequence[Task]) -> list[Grant | None]:
    """The grant of each service, those that share an instance the same one; what does not fit is told."""
    hardware = told.hardware
    joined: list[Ask] = []
    owner: list[int] = []
    first: dict[int, int] = {}  # by port, of services that share an instance: they go where the first one goes
    offloads: dict[int, tuple[Task, Offload]] = {}
    for task in tasks:
        ask = _ask(told, task)
        if task.engine.shares_port and task.port in first:
            target = first[task.port]
            joined[target] = _join(joined[target], ask)
            owner.append(target)
            continue
        first[task.port] = len(joined)
        owner.append(len(joined))
        joined.append(ask)
        for item in task.offloads:
            offloads[len(joined)] = (task, item)
            joined.append(Ask(f"{task.service.name} ({item.name})", count=0, size=Size(gib(item.mib), mib=item.mib)))
        if not task.engine.takes_share and ask.size is None and task.device == "gpu":
            told.warn(f"{task.service.path} gives no memory, so the ledger does not know what {task.engine.title} takes")
    ledger = settle(joined, hardware, told.host.settings.gpu_reserve)
    for position, problem in ledger.problems:
        if position in offloads:
            task, item = offloads[position]
            where = (task.variable_path if item.variable else task.argument_path)(item.name, told.platform.name)
            value = (task.env if item.variable else task.engine_args).get(item.name)
            told.judge(where, value, f"{problem}. Give less, or use another host")
            continue
        culprit = tasks[owner.index(position)]
        size = culprit.service.memory
        remedy = "Give less memory, use another GPU or host, or lower inference_gpu_reserve"
        if culprit.device == "cpu" and not (hardware is not None and hardware.unified):
            remedy = "Give less memory, or use another host"  # the reserve of main memory is fixed
        told.judge(f"{culprit.service.path}.memory", size.text if size else None, f"{problem}. {remedy}")
    grants = [ledger.grants[target] for target in owner]
    _unknown_memory(told, tasks, grants)
    return grants


def _ask(told: HostFindings, task: Task) -> Ask:
    hardware, service = told.hardware, task.service
    shunned = frozenset(device.key for device in task.engine.shuns(hardware))
    if hardware is not None and len(shunned) == len(hardware.devices):
        shunned = frozenset()  # refused already
    return Ask(
        name=service.name,
        count=task.count,
        size=service.memory,
        pins=task.pins,
        rest=task.engine.takes_share and task.device == "gpu" and service.memory is None,
        shun=shunned,
        relative=task.engine.takes_share,
    )


def _join(first: Ask, second: Ask) -> Ask:
    """Two services of one instance as one ask."""
    if first.size is None or second.size is None:
        return Ask(first.name, first.count, first.size or second.size, first.pins or second.pins)
    if first.size.mib is not None and second.size.mib is not None:
        size = replace(first.size, mib=first.size.mib + second.size.mib)
    elif first.size.fraction is not None and second.size.fraction is not None:
        size = replace(first.size, fraction=first.size.fraction + second.size.fraction)
    else:
        size = first.size if first.size.mib is not None else second.size
    return Ask(first.name, first.count, size, first.pins or second.pins)


def _unknown_memory(told: HostFindings, tasks: Sequence[Task], grants: Sequence[Grant | None]) -> None:
    """A GPU whose memory is not known is the same alone and beside others: a size cannot be a share of it, and sums are not checked."""
    hardware = told.hardware
    names = {device.key: f"GPU {device.index} ({device.name})" for device in hardware.devices} if hardware is not None else {}
    unknown: list[str] = []
    for task, grant in zip(tasks, grants):
        if task.device != "gpu" or (grant is not None and grant.total is not None) or (grant is None and names):
            continue
        which = [names[key] for key in (grant.devices if grant else ()) if key in names]
        unknown += which
        size = task.service.memory
        if task.engine.takes_share and size is not None and size.mib is not None and told.host.in_play:
            told.add(
                f"{task.service.path}.memory",
                size.text,
                f"the memory of {', '.join(which) or 'the host GPU'} is not known; declare it in inference_hardware, or give a "
                "fraction such as 0.38",
            )
        elif not which:
            unknown.append("the GPUs")
    if unknown:
        told.warn(
            f"the memory of {', '.join(dict.fromkeys(unknown))} is not known, so the sum of the services is not checked; declare it in "
            "inference_hardware"
        )
