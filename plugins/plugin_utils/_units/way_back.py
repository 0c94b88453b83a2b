# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Which units of a host go back to what they were, after a change that does not hold."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ...module_utils._causes_base import Cause


def instances_that_failed(unproved: Mapping[str, int | None], waited: Mapping[str, Any], proved: Mapping[str, Any]) -> set[str]:
    """Of those that were changed: what M(endpoint_ready) found not ready, or M(unit_releases) refused. All where neither says."""
    if proved.get("refused") is not None:
        return set(proved["refused"])
    if proved.get("failed"):  # the proof itself came to no end
        return set(unproved)
    if not isinstance(waited.get("endpoints"), list):
        return set(unproved)
    return _not_ready(waited) & set(unproved)


def parts_that_failed(units: Sequence[Mapping[str, Any]], found: Mapping[str, Sequence[Mapping[str, Any]]]) -> set[str]:
    """Of engines over several hosts those parts of this host whose engine does not hold, by what its hosts have found.

    C(found): by host what M(endpoint_ready) and M(unit_releases) said there in this run, nothing where they said nothing.
    """
    failed = set()
    for unit in units:
        instance = f"{unit['kind']}/{unit['name']}"
        for member in (unit.get("group") or {}).get("members") or ():
            waited, proved = found.get(member["host"]) or ({}, {})
            refused = [instance] if proved.get("failed") and proved.get("refused") is None else proved.get("refused") or ()
            if instance in {*refused, *_not_ready(waited)}:
                failed.add(instance)
    return failed


def _not_ready(waited: Mapping[str, Any]) -> set[str]:
    # Another run has changed it meanwhile: what it runs now is not this run's to take back.
    others = str(Cause.STALE_SERVER)
    endpoints = waited.get("endpoints") or ()
    return {_instance(str(one["unit"])) for one in endpoints if not one["ready"] and one.get("unit") and one.get("cause") != others}


def _instance(unit: str) -> str:
    kind, _at, name = unit.removesuffix(".service").partition("@")
    return f"{kind}/{name}"


def to_go_back(units: Sequence[Mapping[str, Any]], unproved: Mapping[str, int | None], failed: Collection[str]) -> list[str]:
    """Those that failed, and with each what was changed on the same GPUs: memory may have moved from one to the other. Only what has a
    release can go, and a part of an engine over several hosts only with its other parts, which do not know what failed beside this one."""
    parts = {f"{unit['kind']}/{unit['name']}" for unit in units if unit.get("group")}
    locks = {f"{unit['kind']}/{unit['name']}": set(unit.get("locks") or ()) for unit in units}
    held = {lock for instance in failed for lock in locks.get(instance, ())}
    return [
        instance
        for instance, release in unproved.items()
        if release is not None and (instance in failed or (instance not in parts and locks.get(instance, set()) & held))
    ]
