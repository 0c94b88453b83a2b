# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A misspelt variable of a role ends the play before the role touches the host."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.local_play import playbook


def play(folder: Path, *checks: dict[str, Any], **variables: str) -> subprocess.CompletedProcess[str]:
    task = {"llmops.gpu_inference.check_role": {"roles": ["litellm", "docker"], "checks": list(checks)}}
    content = [{"hosts": "localhost", "gather_facts": False, "vars": variables, "tasks": [task]}]
    (folder / "play.yml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return playbook(folder, "play.yml", "-i", "localhost,", "-c", "local")


@pytest.mark.slow
def test_a_misspelt_variable_ends_the_play(tmp_path: Path) -> None:
    done = play(tmp_path, litellm_master_keey="x")
    assert done.returncode != 0, done.stdout
    assert "litellm_master_keey (did you mean litellm_master_key?)" in done.stdout + done.stderr


@pytest.mark.slow
def test_known_variables_pass(tmp_path: Path) -> None:
    done = play(tmp_path, litellm_master_key="x")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    checks = [{"that": "{{ number | int == 2 }}", "fail_msg": f"This is {word}."} for word in ("first", "second")]
    done = play(tmp_path, *checks, {"that": "{{ number | int == 1 }}", "fail_msg": "This is well."}, number="1", litellm_x="", docker_y="")
    told = done.stdout + done.stderr
    assert done.returncode != 0, told
    assert ["first" in told, "second" in told, "well" in told, "litellm_x" in told, "docker_y" in told] == [True, True, False, True, True]
