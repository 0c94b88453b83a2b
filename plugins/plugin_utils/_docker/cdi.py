# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Whether the CDI specification of a host names its GPUs, and what to do where it does not."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping, Sequence

from ...module_utils._systemd import properties

KIND = "nvidia.com/gpu"
REFRESH = "nvidia-cdi-refresh.service"
BY_HAND = "nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"


def devices(listing: str) -> list[str]:
    """The devices of `nvidia-ctk cdi list`, which ends with 0 whether there are any or not."""
    return [match.group(1) for line in listing.split("\n") if (match := re.fullmatch(rf"{re.escape(KIND)}=(\S+)", line.strip()))]


def problem(listing: str, gpus: Sequence[Mapping[str, t.Any]], unit: str, complaint: str = "") -> str:
    """Empty where every GPU and MIG slice is named by its UUID.

    `unit` is what `systemctl show` says of the refresh unit, `complaint` what it said itself.
    """
    known = set(devices(listing))
    wanted = [str(part["uuid"]) for gpu in gpus for part in (gpu.get("mig") or [gpu])]
    missing = [uuid for uuid in wanted if uuid not in known]
    if not missing and (wanted or known):
        return ""
    what = f"names no {', '.join(missing)}; it has {', '.join(sorted(known))}" if known else "does not exist, or names no GPU"
    return f"The CDI specification of this host {what}. {_why(properties(unit), bool(known), complaint)}"


def _why(shown: Mapping[str, list[str]], known: bool, complaint: str) -> str:
    first = {name: values[0] for name, values in shown.items()}
    by_hand = f"make it by hand: {BY_HAND}, again after each update of the driver"
    if first.get("LoadState") != "loaded":
        return f"Nothing on this host keeps it up to date: {REFRESH} comes with the toolkit since 1.18. Update the toolkit, or {by_hand}."
    if known:
        return f"It is outdated: the driver or the MIG slices have changed since: systemctl restart {REFRESH}."
    if first.get("Result") == "exec-condition":
        return (
            f"{REFRESH} was skipped, because no nvidia.ko is in /lib/modules/$(uname -r)/modules.dep: the driver is not installed for the "
            f"kernel that runs, or its modules lie elsewhere. Reboot into the kernel that has it, or run depmod; where the driver works "
            f"all the same, {by_hand}."
        )
    if first.get("ConditionResult") == "no":
        return f"{REFRESH} was skipped, because nvidia-smi or nvidia-ctk is not where it looks (/usr/bin). Make a link there, or {by_hand}."
    said = f" It said: {' '.join(complaint.split())}" if complaint.strip() else ""
    return f"{REFRESH} ended with {first.get('Result', 'an unknown result')}.{said} See journalctl --unit {REFRESH}."
