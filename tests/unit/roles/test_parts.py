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
