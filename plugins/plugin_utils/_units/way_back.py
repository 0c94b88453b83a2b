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
    endpoints = waited.get("endpoints")
    if not isinstance(endpoints, list):
        return set(unproved)
    # Another run has changed it meanwhile: what it runs now is not this run's to take back.
    others = str(Cause.STALE_SERVER)
    failed = {_instance(str(one["unit"])) for one in endpoints if not one["ready"] and one.get("unit") and one.get("cause") != others}
    return failed & set(unproved)


def _instance(unit: str) -> str:
    kind, _at, name = unit.removesuffix(".service").partition("@")
    return f"{kind}/{name}"


def to_go_back(units: Sequence[Mapping[str, Any]], unproved: Mapping[str, int | None], failed: Collection[str]) -> list[str]:
    """Those that failed, and with each what was changed on the same GPUs: memory may have moved from one to the other. Only what has a
    release can go, and no part of an engine over several hosts: its other parts would not follow."""
    parts = {f"{unit['kind']}/{unit['name']}" for unit in units if unit.get("group")}
    locks = {f"{unit['kind']}/{unit['name']}": set(unit.get("locks") or ()) for unit in units}
    held = {lock for instance in failed for lock in locks.get(instance, ())}
    return [
        instance
        for instance, release in unproved.items()
        if release is not None and instance not in parts and (instance in failed or locks.get(instance, set()) & held)
    ]
