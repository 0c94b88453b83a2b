# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for every test. On a build server (CI=true) no test is skipped: there a skip is a failure, and so is an expected failure.

A developer's machine may lack a program, and the run names what was left out; a build server that goes on without it proves less than
it says.
This file lies at the root so that unit tests, tests/real, tests/mutations and the scenarios' tests obey it alike.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TypeVar

import hypothesis
import pytest

# However slow the machine: what is tried counts, not the time that it took to think of it or to try it.
hypothesis.settings.register_profile("any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("any machine")

ReportT = TypeVar("ReportT", pytest.TestReport, pytest.CollectReport)


def no_skips() -> bool:
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def without_skip(report: ReportT) -> ReportT:
    """Turn a report of a skip into one of a failure that keeps the reason."""
    if report.outcome == "skipped" and no_skips():
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else getattr(report, "wasxfail", "") or str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"Not run: {reason}. With CI set every selected test has to run: install what it needs, or deselect it."
        if hasattr(report, "wasxfail"):
            del report.wasxfail
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return without_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return without_skip((yield))
