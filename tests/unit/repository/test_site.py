# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the site needs of the pages and of the repository, without building it: `make docs-site-check` does that."""

from __future__ import annotations

import fnmatch
import itertools
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.repository import ROOT, tracked_files

PAGES = tracked_files("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md", "roles/*/README.md")
CONFIG = yaml.safe_load((ROOT / "website" / "mkdocs.yml").read_text(encoding="utf-8"))


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)


def leaves(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    return [leaf for entry in (nav.values() if isinstance(nav, dict) else nav) for leaf in leaves(entry)]


def test_the_site_names_every_page_once() -> None:
    """Those of the roles follow by themselves."""
    wanted = [str(page.relative_to(ROOT)) for page in PAGES if not page.is_relative_to(ROOT / "roles")]
    assert sorted(leaves(CONFIG["nav"])) == sorted(wanted)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_headings_are_in_order_and_differ(page: Path) -> None:
    """One title, no level left out. Of two that are equal GitHub and the site would make different anchors."""
    headings = re.findall(r"^(#+) +(.+)$", prose(page), re.M)
    levels = [len(marks) for marks, _text in headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert [text for (before, _text), (marks, text) in itertools.pairwise(headings) if len(marks) > len(before) + 1] == []
    texts = [text for _marks, text in headings]
    assert sorted({text for text in texts if texts.count(text) > 1}) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_rows_have_as_many_cells_as_their_heading(page: Path) -> None:
    """A pipe within code ends a cell on GitHub, unless it is escaped. Cells that are too many are not shown."""
    wrong = []
    for table in re.findall(r"(?:^\|.*\n)+", prose(page) + "\n", re.M):
        rows = [len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()]
        wrong += [row for row, cells in zip(table.splitlines(), rows, strict=True) if cells != rows[0]]
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pictures_say_what_they_show(page: Path) -> None:
    assert [image for words, image in re.findall(r"!\[([^\]]*)\]\(([^)\s]+)\)", prose(page)) if len(words) < 20] == []


def test_nothing_of_the_site_comes_from_elsewhere() -> None:
    """No fonts, scripts or counters of other servers. What is built is looked at too: website/check.py sees each request."""
    assert CONFIG["theme"]["font"] is False
    assert {"extra", "extra_javascript", "repo_url"} & set(CONFIG) == set()
    own = tracked_files("website/assets/*", "docs/*.svg")
    assert own
    assert [path.name for path in own if re.search(r"(?:url\(|href=|src=)[\"']?(?:https?:)?//", path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("folder", ["build", "dist", ".venv", ".venv-docs"])
def test_what_make_builds_is_neither_committed_nor_published(folder: str) -> None:
    ignored = subprocess.run(["git", "check-ignore", "--quiet", f"{folder}/file"], cwd=ROOT, check=False).returncode == 0
    # A link to a folder is a file to git.
    assert ignored or (ROOT / folder).is_symlink()
    patterns = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["build_ignore"]
    assert any(fnmatch.fnmatch(folder, pattern) for pattern in patterns)
    assert any(fnmatch.fnmatch("website", pattern) for pattern in patterns)


def test_the_site_is_built_where_git_does_not_look() -> None:
    assert (ROOT / "website" / CONFIG["site_dir"]).resolve() == ROOT / "build" / "docs-site"


def test_a_dead_link_ends_the_build() -> None:
    assert CONFIG["strict"] is True
    assert set(CONFIG["validation"].values()) == {"warn"}
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ndocs-site: ")[2].partition("\n\n")[0]
    commands = [line for line in recipe.splitlines() if "mkdocs build" in line]
    assert commands
    assert [line for line in commands if "--strict" not in line or "quiet" in line or " -q" in line] == []
