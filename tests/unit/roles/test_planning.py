# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user reads who cannot become root on a host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.repository import ROOT

COLLECTIONS = Path(__file__).resolve().parents[3] / "collections"
PLAY = {
    "hosts": "localhost",
    "gather_facts": False,
    "tasks": [{"ansible.builtin.import_role": {"name": "llmops.gpu_inference.planning", "tasks_from": "facts"}}],
    "vars": {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_become_exe": "/nowhere/sudo",
        # Ansible takes no steps to become a user that it is already, and tests may run as root.
        "ansible_become_user": "nobody",
    },
}


def play_plan(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The playbook plan.yml with a host that does not answer, and one that is this machine."""
    service = {"model": "chat", "port": 8070, "memory": 0.5}
    away = {"ansible_host": "127.0.0.1", "ansible_port": 1, "inference_hardware": {"platform": "dgpu", "gpus": [{"memory": "32GiB"}]}}
    here = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_become": False,
        "inference_platform": "cpu",
    }
    variables = {"inference_models": {"chat": {"source": "a/b"}}, "inference_services": [service]}
    groups = {"inference_nodes": {"hosts": {"away": away, "here": here}, "vars": variables}}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": groups}}), encoding="utf-8")
    return subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "hosts.yml", str(ROOT / "playbooks/plan.yml"), *arguments],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_HOST_KEY_CHECKING": "false"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_a_host_that_does_not_answer_is_asked_once_and_does_not_look_verified(tmp_path: Path) -> None:
    found = play_plan(tmp_path)
    assert found.returncode == 2, found.stdout + found.stderr
    assert found.stdout.count("UNREACHABLE!") == 1
    assert "Not reached, and so not verified: away (declared)" in found.stdout
    assert "not verified for away, which did not answer" in " ".join(found.stdout.split())
    known = json.loads((tmp_path / ".secrets/known_hardware.json").read_text(encoding="utf-8"))
    assert list(known) == ["here"]


@pytest.mark.slow
def test_a_plan_without_hosts_is_asked_for(tmp_path: Path) -> None:
    found = play_plan(tmp_path, "-e", "plan_offline=true")
    assert found.returncode == 0, found.stdout + found.stderr
    assert "UNREACHABLE" not in found.stdout
    assert "No host was asked: nothing of this is verified." in found.stdout
    assert not (tmp_path / ".secrets/known_hardware.json").exists()
    limited = play_plan(tmp_path, "--limit", "here")
    assert limited.returncode == 0, limited.stdout + limited.stderr


@pytest.mark.slow
def test_a_host_without_sudo_gets_the_cause_and_the_remedy(tmp_path: Path) -> None:
    playbook = tmp_path / "play.yml"
    playbook.write_text(yaml.safe_dump([PLAY]), encoding="utf-8")
    found = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", str(playbook)],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.returncode == 2, found.stdout + found.stderr
    shown = " ".join(found.stdout.split())
    assert "Ansible cannot become root on this host. Install sudo" in shown
    assert "/nowhere/sudo: not found" in shown.split("What came back:")[1]
