# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""From what hosts have to a first inventory: its data, which the plan has accepted, and its text with comments."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._gateway.plain import yaml_line
from .._plan.memory import gib, pools_of
from .._plan.plan import PlanError, build_plan
from .._plan.platform import Hardware, mig_remedy, read_hardware
from .._platforms.base import Platform
from .._platforms.registry import EXPECTATIONS
from .offers import Choice, Share, choose

_GATEWAY = {"port": 8400}


class InitError(Exception):
    """What is in the way of an inventory, a sentence for each host."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(f"  {number}. {problem}" for number, problem in enumerate(problems, 1)))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Seen:
    """A host as it was asked.

    C(connection): its C(ansible_*) variables, none of them a secret. C(local): no other machine reaches it by this name.
    C(said): what came back instead of facts.
    """

    name: str
    facts: Mapping[str, Any]
    connection: Mapping[str, Any]
    local: bool = False
    said: str = ""


@dataclass(frozen=True)
class FirstInventory:
    """C(data) is what C(text) says, C(summary) the same in a few lines."""

    data: dict[str, Any]
    text: str
    summary: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Node:
    seen: Seen
    hardware: Hardware
    platform: Platform
    choice: Choice

    @property
    def group(self) -> str:
        """Below C(inference_nodes); empty where its platform has none."""
        return self.platform.name if self.platform.has_group else ""


def first_inventory(hosts: Sequence[Seen], *, schema: str, file: str) -> FirstInventory:
    """The inventory of these hosts, which C(build_plan) takes; else L(InitError) with all that is in the way.

    C(schema): path of the editors' schema, from the file. C(file): its name in the commands that the text names.
    """
    nodes: list[_Node] = []
    problems: list[str] = []
    for seen in hosts:
        try:
            nodes.append(_node(seen))
        except InitError as error:
            problems += error.problems
    if problems:
        raise InitError(problems)
    names = _names(nodes)
    services = {node.seen.name: _services(node, names) for node in nodes}
    alike = len({json.dumps(entry, sort_keys=True) for entry in services.values()}) == 1
    # A gateway elsewhere cannot reach engines on a host that is only known as the machine itself.
    gateway = next((node.seen.name for node in nodes if node.seen.local), nodes[0].seen.name)
    groups: dict[str, dict[str, Any]] = {}
    for node in nodes:
        own = {**node.seen.connection, **({} if node.group else {"inference_platform": node.platform.name})}
        groups.setdefault(node.group, {})[node.seen.name] = own if alike else {**own, "inference_services": services[node.seen.name]}
    models = {names[share.model.name]: dict(share.model.entry) for node in nodes for share in _shares(node.choice)}
    variables: dict[str, Any] = {"inference_models": models}
    if alike:
        variables["inference_services"] = services[gateway]
    variables["inference_gateway"] = dict(_GATEWAY)
    nodes_group: dict[str, Any] = {}
    if "" in groups:
        nodes_group["hosts"] = groups[""]
    if set(groups) - {""}:
        nodes_group["children"] = {name: {"hosts": groups[name]} for name in EXPECTATIONS if name in groups}
    data = {"all": {"children": {"inference_nodes": nodes_group, "gateways": {"hosts": {gateway: {}}}}, "vars": variables}}
    warnings = _planned(nodes, groups, variables, gateway)
    return FirstInventory(data, _text(nodes, data, schema, file), tuple(_summary(nodes, names)), warnings)


def _node(seen: Seen) -> _Node:
    hardware = read_hardware(seen.facts, "facts")
    if hardware is None:
        raise InitError([f"{seen.name}: its hardware could not be read. {_one_line(seen.said)}".rstrip()])
    platform = hardware.kind
    if platform.has_gpu and hardware.driver_state in ("missing", "mismatch"):
        raise InitError([f"{seen.name}: {hardware.driver_message}"])
    if platform.has_gpu and not hardware.devices:
        raise InitError([f"{seen.name}: {mig_remedy(device)}" for device in hardware.unsliced] or [f"{seen.name}: no GPU is there to use"])
    choice = choose(hardware, platform)
    if choice is None:
        raise InitError([f"{seen.name}: there is too little memory for the smallest model that is offered here. It has {_has(hardware)}"])
    return _Node(seen, hardware, platform, choice)


def _shares(choice: Choice) -> list[Share]:
    return [choice.offer.chat, *([choice.embedding] if choice.embedding else [])]


def _names(nodes: Sequence[_Node]) -> dict[str, str]:
    """Names at the gateway: C(chat) and C(embedding) for those of the first host that has one; another model is called by its own name."""
    names: dict[str, str] = {}
    for node in nodes:
        for role, share in zip(("chat", "embedding"), _shares(node.choice)):
            names.setdefault(share.model.name, share.model.name if role in names.values() else role)
    return names


def _services(node: _Node, names: Mapping[str, str]) -> list[dict[str, Any]]:
    pins = (node.choice.gpus, node.choice.embedding_gpus)
    return [
        {
            "model": names[share.model.name],
            "port": share.port,
            "memory": _size(share.gib),
            **({"gpus": [int(pin) if pin.isdecimal() else pin for pin in pinned]} if pinned else {}),
            **share.keys,
        }
        for share, pinned in zip(_shares(node.choice), pins)
    ]


def _size(amount: float) -> str:
    return f"{amount:g}GiB"


def _planned(nodes: Sequence[_Node], groups: Mapping[str, Any], variables: Mapping[str, Any], gateway: str) -> tuple[str, ...]:
    """Warnings of the plan; L(InitError) with what it would refuse, an old driver for instance."""
    plain = {
        node.seen.name: {
            "groups": ["inference_nodes", *(["gateways"] if node.seen.name == gateway else [])],
            "vars": {
                **variables,
                **groups[node.group][node.seen.name],
                **({"inference_platform_expected": node.group} if node.group else {}),
            },
            "hardware": node.seen.facts,
            "known_hardware": None,
        }
        for node in nodes
    }
    try:
        plan = build_plan({"hosts": plain, "in_play": list(plain)})
    except PlanError as error:
        raise InitError([str(finding) for finding in error.findings]) from None
    return tuple(plan["warnings"])


def _has(hardware: Hardware) -> str:
    """What a host has, in a line."""
    memory = f"{gib(hardware.memory_mib)} of memory" if hardware.memory_mib else "memory of unknown size"
    if not hardware.devices or not hardware.kind.has_gpu:
        return f"no GPU, {memory}"
    if hardware.unified:
        return f"{hardware.devices[0].name}, {memory} that CPU and GPU share"
    cards = ", ".join(f"{device.name} ({gib(device.memory_mib) if device.memory_mib else 'memory unknown'})" for device in hardware.devices)
    return f"{cards}, {memory}"


def _summary(nodes: Sequence[_Node], names: Mapping[str, str]) -> Iterator[str]:
    for node in nodes:
        yield f"{node.seen.name}: {_has(node.hardware)}"
        for share in _shares(node.choice):
            yield f"  {names[share.model.name]}: {share.model.entry['source']}, {_size(share.gib)}"


def _text(nodes: Sequence[_Node], data: Mapping[str, Any], schema: str, file: str) -> str:
    lines = [
        f"# yaml-language-server: $schema={schema}",
        "---",
        "# A first inventory, which llmops.gpu_inference.init made from what the hosts have. It is yours to change.",
        *(f"#   {node.seen.name}: {_has(node.hardware)}" for node in nodes),
        "# See what would run and whether it fits, then do it (with -K where sudo asks for a password):",
        f"#   ansible-playbook llmops.gpu_inference.plan -i {file}",
        f"#   ansible-playbook llmops.gpu_inference.site -i {file}",
    ]
    comments: dict[str, list[str]] = {"inference_models": [], "inference_services": []}
    origins = dict.fromkeys(node.choice.offer.origin for node in nodes)
    comments["inference_models"].append("What clients can ask for, by these names and by the names of the sources.")
    comments["inference_services"].append(
        "What runs, with its share of each GPU, or of main memory where there is none. The figures come from"
    )
    comments["inference_services"].append("; ".join(origins) + ".")
    for node in nodes:
        comments["inference_services"] += [f"{node.seen.name}: {line}" for line in _remarks(node)]
    alike = "inference_services" in data["all"]["vars"]
    if not alike:
        comments = {"inference_models": [*comments["inference_models"], *comments["inference_services"]]}
    return "\n".join([*map(_one_line, lines), *_block(data, 0, comments)]) + "\n"


def _one_line(comment: str) -> str:
    """What programs say, as nvidia-smi of its driver, may have line breaks."""
    return " ".join(comment.split()) if "\n" in comment else comment


def _remarks(node: _Node) -> list[str]:
    """What was left out, and what is still free."""
    choice, found = node.choice, []
    if node.hardware.driver_state == "no_gpu":
        found.append(f"it serves on the CPU, because: {node.hardware.driver_message}")
    if choice.embedding is None and choice.offer.embedding is not None:
        found.append("an embedding model does not fit beside it.")
    used = {*choice.gpus, *choice.embedding_gpus}
    free = [d for d in node.hardware.devices if not {d.key, d.index} & used] if used else []
    if free:
        found.append(f"free for more services, by their key gpus: {', '.join(d.key if d.is_slice else d.index for d in free)}.")
    if not used:
        pools, _pool_of = pools_of(node.hardware, {})
        (pool,) = [pool for key, pool in pools.items() if not node.platform.has_gpu or node.hardware.unified or key != "host"]
        left = (pool.usable or 0.0) - 1024 * sum(share.gib for share in _shares(choice))
        found.append(f"{gib(left)} of {gib(pool.usable or 0.0)} for services are left.")
    return found


def _block(value: Mapping[str, Any], depth: int, comments: Mapping[str, Sequence[str]]) -> list[str]:
    """A mapping in block style, down to hosts, models and services, which are a line each."""
    indent, lines = "  " * depth, []
    for key, item in value.items():
        lines += [f"{indent}# {_one_line(line)}" for line in comments.get(key, ())] if depth > 1 else []
        if isinstance(item, list) and key == "inference_services":
            lines += [f"{indent}{key}:", *(f"{indent}  - {yaml_line(entry)}" for entry in item)]
        elif isinstance(item, dict) and item and (key in _BLOCKS or "inference_services" in item):
            lines += [f"{indent}{yaml_line(key)}:", *_block(item, depth + 1, comments)]
        else:
            lines.append(f"{indent}{yaml_line(key)}: {yaml_line(item)}")
    return lines


_BLOCKS = frozenset({"all", "children", "inference_nodes", "gateways", "hosts", *EXPECTATIONS, "vars", "inference_models"})
