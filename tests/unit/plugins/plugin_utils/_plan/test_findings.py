# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.findings import Finding, PlanError, Report, parse_size


@pytest.mark.parametrize(
    ("value", "mib", "fraction"),
    [
        ("12GiB", 12288, None),
        ("4.5GiB", 4608, None),
        (" 4096MiB ", 4096, None),
        (0.38, None, 0.38),
        ("0.38", None, 0.38),
        (1, None, 1.0),
        (1.0, None, 1.0),
    ],
)
def test_sizes(value: Any, mib: float | None, fraction: float | None) -> None:
    size = parse_size(value)
    assert size is not None
    assert (size.mib, size.fraction) == (mib, fraction)


@pytest.mark.parametrize(
    "value",
    ["12 GB", "12GB", "12 GiB", "12G", "12Gi", "GiB", 12, 0, -0.1, 1.5, True, None, [], "0", "", "1e-1", "nan", float("nan"), "٣GiB"],
)
def test_what_is_no_size(value: Any) -> None:
    assert parse_size(value) is None


def test_report_tells_each_mistake_once_with_its_hosts() -> None:
    report = Report()
    for host in ("a", "b", "a", "c", "d"):
        report.add("x.port", 1, "is wrong", [host])
        report.warn("look", [host])
    assert [str(finding) for finding in report.findings] == ["x.port (hosts a, b, c and 1 more) = 1: is wrong"]
    assert report.warnings == ["look (hosts a, b, c and 1 more)"]


def test_error_lists_everything() -> None:
    error = PlanError([Finding("a.port", 1, "is wrong"), Finding("b", None, "is missing")])
    assert str(error) == "The inventory has 2 mistakes; no host was changed.\n  1. a.port = 1: is wrong\n  2. b: is missing"
    assert "1 mistake;" in str(PlanError([Finding("a", 1, "x")]))
