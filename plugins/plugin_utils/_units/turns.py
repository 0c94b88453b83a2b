# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""In which order the changed engines of a host are replaced, so that a model with two of them there never stops answering."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any


def turns(units: Sequence[Mapping[str, Any]], restarted: Collection[str], models: Mapping[str, Collection[str]]) -> list[list[str]]:
    """The instances of each turn, the first one first. C(models): by instance, what it answers for at the gateway.

    Two engines of one model are never in the same turn, except on one GPU: what shares a GPU changes together, as memory may move from one
    to the other.
    """
    found: list[list[str]] = []
    answering: list[set[str]] = []
    for together in _on_the_same_gpus(units, restarted):
        theirs = {model for instance in together for model in models.get(instance, ())}
        place = next((number for number, others in enumerate(answering) if not theirs & others), len(found))
        if place == len(found):
            found.append([])
            answering.append(set())
        found[place] += together
        answering[place] |= theirs
    return found


def _on_the_same_gpus(units: Sequence[Mapping[str, Any]], restarted: Collection[str]) -> list[list[str]]:
    groups: list[tuple[set[str], list[str]]] = []
    for unit in units:
        instance = f"{unit['kind']}/{unit['name']}"
        if instance not in restarted:
            continue
        locks = set(unit.get("locks") or ())
        joined = [group for group in groups if group[0] & locks]
        together = ({*locks}.union(*(group[0] for group in joined)), [*(name for group in joined for name in group[1]), instance])
        # In the place of the first of those that it joins.
        place = groups.index(joined[0]) if joined else len(groups)
        groups[place:] = [together, *(group for group in groups[place:] if group not in joined)]
    return [instances for _locks, instances in groups]
