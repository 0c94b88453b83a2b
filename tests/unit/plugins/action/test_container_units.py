# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action with real Ansible, on a host where nothing is to be done."""

from __future__ import annotations

import getpass
import json
import socket
import subprocess
import time
import typing as t
from pathlib import Path

import pytest
from support import local_play

from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import FileLock

pytestmark = pytest.mark.slow
OTHER = "ansible-playbook site.yml of alice on control1 (process 812 there), since noon, process 4711 on this host"


def play(folder: Path, **options: t.Any) -> subprocess.Popen[str]:
    task = {
        "kinds": ["vllm"],
        "instances": [],
        "state_dir": str(folder / "instances"),
        "runtime_dir": str(folder / "run"),
        "units_dir": str(folder / "units"),
        "docker": "true",
        "systemctl": "true",
        **options,
    }
    argv = local_play.command(folder, "container_units", task, "-e", "key=hidden-key")
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=local_play.ENVIRONMENT)


@pytest.fixture
def other(tmp_path: Path) -> FileLock:
    lock = FileLock(tmp_path / "run/reconcile.lock")
    holder = {"pid": 4711, "by": "ansible-playbook site.yml of alice on control1 (process 812 there)", "since": "noon"}
    assert lock.try_lock(json.dumps(holder))
    return lock


def test_it_says_whom_it_waits_for_and_then_works(tmp_path: Path, other: FileLock) -> None:
    process = play(tmp_path)
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if f"localhost: waits for {OTHER}" in line:
            other.release()
    assert process.wait() == 0, said
    assert "waits for" in said
    holder = json.loads(other.path.read_text())
    assert f"play.yml of {getpass.getuser()} on {socket.gethostname()} (process {process.pid} there)" in holder["by"]
    assert "hidden-key" not in holder["by"]


def test_once_killed_it_does_nothing_any_more(tmp_path: Path, other: FileLock) -> None:
    process = play(tmp_path)
    assert process.stdout is not None
    assert any("waits for" in line for line in process.stdout)
    process.kill()
    process.wait()
    time.sleep(3)  # a module that was just started ends
    other.release()
    time.sleep(5)
    assert "alice" in other.path.read_text(), "another run has held it since"


def test_it_names_the_holder_when_the_time_is_up(tmp_path: Path, other: FileLock) -> None:
    process = play(tmp_path, lock_timeout=1)
    said = process.communicate()[0]
    assert process.returncode != 0
    assert f"another run works on this host: {OTHER}. It holds {other.path}." in said
    other.release()
