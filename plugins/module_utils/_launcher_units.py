# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It runs on managed nodes, so it uses the standard library only and runs on Python 3.9.

"""The launcher's units on a host: whether systemd can read them, and whether they run."""

from __future__ import annotations

import os
import tempfile

from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Run
from ansible_collections.llmops.gpu_inference.plugins.module_utils._systemd import Systemd, SystemdError

TARGET, BOOT, METRICS = "gpu-inference.target", "gpu-inference-boot.service", "gpu-inference-metrics.service"


def verify(name: str, text: str, run: Run) -> None:
    """The name of the file matters to systemd-analyze, and older ones cannot be told another. Raises SystemdError."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, name)
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        answer = run(["systemd-analyze", "verify", path], 90)
    if answer.rc:
        raise SystemdError(f"systemd would not take {name}: {answer.err.strip() or answer.out.strip()}", answer.rc)


def to_do(systemd: Systemd) -> list[tuple[str, str]]:
    """What systemctl still has to do, so that the instances start at boot and stop together."""
    asked = [("is-enabled", "enable", BOOT), ("is-active", "start", TARGET)]
    return [(verb, unit) for question, verb, unit in asked if systemd.call("--quiet", question, unit).rc]
