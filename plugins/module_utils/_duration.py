# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""How long something takes, for people. A file of its own: the controller needs no more than this of what endpoint_ready tells."""

from __future__ import annotations


def duration(seconds: float | None) -> str:
    """C(3 d 4 h), C(5 h 12 m), C(1 m 12 s), C(9 s)."""
    if seconds is None:
        return "-"
    whole = int(seconds + 0.5)
    parts = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s")]
    while len(parts) > 1 and parts[0][0] == 0:
        parts.pop(0)
    return " ".join(f"{value} {letter}" for value, letter in parts[:2])
