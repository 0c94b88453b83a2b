# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What is said of an image that cannot be had."""

from __future__ import annotations

from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import Cause, classify_log


def not_pulled(image: str, problem: str, where: str = "", what_follows: str = "") -> str:
    """A pull that failed, with its cause and remedy where Docker's words tell them."""
    found = classify_log("docker", problem.split("\n"), exit_code=1)
    known = found.cause is not Cause.UNKNOWN
    parts = [where, str(found.cause) if known else "", f"cannot pull {image}", problem]
    text = ": ".join(part for part in parts if part) + (f". {what_follows}" if what_follows else "")
    return f"{text}\n  Remedy: {found.remedy}" if known else text
