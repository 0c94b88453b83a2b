# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes of an engine that do not hold are taken back without a human; those that hold are kept; and there is a way back by hand."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from one_gpu_node import (
    MODELS,
    NODE,
    SERVICES,
    VARIABLES,
    chat,
    container,
    key,
    measured,
    module,
    node,
    playbook,
    restore,
    run,
    sh,
    site,
    state,
    url,
)

FOLDER = "/var/lib/gpu-inference/releases/vllm@chat"
#: The full count takes an hour; a build server runs those of CI.
ALL = os.environ.get("LLMOPS_ALL_CHANGES") == "1"
PLAYED = {"logits-processors": ["played_engine:Played"]}


def releases() -> list[dict[str, Any]]:
    return [json.loads(sh(f"cat {file}")) for file in sh(f"ls {FOLDER}/0*.json").split()]


def numbers() -> list[int]:
    return [release["number"] for release in releases()]


def changed(env: dict[str, str] | None = None, **service: Any) -> dict[str, Any]:
    """The service with changes, as extra variables of a run."""
    return {"inference_services": [{**SERVICES[0], **service, "env": {**SERVICES[0]["env"], **(env or {})}}]}


def played(trouble: str) -> dict[str, Any]:
    return changed({"PLAYED": trouble}, engine_args=PLAYED)


def answer() -> str:
    reply = chat(url(), key())
    assert reply.status_code == 200, reply.text
    return str(reply.json()["choices"][0]["message"]["content"])


@dataclass(frozen=True)
class Bad:
    """A change that does not hold, and what is told of it."""

    said: str
    change: dict[str, Any]
    ci: bool = False


BAD = {
    "garbage": Bad("is answered with '!!!", played("garbage"), ci=True),
    "does not start": Bad("kv_cache_too_small", changed({"TINY_KV": "8K"}), ci=True),
    "slow": Bad("tokens per second", played("slow"), ci=True),
    "answers otherwise": Bad("like those before", played("other")),
    "silent": Bad("is answered with ''", played("silent")),
    "crashes": Bad("failed", played("crash")),
}


def test_what_serves_is_a_release() -> None:
    known = releases()
    assert known[-1]["config_hash"] == state("chat")["config_hash"]
    assert known[-1]["image_id"] == sh("docker inspect -f '{{.Image}}' vllm-chat").strip()
    assert known[-1]["ready_after"] > 0
    assert set(sh(f"stat -c %a {FOLDER}/0*.json").split()) == {"600"}
    secret = sh("grep ^VLLM_API_KEY= /etc/gpu-inference/instances/vllm/chat/env").strip().partition("=")[2]
    assert len(secret) >= 16
    assert node.run(f"grep -r {secret} /var/lib/gpu-inference/releases").rc == 1
    again = site()
    assert again.rc == 0, again.output
    assert "changed=0" in again.output
    assert releases() == known


@pytest.mark.parametrize("name", [name for name, bad in BAD.items() if bad.ci or ALL])
def test_a_change_that_does_not_hold_is_taken_back(name: str) -> None:
    bad, before, known, old = BAD[name], answer(), numbers(), state("chat")["config_hash"]
    done = site(**bad.change)
    assert done.rc != 0, done.output
    assert bad.said in done.output, done.output
    assert "Taken back, and serving again as before: vllm/chat as release " in done.output, done.output
    assert (state("chat")["phase"], state("chat")["config_hash"]) == ("ready", old)
    assert answer() == before
    assert numbers() == known
    assert container("vllm-chat").endswith(" true")
    # The next run is a plain one again.
    again = site()
    assert again.rc == 0, again.output
    assert "changed=0" in again.output, again.output
    measured(f"taken back: {name}", play=done.seconds)


@contextmanager
def asked_all_the_time() -> Iterator[Counter[str]]:
    """What a client gets meanwhile: an answer's text, or a status."""
    told: Counter[str] = Counter()
    done = threading.Event()

    def loop() -> None:
        while not done.is_set():
            reply = chat(url(), key())
            told[reply.json()["choices"][0]["message"]["content"] if reply.ok else str(reply.status_code)] += 1
            time.sleep(0.2)

    asking = threading.Thread(target=loop)
    asking.start()
    try:
        yield told
    finally:
        done.set()
        asking.join()
        print(f"\n{dict(told)}")


def test_no_client_sees_what_has_not_proved_itself() -> None:
    before, known, old = answer(), numbers(), state("chat")["config_hash"]
    rollout = {**VARIABLES["inference_rollout"], "batch": 1}
    with asked_all_the_time() as told:
        done = site(**played("garbage"), inference_rollout=rollout)
    assert done.rc != 0, done.output
    assert "Taken back" in done.output, done.output
    # 503 is what a model without another backend says meanwhile.
    assert set(told) == {before, "503"}
    assert (numbers(), state("chat")["config_hash"]) == (known, old)
    assert json.loads(sh("cat /etc/gpu-inference/instances/litellm/gateway/live/rotation.json"))["out"] == {}
    # What a run that was killed has left out, the next one puts back.
    left = module("gateway_rotation", backends=[f"chat-{NODE}"], state="out", by="rollout", last=True)[0]
    assert left["changed"], left
    again = site(inference_rollout=rollout)
    assert again.rc == 0, again.output
    assert answer() == before
    with asked_all_the_time() as told:
        done = site(**changed({"HARMLESS": "2"}), inference_rollout=rollout)
    assert done.rc == 0, done.output
    assert set(told) == {before, "503"}
    assert numbers()[-1] == known[-1] + 1
    assert json.loads(sh("cat /etc/gpu-inference/instances/litellm/gateway/live/rotation.json"))["out"] == {}
    restore()


def test_a_change_that_holds_is_kept_and_there_is_a_way_back() -> None:
    before, known = answer(), releases()
    done = site(**changed({"HARMLESS": "1"}, max_model_len=1024))
    assert done.rc == 0, done.output
    assert numbers()[-1] == known[-1]["number"] + 1
    assert "tokens_per_second" in releases()[-1]["proof"]["speed"]
    assert answer() == before
    measured("kept", play=done.seconds)

    # Without a registry.
    sh("iptables -I OUTPUT -p tcp --dport 5000 -j REJECT")
    try:
        back = run(playbook(name="rollback.yml", service="chat"))
    finally:
        sh("iptables -D OUTPUT -p tcp --dport 5000 -j REJECT")
    assert back.rc == 0, back.output
    assert releases()[-1]["went_back_to"] == known[-1]["number"]
    assert state("chat")["config_hash"] == known[-1]["config_hash"]
    assert answer() == before
    wrong = run(playbook(name="rollback.yml", service="nothing"))
    assert wrong.rc != 0
    assert "No host of this run has a service nothing" in wrong.output, wrong.output
    unknown = run(playbook(name="rollback.yml", service="chat", release=77))
    assert unknown.rc != 0
    assert f"there are: {', '.join(map(str, numbers()))}" in unknown.output, unknown.output
    restore()


def test_what_leaves_takes_its_releases_along() -> None:
    other = {"model": "other", "port": 8099, "memory": "2GiB"}
    models = {**MODELS, "other": {"source": "/srv/models/tiny-embed", "capability": "embedding", "max_model_len": 512}}
    done = site(inference_models=models, inference_services=[*SERVICES, other])
    assert done.rc == 0, done.output
    assert node.run("ls /var/lib/gpu-inference/releases/vllm@other/0001.json").rc == 0
    assert site().rc == 0
    assert node.run("ls -d /var/lib/gpu-inference/releases/vllm@other").rc != 0
