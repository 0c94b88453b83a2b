# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two engines of one model on one host are replaced one after the other, while clients send requests, and none of these fails."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import requests
import yaml
from support.steady_clients import all_the_time

PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
DESCRIBED = yaml.safe_load((Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"]) / "molecule.yml").read_text())
SERVICES = DESCRIBED["provisioner"]["inventory"]["group_vars"]["all"]["inference_services"]
ONE, TWO = "llama_cpp@chat", "llama_cpp@chat-b"


def site(**variables: Any) -> str:
    done = subprocess.run(
        ["ansible-playbook", "-i", str(EPHEMERAL / "inventory"), str(PROJECT / "site.yml"), "-e", json.dumps(variables)],
        env={**os.environ, "ANSIBLE_CONFIG": str(EPHEMERAL / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-1000:]
    return done.stdout


def with_two(**env: str) -> list[dict[str, Any]]:
    first, *others = SERVICES
    return [{**first, "env": env}, *others, {**first, "name": "chat-b", "port": 8073, "env": env}]


def asked_all_the_time(base: str) -> AbstractContextManager[Counter[str]]:
    headers = {"Authorization": f"Bearer {(EPHEMERAL / 'secrets/master_key').read_text().strip()}"}
    body = {"model": "chat", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}

    def ask() -> str:
        try:
            reply = requests.post(f"{base}/v1/chat/completions", json=body, headers=headers, timeout=120)
        except requests.RequestException as error:
            return str(error)
        return "200" if reply.ok else f"{reply.status_code} {reply.text[:200]}"

    return all_the_time(ask, ask, pause=0.5)


def begun_and_ready(host: Any, unit: str) -> tuple[float, float]:
    container = unit.replace("@", "-")
    begun = host.check_output(f"date --date $(docker inspect --format '{{{{.State.StartedAt}}}}' {container}) +%s.%N")
    return float(begun), float(json.loads(host.check_output(f"cat /run/gpu-inference/state/{unit}.json"))["ready_at"])


def test_a_model_with_two_engines_on_a_host_answers_all_the_time_while_both_change(host: Any) -> None:
    base = "http://{}:8400".format(host.check_output("ip -4 -o route get 192.0.2.1").split(" src ")[1].split()[0])
    site(inference_services=with_two())
    before = [begun_and_ready(host, unit) for unit in (ONE, TWO)]
    rollout = {"batch": 1, "probation": 0, "proof": {"speed": 0}}
    with asked_all_the_time(base) as told:
        said = site(inference_services=with_two(LLAMA_ARG_N_PARALLEL="2"), inference_rollout=rollout)
    assert set(told) == {"200"}
    (first, first_ready), (second, _ready) = sorted(begun_and_ready(host, unit) for unit in (ONE, TWO))
    assert max(ready for _begun, ready in before) < first
    assert first_ready < second
    for name in ("chat", "chat-b"):
        assert f"restarted llama_cpp/{name} on gpuinf-engines" in said
    rotation = host.check_output("cat /etc/gpu-inference/instances/litellm/gateway/live/rotation.json")
    assert json.loads(rotation)["out"] == {}
