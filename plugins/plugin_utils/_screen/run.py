# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What a run did on its hosts, out of the results that its tasks registered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FAILED, LEFT_OUT = "failed", "not in this run"


@dataclass(frozen=True)
class Touched:
    """A unit for which something was done, would be done, or was refused. Of one that was kept nothing is told."""

    host: str
    instance: str
    action: str
    reason: str
    #: Seconds until it had answered; None where nobody waited for it, or in vain.
    ready_after: float | None = None


@dataclass(frozen=True)
class Run:
    """C(served): hosts of this run whose engines have answered in it. C(failed): hosts that failed, or were never reached."""

    touched: Sequence[Touched] = ()
    kept: int = 0
    engines: frozenset[str] = frozenset()
    gateways: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()
    check_mode: bool = False

    def trouble(self, host: str, served: frozenset[str]) -> str:
        """Why nothing can be said of what the host serves; empty where it serves."""
        if host in self.failed:
            return FAILED
        return "" if host in served else LEFT_OUT


def run_of(
    reconciled: Mapping[str, Sequence[Any]],
    waits: Mapping[str, Any],
    engines: Sequence[str],
    gateways: Sequence[str],
    failed: Sequence[str],
    check_mode: bool,
) -> Run:
    """By host, the results of container_units, earlier ones first, and that of endpoint_ready; each may be missing, skipped or failed."""
    touched, kept = [], 0
    for host, results in reconciled.items():
        wait = waits.get(host)
        endpoints = (wait.get("endpoints") if isinstance(wait, Mapping) else None) or ()
        ready = {one.get("unit"): one.get("waited") for one in endpoints if one.get("ready")}
        done: set[str] = set()  # by an earlier result, after which the later ones keep it
        for result in results:
            units = (result.get("units") if isinstance(result, Mapping) else None) or {}
            replaced = result.get("replaced") or () if units else ()
            for instance, unit in units.items():
                action, started = str(unit["action"]), unit["action"] in ("start", "restart")
                if action == "keep" and instance in replaced:
                    touched.append(Touched(host, instance, "replace", "files that it reads while it runs"))
                elif action == "keep":
                    kept += instance not in done
                else:
                    after = ready.get(unit.get("unit")) if started else None
                    touched.append(Touched(host, instance, action, str(unit.get("reason") or ""), after))
                    done.add(instance)
    return Run(tuple(touched), kept, frozenset(engines), frozenset(gateways), frozenset(failed), check_mode)
