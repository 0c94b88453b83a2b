# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.plain import plain
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._report.fleet import fleet
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._report.fleet_page import fleet_page
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._report.version import version


def fleet_report(
    plan: Mapping[str, Any],
    facts: Mapping[str, Any],
    units: Mapping[str, Any],
    records: Mapping[str, Any],
    drift: Mapping[str, Any],
    time: str,
) -> list[dict[str, str]]:
    told = {
        host: {
            "facts": plain((facts.get(host) or {}).get("ansible_facts") or {}).get("gpu_inference"),
            "units": plain(units.get(host)),
            "records": plain(records.get(host)),
            "drift": plain(drift.get(host)),
        }
        for host in {**facts, **units, **records, **drift}
    }
    document = fleet(plain(plan), told, time, version())
    text = json.dumps(document, indent=2, sort_keys=True) + "\n"
    return [{"name": "fleet.json", "content": text}, {"name": "fleet.html", "content": fleet_page(document)}]


class FilterModule:
    """Filters of the playbook report."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"fleet_report": fleet_report}
