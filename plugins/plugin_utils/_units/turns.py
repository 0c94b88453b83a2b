# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""In which order the changed engines of a host are replaced, so that a model with two of them there never stops answering."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence


def turns(instances: Sequence[str], models: Mapping[str, Collection[str]], joined: Sequence[Sequence[str]] = ()) -> list[list[str]]:
    """The instances of each turn, the first one first. C(models): by instance, what it answers for at the gateway.

    Two engines of one model are never in the same turn, unless they are joined: of two that are, one takes a GPU, a port or memory that the
    other one holds until it stops.
    """
    found: list[list[str]] = []
    answering: list[set[str]] = []
    for together in _together(instances, joined):
        theirs = {model for instance in together for model in models.get(instance, ())}
        place = next((number for number, others in enumerate(answering) if not theirs & others), len(found))
        if place == len(found):
            found.append([])
            answering.append(set())
        found[place] += together
        answering[place] |= theirs
    return found


def _together(instances: Sequence[str], joined: Sequence[Sequence[str]]) -> list[list[str]]:
    groups = [[instance] for instance in dict.fromkeys(instances)]
    for one, other in joined:
        first = next((group for group in groups if one in group), None)
        second = next((group for group in groups if other in group), None)
        if first is not None and second is not None and first is not second:
            first += second
            groups.remove(second)
    return groups
