# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An answer counts only if it comes from what this run has made: every role hands the module that waits the hash of its configuration."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.local_play import playbook
from support.repository import ROOT

CONFIG = {"model_list": [{"model_name": "chat", "litellm_params": {"model": "hosted_vllm/chat", "api_base": "http://vllm-chat:8000/v1"}}]}
THROUGH = [{"name": name, "base_url": "http://127.0.0.1:8400/v1", "health_path": "", "model": "chat"} for name in ("chat", "LLM")]
PROBE = {"base_url": "http://127.0.0.1:8070/v1", "model": "chat"}
COMMON: dict[str, Any] = {"docker_arguments": [], "command": [], "networks": [], "files": {}, "environment": {}, "locks": []}
ENGINE = {**COMMON, "kind": "vllm", "name": "chat", "image": "example/vllm:1", "probe": PROBE, "start_timeout": 60, "stop_timeout": 10}
ROLES: dict[str, dict[str, Any]] = {
    "engines": {"engines_kinds": ["vllm"], "engines_units": [ENGINE]},
    "litellm": {
        "litellm_config": CONFIG,
        "litellm_policy": {"version": 1},
        "litellm_master_key": "sk-0123456789abcdef-m",
        "litellm_gateway_endpoints": THROUGH,
    },
}

#: Roles that keep container units as declared.
RECONCILE = ("clients", "engines", "litellm")
UNITS = {"engines": "vllm@chat.service", "litellm": "litellm@gateway.service"}
#: The gateway itself, and each model through it.
COUNTS = {"engines": 1, "litellm": 1 + len(THROUGH)}


def reconciling(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tasks that keep container units as declared, inside of blocks too."""
    module = "llmops.gpu_inference.container_units"
    found = [task for task in tasks if module in task and not {"prefetch", "live_only"} & set(task[module])]
    return found + [inner for task in tasks for inner in reconciling(task.get("block", []))]


@pytest.mark.parametrize("role", RECONCILE)
def test_what_was_made_is_what_is_waited_for(role: str) -> None:
    folder = ROOT / "roles" / role
    (task,) = reconciling(yaml.safe_load((folder / "tasks/service.yml").read_text(encoding="utf-8")))
    readers = [path.read_text(encoding="utf-8") for path in (folder / "tasks/verify.yml", folder / "vars/main.yml") if path.exists()]
    assert re.search(rf"\b{task['register']}\b", "".join(readers))


def test_no_role_is_forgotten() -> None:
    files = {path: yaml.safe_load(path.read_text(encoding="utf-8")) or [] for path in ROOT.glob("roles/*/tasks/*.yml")}
    assert {path.parts[-3] for path, tasks in files.items() if reconciling(tasks)} == set(RECONCILE)


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
def test_every_endpoint_of_a_unit_has_the_hash_of_its_configuration(tmp_path: Path, role: str) -> None:
    """In check mode, where both modules say what they would do; without Docker, so that nothing on this machine matters."""
    name = f"llmops.gpu_inference.{role}"
    parts = [{"ansible.builtin.import_role": {"name": name, "tasks_from": part}} for part in ("service", "verify")]
    (tmp_path / "play.yml").write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": parts}]), encoding="utf-8")
    given = json.dumps({"ansible_become": False, **ROLES[role]})
    arguments = ("-i", "localhost,", "-c", "local", "--check", "-v", "-e", given)
    as_json = {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_CALLBACK_FORMAT_PRETTY": "0"}
    done = playbook(tmp_path, "play.yml", *arguments, **as_json, PATH=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    shown = [json.loads(line.partition(" => ")[2]) for line in done.stdout.splitlines() if " => {" in line]
    (made,) = {unit["config_hash"] for result in shown for unit in result.get("units", {}).values()}
    waited = [endpoint for result in shown for endpoint in result.get("would_poll", [])]
    assert [(endpoint["unit"], endpoint["config_hash"]) for endpoint in waited] == [(UNITS[role], made)] * COUNTS[role]
