# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How verify.yml shows its answers: lines as they are, of each gateway, and one document where programs read it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from support.local_play import playbook
from support.repository import ROOT

pytestmark = pytest.mark.slow
TABLE = ["    model  check", "ok  chat   answer"]


def shown(folder: Path, **environment: str) -> str:
    """gw1 has asked, gw2 could not."""
    plays = yaml.safe_load((ROOT / "playbooks/verify.yml").read_text(encoding="utf-8"))
    (show,) = [task for play in plays for task in play.get("tasks", ()) if task["name"] == "Show the answers"]
    asked = {"ansible.builtin.set_fact": {"__verify_host": {"table": TABLE}}, "when": "inventory_hostname == 'gw1'"}
    unable = {"ansible.builtin.set_fact": {"__verify_host": {"msg": "no Python"}}, "when": "inventory_hostname == 'gw2'"}
    play = {"hosts": "all", "gather_facts": False, "tasks": [asked, unable, show]}
    (folder / "play.yml").write_text(yaml.safe_dump([play]), encoding="utf-8")
    done = playbook(folder, "play.yml", "-i", "gw1,gw2,", "-c", "local", **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_lines_are_shown_as_they_are(tmp_path: Path) -> None:
    said = shown(tmp_path)
    assert "\nAnswers, seen from gw1\n    model  check\nok  chat   answer\n" in said
    assert "\nAnswers, seen from gw2\nno Python\n" in said


def test_a_document_stays_one(tmp_path: Path) -> None:
    document = json.loads(shown(tmp_path, ANSIBLE_STDOUT_CALLBACK="ansible.posix.json"))
    hosts = document["plays"][0]["tasks"][-1]["hosts"]
    assert hosts["gw1"]["lines"] == ["Answers, seen from gw1", *TABLE]
