# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The deployment of this scenario: its keys, a run of site.yml on it, and clients that ask all the time meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import requests
import testinfra
import yaml
from support.steady_clients import all_the_time

PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
SECRETS = EPHEMERAL / "secrets"
DESCRIBED = yaml.safe_load((PROJECT / "molecule/mixed/molecule.yml").read_text())
VARIABLES = DESCRIBED["provisioner"]["inventory"]
PLATFORMS = {item["name"]: item["ip"] for item in DESCRIBED["platforms"]}
SERVER, BOARD, GATEWAY = PLATFORMS
NAMES = ("master_key", "client_keys/applications", f"engine_keys/{SERVER}", f"engine_keys/{BOARD}")


def keys() -> dict[str, str]:
    return {name: (SECRETS / name).read_text().strip() for name in NAMES}


def site(*arguments: str) -> None:
    done = subprocess.run(
        ["ansible-playbook", "-i", str(EPHEMERAL / "inventory"), str(PROJECT / "site.yml"), *arguments],
        env={**os.environ, "ANSIBLE_CONFIG": str(EPHEMERAL / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-1000:]


def ask(host: str, key: str, model: str) -> str:
    """What became of one request: its status, and for one that failed what was said."""
    path, body = "embeddings", {"model": model, "input": str(time.monotonic())}
    if model == "chat":
        path, body = "chat/completions", {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
    try:
        reply = requests.post(
            f"http://{PLATFORMS[host]}:8400/v1/{path}", json=body, headers={"Authorization": f"Bearer {key}"}, timeout=120
        )
    except requests.RequestException as error:
        return f"{type(error).__name__}: {error}"
    return "200" if reply.ok else f"{reply.status_code} {reply.text[:200]}"


def asked_all_the_time(*who: tuple[str, str, str]) -> AbstractContextManager[Counter[str]]:
    """Loops of requests by gateway, key and model; what became of them."""
    return all_the_time(*(partial(ask, *one) for one in who), pause=0.2)


def started(node: str, container: str) -> str:
    host = testinfra.get_host(f"docker://{node}")
    return str(host.check_output(f"docker inspect --format '{{{{.State.StartedAt}}}}' {container}"))


def begun_and_ready(node: str, unit: str) -> tuple[float, float]:
    """When the container of an instance was started, and when its launcher called it ready."""
    host = testinfra.get_host(f"docker://{node}")
    begun = float(host.check_output(f"date --date {started(node, unit.replace('@', '-'))} +%s.%N"))
    return begun, float(json.loads(host.check_output(f"cat /run/gpu-inference/state/{unit}.json"))["ready_at"])


def out_of_rotation(gateway: str) -> dict[str, dict[str, str]]:
    """Backends that get no request there."""
    host = testinfra.get_host(f"docker://{gateway}")
    found: dict[str, dict[str, str]] = json.loads(host.check_output("cat /etc/gpu-inference/instances/litellm/gateway/live/rotation.json"))[
        "out"
    ]
    return found
