# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many hosts change at once: the expression of site.yml, read by Ansible itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.local_play import playbook
from support.repository import ROOT

#: As in site.yml, where it is not the first play either: then Ansible has no variables of hosts yet.
BEGIN = {"hosts": "inference_nodes", "gather_facts": False, "tasks": []}
SITE, BACK = (
    next(play for play in yaml.safe_load((ROOT / f"playbooks/{name}.yml").read_text()) if play["name"] == title)["serial"]
    for name, title in (("site", "Run the engines"), ("rollback", "Go back"))
)
SERIAL = SITE


def test_the_way_back_has_the_same_batches() -> None:
    assert BACK == SITE


def test_gateways_change_one_after_the_other() -> None:
    play = next(play for play in yaml.safe_load((ROOT / "playbooks/site.yml").read_text()) if play["name"] == "Run the gateway")
    assert play.get("serial") == 1


@pytest.mark.slow
def test_a_gateway_that_has_failed_before_holds_the_others_up_no_more(tmp_path: Path) -> None:
    hosts = {name: {"ansible_connection": "local"} for name in "abc"}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": {"gateways": {"hosts": hosts}}}}))
    fail = {"ansible.builtin.fail": {"msg": "no"}, "when": "inventory_hostname == 'a'"}
    plays = [
        {"hosts": "gateways", "gather_facts": False, "tasks": [fail]},
        {"hosts": "gateways", "gather_facts": False, "serial": 1, "tasks": [{"ansible.builtin.debug": {"msg": "gateway"}}]},
        {"hosts": "gateways", "gather_facts": False, "tasks": [{"ansible.builtin.debug": {"msg": "after"}}]},
    ]
    (tmp_path / "play.yml").write_text(yaml.safe_dump(plays))
    done = playbook(tmp_path, str(tmp_path / "play.yml"), "-i", str(tmp_path / "hosts.yml"))
    assert (done.stdout.count("msg: gateway"), done.stdout.count("msg: after")) == (2, 2), done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rollout", "batches"),
    [
        (None, [["a", "b", "c"]]),
        ({}, [["a", "b", "c"]]),
        ({"on_failure": "stop"}, [["a", "b", "c"]]),
        ({"batch": 1}, [["a"], ["b"], ["c"]]),
        ({"batch": "2"}, [["a", "b"], ["c"]]),
        ({"batch": "34%"}, [["a"], ["b"], ["c"]]),
        ({"batch": "{{ 1 + 1 }}"}, [["a", "b"], ["c"]]),
    ],
)
def test_batches_of_hosts(tmp_path: Path, rollout: dict[str, Any] | None, batches: list[list[str]]) -> None:
    variables = {} if rollout is None else {"inference_rollout": rollout}
    hosts = {name: {"ansible_connection": "local"} for name in "abc"}
    inventory = {"all": {"vars": variables, "children": {"inference_nodes": {"hosts": hosts}}}}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(inventory))
    play = {
        "hosts": "inference_nodes",
        "gather_facts": False,
        "serial": SERIAL,
        "tasks": [{"ansible.builtin.debug": {"msg": "batch {{ ansible_play_batch | join(' ') }}."}}],
    }
    (tmp_path / "play.yml").write_text(yaml.safe_dump([BEGIN, play]))
    done = playbook(tmp_path, str(tmp_path / "play.yml"), "-i", str(tmp_path / "hosts.yml"))
    assert done.returncode == 0, done.stdout + done.stderr
    found = list(dict.fromkeys(re.findall(r"batch ([abc ]+)\.", done.stdout)))
    assert [batch.split() for batch in found] == batches


@pytest.mark.slow
def test_a_host_that_fails_ends_the_run(tmp_path: Path) -> None:
    hosts = {name: {"ansible_connection": "local"} for name in "abc"}
    inventory = {"all": {"vars": {"inference_rollout": {"batch": 1}}, "children": {"inference_nodes": {"hosts": hosts}}}}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(inventory))
    first = {
        "hosts": "inference_nodes",
        "gather_facts": False,
        "serial": SERIAL,
        "tasks": [{"ansible.builtin.fail": {"msg": "no"}, "when": "inventory_hostname == 'b'"}],
    }
    second = {"hosts": "inference_nodes", "gather_facts": False, "tasks": [{"ansible.builtin.debug": {"msg": "came here"}}]}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([BEGIN, first, second]))
    done = playbook(tmp_path, str(tmp_path / "play.yml"), "-i", str(tmp_path / "hosts.yml"))
    assert done.returncode != 0
    assert "came here" not in done.stdout
    assert not re.search(r"^c +:", done.stdout, re.MULTILINE), done.stdout
