# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What a run of the playbook benchmark found, out of the results that its tasks registered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ...module_utils._node import safe_name
from .._report.version import version
from .options import GATEWAY
from .page import benchmark_page
from .results import document, outcome, summary
from .screen import result_table

#: The unit of the gateway on its host.
_GATEWAY_UNIT = "litellm@gateway"


def documents(results: Sequence[Mapping[str, Any]], host: str, units: Mapping[str, Any], gateways: Sequence[str]) -> list[dict[str, Any]]:
    """What a host is to keep. C(results): those of a loop over targets with module benchmark; C(units): by host, what runs there."""
    gateway = next(iter(gateways), None)
    unit = (gateway, _GATEWAY_UNIT) if gateway is not None else None
    found = [document(target, one, host, units, unit, version()) for target, one in _of_targets(results)]
    return [one for one in found if one is not None]


def _of_targets(results: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    return [(one[one["ansible_loop_var"]], one) for one in results if "ansible_loop_var" in one]


def report(kept: Mapping[str, Any], measured: Mapping[str, Any], time: str) -> dict[str, Any]:
    """By host, what modules benchmark_results and benchmark returned there.

    C(files): those of the report's folder, with one for each new document. C(troubles): what was not measured to its end, for people.
    """
    found = summary([one for result in kept.values() for one in result.get("documents") or ()], time)
    ran, troubles = [], []
    for host, result in measured.items():
        for target, one in _of_targets(result.get("results") or ()):
            reason = outcome(target, one)
            if one.get("steps"):
                ran.append((host, target["unit"], target["model"]))
            if reason is not None and not one.get("skipped"):
                where = "through the gateway" if target["through"] == GATEWAY else f"on {host}"
                troubles.append(f"{target['name']} {where}: {reason}")
    new = [one["newest"] for one in found["services"] if (one["newest"]["host"], one["newest"]["unit"], one["newest"]["model"]) in ran]
    files = {"benchmarks.json": _text(found), "benchmarks.html": benchmark_page(found), **{_file_name(one): _text(one) for one in new}}
    return {
        "lines": result_table(found, ran),
        "files": [{"name": name, "content": content} for name, content in files.items()],
        "troubles": troubles,
    }


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _file_name(document: Mapping[str, Any]) -> str:
    return safe_name(f"{document['host']}-{document['unit']}-{document['model']}-{document['date']}") + ".json"
