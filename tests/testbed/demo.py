# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo: deploy on a bare node as a user would, then talk to the gateway."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testbed import everything, nodes, settings
from testbed.shell import BedError, say

_INVENTORY = settings.REPOSITORY / "inventories" / "demo" / "hosts.yml"
_KEY_FILE = _INVENTORY.parent / ".secrets" / "master_key"
_URL = f"http://127.0.0.1:{settings.DEMO_PORT}"


def run() -> None:
    everything.up()
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
    models = [entry["id"] for entry in _ask("GET", "/v1/models", key)["data"]]
    question = {"model": "chat", "messages": [{"role": "user", "content": "Who are you?"}]}
    answer = _ask("POST", "/v1/chat/completions", key, question)["choices"][0]["message"]["content"]
    vector = _ask("POST", "/v1/embeddings", key, {"model": "embedding", "input": "Who are you?"})["data"][0]["embedding"]
    numbers = ", ".join(f"{number:.3f}" for number in vector[:4])
    print(f"""
The gateway answers at  {_URL}/v1
Its models              {", ".join(models)}
chat says               {answer}
embedding gives         {len(vector)} numbers: {numbers}, ...

Ask it yourself:

{curl_line(question)}

The node: docker exec -it {settings.DEMO_NODE} systemctl status 'vllm@*' 'litellm@*'
Again: make demo    Remove everything: make clean
""")


def curl_line(question: Mapping[str, Any]) -> str:
    """To be pasted in any folder of the controller; the key stays in its file."""
    return (
        f'curl -s {_URL}/v1/chat/completions -H "Authorization: Bearer $(cat {_KEY_FILE})" '
        f"-H 'Content-Type: application/json' -d '{json.dumps(question)}'"
    )


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
