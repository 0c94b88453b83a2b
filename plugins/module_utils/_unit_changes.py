# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What a change of an instance is, in words, and which changes of a host wait because another one of them is refused."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_flags as docker_flags
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import ENV_FILE, SERVICE_FILE


@dataclass(frozen=True)
class Change:
    """An instance that a run starts, replaces or removes, and what it has or takes of that which only one can have: GPUs, ports, main
    memory that another one frees."""

    instance: str
    holds: frozenset[str] = frozenset()  # what its running container keeps for as long as it is not stopped
    takes: frozenset[str] = frozenset()
    serves: bool = False
    leaves: bool = False


def held_back(changes: Sequence[Change], refused: Collection[str]) -> dict[str, str]:
    """Which further changes wait for the next run, and why, when some are refused: nobody may lose what serves for a part of a change.

    - What leaves the host may be what a refused one was to replace, so it stays.
    - What goes on serving keeps its GPUs and ports. A change that needs them would stop its own container and then not start.
    """
    if not refused:
        return {}
    waiting: dict[str, str] = {}
    for change in changes:
        if change.leaves and change.serves:
            waiting[change.instance] = "it goes when the others have come"
    while True:
        staying = [change for change in changes if change.serves and (change.instance in refused or change.instance in waiting)]
        before = len(waiting)
        for change in changes:
            if change.instance in refused or change.instance in waiting or change.leaves:
                continue
            for other in staying:
                shared = sorted(change.takes & other.holds)
                if shared and other.instance != change.instance:
                    waiting[change.instance] = f"{other.instance} goes on serving with {', '.join(shared)}"
                    break
        if len(waiting) == before:
            return waiting


def joined(changes: Sequence[Change]) -> list[tuple[str, str]]:
    """Pairs of which one takes what the other one holds: such two change together."""
    return [
        (change.instance, other.instance)
        for change in changes
        for other in changes
        if change.instance != other.instance and not other.leaves and change.takes & other.holds
    ]


def regrouped(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Of a part of an engine over several hosts the hosts that have to change with it, from its files before and after."""
    old, new = (read_service(texts).get("group") or {} for texts in (before, after))
    return [member["host"] for member in new["members"]] if new and old.get("digest") != new["digest"] else []


def change_of(
    instance: str, before: Mapping[str, str], after: Mapping[str, str], ports: Collection[docker_flags.Port], serves: bool
) -> Change:
    """From an instance's files before and after, none where it comes or leaves, and the ports of the host that its container has now."""
    old, new = read_service(before), read_service(after)
    holds = _named(old.get("locks") or (), ports) if serves else frozenset()
    takes = _named(new.get("locks") or (), _ports(new))
    room = (old.get("memory_limit_mib") or 0) - (new.get("memory_limit_mib") or 0)
    if room > 0 and serves and not old.get("locks"):
        holds |= {"main memory"}
    if room < 0 and not new.get("locks"):
        takes |= {"main memory"}
    return Change(instance, holds, takes, serves, leaves=not after)


def _ports(service: Mapping[str, t.Any]) -> set[docker_flags.Port]:
    words = [str(word) for word in service.get("docker_arguments") or ()]
    publications = (docker_flags.publication(value) for value in docker_flags.values(words, "publish"))
    return {port for publication in publications if publication is not None for port in publication.ports}


def _named(locks: Collection[str], ports: Collection[docker_flags.Port]) -> frozenset[str]:
    return frozenset({f"GPU {lock}" for lock in locks} | {f"port {number}/{protocol}" for protocol, number in ports})


def read_service(texts: Mapping[str, str]) -> dict[str, t.Any]:
    """The service.json among an instance's files; empty where there is none that can be read."""
    try:
        document = json.loads(texts[SERVICE_FILE])
    except (KeyError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def what_differs(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """What makes another container of an instance's files, in words that hold no value which could be secret."""
    old, new = read_service(before), read_service(after)
    told = []
    if old.get("image") != new.get("image"):
        told.append(f"image {old.get('image')} -> {new.get('image')}")
    told += _arguments(old.get("docker_arguments") or (), new.get("docker_arguments") or ())
    named_keys = {"command": "command", "entrypoint": "entrypoint", "networks": "networks", "locks": "GPUs", "pull_models": "models"}
    told += [words for key, words in named_keys.items() if (old.get(key) or None) != (new.get(key) or None)]
    own = {SERVICE_FILE, ENV_FILE}
    told += [f"file {name}" for name in sorted({*before, *after} - own) if before.get(name) != after.get(name)]
    told += [f"variable {name}" for name in _variables(before.get(ENV_FILE, ""), after.get(ENV_FILE, ""))]
    return ", ".join(told)


def _arguments(before: Sequence[str], after: Sequence[str]) -> list[str]:
    old, new = (
        [f"--{flag.name} {flag.value.partition('=')[0] if flag.name == 'env' else flag.value}" for flag in docker_flags.read(words)[0]]
        for words in (before, after)
    )
    return [f"without {word}" for word in old if word not in new] + [f"with {word}" for word in new if word not in old]


def _variables(before: str, after: str) -> list[str]:
    old, new = (dict(line.partition("=")[::2] for line in text.split("\n") if line) for text in (before, after))
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
