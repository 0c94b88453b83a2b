# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran, run_command


def test_programs_speak_english_and_the_module_keeps_its_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert run_command(["sh", "-c", "cat; echo $LC_ALL; exit 3"], 10, "é") == Ran(3, "éC\n", "")
    assert os.environ["LC_ALL"] == "de_DE.UTF-8"


def test_a_program_that_is_not_there_or_takes_too_long_answers_so() -> None:
    assert run_command(["/nonexistent/program"], 10).rc == 127
    assert run_command(["sleep", "60"], 0.05).rc == 124
