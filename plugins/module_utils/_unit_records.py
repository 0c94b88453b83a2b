# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What a node has recorded of its units, and what its driver says of its GPUs: for a report, read only."""

from __future__ import annotations

import typing as t

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _releases as releases
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Run
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import Instance, Paths

#: Of a release that is recorded, what a report has. It holds more, such as the environment.
RELEASE = ("number", "config_hash", "image_digests", "recorded_at", "ready_after", "memory_mib", "gpu_memory_mib", "version")
_QUERY = ("nvidia-smi", "--query-gpu=uuid,memory.total,memory.used", "--format=csv,noheader,nounits")
_PATIENCE = 30.0


def newest_releases(paths: Paths) -> dict[str, dict[str, t.Any]]:
    """By unit, such as C(vllm@chat). C(proved): whether it was asked for its answers, and they held."""
    found = {}
    for folder in sorted((paths.lasting / "releases").glob("*@*")):
        kind, _at, name = folder.name.partition("@")
        release = releases.newest(paths, Instance(kind, name))
        if release is not None:
            kept = {key: release[key] for key in RELEASE if key in release}
            found[folder.name] = {**kept, "proved": release.get("proof") is not None}
    return found


def gpu_memory(run: Run) -> dict[str, dict[str, int]]:
    """By UUID, MiB that there are and that are used; without what shares the system's memory, of which the driver tells nothing."""
    found = {}
    for line in run(_QUERY, _PATIENCE).out.split("\n"):
        uuid, *numbers = (part.strip() for part in line.split(","))
        if len(numbers) == 2 and all(number.isdigit() for number in numbers):
            found[uuid] = {"total_mib": int(numbers[0]), "used_mib": int(numbers[1])}
    return found
