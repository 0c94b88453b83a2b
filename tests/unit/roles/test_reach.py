# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hosts of an engine over several hosts, asked by the real Ansible at the same time."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import pytest
import yaml
from support.local_play import playbook
from support.repository import ROOT


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["all", "spark2"])
def test_hosts_of_a_group_are_tried_and_others_are_not(tmp_path: Path, limit: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    members = [{"host": "spark1", "address": "127.0.0.2"}, {"host": "spark2", "address": "127.0.0.3"}]
    group = {"port": port, "digest": "d", "key_variable": "KEY", "members": members}
    units = {f"spark{rank + 1}": [{"name": "small"}, {"name": "big", "group": {**group, "rank": rank}}] for rank in (0, 1)}
    hosts = {name: {"engines_units": units.get(name, [{"name": "small"}])} for name in ("spark1", "spark2", "spark3")}
    common = {"ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": sys.executable}
    (tmp_path / "hosts.yml").write_text(json.dumps({"all": {"hosts": hosts, "vars": common}}))
    reach = {"name": "llmops.gpu_inference.engines", "tasks_from": "reach", "rolespec_validate": False}
    tasks = [{"include_role": reach, "when": "engines_units | length > 1"}]
    (tmp_path / "play.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    done = playbook(tmp_path, "play.yml", "-i", "hosts.yml", "-v", "--forks", "3", "--limit", limit)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "does not reach" not in done.stdout + done.stderr
    told = [line.strip() for line in done.stdout.splitlines()]
    assert [told.count(f"{host}:") for host in ("big", "spark1", "spark2")] == ([2, 2, 2] if limit == "all" else [1, 0, 1]), done.stdout


def test_nothing_is_pulled_before() -> None:
    tasks = yaml.safe_load((ROOT / "roles/engines/tasks/main.yml").read_text(encoding="utf-8"))
    (prepare, change, _afterwards) = tasks[1]["block"]
    assert prepare["loop"].index("reach.yml") < prepare["loop"].index("prepare.yml")
    assert "Service" in [task["name"] for task in change["block"]]
