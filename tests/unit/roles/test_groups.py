# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A playbook says when it would do nothing: its plays have no hosts, and Ansible calls that success."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.repository import ROOT

# init is for machines that no inventory groups yet.
PLAYBOOKS = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml") if path.stem not in ("groups", "init"))


def run(tmp_path: Path, playbook: str, groups: dict[str, list[str]], *arguments: str) -> subprocess.CompletedProcess[str]:
    children: dict[str, Any] = {name: {"hosts": {host: {} for host in hosts}} for name, hosts in groups.items()}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": children}}), encoding="utf-8")
    return subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "hosts.yml", str(ROOT / f"playbooks/{playbook}.yml"), *arguments],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_every_playbook_looks_at_the_groups_first(playbook: str) -> None:
    first = yaml.safe_load((ROOT / f"playbooks/{playbook}.yml").read_text(encoding="utf-8"))[0]
    assert first["ansible.builtin.import_playbook"] == "groups.yml"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("playbook", "groups", "arguments", "words"),
    [
        ("site", {"inference_node": ["gpu01"], "gateway": ["gpu01"]}, (), "no group inference_nodes: rename it"),
        ("plan", {"inference_nodes": ["gpu01"], "gateway": ["gpu01"]}, ("--limit", "gpu01"), "no group gateways: rename it"),
        ("stop", {}, (), "so there is nothing to do"),
    ],
)
def test_a_misspelt_group_is_an_error(
    tmp_path: Path, playbook: str, groups: dict[str, list[str]], arguments: tuple[str, ...], words: str
) -> None:
    found = run(tmp_path, playbook, groups, *arguments)
    assert found.returncode == 2, found.stdout + found.stderr
    assert words in " ".join(found.stdout.split())
    assert "Plan the deployment" not in found.stdout


@pytest.mark.slow
@pytest.mark.parametrize("group", ["inference_nodes", "gateways", "inference_clients"])
def test_a_group_that_an_inventory_lacks_is_no_warning(tmp_path: Path, group: str) -> None:
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({group: {"hosts": {"gpu01": {}}}}), encoding="utf-8")
    playbooks = [str(ROOT / f"playbooks/{name}.yml") for name in PLAYBOOKS]
    found = subprocess.run(
        [sys.executable, "-m", "ansible.cli.playbook", "-i", "hosts.yml", "--limit", "gpu01", "--list-hosts", *playbooks],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.count("      gpu01") >= 2 * len(PLAYBOOKS)
    assert "WARNING" not in found.stdout + found.stderr
