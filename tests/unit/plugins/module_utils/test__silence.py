# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes_base import Cause
from ansible_collections.llmops.gpu_inference.plugins.module_utils._silence import LOOK_EVERY, Silence, Vitals, of_container, told, vitals


@dataclass(frozen=True)
class Start:
    """What processes do in each second of a start, and every how many seconds a line comes (0: never)."""

    cpu: float = 0.0
    moved: float = 0.0
    line_every: int = 0


def ends(start: Start, limit: float, seconds: int) -> int | None:
    """The second in which the start is given up."""
    silence = Silence(limit, 0.0, 0.0)
    for second in range(1, seconds + 1):
        if start.line_every and second % start.line_every == 0:
            silence = silence.heard(second)
        if silence.due(second):
            silence = silence.look(second, Vitals(3, start.cpu * second, int(start.moved * second)))
        if silence.over(second):
            return second
    return None


@pytest.mark.parametrize(
    ("start", "given_up"),
    [
        (Start(), True),  # a hub that accepts and never answers, as measured
        (Start(cpu=0.008, moved=200), True),  # threads that poll, a connection tried again
        (Start(moved=20_000), False),  # 160 kbit/s
        (Start(cpu=1.0), False),  # compiles
        (Start(cpu=0.05), False),
        (Start(moved=300_000_000), False),  # weights from NFS
        (Start(line_every=300), False),
        (Start(line_every=2000), True),
    ],
)
def test_only_a_start_without_any_sign_is_given_up(start: Start, given_up: bool) -> None:
    end = ends(start, 600.0, 7200)
    assert (end is not None) is given_up
    if end is not None and not start.line_every:
        assert 600 < end <= 600 + 2 * LOOK_EVERY


def test_without_a_limit_nothing_is_given_up() -> None:
    assert ends(Start(), 0.0, 100_000) is None


def test_silence_is_told_after_a_minute_and_forgotten_with_the_next_sign() -> None:
    silence = Silence(600.0, 0.0, 0.0)
    assert (silence.seconds(59.0), silence.seconds(61.0)) == (0, 61)
    assert silence.heard(70.0).seconds(90.0) == 0


def test_nothing_is_concluded_where_nobody_can_be_looked_at() -> None:
    silence = Silence(600.0, 0.0, 0.0).look(500.0, None)
    assert not silence.over(700.0)
    assert not Silence(600.0, 0.0, 0.0).look(500.0, Vitals()).over(700.0)


def test_a_process_that_comes_or_goes_is_a_sign() -> None:
    silence = Silence(600.0, 0.0, 0.0).look(15.0, Vitals(2, 5.0, 100)).look(30.0, Vitals(1, 5.0, 100))
    assert silence.last == 30.0


@pytest.mark.parametrize(
    ("phase", "cause", "words"),
    [
        ("pulling", Cause.REGISTRY_DOWN, "registry"),
        ("downloading", Cause.DOWNLOAD_FAILED, "HF_ENDPOINT"),
        ("loading_weights", Cause.TIMEOUT, "NFS"),
    ],
)
def test_what_is_told_depends_on_the_phase(phase: str, cause: Cause, words: str) -> None:
    found, message, remedy = told(phase, 605.0)
    assert found is cause
    assert "no sign of life for 605 s while " in message
    assert words in remedy
    assert "silence_timeout" in remedy


def process(proc: Path, pid: int, parent: int, name: str, ticks: int, moved: int) -> None:
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "stat").write_text(f"{pid} ({name}) S {parent} 1 1 0 -1 4194560 1 2 3 4 {ticks} {ticks} 0 0 20 0 1 0\n")
    (folder / "io").write_text(f"rchar: {moved}\nwchar: {moved}\nsyscr: 9\nsyscw: 9\nread_bytes: {moved}\nwrite_bytes: 7\n")


def test_processes_are_counted_with_all_that_descends_from_them(tmp_path: Path) -> None:
    process(tmp_path, 10, 1, "tini", 100, 1)
    process(tmp_path, 11, 10, "vllm (serve) x", 200, 10)
    process(tmp_path, 12, 11, "EngineCore", 300, 100)
    process(tmp_path, 20, 1, "dockerd", 5000, 1000)
    (tmp_path / "30").mkdir()  # has just ended
    ticks = os.sysconf("SC_CLK_TCK")
    assert vitals(lambda pid, _name: pid == 10, tmp_path) == Vitals(3, 1200 / ticks, 333)
    assert vitals(lambda _pid, name: name == "dockerd", tmp_path) == Vitals(1, 10000 / ticks, 3000)
    assert vitals(lambda _pid, name: name == "vllm (serve) x", tmp_path).processes == 2
    assert vitals(lambda _pid, _name: False, tmp_path) == Vitals()


def test_a_real_process_that_works_and_one_that_sleeps() -> None:
    assert of_container([]) is None
    assert of_container([0]) is None
    code = "import sys\nfor line in sys.stdin:\n    sum(range(3_000_000))\n    print('done', flush=True)\n"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        seen = []
        for _ in range(2):
            child.stdin.write("go\n")
            child.stdin.flush()
            assert child.stdout.readline() == "done\n"
            seen.append(of_container([child.pid]))
        child.kill()
    first, second = seen
    assert first is not None
    assert second is not None
    assert second.cpu > first.cpu
    assert second.moved > first.moved
