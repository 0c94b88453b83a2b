# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Chromium as the distribution has it, which is installed where there is none."""

from __future__ import annotations

import shutil
import subprocess
import sys

from playwright.sync_api import Browser, Playwright


def chromium(playwright: Playwright) -> Browser:
    names = ("chromium", "chromium-browser", "google-chrome")
    sudo = ["sudo"] if shutil.which("sudo") else []
    if not any(map(shutil.which, names)) and shutil.which("apt-get"):
        subprocess.run([*sudo, "apt-get", "update", "-q"], check=False)
        subprocess.run([*sudo, "apt-get", "install", "-qy", "--no-install-recommends", "chromium"], check=False)
    found = next(filter(None, map(shutil.which, names)), None)
    if not found:
        # Ubuntu has Chromium as a snap only, which a container cannot run.
        subprocess.run([sys.executable, "-m", "playwright", "install", "--with-deps", "chromium"], check=True)
    # Its sandbox does not start for root, nor in most containers; it reads pages of ours only.
    return playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
