# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.plain import plain
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.verification import assemble, markdown


def verification_report(
    results: Mapping[str, Any],
    gateway: str,
    time: str,
    placement: Sequence[Mapping[str, Any]] = (),
    units: Mapping[str, Any] | None = None,
    programs: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    return assemble(gateway, time, plain(results), plain(placement), plain(units or {}), plain(programs or {}))


def verification_markdown(report: Mapping[str, Any]) -> str:
    return markdown(plain(report))


class FilterModule:
    """Filters of the playbook verify."""

    def filters(self) -> dict[str, Any]:
        return {"verification_report": verification_report, "verification_markdown": verification_markdown}
