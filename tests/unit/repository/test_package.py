# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is published: the archive's content, its metadata, and that it works where it is installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.repository import ROOT

TOP = {
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "FILES.json",
    "LICENSE",
    "MANIFEST.json",
    "README.md",
    "changelogs",
    "docs",
    "galaxy.yml",
    "meta",
    "playbooks",
    "plugins",
    "roles",
    "schemas",
}


def load(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_an_execution_environment_gets_all_that_is_needed() -> None:
    """ansible-builder reads the dependencies of a collection from galaxy.yml and meta/execution-environment.yml."""
    (collection,) = load("execution-environment.yml")["dependencies"]["galaxy"]["collections"]
    galaxy = load("galaxy.yml")
    assert collection["name"] == f"{galaxy['namespace']}.{galaxy['name']}"
    wanted = load("meta/execution-environment.yml")["dependencies"]
    python = ROOT / wanted["python"]
    assert {re.split(r"[=<>]", line)[0] for line in python.read_text(encoding="utf-8").splitlines()} == {"PyYAML", "requests"}
    # Small base images have no ssh.
    assert "openssh-clients [platform:rpm]" in (ROOT / wanted["system"]).read_text(encoding="utf-8")


def test_the_oldest_ansible_is_the_same_everywhere() -> None:
    oldest = re.fullmatch(r">=(\d+\.\d+)\.0", load("meta/runtime.yml")["requires_ansible"])
    assert oldest
    assert load("execution-environment.yml")["dependencies"]["ansible_core"]["package_pip"] == f"ansible-core>={oldest[1]}.0"
    assert f"ansible-core {oldest[1]} or newer" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"^VERSIONS=.*\b{re.escape(oldest[1])}\b", (ROOT / "tests" / "compat.sh").read_text(encoding="utf-8"), re.M)


def test_every_module_is_in_the_action_group() -> None:
    grouped = set(load("meta/runtime.yml")["action_groups"]["gpu_inference"])
    assert grouped == {path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")}


def test_the_workflow_runs_what_a_build_server_runs() -> None:
    steps = [step["run"] for job in load(".github/workflows/ci.yml")["jobs"].values() for step in job["steps"] if "run" in step]
    assert len(steps) == 1
    assert steps[0].endswith("bash .ci/run")


def test_a_commit_runs_the_targets_of_make_check() -> None:
    recipe = re.search(r"^check: .*\n(?:\t.*)--output-sync=target (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert recipe
    hooks = [hook["entry"] for repository in load(".pre-commit-config.yaml")["repos"] for hook in repository["hooks"]]
    assert sorted(hooks) == sorted(f"make {target}" for target in recipe[1].split())


def run(*argv: str, cwd: Path, collections: Path | None = None) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    config = cwd / "ansible.cfg"
    config.touch()
    own |= {"ANSIBLE_CONFIG": str(config), "ANSIBLE_HOME": str(cwd / ".ansible"), "ANSIBLE_NOCOLOR": "1"}
    if collections:
        own["ANSIBLE_COLLECTIONS_PATH"] = str(collections)
    return subprocess.run([sys.executable, "-m", *argv], cwd=cwd, env=own, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    done = run("ansible.cli.galaxy", "collection", "build", str(ROOT), "--output-path", str(folder), cwd=folder)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("llmops-gpu_inference-*.tar.gz"))


@pytest.mark.slow
def test_the_archive_holds_the_collection_and_nothing_else(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
        listed = {entry["name"] for entry in json.load(tar.extractfile("FILES.json"))["files"]}  # type: ignore[arg-type]
    names = {member.name for member in members}
    assert {name.split("/")[0] for name in names} <= TOP
    assert [member.name for member in members if not (member.isfile() or member.isdir())] == []
    assert [name for name in names if re.search(r"(^|/)(\.[^/]+|__pycache__|tests|molecule|inventories)(/|$)", name)] == []
    assert names - listed <= {"FILES.json", "MANIFEST.json"}
    for kind in ("modules", "action", "filter", "module_utils", "plugin_utils", "doc_fragments"):
        wanted = {f"plugins/{kind}/{path.name}" for path in (ROOT / "plugins" / kind).glob("*.*")}
        assert wanted <= names
    assert {f"roles/{path.name}" for path in (ROOT / "roles").iterdir() if path.is_dir()} <= names


@pytest.mark.slow
def test_the_installed_archive_plans_a_users_own_inventory(archive: Path, tmp_path: Path) -> None:
    collections = tmp_path / "collections"
    done = run("ansible.cli.galaxy", "collection", "install", "--offline", "--no-deps", "-p", str(collections), str(archive), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shutil.copytree(ROOT / "inventories" / "four-capabilities", tmp_path / "mine")
    plan = ("ansible.cli.playbook", "-i", str(tmp_path / "mine"), "-e", "plan_offline=true", "llmops.gpu_inference.plan")
    done = run(*plan, cwd=tmp_path, collections=collections)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8070" in done.stdout
    assert "failed=0" in done.stdout
