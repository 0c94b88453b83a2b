# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan and keys belong to one run: no fact cache gets them, and none hands those of an earlier run on."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.local_play import HOST, playbook
from support.repository import ROOT

pytestmark = pytest.mark.slow
GIVEN = {
    "master key": "sk-master-0123456789abcdef",
    "key of a client": "client-key-0123456789abc",
    "token of the hub": "hf_0123456789abcdefghij",
    "password of the Redis": "redis-password-012345",
    "key of a server that is not ours": "external-key-0123456789",
}
OLD = "old-key-of-an-earlier-run"


class Project:
    """One host that is everything, on this machine, with a fact cache that lasts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.variables: dict[str, Any] = {
            **HOST,
            "inference_master_key": GIVEN["master key"],
            "inference_huggingface_token": GIVEN["token of the hub"],
            "inference_gateway": {
                "client_keys": {"alice": GIVEN["key of a client"], "bob": None},
                "redis": {"host": "redis.example", "password": GIVEN["password of the Redis"]},
            },
            "inference_external_endpoints": [
                {"name": "lab", "base_url": "http://lab:8000/v1", "models": ["big"], "api_key": GIVEN["key of a server that is not ours"]}
            ],
            "inference_clients_config": [{"type": "openai", "path": str(folder / "openai.env"), "key": "alice"}],
        }

    def play(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        groups = ("inference_nodes", "gateways", "inference_clients")
        inventory = {"all": {"hosts": {"node": self.variables}, "children": {group: {"hosts": {"node": None}} for group in groups}}}
        (self.folder / "hosts.yml").write_text(yaml.safe_dump(inventory), encoding="utf-8")
        cache = {"ANSIBLE_CACHE_PLUGIN": "jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(self.folder / "cache")}
        return playbook(self.folder, name, "-i", "hosts.yml", *arguments, **cache)

    def cached(self) -> str:
        return "".join(path.read_text(encoding="utf-8") for path in (self.folder / "cache").iterdir())

    def remember(self) -> None:
        """What an earlier release left in the cache."""
        old = {"inference_plan": {"hosts": {"node": {"old": True}}}, "inference_secrets": {"master_key": OLD}, "cacheable": True}
        tasks = [{"ansible.builtin.set_fact": old}]
        playbook = self.folder / "earlier.yml"
        playbook.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": tasks}]), encoding="utf-8")
        done = self.play(str(playbook))
        assert done.returncode == 0, done.stdout + done.stderr
        assert OLD in self.cached()

    def whole_plan(self) -> subprocess.CompletedProcess[str]:
        """Facts, plan and keys of site.yml and no task of a role, but what checks the variables that roles are given."""
        return self.play(str(ROOT / "playbooks/site.yml"), "--tags", "nothing-of-the-roles")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_no_key_is_in_the_fact_cache(project: Project) -> None:
    done = project.whole_plan()
    assert done.returncode == 0, done.stdout + done.stderr
    generated = {path.name: path.read_text(encoding="utf-8").strip() for path in (project.folder / ".secrets").glob("*_keys/*")}
    assert set(generated) == {"node", "bob"}
    cached = project.cached()
    assert "gpu_inference" in cached, "the cache is not in use"
    assert [name for name, key in {**GIVEN, **generated}.items() if key in cached] == []
    assert "inference_plan" not in cached


def test_what_an_earlier_release_left_in_the_cache_goes(project: Project) -> None:
    project.remember()
    done = project.whole_plan()
    assert done.returncode == 0, done.stdout + done.stderr
    assert OLD not in project.cached()


@pytest.mark.parametrize(
    ("playbook", "task"),
    [
        ("site", "Service | Keep the engines as declared"),
        ("site", "Service | Keep the gateway as declared"),
        ("verify", "Ask from the host"),
    ],
)
def test_a_run_that_begins_in_the_middle_uses_no_old_plan(project: Project, playbook: str, task: str) -> None:
    project.remember()
    done = project.play(str(ROOT / f"playbooks/{playbook}.yml"), "--check", "--start-at-task", task)
    assert done.returncode != 0
    words = " ".join((done.stdout + done.stderr).split())
    assert "Start the playbook at its beginning" in words, done.stdout + done.stderr
    assert OLD not in words
