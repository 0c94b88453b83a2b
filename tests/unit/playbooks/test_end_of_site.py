# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The last play of site.yml with real Ansible, after plays that leave what the roles leave."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.inventories import cpu, host, inventory, service, variables
from support.local_play import playbook
from support.repository import ROOT

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import build_plan

pytestmark = pytest.mark.slow
HOSTS = ("n0", "n1", "n2")
KEY = "sk-the-key-that-nobody-sees"
FILES = {"master_key": "/c/.secrets/master_key"}


def registered(name: str, value: dict[str, Any], *hosts: str) -> dict[str, Any]:
    return {"name": name, "ansible.builtin.set_fact": {name: value}, "when": f"inventory_hostname in {list(hosts)}"}


def play(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """n0 and n1 have the roles behind them, n1 fails after that, and n2 was never reached."""
    own = variables(service(memory="4GiB"))
    plan = build_plan(
        inventory(**{name: host("inference_nodes", *(["gateways"] if name == "n0" else []), hardware=cpu(), **own) for name in HOSTS})
    )
    (last,) = [one for one in yaml.safe_load((ROOT / "playbooks/site.yml").read_text()) if one["name"].startswith("Report what serves now")]
    chat = {"unit": "vllm@chat.service", "action": "start", "reason": "not running"}
    before = {
        "hosts": "all",
        "gather_facts": False,
        "tasks": [
            {"ansible.builtin.ping": {}},
            registered("__engines_reconciled", {"units": {"vllm/chat": chat}}, "n0", "n1"),
            registered("__engines_waited", {"endpoints": [{"unit": "vllm@chat.service", "ready": True, "waited": 12.3}]}, "n0"),
            registered("__litellm_reconciled", {"units": {"litellm/gateway": {**chat, "action": "keep"}}}, "n0"),
            registered("__site_engines_serve", {"yes": True}, "n0", "n1"),
            registered("__site_gateway_serves", {"yes": True}, "n0"),
            {"ansible.builtin.fail": {"msg": "no room"}, "when": "inventory_hostname == 'n1'"},
        ],
    }
    (folder / "play.yml").write_text(yaml.safe_dump([before, {**last, "vars_files": []}]))
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    away = {"ansible_host": "127.0.0.1", "ansible_port": 1}
    groups = {
        "inference_nodes": {"hosts": {name: away if name == "n2" else here for name in HOSTS}},
        "gateways": {"hosts": {"n0": {}}},
        "inference_clients": {},
    }
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": groups}}))
    given = {"inference_plan": plan, "inference_secrets": {"master_key": KEY, "files": FILES}}
    (folder / "given.json").write_text(json.dumps(given))
    arguments = ("-i", "hosts.yml", "-e", "@given.json", *arguments)
    return playbook(folder, "play.yml", *arguments, ANSIBLE_HOST_KEY_CHECKING="false", **environment)


@pytest.mark.parametrize("layout", ["json", "yaml"])
def test_it_stands_above_the_recap_and_counts_nobody_that_failed(tmp_path: Path, layout: str) -> None:
    found = play(tmp_path, ANSIBLE_CALLBACK_RESULT_FORMAT=layout)
    block = found.stdout.partition("Show what serves now, and the next commands]")[2].partition("PLAY RECAP")[0].splitlines()
    said = "\n".join(block[1:])
    assert said.splitlines()[1].startswith("FAILED   n1, n2: "), found.stdout + found.stderr
    assert "Gateway  http://n0:8400/v1 on n0\nKey      /c/.secrets/master_key\n" in said
    assert "chat   Qwen/Qwen3-8B  n0; failed: n1, n2\n" in said
    assert "  started vllm/chat on n0, ready after 12 s (not running)\n  started vllm/chat on n1 (not running)\n" in said
    assert "  ansible-playbook llmops.gpu_inference.status -i hosts.yml " in said
    assert [line for line in block if line][-1] == "ok: [n0]"
    assert KEY not in found.stdout + found.stderr


def test_check_mode_says_what_would_be(tmp_path: Path) -> None:
    said = play(tmp_path, "--check").stdout
    assert "A run without --check\n  would keep 1 unit\n" in said
    assert "  would start vllm/chat on n1 (not running)\n" in said


def test_a_document_stays_one(tmp_path: Path) -> None:
    """Where programs read the output, the lines are in the result."""
    found = play(tmp_path, ANSIBLE_STDOUT_CALLBACK="ansible.posix.json")
    document = json.loads(found.stdout)
    (result,) = document["plays"][-1]["tasks"][-1]["hosts"].values()
    assert result["lines"][0].startswith("FAILED   n1, n2: ")
