# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of the distribution that tests run; `make programs` installs them."""

from __future__ import annotations

import shutil

import pytest


def installed(name: str) -> str:
    """Its path. Without it the test is skipped, which on a build server is a failure (conftest.py)."""
    # Servers lie where a user's PATH does not look.
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"needs {name}: make programs")
    return found
