# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What site.yml makes of the plan and of the roles' own variables, without a host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.inventories import dgpu, host, inventory, service, variables

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import build_plan

REPOSITORY = Path(__file__).resolve().parents[3]


def engine_units(tmp_path: Path, **own: Any) -> list[dict[str, Any]]:
    """The units that the play of the engines gives to the role engines on a host with these variables."""
    models = {"chat": {"source": "a/b"}, "small": {"source": "qwen3:4b", "engine": "ollama"}}
    services = [service(memory="8GiB"), service("small", 11434, memory="4GiB")]
    given = {"inference_models": models, **{key: value for key, value in own.items() if key.startswith("inference_")}}
    plan = build_plan(inventory(localhost=host(hardware=dgpu(), **variables(*services, **given))))
    (play,) = [play for play in yaml.safe_load((REPOSITORY / "playbooks/site.yml").read_text()) if play["name"] == "Run the engines"]
    files = [str(REPOSITORY / "playbooks" / name) for name in play["vars_files"]]
    out = tmp_path / "units.json"
    shown = {
        "ansible.builtin.copy": {"content": "{{ engines_units | to_json }}", "dest": str(out), "mode": "0600"},
    }
    playbook = tmp_path / "play.yml"
    playbook.write_text(yaml.safe_dump([{**play, "vars_files": files, "hosts": "localhost", "connection": "local", "tasks": [shown]}]))
    hub = {"localhost": own["inference_huggingface_token"]} if own.get("inference_huggingface_token") else {}
    secrets = {"engine_keys": {"localhost": "k" * 20}, "huggingface_tokens": hub, "environments": {}}
    inventory_file = tmp_path / "inventory.yml"
    inventory_file.write_text(yaml.safe_dump({"all": {"hosts": {"localhost": {"ansible_python_interpreter": sys.executable, **own}}}}))
    found = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible-playbook"),
            "-i",
            str(inventory_file),
            str(playbook),
            "-e",
            json.dumps({"inference_secrets": secrets, "inference_plan": plan}),
        ],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(REPOSITORY / "collections")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return list(json.loads(out.read_text()))


@pytest.mark.slow
def test_units_of_engines_follow_the_variables_of_their_roles(tmp_path: Path) -> None:
    vllm, ollama = engine_units(tmp_path, inference_data_dir="/srv/big", vllm_watchdog_seconds="30", ollama_watchdog_seconds=40)
    assert (vllm["watchdog"], ollama["watchdog"]) == (30, 40)
    assert "/srv/big/huggingface:/root/.cache/huggingface" in " ".join(vllm["docker_arguments"])
    assert "/var/lib/gpu-inference" not in json.dumps([vllm, ollama])


@pytest.mark.slow
@pytest.mark.parametrize("given", [{}, {"inference_huggingface_token": ""}, {"inference_huggingface_token": "hf_of_this_host"}])
def test_the_token_of_the_hub_is_the_hosts_own(tmp_path: Path, given: dict[str, str]) -> None:
    vllm, _ollama = engine_units(tmp_path, **given)
    assert vllm["secret_environment"].get("HF_TOKEN") == (given.get("inference_huggingface_token") or None)


@pytest.mark.slow
def test_the_hub_cache_can_be_one_that_is_there(tmp_path: Path) -> None:
    vllm, _ollama = engine_units(tmp_path, vllm_huggingface_dir="/srv/hub")
    assert "/srv/hub:/root/.cache/huggingface" in " ".join(vllm["docker_arguments"])
