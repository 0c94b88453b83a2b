# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user reads who cannot become root on a host."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

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
