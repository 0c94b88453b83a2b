# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a page names exists: variables, playbooks, plugins, targets of make, scenarios; and it claims the platforms that roles claim."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from support.repository import ROOT, tracked_files

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.model import FACTS, VARIABLES

PAGES = tracked_files("README.md", "CONTRIBUTING.md", "docs/*.md", "roles/*/README.md")
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
PLAYBOOKS = {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
PLUGINS = {path.stem for kind in ("modules", "filter", "action") for path in (ROOT / "plugins" / kind).iterdir()}
SPECS = [yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")) for role in ROLES]
OPTIONS = {name for spec in SPECS for entry in spec["argument_specs"].values() for name in entry.get("options") or {}}
EXTRA = set(
    re.findall(
        r"\b(?:verify|remove|only|plan)_[a-z]+\b", "".join(p.read_text(encoding="utf-8") for p in (ROOT / "playbooks").glob("*.yml"))
    )
)
#: Names that begin like a variable: a network, a cause, LiteLLM's own, a type of client file, and an example of a misspelt one.
OTHERS = {"inference_engines", "docker_down", "litellm_params", "litellm_settings", "ollama_chat", "litellm_sdk", "vllm_instnaces"}
#: What earlier checkouts had, and the notes for an upgrade name.
GONE = {"docker_secure_logging", "launcher_systemd_watchdog_sec", "vllm_huggingface_token", "ollama_servers"}


def code(page: Path) -> list[str]:
    """What stands between backticks, and in blocks."""
    text = page.read_text(encoding="utf-8")
    return re.findall(r"```.*?```", text, re.S) + re.findall(r"`[^`\n]+`", re.sub(r"```.*?```", "", text, flags=re.S))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_exists(page: Path) -> None:
    text = "\n".join(code(page))
    gone = GONE if page.name == "upgrading.md" else set()
    variables = set(re.findall(rf"(?<![\w./-])(?:inference|{'|'.join(ROLES)}|verify|remove|only|plan)_[a-z0-9_]+\b(?![./-]\w|\()", text))
    assert sorted(variables - OPTIONS - set(VARIABLES) - set(FACTS) - EXTRA - PLUGINS - OTHERS - set(ROLES) - gone) == []
    assert sorted(set(re.findall(r"playbooks/([a-z]+)\.yml", text)) - PLAYBOOKS) == []
    assert sorted(set(re.findall(r"llmops\.gpu_inference\.([a-z_]+)", text)) - PLAYBOOKS - PLUGINS - set(ROLES)) == []
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert sorted(set(re.findall(r"\bmake ([a-z][a-z-]*)", text)) - targets) == []
    scenarios = {path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml")}
    assert sorted(set(re.findall(r"molecule(?: test -s |/)([a-z-]+)", text)) - scenarios - {"shared"}) == []


def test_roles_claim_the_platforms_that_the_page_on_support_lists() -> None:
    rows = re.findall(r"^\| (\w+) \| (.+) \|$", (ROOT / "docs" / "support.md").read_text(encoding="utf-8").split("\n## ")[0], re.M)
    listed = {cells[0]: [cell.strip("* ") for cell in cells[1].split(" | ")] for cells in rows if cells[0] in ROLES}
    assert sorted(listed) == ROLES
    for role, cells in listed.items():
        columns = dict(zip(("trixie", "bookworm", "jammy noble", "9"), cells, strict=False))
        claimed = yaml.safe_load((ROOT / "roles" / role / "meta" / "main.yml").read_text(encoding="utf-8"))["galaxy_info"]["platforms"]
        assert {version for platform in claimed for version in platform["versions"]} == {
            version for versions, cell in columns.items() if cell != "no" for version in versions.split()
        }, role


def test_every_scenario_is_on_the_page_on_support() -> None:
    section = (ROOT / "docs" / "support.md").read_text(encoding="utf-8").split("\n## Scenarios")[1].split("\n## ")[0]
    scenarios = {path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml")}
    assert sorted(scenarios - set(re.findall(r"^\| `([a-z-]+)` \|", section, re.M))) == []
