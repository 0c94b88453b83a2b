# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran, run_command


def test_programs_speak_english_and_the_module_keeps_its_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert run_command(["sh", "-c", "cat; echo $LC_ALL; exit 3"], 10, "é") == Ran(3, "éC\n", "")
    assert os.environ["LC_ALL"] == "de_DE.UTF-8"


def test_a_program_that_is_not_there_or_takes_too_long_answers_so() -> None:
    assert run_command(["/nonexistent/program"], 10).rc == 127
    assert run_command(["sleep", "60"], 0.05).rc == 124


def runs(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False


def test_a_program_that_takes_no_signal_is_given_up(tmp_path: Path) -> None:
    script = tmp_path / "nvidia-smi"
    script.write_text(f"#!/bin/sh\ntrap '' TERM INT HUP\necho $$ > {tmp_path}/pid\nwhile :; do sleep 0.1; done\n", encoding="utf-8")
    script.chmod(0o755)
    began = time.monotonic()
    answer = run_command([str(script)], 1, apart=True)
    assert time.monotonic() - began < 10
    assert answer == Ran(124, "", f"no answer within 1 s: {script}")
    while runs(int((tmp_path / "pid").read_text())):
        assert time.monotonic() - began < 30
        time.sleep(0.05)


def test_what_cannot_be_run(tmp_path: Path) -> None:
    assert run_command([str(tmp_path)], 10).rc == 126
