# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""status.yml with a host that does not answer, and one that is this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.local_play import playbook
from support.repository import ROOT

pytestmark = pytest.mark.slow


def play(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    away = {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_become": False}
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_become": False}
    groups = {"inference_nodes": {"hosts": {"away": away, "here": here}}, "gateways": {}, "inference_clients": {}}
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": groups}}))
    status = str(ROOT / "playbooks/status.yml")
    return playbook(folder, status, "-i", "hosts.yml", "-e", "only_service=no-such", ANSIBLE_HOST_KEY_CHECKING="false", **environment)


def test_a_host_that_did_not_answer_is_in_the_table_and_an_error(tmp_path: Path) -> None:
    found = play(tmp_path)
    assert found.returncode == 2, found.stdout + found.stderr
    shown = found.stdout.partition("TASK [Show the units]")[2].partition("TASK [")[0].splitlines()
    assert shown[2].startswith("away  did not answer: "), found.stdout
    assert shown[3] == "here  has no unit of this collection"
    assert "Not known of away, for the reason in the table." in found.stdout


def test_a_document_stays_one(tmp_path: Path) -> None:
    document = json.loads(play(tmp_path, ANSIBLE_STDOUT_CALLBACK="ansible.posix.json").stdout)
    (lines,) = [host["lines"] for one in document["plays"] for task in one["tasks"] for host in task["hosts"].values() if "lines" in host]
    assert lines[1] == "here  has no unit of this collection"
