# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from collections.abc import Callable, Mapping, Sequence

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._docker.cdi import problem
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._docker.toolkit_packages import decide


def container_toolkit_packages(query: str, wanted: str, allow_downgrade: bool = False, program: str | None = "") -> dict[str, t.Any]:
    return decide(query, wanted, allow_downgrade=allow_downgrade, program=program or "").as_dict()


def cdi_problem(listing: str, gpus: Sequence[Mapping[str, t.Any]], unit: str = "", complaint: str = "") -> str:
    return problem(listing, gpus, unit, complaint)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., t.Any]]:
        return {"container_toolkit_packages": container_toolkit_packages, "cdi_problem": cdi_problem}
