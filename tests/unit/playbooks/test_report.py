# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""report.yml with a host that does not answer, and one that is this machine, on which nothing is deployed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from support.local_play import HOST, playbook
from support.repository import ROOT

pytestmark = pytest.mark.slow


def test_a_fleet_of_which_half_is_away(tmp_path: Path) -> None:
    away = {**HOST, "ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
    groups = {"inference_nodes": {"hosts": {"away": away, "here": dict(HOST)}}, "gateways": {}, "inference_clients": {}}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": groups}}))
    found = playbook(tmp_path, str(ROOT / "playbooks/report.yml"), "-i", "hosts.yml", ANSIBLE_HOST_KEY_CHECKING="false")
    assert (tmp_path / "reports/fleet.html").exists(), found.stdout + found.stderr
    document = json.loads((tmp_path / "reports/fleet.json").read_text())
    hosts = {host["name"]: host for host in document["hosts"]}
    assert hosts["here"]["answered"] is True
    assert hosts["away"]["trouble"].startswith("did not answer: ")
    assert {(service["host"], service["unit"]) for service in document["services"]} >= {("away", "vllm@chat"), ("here", "vllm@chat")}
    assert "The fleet: " in found.stdout
