# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What clients see of llama.cpp, and of a container of the user's own, and how their units behave."""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import requests

SECRETS = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "secrets"
UNITS = ("llama_cpp@chat.service", "llama_cpp@words.service", "container@own.service")
CONTAINERS = ("llama_cpp-chat", "llama_cpp-words", "container-own")
QUESTION = "What is the capital of France?"


@pytest.fixture(scope="module")
def gateway(host: Any) -> str:
    return "http://{}:8400".format(host.check_output("ip -4 -o route get 192.0.2.1").split(" src ")[1].split()[0])


@pytest.fixture(scope="module")
def key() -> dict[str, str]:
    return {"Authorization": f"Bearer {(SECRETS / 'master_key').read_text().strip()}"}


@pytest.fixture(scope="module")
def engine_key() -> str:
    return (SECRETS / "engine_keys" / "gpuinf-engines").read_text().strip()


def chat(gateway: str, headers: dict[str, str], model: str, **body: Any) -> requests.Response:
    message = {"role": "user", "content": QUESTION}
    asked = {"model": model, "messages": [message], "temperature": 0, "max_tokens": 24, **body}
    return requests.post(f"{gateway}/v1/chat/completions", headers=headers, json=asked, timeout=120, stream=bool(body.get("stream")))


@pytest.mark.parametrize("model", ["chat", "own", "mine"])
def test_a_real_answer(gateway: str, key: dict[str, str], model: str) -> None:
    reply = chat(gateway, key, model)
    assert reply.status_code == 200, reply.text
    assert "Paris" in reply.json()["choices"][0]["message"]["content"]


def test_embeddings(gateway: str, key: dict[str, str]) -> None:
    reply = requests.post(f"{gateway}/v1/embeddings", headers=key, json={"model": "words", "input": ["one", "two"]}, timeout=120)
    assert reply.status_code == 200, reply.text
    vectors = [row["embedding"] for row in reply.json()["data"]]
    assert {len(vector) for vector in vectors} == {576}
    assert math.isclose(sum(number * number for number in vectors[0]), 1.0, rel_tol=0.01)


@pytest.mark.parametrize("unit", UNITS)
def test_units_are_ready_and_come_back_at_boot(host: Any, unit: str) -> None:
    service = host.service(unit)
    assert service.is_running
    assert service.is_enabled


@pytest.mark.parametrize(("name", "memory"), [(name, 1024) for name in CONTAINERS])
def test_containers_are_bounded_and_on_loopback(host: Any, name: str, memory: int) -> None:
    (found,) = json.loads(host.check_output(f"docker inspect {name}"))
    assert found["HostConfig"]["Memory"] == memory * 1024 * 1024
    bindings = [binding["HostIp"] for bindings in found["HostConfig"]["PortBindings"].values() for binding in bindings]
    assert bindings == ["127.0.0.1"]


@pytest.mark.parametrize("port", [8070, 8071, 8072])
def test_engines_ask_for_their_key_and_it_is_in_no_argv(host: Any, port: int, engine_key: str) -> None:
    ask = f"curl -s -o /dev/null -w '%{{http_code}}' http://127.0.0.1:{port}/v1/models"
    assert host.check_output(ask) == "401"
    assert host.check_output(f"{ask} -H 'Authorization: Bearer {engine_key}'") == "200"
    assert engine_key not in host.check_output("ps -eo args")


def test_a_stop_in_a_stream_takes_seconds(host: Any, gateway: str, key: dict[str, str]) -> None:
    """Without a ping of its own llama.cpp notices after 30 s that it is to stop."""

    def read() -> None:
        with contextlib.suppress(requests.RequestException):  # it is broken off
            list(chat(gateway, key, "chat", stream=True, max_tokens=1500).iter_lines())

    threading.Thread(target=read, daemon=True).start()
    time.sleep(2)
    began = time.monotonic()
    host.check_output("systemctl stop llama_cpp@chat.service")
    assert time.monotonic() - began < 20
    host.check_output("systemctl start llama_cpp@chat.service")
    assert chat(gateway, key, "chat").status_code == 200
