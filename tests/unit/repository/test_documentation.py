# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation is in step with the code, and every link leads somewhere."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.repository import ROOT, tracked_files
from support.role_pages import write_tables

PAGES = tracked_files("*.md")
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())


def anchors(page: Path) -> set[str]:
    """As GitHub makes them from headings."""
    headings = re.findall(r"^#+ +(.+)$", re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"```.*?```|`[^`\n]+`", "", page.read_text(encoding="utf-8"), flags=re.S)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", link):
            continue
        path, _hash, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_tables_of_variables_are_those_of_the_specs(tmp_path: Path) -> None:
    """Otherwise: make docs."""
    for role in ROLES:
        shutil.copytree(ROOT / "roles" / role / "meta", tmp_path / "roles" / role / "meta")
        shutil.copy(ROOT / "roles" / role / "README.md", tmp_path / "roles" / role)
    write_tables(tmp_path / "roles" / role for role in ROLES)
    outdated = [
        role
        for role in ROLES
        if (tmp_path / "roles" / role / "README.md").read_text(encoding="utf-8")
        != (ROOT / "roles" / role / "README.md").read_text(encoding="utf-8")
    ]
    assert outdated == []


def test_ansible_doc_knows_every_plugin_and_role() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ansible.cli.doc", "--metadata-dump", "--no-fail-on-errors", "llmops.gpu_inference"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["all"]
    errors = {name: entry["error"] for kind in ("module", "filter", "role") for name, entry in found[kind].items() if "error" in entry}
    assert errors == {}
    prefix = "llmops.gpu_inference."
    assert set(found["role"]) == {prefix + role for role in ROLES}
    assert set(found["module"]) == {prefix + path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")}
    files = (ROOT / "plugins" / "filter").glob("*.py")
    # A file of several filters has a page for each beside it; its own would be shown for all of them.
    assert {name: entry["doc"]["name"] for name, entry in found["filter"].items()} == {
        name: name.removeprefix(prefix) for name in found["filter"]
    }
    modules = [importlib.import_module(f"ansible_collections.llmops.gpu_inference.plugins.filter.{path.stem}") for path in files]
    assert set(found["filter"]) == {prefix + name for module in modules for name in module.FilterModule().filters()}


@pytest.mark.parametrize("plugin", sorted((ROOT / "plugins" / "action").glob("*.py")), ids=lambda path: path.stem)
def test_an_action_has_a_module_of_its_name(plugin: Path) -> None:
    """Its documentation lies there."""
    documentation = (ROOT / "plugins" / "modules" / plugin.name).read_text(encoding="utf-8")
    assert yaml.safe_load(documentation.split('DOCUMENTATION = r"""', 1)[1].split('"""', 1)[0])["module"] == plugin.stem


def test_readme_leads_to_every_page() -> None:
    """From the README, over links, to each page in docs/ and each role."""
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        for link in re.findall(r"\]\(([^)\s#]+)", page.read_text(encoding="utf-8")):
            target = (page.parent / link).resolve()
            if target.is_dir():
                waiting += [path for path in target.glob("*/README.md") if target == ROOT / "roles"]
            elif target.suffix == ".md" and target.exists():
                waiting.append(target)
    unreachable = [str(page.relative_to(ROOT)) for page in PAGES if page not in seen and page.is_relative_to(ROOT / "docs")]
    assert unreachable == []


_MAP = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Map of the repository")[2].partition("\n## ")[0]
MAP = re.findall(r"^\| (.+?) \| (`.+?) \| (`.+?) \|$", _MAP, re.M)


@pytest.mark.parametrize(("thing", "code", "tests"), MAP, ids=[row[0] for row in MAP])
def test_the_map_of_the_repository_leads_to_files(thing: str, code: str, tests: str) -> None:
    for cell in (code, tests):
        folder = ROOT
        for path in re.findall(r"`([^`]+)`", cell):
            # A bare name lies where the one before it does.
            assert list((ROOT if "/" in path else folder).glob(path)), f"{thing}: {path}"
            folder = (ROOT / path).parent if "/" in path else folder
