# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks in odd surroundings; tests/compat.sh runs this with each ansible-core and each Python.

Of site.yml the tasks of roles are left out, which would change this machine: facts, plan, keys and the last block remain.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.local_play import HOST
from support.repository import ROOT

pytestmark = pytest.mark.slow
#: Of what an operator may have set nothing is there; not even a home, a language or a terminal.
BARE = {
    "PATH": os.environ["PATH"],
    "PYTHONPATH": "",
    "ANSIBLE_NOCOLOR": "1",
    # Other collections than ours, such as those of tests/compat.sh.
    "BESIDE": os.environ.get("ANSIBLE_COLLECTIONS_PATH", "").partition(":")[2],
}
AT_ONCE = ("--tags", "nothing-of-the-roles")
READ_ONLY = 'mount --bind "$1" "$2" && mount -o remount,bind,ro "$2" && cd "$2" && shift 2 && ! touch may-not-be 2>/dev/null && exec "$@"'


class Surroundings:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkout = folder / "my check out"
        self.checkout.mkdir()
        self.inventory = folder / "my inventory" / "hosts of mine.yml"
        self.inventory.parent.mkdir()
        self.keys = folder / "my keys"
        self.host: dict[str, Any] = {
            **HOST,
            "inference_secrets_dir": str(self.keys),
        }

    def play(self, playbook: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """By a checkout that cannot be written, on a path with spaces."""
        self.inventory.write_text(yaml.safe_dump({"inference_nodes": {"hosts": {"node": self.host}}, "gateways": {"hosts": {"node": {}}}}))
        collections = f"{self.checkout / 'collections'}:{BARE['BESIDE']}".rstrip(":")
        # A mount of one's own needs root, or a user namespace in which one is root.
        unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
        ansible = [sys.executable, "-m", "ansible.cli.playbook", "-i", str(self.inventory), f"playbooks/{playbook}.yml", *arguments]
        return subprocess.run(
            [*unshare, "sh", "-c", READ_ONLY, "sh", str(ROOT), str(self.checkout), *ansible],
            env={**BARE, "ANSIBLE_COLLECTIONS_PATH": collections, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


@pytest.fixture
def surroundings(tmp_path: Path) -> Surroundings:
    return Surroundings(tmp_path)


def good(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    for word in ("WARNING", "DEPRECATION"):
        assert word not in done.stdout + done.stderr, done.stdout + done.stderr
    return done.stdout


def test_without_a_home_a_language_and_a_terminal_from_a_checkout_that_cannot_be_written(surroundings: Surroundings) -> None:
    shown = good(surroundings.play("plan", ANSIBLE_CALLBACK_RESULT_FORMAT="json"))
    assert "Qwen/Qwen3-8B" in shown
    good(surroundings.play("site", *AT_ONCE))
    assert (surroundings.keys / "master_key").is_file()
    assert [path.name for path in surroundings.inventory.parent.iterdir()] == [surroundings.inventory.name]


def test_a_document_stays_one_with_a_fact_cache(surroundings: Surroundings) -> None:
    cached = {"ANSIBLE_CACHE_PLUGIN": "jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(surroundings.folder / "my cache")}
    for _time in ("cold", "warm"):
        done = surroundings.play("site", *AT_ONCE, ANSIBLE_STDOUT_CALLBACK="ansible.posix.json", **cached)
        # The callback's own imports make a newer ansible-core warn of it on standard error.
        assert done.returncode == 0, done.stdout + done.stderr
        document = json.loads(done.stdout)
        assert document["stats"]["node"]["failures"] == 0
        assert any("lines" in host for one in document["plays"] for task in one["tasks"] for host in task["hosts"].values())


def test_status_with_results_as_yaml_and_a_node_that_speaks_no_utf8(surroundings: Surroundings) -> None:
    python = surroundings.folder / "python"
    python.write_text(f'#!/bin/sh\nexec env -u HOME LC_ALL=POSIX {sys.executable} "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    surroundings.host["ansible_python_interpreter"] = str(python)
    shown = good(surroundings.play("status", "-e", "only_service=no-such", ANSIBLE_CALLBACK_RESULT_FORMAT="yaml"))
    assert "node  has no unit of this collection" in shown


@pytest.mark.parametrize(("playbook", "arguments"), [("plan", ()), ("status", ("-e", "only_service=no-such"))])
def test_of_a_python_that_ansible_finds_by_itself_nothing_is_said(
    surroundings: Surroundings, playbook: str, arguments: tuple[str, ...]
) -> None:
    """C(auto) is what Ansible does where nothing is set, and warns of."""
    del surroundings.host["ansible_python_interpreter"]
    good(surroundings.play(playbook, *arguments, ANSIBLE_PYTHON_INTERPRETER="auto", PATH="/usr/sbin:/usr/bin:/sbin:/bin"))
    python = surroundings.folder / "python"
    python.write_text(f'#!/bin/sh\ntouch "{surroundings.folder}/set"\nexec {sys.executable} "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    good(surroundings.play(playbook, *arguments, ANSIBLE_PYTHON_INTERPRETER=str(python)))
    assert (surroundings.folder / "set").exists(), "what the operator has set is used"


def test_a_controller_whose_language_is_not_utf8_is_told_by_ansible_itself(surroundings: Surroundings) -> None:
    done = surroundings.play("plan", LC_ALL="C")
    assert done.returncode != 0
    assert "Ansible requires the locale encoding to be UTF-8" in done.stdout + done.stderr


#: Asks as sudo does, by the prompt that it is given, and starts what it was told to only with the password.
SUDO = """#!/bin/sh
while [ "$1" != -u ]; do [ "$1" = -p ] && printf '%s' "$2" >&2; shift; done
IFS= read -r given && [ "$given" = 'a pass word' ] || { echo 'Sorry, try again.' >&2; exit 1; }
shift 2
echo asked >>"$(dirname "$0")/asked"
exec "$@"
"""


def test_a_sudo_password_from_a_file_is_given_wherever_root_is_needed(surroundings: Surroundings) -> None:
    sudo, password = surroundings.folder / "sudo", surroundings.folder / "my password"
    sudo.write_text(SUDO, encoding="utf-8")
    sudo.chmod(0o755)
    password.write_text("a pass word\n", encoding="utf-8")
    del surroundings.host["ansible_become"]
    surroundings.host["ansible_become_exe"] = str(sudo)
    arguments = ("-e", "only_service=no-such", "--become-password-file", str(password))
    shown = good(surroundings.play("status", *arguments, ANSIBLE_BECOME_ALLOW_SAME_USER="true"))
    assert "node  has no unit of this collection" in shown
    assert (surroundings.folder / "asked").is_file()
    assert "a pass word" not in shown
