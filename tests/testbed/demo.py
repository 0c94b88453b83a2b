# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo: deploy two real models on a bare node as a user would, then ask them through the gateway."""

from __future__ import annotations

import json
import math
import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from testbed import everything, nodes, real_models, settings
from testbed.shell import BedError, say

_INVENTORY = settings.REPOSITORY / "inventories" / "demo" / "hosts.yml"
_KEY_FILE = _INVENTORY.parent / ".secrets" / "master_key"
_URL = f"http://127.0.0.1:{settings.DEMO_PORT}"
QUESTION = "What is the capital of France?"
ANSWER = "Paris"
SENTENCE, NEIGHBOUR, STRANGER = "a cat sits on the mat", "a kitten rests on a rug", "stock prices fell"


def run() -> None:
    everything.up(make_models=real_models.ensure)
    wanted = nodes.node(settings.DEMO_NODE, "trixie", None, [f"127.0.0.1:{settings.DEMO_PORT}:{settings.DEMO_PORT}"])
    if not nodes.inspect(wanted.name):
        _check_port_is_free()
    nodes.ensure(wanted)
    say("demo: ansible-playbook site.yml -i inventories/demo/hosts.yml")
    _play()
    _talk()


def _check_port_is_free() -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", settings.DEMO_PORT))
        except OSError as error:
            raise BedError(f"Port {settings.DEMO_PORT} on 127.0.0.1, where the demo's gateway shall answer, is in use: {error}") from error


def ansible_playbook() -> str:
    """The program beside this Python (a virtual environment's), else the one on PATH."""
    beside = Path(sys.executable).with_name("ansible-playbook")
    found = str(beside) if beside.exists() else shutil.which("ansible-playbook")
    if found is None:
        raise BedError("ansible-playbook is not installed. `make demo` brings its own; or: pip install -r requirements.txt")
    return found


def _play() -> None:
    arguments = [ansible_playbook(), "site.yml", "-i", str(_INVENTORY)]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(settings.REPOSITORY / "ansible.cfg")}
    done = subprocess.run(arguments, cwd=settings.REPOSITORY, env=environment, check=False)
    if done.returncode != 0:
        raise BedError(f"The deployment failed; the reason is above. Try again after a change with: make demo ({' '.join(arguments)})")


def _talk() -> None:
    key = _KEY_FILE.read_text().strip()
    question = {"model": "chat", "messages": [{"role": "user", "content": QUESTION}], "temperature": 0, "max_tokens": 40}
    answer = _ask("POST", "/v1/chat/completions", key, question)["choices"][0]["message"]["content"]
    body = {"model": "embedding", "input": [SENTENCE, NEIGHBOUR, STRANGER]}
    vectors = [entry["embedding"] for entry in _ask("POST", "/v1/embeddings", key, body)["data"]]
    near, far = cosine(vectors[0], vectors[1]), cosine(vectors[0], vectors[2])
    print(f"""
chat is asked           {QUESTION}
and answers             {answer}

embedding gives         {len(vectors[0])} numbers for a sentence; the cosine of "{SENTENCE}"
                        {near:5.2f} with "{NEIGHBOUR}"
                        {far:5.2f} with "{STRANGER}"

Ask it yourself with the curl line above.

The node: docker exec -it {settings.DEMO_NODE} systemctl status 'vllm@*' 'litellm@*'
Again: make demo    Remove everything: make clean
""")
    wrong = mistakes(answer, near, far)
    if wrong:
        raise BedError(f"Everything runs, but {' and '.join(wrong)}.")


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Of the angle between two vectors: 1 for the same direction, 0 for nothing in common."""
    return sum(a * b for a, b in zip(one, other)) / (math.hypot(*one) * math.hypot(*other))


def mistakes(answer: str, near: float, far: float) -> list[str]:
    """What models that are really there would not have said; empty when all is well."""
    found = []
    if ANSWER not in answer:
        found.append(f"chat does not know that the answer is {ANSWER}: {answer!r}")
    if not near > far:
        found.append(f'embedding holds "{STRANGER}" ({far:.2f}) for as near to "{SENTENCE}" as "{NEIGHBOUR}" ({near:.2f})')
    return found


def _ask(method: str, path: str, key: str, body: Mapping[str, Any] | None = None) -> Any:
    request = urllib.request.Request(
        _URL + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        method=method,
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy has no way to our loopback
    try:
        with opener.open(request, timeout=120) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        raise BedError(f"{method} {_URL}{path} was answered with {error.code}: {error.read().decode(errors='replace')[:500]}") from error
    except OSError as error:
        raise BedError(f"{method} {_URL}{path} failed: {error}") from error
