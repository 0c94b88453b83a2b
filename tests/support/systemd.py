# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Units as systemd itself reads them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def verify(file: Path, folder: Path, of_others: str = "no") -> subprocess.CompletedProcess[str]:
    """What systemd says of a unit below C(folder), which is looked at first, so that a drop-in is found beside its unit."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze")
    return subprocess.run(
        ["systemd-analyze", "verify", "--man=no", f"--recursive-errors={of_others}", str(file)],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:"},
        capture_output=True,
        text=True,
        check=False,
    )
