# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Arguments of C(docker create) that engines have in common."""

from __future__ import annotations

import csv
import io

#: The rights of an engine.
CONFINED = (
    # As PID 1 without a small init vLLM ignores SIGTERM while it imports.
    "--init",
    "--security-opt",
    "no-new-privileges",
    "--cap-drop",
    "ALL",
    # The hub cache, and a file of models, may belong to another user of the node.
    "--cap-add",
    "DAC_OVERRIDE",
)


def volume(source: str, target: str, *, read_only: bool = False) -> list[str]:
    return ["--volume", f"{source}:{target}{':ro' if read_only else ''}"]


def bind_mount(path: str) -> list[str]:
    """A path of the host at the same place in the container. Docker reads the value as a line of CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(["type=bind", f"source={path}", f"target={path}", "readonly"])
    return ["--mount", text.getvalue()]
