# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests/scenarios.py reads out of molecule's log: the log of a build server may be cut to its end, so the cause must stand there."""

from __future__ import annotations

import pytest
import scenarios

VERIFIER = """\
\x1b[34mINFO    \x1b[0m \x1b[32mmixed\x1b[0m ➜ \x1b[33mverify\x1b[0m: Executing
  ┌──────────────────────────
  │ E       AssertionError: 1 == 2
  │ =========================== short test summary info
  │   ============================
  │ FAILED tests/test_mixed.py::test_one[ansible://node] - AssertionError: 1 == 2
  │ =================== \x1b[31m1 failed, 37 passed\x1b[0m in 82.21s (0:01:22)
  │   ====================
  └─ Return code: 1 ────────
CRITICAL Verifier tests failed
\x1b[31mERROR   \x1b[0m \x1b[32mmixed\x1b[0m ➜ \x1b[33mverify\x1b[0m: \x1b[31mExecuted: Failed\x1b[0m
INFO     mixed ➜ destroy: Executing
  │ changed: [localhost]
ERROR    Molecule executed 1 scenario (1 failed)
"""


def test_the_failure_is_the_end_of_the_step_that_failed() -> None:
    said = scenarios.what_failed(VERIFIER).splitlines()
    assert "E       AssertionError: 1 == 2" in said
    # .ci/run looks for this at the beginning of a line.
    assert "FAILED tests/test_mixed.py::test_one[ansible://node] - AssertionError: 1 == 2" in said
    assert said[-1] == "ERROR    mixed ➜ verify: Executed: Failed"


def test_a_log_without_a_failed_step_ends_with_its_last_lines() -> None:
    said = scenarios.what_failed("\n".join(f"line {number}" for number in range(100))).splitlines()
    assert said[-1] == "line 99"
    assert len(said) == scenarios.LINES_OF_A_FAILURE - 1


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (VERIFIER, "1 failed, 37 passed"),
        ("  │ ===== 22 passed,\n  │ 1 skipped in 9.5s =====\n", "22 passed, 1 skipped"),
        ("fatal: [node]: FAILED!\n", ""),
    ],
)
def test_what_the_verifier_counted_is_found_in_its_frame(log: str, expected: str) -> None:
    assert scenarios.counts(log) == expected
