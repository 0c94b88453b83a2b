# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hosts of an engine over several hosts hold to what the first one has found, in the real Ansible."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from support.local_play import playbook

MEMBERS = [{"host": "spark1", "address": "192.0.2.1"}, {"host": "spark2", "address": "192.0.2.2"}]


AWAY = [{"unit": "vllm@big.service", "ready": False, "cause": "unit_failed"}]
READY = [{"unit": "vllm@big.service", "ready": True}, {"unit": "vllm@small.service", "ready": False}]
REFUSED = {"failed": True, "refused": {"vllm/big": ["slow"]}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("waited", "proved", "changed", "fails"),
    [
        (AWAY, {}, True, True),
        (READY, REFUSED, True, True),
        (READY, {"refused": {}}, False, False),
        (READY, REFUSED, False, False),  # what was changed concerns that host alone
    ],
)
def test_what_one_host_has_found_holds_for_the_others_of_its_engine(
    tmp_path: Path, waited: list[object], proved: object, changed: bool, fails: bool
) -> None:
    group = {"port": 18070, "digest": "d", "key_variable": "KEY", "members": MEMBERS}
    reconciled = {"unproved": {"vllm/big": 3} if changed else {}, "went_back": {}}
    hosts: dict[str, dict[str, object]] = {
        name: {
            "engines_units": [{"kind": "vllm", "name": "big", "group": {**group, "rank": rank}}],
            "__engines_reconciled": reconciled,
        }
        for rank, name in enumerate(("spark1", "spark2"))
    }
    hosts["spark1"] |= {"__engines_waited": {"endpoints": waited}, "__engines_proved": proved}
    hosts["alone"] = {"engines_units": [{"kind": "vllm", "name": "small"}], "__engines_reconciled": {"unproved": {}, "went_back": {}}}
    common = {"ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": sys.executable}
    (tmp_path / "hosts.yml").write_text(json.dumps({"all": {"hosts": hosts, "vars": common}}))
    prove = {"name": "llmops.gpu_inference.engines", "tasks_from": "prove", "rolespec_validate": False}
    tasks = [{"include_role": prove, "when": "inventory_hostname != 'spark1'"}]
    (tmp_path / "play.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    done = playbook(tmp_path, "play.yml", "-i", "hosts.yml")
    assert done.returncode == (2 if fails else 0), done.stdout + done.stderr
    assert ("vllm/big: the change does not hold" in done.stdout + done.stderr) is fails
    assert "fatal: [alone]" not in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("prepared", [True, False])
def test_no_part_is_changed_where_another_host_of_the_engine_cannot(tmp_path: Path, prepared: bool) -> None:
    group = {"port": 18070, "digest": "d", "key_variable": "KEY", "members": MEMBERS}
    hosts: dict[str, dict[str, object]] = {
        name: {
            "engines_units": [{"kind": "vllm", "name": "big", "group": {**group, "rank": rank}}],
            "__engines_forecast": {"restarted": ["vllm/big"]},
        }
        for rank, name in enumerate(("spark1", "spark2"))
    }
    hosts["spark2"]["__engines_ahead"] = {} if prepared else {"failed": True, "msg": "cannot pull the image"}
    hosts["alone"] = {"engines_units": [{"kind": "vllm", "name": "small"}], "__engines_forecast": {"restarted": ["vllm/small"]}}
    common = {"ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": sys.executable}
    (tmp_path / "hosts.yml").write_text(json.dumps({"all": {"hosts": hosts, "vars": common}}))
    ahead = {"name": "llmops.gpu_inference.engines", "tasks_from": "ahead", "rolespec_validate": False}
    (tmp_path / "play.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [{"import_role": ahead}]}]))
    first = "Ahead | Change no part where another host of the engine cannot"
    done = playbook(tmp_path, "play.yml", "-i", "hosts.yml", "--start-at-task", first)
    told = done.stdout + done.stderr
    assert first in told
    assert done.returncode == (0 if prepared else 2), told
    assert ("fatal: [spark1]" in told and "vllm/big: nothing was changed here" in told) is not prepared
    assert "fatal: [alone]" not in told
