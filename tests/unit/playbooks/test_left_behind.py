# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The play of site.yml that takes from hosts what they ran in a group that they have left, with real Ansible and played modules."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.local_play import playbook
from support.repository import ROOT

pytestmark = pytest.mark.slow

#: Groups of a host, and what is found on it.
HOSTS: dict[str, tuple[list[str], list[str], list[str]]] = {
    "all-of-it": (["inference_nodes", "gateways", "inference_clients"], ["crawl4ai", "litellm", "vllm"], ["clients", "node_proxy"]),
    "no-gateway-now": (["inference_nodes", "inference_clients"], ["litellm", "ollama", "vllm"], ["node_proxy"]),
    "no-node-now": (["gateways"], ["litellm", "ollama", "vllm"], ["node_proxy"]),
    "no-client-now": (["gateways"], ["crawl4ai", "litellm"], ["clients"]),
    "proxy-alone": (["gateways"], ["litellm"], ["node_proxy", "nvidia_container_toolkit"]),
    "never-more": (["inference_nodes"], [], []),
}


#: What hosts record that serve, by their groups.
SERVES = {"inference_nodes": "__site_engines_serve", "gateways": "__site_gateway_serves", "inference_clients": "__site_clients_served"}


def left_behind(tmp_path: Path, *failed: str) -> tuple[dict[str, list[Any]], str]:
    """What is removed of each host, and all that was told, in a run in which hosts failed."""
    plays = yaml.safe_load((ROOT / "playbooks/site.yml").read_text())
    (play,) = [one for one in plays if one["name"].startswith("Remove what hosts have left")]
    tasks = yaml.safe_load((ROOT / "playbooks/tasks/left_behind.yml").read_text())
    for task in tasks:
        for name in ("llmops.gpu_inference.container_units", "ansible.builtin.include_role"):
            if name in task:
                # What it was called with, in place of the call.
                task["ansible.builtin.debug"] = {"msg": task.pop(name)}
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/left_behind.yml").write_text(yaml.safe_dump(tasks))
    (tmp_path / "play.yml").write_text(yaml.safe_dump([{**play, "vars_files": []}]))
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_become": False}
    children: dict[str, Any] = {}
    for name, (groups, units, roles) in HOSTS.items():
        facts = {"units": units, "roles": roles}
        for group in groups:
            served = {} if name in failed else {SERVES[group]: True}
            children.setdefault(group, {"hosts": {}})["hosts"][name] = {**here, "__this_run_facts": facts, **served}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": children}}))
    done = playbook(tmp_path, "play.yml", "-i", "hosts.yml", ANSIBLE_STDOUT_CALLBACK="ansible.posix.json")
    assert done.returncode == 0, done.stdout + done.stderr
    removed: dict[str, list[Any]] = {}
    for task in json.loads(done.stdout)["plays"][0]["tasks"]:
        for host, result in task["hosts"].items():
            for one in result.get("results", [result]):
                if isinstance(one.get("msg"), dict):
                    removed.setdefault(host, []).append(one["msg"].get("kinds") or one["msg"]["name"])
    return removed, done.stdout


def test_hosts_lose_what_they_ran_in_groups_that_they_have_left(tmp_path: Path) -> None:
    removed, told = left_behind(tmp_path)
    assert "stays as it is" not in told
    assert removed == {
        "no-gateway-now": [["litellm"]],
        "no-node-now": [["ollama", "vllm"], "llmops.gpu_inference.node_proxy"],
        "no-client-now": [["crawl4ai"], "llmops.gpu_inference.clients"],
        "proxy-alone": ["llmops.gpu_inference.node_proxy"],
    }


def test_nothing_goes_that_nobody_has_taken_over(tmp_path: Path) -> None:
    """Of two gateways one has failed, or was left out by --limit: the old one may be the only one that serves its clients."""
    removed, told = left_behind(tmp_path, "no-node-now")
    assert sorted(removed) == ["no-client-now", "no-node-now", "proxy-alone"]
    assert "litellm of a group that this host has left stays as it is: in this run no-node-now did not take over" in told
    shutil.rmtree(tmp_path / "tasks")
    removed, told = left_behind(tmp_path, "never-more")
    assert sorted(removed) == ["no-client-now", "no-gateway-now"]
    assert "ollama, vllm of a group that this host has left stays as it is: in this run never-more did not take over" in told
