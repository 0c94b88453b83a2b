# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook init, run on this machine as one with an RTX card, and what it names as the next command."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.local_play import playbook
from support.repository import ROOT
from testbed.toolkit.dress import dress

pytestmark = pytest.mark.slow
HERE = ("-i", "localhost,", "-c", "local")


def play(folder: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As from an installed collection: no file of the checkout lies where the command is given."""
    return playbook(
        folder, name, *arguments, ANSIBLE_CONFIG=str(folder / "none.cfg"), PATH=f"{folder / 'root/usr/bin'}:{os.environ['PATH']}"
    )


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    dress(tmp_path / "root", "rtx5090")
    return tmp_path


def written(file: Path) -> dict[str, Any]:
    variables: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))["all"]["vars"]
    return variables


def test_from_nothing_to_a_plan(machine: Path) -> None:
    done = play(machine, "llmops.gpu_inference.init", *HERE, "-u", "alice")
    assert done.returncode == 0, done.stdout + done.stderr
    file = machine / "inventory" / "hosts.yml"
    text = file.read_text(encoding="utf-8")
    assert "localhost: {ansible_connection: local, ansible_user: alice}" in text
    assert written(file)["inference_models"]["chat"]["source"] == "Qwen/Qwen3-4B-Instruct-2507"
    schema = re.match(r"# yaml-language-server: \$schema=(.+)\n", text)
    assert schema is not None
    assert Path(schema[1]).is_file()
    assert sorted(path.name for path in file.parent.iterdir()) == ["hosts.yml"]

    commands = re.findall(r"^  (ansible-playbook .+?)    #", done.stdout, re.M)
    assert [command.split()[1] for command in commands] == ["llmops.gpu_inference.plan", "llmops.gpu_inference.site"]
    # Nobody is asked for a password here, and nothing needs root to be looked at.
    plan = play(machine, *shlex.split(commands[0])[1:], "-e", "ansible_become=false")
    assert plan.returncode == 0, plan.stdout + plan.stderr
    assert re.search(r"^localhost +dgpu +as seen +0 +chat +vllm +8070 +14\.0 GiB", plan.stdout, re.M)

    again = play(machine, "llmops.gpu_inference.init", *HERE)
    assert again.returncode != 0
    assert "inventory/hosts.yml is there already and stays" in again.stdout + again.stderr
    assert "Look at GPUs" not in again.stdout, "hosts were asked for nothing"
    assert file.read_text(encoding="utf-8") == text
    replaced = play(machine, "llmops.gpu_inference.init", *HERE, "-e", "inventory_overwrite=true")
    assert replaced.returncode == 0, replaced.stdout + replaced.stderr
    assert "ansible_user" not in file.read_text(encoding="utf-8")


def test_a_file_of_the_user_stays_what_it_is(machine: Path) -> None:
    """A link stays one, and the file that it leads to keeps its mode; one that leads nowhere is no place for an inventory."""
    mine, link = machine / "mine.yml", machine / "hosts.yml"
    mine.write_text("all:\n", encoding="utf-8")
    mine.chmod(0o600)
    link.symlink_to(mine)
    arguments = ("llmops.gpu_inference.init", *HERE, "-e", "inventory_out=hosts.yml", "-e", "inventory_overwrite=true")
    done = play(machine, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (link.is_symlink(), mine.stat().st_mode & 0o777) == (True, 0o600)
    assert written(mine)["inference_gateway"] == {"port": 8400}
    mine.unlink()
    done = play(machine, *arguments)
    assert done.returncode != 0
    assert "which does not exist" in done.stdout + done.stderr
    assert "Look at GPUs" not in done.stdout, "hosts were asked for nothing"


def test_without_a_host_it_is_about_this_machine_and_check_mode_writes_nothing(machine: Path) -> None:
    arguments = ("-e", '{"inventory_out": "own/my first.yml"}')
    done = play(machine, str(ROOT / "playbooks" / "init.yml"), *arguments, "--check", "--diff")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "+      chat: {source: Qwen/Qwen3-4B-Instruct-2507" in done.stdout
    assert not (machine / "own").exists()
    done = play(machine, str(ROOT / "playbooks" / "init.yml"), *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "plan -i 'own/my first.yml'" in done.stdout
    assert written(machine / "own" / "my first.yml")["inference_gateway"] == {"port": 8400}


def test_hosts_that_do_not_answer_are_told_at_once(machine: Path) -> None:
    done = play(machine, "llmops.gpu_inference.init", "-i", "127.0.0.1,127.0.0.2", "-e", "ansible_port=1")
    assert done.returncode != 0
    assert re.search(r"1\. 127\.0\.0\.1: its hardware could not.*2\. 127\.0\.0\.2: its hardware could", done.stdout + done.stderr, re.S)
    assert not (machine / "inventory").exists()


def test_a_forgotten_comma_is_not_taken_for_this_machine(machine: Path) -> None:
    done = play(machine, "llmops.gpu_inference.init", "-i", "box1")
    assert done.returncode != 0
    assert "No host is named by -i" in done.stdout + done.stderr
    assert not (machine / "inventory").exists()


def test_an_inventory_that_is_ready_is_no_list_of_machines(machine: Path) -> None:
    (machine / "ready.yml").write_text("inference_nodes: {hosts: {box: {ansible_connection: local}}}\n", encoding="utf-8")
    done = play(machine, "llmops.gpu_inference.init", "-i", "ready.yml")
    assert done.returncode != 0
    assert "has the group inference_nodes already" in done.stdout + done.stderr
    assert not (machine / "inventory").exists()
