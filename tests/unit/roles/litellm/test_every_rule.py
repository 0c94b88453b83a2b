# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No rule of the guard can go without a test that misses it: each entry of its tables and each refusal is taken away once."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from support.repository import ROOT

pytestmark = pytest.mark.slow


def rules(*arguments: str) -> dict[str, Any]:
    program = [sys.executable, str(ROOT / "tests/support/guard_rules.py"), *arguments]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_rule_is_missed_by_a_test() -> None:
    found = rules()
    assert found["left"] == []
    assert found["rules"] > 500


def test_a_rule_that_no_test_misses_is_named() -> None:
    """Else the test above would prove nothing."""
    assert "keys: KEY_HEADERS: b'x-goog-api-key'" in rules("--part", "keys", "--leave-out", "rules")["left"]
