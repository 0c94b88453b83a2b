# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""benchmark.yml on a host that is this machine: what is refused, and what a look alone does."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from support.local_play import HOST, playbook
from support.repository import ROOT

pytestmark = pytest.mark.slow


def play(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    groups = {"inference_nodes": {"hosts": {"here": dict(HOST)}}, "gateways": {}, "inference_clients": {}}
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": groups}}))
    return playbook(folder, str(ROOT / "playbooks/benchmark.yml"), "-i", "hosts.yml", *arguments)


def test_all_mistakes_are_told_at_once_and_nothing_is_measured(tmp_path: Path) -> None:
    found = play(tmp_path, "-e", "service=chta", "-e", "through=proxy", "-e", "benchmark_requests=0")
    assert found.returncode == 2, found.stdout + found.stderr
    words = " ".join(found.stdout.replace("\\n", " ").split())
    for told in (
        "Nothing was measured:",
        "through = 'proxy': must be engine or gateway",
        "benchmark_requests = '0': must be a whole number from 1 to 100000",
        "service = 'chta': no such model or service; there are chat. Did you mean 'chat'?",
    ):
        assert told in words, found.stdout
    assert "TASK [Look at the units]" not in found.stdout
    assert not (tmp_path / "reports").exists()


def test_check_mode_measures_nothing(tmp_path: Path) -> None:
    found = play(tmp_path, "-e", "service=chat", "--check")
    assert found.returncode == 0, found.stdout + found.stderr
    assert "TASK [Measure one service after another]" in found.stdout
    assert not (tmp_path / "reports").exists()
