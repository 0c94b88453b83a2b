# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _moments as moments
from ansible_collections.llmops.gpu_inference.plugins.module_utils._moments import Clock, Moment

NOW = Moment(wall=5000.0, monotonic=700.0)


@pytest.mark.parametrize(
    ("document", "seconds"),
    [
        pytest.param({"since": 4000.0, "monotonic": {"since": 600.0}}, 100.0, id="the-clock-was-set-forward"),
        pytest.param({"since": 9000.0, "monotonic": {"since": 600.0}}, 100.0, id="the-clock-was-set-back"),
        pytest.param({"since": 4000.0}, 1000.0, id="an-older-launcher"),
        pytest.param({"since": 9000.0}, 0.0, id="an-older-launcher-and-a-clock-set-back"),
        pytest.param({"since": 4000.0, "monotonic": {"since": None}}, 1000.0, id="half-written"),
        pytest.param({"since": None, "monotonic": {"since": 600.0}}, None, id="none"),
        pytest.param({}, None, id="missing"),
    ],
)
def test_seconds_since_a_moment_of_a_state_file(document: dict[str, t.Any], seconds: float | None) -> None:
    assert moments.seconds_since(document, "since", NOW) == seconds


def test_clock() -> None:
    clock = Clock(lambda: 1795168800.0, lambda: 7.0)
    assert clock.now() == Moment(1795168800.0, 7.0)
    assert (clock.stamp(), clock.stamp(61)) == ("2026-11-20T10:00:00.000000000Z", "2026-11-20T10:01:01.000000000Z")


def test_age_of_a_process(tmp_path: Path) -> None:
    age = moments.age_of_process(os.getpid())
    assert age is not None
    assert 0 <= age < time.clock_gettime(time.CLOCK_BOOTTIME)
    assert moments.age_of_process(2**30) is None
    stat = tmp_path / "proc/7/stat"
    stat.parent.mkdir(parents=True)
    started = int((time.clock_gettime(time.CLOCK_BOOTTIME) - 5) * os.sysconf("SC_CLK_TCK"))
    stat.write_text(f"7 (a ) name) S {'0 ' * 18}{started} 0\n")
    told = moments.age_of_process(7, str(tmp_path))
    assert told is not None
    assert 4.5 < told < 60
