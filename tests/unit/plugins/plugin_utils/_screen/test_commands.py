# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._screen.ask import curl_line
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._screen.columns import cut, some
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._screen.commands import command
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._screen.say import is_for_people


@pytest.mark.parametrize(
    ("given", "inventory", "expected"),
    [
        ("site.yml", "HERE/inventories/demo/hosts.yml", "ansible-playbook playbooks/status.yml -i inventories/demo/hosts.yml"),
        ("playbooks/site.yml", "HERE/hosts.yml", "ansible-playbook playbooks/status.yml -i hosts.yml"),
        ("HERE/playbooks/site.yml", "/etc/hosts.yml", "ansible-playbook HERE/playbooks/status.yml -i /etc/hosts.yml"),
        ("llmops.gpu_inference.site", "HERE/my hosts.yml", "ansible-playbook llmops.gpu_inference.status -i 'my hosts.yml'"),
        ("my_own.yml", "a,b", "ansible-playbook llmops.gpu_inference.status -i a,b"),
    ],
)
def test_the_next_command_is_one_that_works_as_this_one_did(tmp_path: Path, given: str, inventory: str, expected: str) -> None:
    here = str(tmp_path)
    found = command("status", [given.replace("HERE", here)], [inventory.replace("HERE", here)], tmp_path, tmp_path)
    assert found == expected.replace("HERE", here)


@pytest.mark.parametrize("capability", ["chat", "embedding", "rerank", "transcription"])
@pytest.mark.parametrize("name", ["a key", "it's", "plain"])
def test_a_shell_reads_the_request_and_takes_the_key_out_of_its_file(tmp_path: Path, capability: str, name: str) -> None:
    (tmp_path / name).write_text("sk-1\n")
    line = curl_line("http://gpu01:8400/", "it's", capability, str(tmp_path / name))
    shown = subprocess.run(["sh", "-c", f"curl() {{ printf '%s\\n' \"$@\"; }}; {line}"], capture_output=True, text=True, check=True)
    words = shown.stdout.splitlines()
    assert words[1].startswith("http://gpu01:8400/v1/")
    assert "Authorization: Bearer sk-1" in words
    assert "it's" in words[-1] or "model=it's" in words
    assert "sk-1" not in line


def test_a_key_of_the_users_own_is_theirs_to_fill_in() -> None:
    assert "Authorization: Bearer $KEY" in shlex.split(curl_line("http://gpu01:8400", "chat", "chat", ""))


@pytest.mark.parametrize(
    ("callback", "expected"),
    [("default", True), ("ansible.posix.debug", True), ("community.general.yaml", True), ("json", False), ("ansible.posix.json", False)],
)
def test_lines_are_printed_where_people_read(callback: str, expected: bool) -> None:
    assert is_for_people(callback) is expected


@pytest.mark.parametrize(("count", "expected"), [(0, ""), (2, "a0, a1"), (3, "a0, a1, a2"), (5, "a0, a1 and 3 more")])
def test_some_of_many_names(count: int, expected: str) -> None:
    assert some([f"a{number}" for number in range(count)], 3) == expected


@pytest.mark.parametrize(("count", "expected"), [(0, []), (2, ["0", "1"]), (3, ["0", "1", "2"]), (5, ["0", "1", "  ... and 3 more"])])
def test_as_many_lines_as_have_room(count: int, expected: list[str]) -> None:
    assert cut([str(number) for number in range(count)], 3) == expected
