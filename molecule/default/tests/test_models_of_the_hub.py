# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A gated model of a hub: fetched while the others serve, and started from the cache. The hub is played, its client is real."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests

PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
SECRETS = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "secrets"
TOKEN = "hf_" + os.urandom(12).hex()
PORT = 8900


@pytest.fixture(scope="module")
def inventory(host: Any, address: str) -> dict[str, Any]:
    """Variables that add a third service, with its model at a hub that runs on the node itself."""
    node = host.backend.get_hostname()
    subprocess.run(["docker", "cp", str(PROJECT / "tests" / "testbed" / "hub.py"), f"{node}:/srv/hub.py"], check=True, capture_output=True)
    program = f"/usr/bin/python3 /srv/hub.py {PORT} tiny/gated=/srv/models/tiny-chat={TOKEN}"
    host.check_output(f"systemctl stop hub 2>/dev/null; systemd-run --unit=hub -p StandardOutput=truncate:/srv/hub.log {program}")
    host.check_output(f"for try in $(seq 50); do curl -s -o /dev/null http://{address}:{PORT}/ && break; sleep 0.2; done")
    return {
        "inference_models": {
            "chat": {"source": "/srv/models/tiny-chat", "max_model_len": 2048, "adapters": {"sql": "/srv/adapters/sql"}},
            "embedding": {"source": "/srv/models/tiny-embed", "capability": "embedding"},
            "gated": {"source": "tiny/gated", "max_model_len": 2048},
        },
        "inference_services": [
            {"model": "chat", "port": 8070, "memory": "2GiB"},
            {"model": "embedding", "port": 8090, "memory": "2GiB"},
            {
                "model": "gated",
                "port": 8071,
                "memory": "2GiB",
                "env": {"HF_ENDPOINT": f"http://{address}:{PORT}", "HF_HUB_OFFLINE": "0"},
            },
        ],
    }


def given(variables: dict[str, Any]) -> str:
    """The variables as an argument of ansible-playbook, from a file: there is a token among them."""
    file = SECRETS.with_name("models_of_the_hub.json")
    file.write_text(json.dumps(variables))
    return f"--extra-vars=@{file}"


def weights(host: Any) -> int:
    """How often the hub has given away the weights."""
    return len(re.findall(r'"GET \S+/model\.safetensors ', host.file("/srv/hub.log").content_string))


def running(host: Any) -> str:
    return str(host.check_output("docker ps --no-trunc --format '{{.ID}} {{.Names}}' | sort"))


def test_a_gated_model_without_its_token_is_told_with_the_remedy(host: Any, play: Any, inventory: dict[str, Any]) -> None:
    code, output = play("playbooks/prefetch.yml", given(inventory))
    assert code != 0
    assert "vllm/gated: bad_model" in output, output[-4000:]
    assert "Access to model tiny/gated is restricted" in output
    assert "token" in output.split("Remedy:")[1].split("\n")[0]
    assert weights(host) == 0


def test_a_model_is_fetched_while_the_others_serve(host: Any, play: Any, inventory: dict[str, Any]) -> None:
    before = running(host)
    inventory["inference_huggingface_token"] = TOKEN
    code, output = play("playbooks/prefetch.yml", given(inventory))
    assert code == 0, output[-6000:]
    assert weights(host) == 1
    assert re.search(r"gpuinf-default +: ok=\d+ +changed=1 ", output), "the download, and nothing else"
    assert TOKEN not in output
    assert not host.file("/etc/gpu-inference/instances/vllm/gated").exists
    code, output = play("playbooks/prefetch.yml", given(inventory))
    assert code == 0, output[-6000:]
    assert re.search(r"gpuinf-default +: ok=\d+ +changed=0 ", output), output[-1000:]
    assert running(host) == before


def test_the_model_starts_from_the_cache(host: Any, address: str, play: Any, inventory: dict[str, Any]) -> None:
    before = running(host)
    code, output = play("site.yml", given(inventory))
    assert code == 0, output[-6000:]
    reply = requests.post(
        f"http://{address}:8400/v1/chat/completions",
        headers={"Authorization": f"Bearer {(SECRETS / 'master_key').read_text().strip()}"},
        json={"model": "tiny/gated", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 16},
        timeout=60,
    )
    assert reply.status_code == 200, reply.text
    assert reply.json()["choices"][0]["message"]["content"].strip() == "Hello from tiny-chat."
    assert weights(host) == 1, "neither launcher nor engine has fetched the weights again"
    engines = {line for line in before.splitlines() if "vllm-" in line}
    assert engines <= set(running(host).splitlines()), "the other engines went on"
    arguments = host.check_output("cat /proc/[0-9]*/cmdline | tr '\\0' '\\n'").replace(f"tiny-chat={TOKEN}", "the hub's own")
    assert TOKEN not in arguments
    assert TOKEN not in host.check_output("journalctl --no-pager --all -t vllm-gated")
