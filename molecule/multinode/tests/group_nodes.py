# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The nodes of scenario multinode: what runs on them, what they answer, and runs of site.yml for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
import testinfra
import yaml

PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
SCENARIO = yaml.safe_load((PROJECT / "molecule/multinode/molecule.yml").read_text())
ONE, TWO, GATEWAY = (platform["name"] for platform in SCENARIO["platforms"])
MODELS = SCENARIO["provisioner"]["inventory"]["group_vars"]["all"]["inference_models"]
CLUSTER = {host: SCENARIO["provisioner"]["inventory"]["host_vars"][host]["inference_cluster_address"] for host in (ONE, TWO)}
URL = f"http://{SCENARIO['platforms'][2]['ip']}:8400"
NETWORK = "gpuinf-multinode-cluster"
UNIT = "vllm@big.service"
REPLY = "Hello from tiny-chat."
#: Seconds; a busy machine takes its time, and what is measured is printed.
PATIENCE = 420.0

hosts = {name: testinfra.get_host(f"docker://{name}") for name in (ONE, TWO, GATEWAY)}


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout


def sh(host: str, command: str) -> str:
    return str(hosts[host].check_output(command))


def state(host: str, name: str = "big") -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(hosts[host].run(f"cat /run/gpu-inference/state/vllm@{name}.json").stdout)
    except ValueError:
        return {}
    return found


def key() -> dict[str, str]:
    return {"Authorization": f"Bearer {(EPHEMERAL / 'secrets/master_key').read_text().strip()}"}


def ask(model: str = "big", limit: float = 60) -> tuple[int, str, str]:
    """Status, answer, and the backend that gave it."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 16}
    try:
        reply = requests.post(f"{URL}/v1/chat/completions", headers=key(), json=body, timeout=limit)
    except requests.RequestException as error:
        return 0, str(error), ""
    text = str(reply.json()["choices"][0]["message"]["content"]).strip() if reply.status_code == 200 else reply.text
    return reply.status_code, text, reply.headers.get("x-litellm-model-id", "")


def ask_the_group(limit: float = 10) -> str | None:
    """Its own answer, at the engine itself; None where there is none."""
    program = (
        "import json,urllib.request as u;"
        "k=[l.split('=',1)[1].strip() for l in open('/etc/gpu-inference/instances/vllm/big/env') if l.startswith('VLLM_API_KEY=')][0];"
        "b=json.dumps({'model':'big','messages':[{'role':'user','content':'Hello'}],'max_tokens':16}).encode();"
        "r=u.Request('http://127.0.0.1:8070/v1/chat/completions',b,{'Content-Type':'application/json','Authorization':'Bearer '+k});"
        f"print(json.load(u.urlopen(r,timeout={limit}))['choices'][0]['message']['content'].strip())"
    )
    done = hosts[ONE].run(f'python3 -c "{program}"')
    return str(done.stdout).strip() if done.rc == 0 else None


def wait(what: str, condition: Callable[[], Any], seconds: float = PATIENCE) -> float:
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            for host in (ONE, TWO):
                print(host, json.dumps(state(host), indent=1))
                print(hosts[host].run(f"journalctl -u {UNIT} -n 60 --no-pager").stdout)
            raise AssertionError(f"after {seconds:.0f} s still not: {what}")
        time.sleep(0.5)
    return time.monotonic() - began


def container(host: str, name: str = "big") -> str:
    """Id and generation of the one that runs."""
    form = '{{.Id}} {{index .Config.Labels "io.llmops.gpu-inference.generation"}} {{.State.Running}}'
    found = str(hosts[host].run(f"docker inspect -f '{form}' vllm-{name}").stdout).strip()
    return found if found.endswith(" true") else ""


def generations() -> list[str]:
    return [found.split()[1] if found else "" for found in map(container, (ONE, TWO))]


def serves() -> bool:
    return ask_the_group() == REPLY


def playbook(*arguments: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    program = str(Path(sys.executable).parent / "ansible-playbook")
    argv = [program, "-i", os.environ["MOLECULE_INVENTORY_FILE"], "-e", json.dumps(variables), *arguments, "playbooks/site.yml"]
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(EPHEMERAL / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(PROJECT / "collections"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_FORCE_COLOR": "0",
    }
    return subprocess.run(argv, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=1200, check=False)
