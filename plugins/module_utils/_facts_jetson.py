# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What a release of L4T and a chip of Tegra's kind say of a host."""

from __future__ import annotations

import re
from collections.abc import Mapping

#: L4T release -> JetPack release, from NVIDIA's JetPack archive and the table of jetson_stats (jtop). A developer preview or early access
#: counts as its release.
JETPACK_RELEASES: Mapping[str, str] = {
    "32.5.0": "4.5",
    "32.5.1": "4.5.1",
    "32.5.2": "4.5.1",
    "32.6.1": "4.6",
    "32.7.1": "4.6.1",
    "32.7.2": "4.6.2",
    "32.7.3": "4.6.3",
    "32.7.4": "4.6.4",
    "32.7.5": "4.6.5",
    "32.7.6": "4.6.6",
    "34.1.0": "5.0",
    "34.1.1": "5.0.1",
    "35.1.0": "5.0.2",
    "35.2.1": "5.1",
    "35.3.0": "5.1.1",
    "35.3.1": "5.1.1",
    "35.4.1": "5.1.2",
    "35.5.0": "5.1.3",
    "35.6.0": "5.1.4",
    "35.6.1": "5.1.5",
    "35.6.2": "5.1.5",
    "35.6.3": "5.1.5",
    "35.6.4": "5.1.6",
    "35.6.5": "5.1.7",
    "36.0.0": "6.0",
    "36.2.0": "6.0",
    "36.3.0": "6.0",
    "36.4.0": "6.1",
    "36.4.2": "6.1",
    "36.4.3": "6.2",
    "36.4.4": "6.2.1",
    "36.4.7": "6.2.1",
    "36.5.0": "6.2.2",
    "38.2.0": "7.0",
    "38.2.1": "7.0",
    "38.2.2": "7.0",
    "38.4.0": "7.1",
    "39.0.0": "7.2",
    "39.2.0": "7.2",
    "39.2.1": "7.2.1",
}
#: Major of L4T -> major of JetPack, for releases that came later.
JETPACK_MAJORS: Mapping[str, str] = {"32": "4", "34": "5", "35": "5", "36": "6", "38": "7", "39": "7"}
#: Beginning of an L4T release -> CUDA of its driver. The longest beginning counts.
L4T_CUDA: Mapping[str, str] = {
    "32.": "10.2",
    "34.": "11.4",
    "35.": "11.4",
    "36.2": "12.2",
    "36.3": "12.2",
    "36.": "12.6",
    "38.": "13.0",
    "39.": "13.2",
}
#: Beginning of an L4T release -> compute capability, where all its boards have the same.
L4T_CAPABILITY: Mapping[str, str] = {"36.": "8.7", "38.": "11.0"}
#: Chip in the device tree, or a part of the GPU's name -> compute capability.
CHIP_CAPABILITY: Mapping[str, str] = {
    "nvidia,tegra194": "7.2",
    "nvidia,tegra234": "8.7",
    "nvidia,tegra264": "11.0",
    "Xavier": "7.2",
    "Orin": "8.7",
    "Thor": "11.0",
    "GB10": "12.1",
}
#: Chips that share their memory with the CPU. GH200 (9.0), GB200 and GB300 (10.x) have memory of their own beside it.
UNIFIED_CAPABILITIES = frozenset({"5.3", "6.2", "7.2", "8.7", "11.0", "12.1"})


def l4t_release(text: str) -> str | None:
    """The release in /etc/nv_tegra_release, such as C(36.4.7); None where it does not say one."""
    match = re.search(r"^# R(\d+) \(release\), REVISION: (\d+(?:\.\d+)*)", text, re.MULTILINE)
    if not match:
        return None
    release = f"{match.group(1)}.{match.group(2)}"
    return release if release.count(".") > 1 else f"{release}.0"


def jetpack_of(release: str, more: Mapping[str, str]) -> str | None:
    """The JetPack release of an L4T release: by the tables, else at least its major; None where that is not known either."""
    return more.get(release) or JETPACK_RELEASES.get(release) or JETPACK_MAJORS.get(release.partition(".")[0])


def longest(table: Mapping[str, str], release: str) -> str | None:
    fitting = [beginning for beginning in table if release.startswith(beginning)]
    return table[max(fitting, key=len)] if fitting else None


def chip_capability(*texts: str) -> str | None:
    return next((value for part, value in CHIP_CAPABILITY.items() if any(part in text for text in texts)), None)


def is_integrated(name: str, capability: str | None) -> bool:
    """Whether a GPU shares its memory with the CPU."""
    return (
        capability in UNIFIED_CAPABILITIES or "(nvgpu)" in name or "GB10" in name or bool(re.search(r"\b(Orin|Thor|Xavier|Tegra)\b", name))
    )
