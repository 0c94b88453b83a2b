# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a role documents is what it does: argument specs and defaults agree, in names and in values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._secrets.secrecy import is_secret_name

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())


def load(path: Path) -> dict[str, Any]:
    return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.exists() else {}


def options(role: str) -> dict[str, dict[str, Any]]:
    merged: dict[str, dict[str, Any]] = {}
    for spec in load(ROOT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"].values():
        merged.update(spec.get("options") or {})
    return merged


def test_there_are_roles() -> None:
    assert ROLES


@pytest.mark.parametrize("role", ROLES)
def test_defaults_equal_argument_specs(role: str) -> None:
    documented = {name: option["default"] for name, option in options(role).items() if "default" in option}
    assert documented == load(ROOT / "roles" / role / "defaults" / "main.yml")


@pytest.mark.parametrize("role", ROLES)
def test_defaults_are_what_the_role_itself_takes(role: str) -> None:
    """Ansible checks them like what a user gives; site.yml leaves that out, since the plan has checked everything."""
    given = {name: option["default"] for name, option in options(role).items() if option.get("default") is not None}
    result = ArgumentSpecValidator({name: options(role)[name] for name in given}).validate(given)
    assert result.error_messages == []


@pytest.mark.parametrize("role", ROLES)
def test_variables_carry_the_prefix_of_their_role(role: str) -> None:
    assert [name for name in options(role) if not name.startswith(f"{role}_")] == []
    private = load(ROOT / "roles" / role / "vars" / "main.yml")
    assert [name for name in private if not name.startswith(f"__{role}_")] == []


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_has_an_effect(role: str) -> None:
    readers = [path for part in ("tasks", "handlers", "templates", "vars") for path in (ROOT / "roles" / role / part).rglob("*.*")]
    # The engines' units are made from the variables of two roles, by the role engines.
    text = "\n".join(path.read_text(encoding="utf-8") for path in [*readers, *(ROOT / "playbooks").rglob("*.yml")])
    assert [name for name in options(role) if not re.search(rf"\b{name}\b", text)] == []


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_is_described(role: str) -> None:
    undescribed = [name for name, option in options(role).items() if not option.get("description") or not option.get("type")]
    assert undescribed == []


def nested(given: dict[str, dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, option in given.items():
        yield name, option
        yield from nested(option.get("options") or {})


#: What only sounds like a secret: a path, and a switch.
NO_SECRETS = {"node_proxy_tls_certificate_key", "planning_secrets"}


@pytest.mark.parametrize("role", ROLES)
def test_secrets_are_texts_without_a_default(role: str) -> None:
    """A conversion that fails prints the value even with no_log, and a default secret is none."""
    for name, option in nested(options(role)):
        assert option.get("no_log") or not is_secret_name(name) or name in NO_SECRETS, name
        if option.get("no_log"):
            assert option["type"] in {"str", "dict"}, name
            assert option.get("default") in (None, {}, ""), name
            assert "choices" not in option, name


@pytest.mark.parametrize("role", ROLES)
def test_roles_know_neither_groups_nor_the_plan(role: str) -> None:
    if role == "planning":
        return
    texts = {path: path.read_text(encoding="utf-8") for path in (ROOT / "roles" / role).rglob("*.y*ml")}
    offending = [str(path) for path, text in texts.items() if re.search(r"inference_plan|groups\[|inference_nodes\b|hostvars\[", text)]
    assert offending == []


@pytest.mark.parametrize("role", [role for role in ROLES if role != "planning"])
def test_misspelt_variables_are_refused(role: str) -> None:
    preflight = (ROOT / "roles" / role / "tasks" / "preflight.yml").read_text(encoding="utf-8")
    first = yaml.safe_load(preflight)[0]
    roles = first["llmops.gpu_inference.check_role"]["roles"]
    # Those of the engines as well, for the role that runs them all.
    assert roles == [role] or roles.startswith(f"{{{{ ['{role}'] + ")
    assert "when" not in first


@pytest.mark.parametrize("role", ROLES)
def test_role_has_a_page_with_generated_variables(role: str) -> None:
    page = (ROOT / "roles" / role / "README.md").read_text(encoding="utf-8")
    assert "<!-- BEGIN_ANSIBLE_DOCS -->" in page
    assert "<!-- END_ANSIBLE_DOCS -->" in page
