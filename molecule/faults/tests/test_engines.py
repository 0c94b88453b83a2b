# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Engines that die, hang or miss their model are back by themselves, and no client notices while another one answers."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import requests
from one_gpu_node import (
    are_ready,
    chat,
    container,
    do_not_overlap,
    has_another_container,
    key,
    lock_is_free,
    measured,
    now,
    one_copy,
    playbook,
    run,
    sh,
    starts_since,
    state,
    until,
    url,
)


def test_an_engine_killed_comes_back_and_no_client_notices() -> None:
    """One of two replicas under load."""
    base, headers = url(), key()
    stop = threading.Event()
    answers: list[int | str] = []

    def client() -> None:
        while not stop.is_set():
            try:
                reply = chat(base, headers)
                answers.append(200 if reply.status_code == 200 else f"{reply.status_code} {reply.text[:300]}")
            except requests.RequestException as error:
                answers.append(str(error))

    clients = [threading.Thread(target=client) for _ in range(4)]
    for one in clients:
        one.start()
    time.sleep(4)
    before = len(answers)
    old = container("vllm-chat-a")
    sh("docker kill --signal KILL vllm-chat-a")
    seconds = until("chat-a is back", lambda: has_another_container("vllm-chat-a", old) and are_ready("vllm@chat-a.service"))
    stop.set()
    for one in clients:
        one.join()
    failed = [answer for answer in answers if answer != 200]
    assert before > 0
    assert failed == [], f"{len(failed)} of {len(answers)}: {failed[:5]}"
    measured("one of two replicas killed under load", requests=len(answers), failed=len(failed), back_after=seconds)


KILLS = {
    "engine-killed": "kill -9 $(docker top vllm-chat-b -eo pid,args | grep -v docker-init | awk '/vllm|spawn_main/ {print $1}')",
    "container-removed": "docker rm --force vllm-chat-b",
}


@pytest.mark.parametrize("name", list(KILLS))
def test_an_engine_that_dies_is_back_by_itself(name: str) -> None:
    old = container("vllm-chat-b")
    began = now()
    sh(KILLS[name])
    seconds = until("chat-b is back", lambda: has_another_container("vllm-chat-b", old) and are_ready("vllm@chat-b.service"))
    assert one_copy("vllm-chat-b")
    assert do_not_overlap(starts_since(began))
    until("lock free", lock_is_free, 30)
    measured(name, ready_again_after=seconds)


def test_what_has_served_is_tried_again_whatever_the_cause() -> None:
    """Its model is gone when it comes back, which would be permanent for a configuration that is new here."""
    old, began = container("vllm-embedding"), now()

    def failure() -> dict[str, Any]:
        found: dict[str, Any] = state("embedding").get("last_failure") or {}
        return found if found.get("at", 0) > began and found["message"] else {}

    sh("mount -t tmpfs tmpfs /srv/models/tiny-embed")
    try:
        sh("docker kill vllm-embedding")
        until("it ends for want of its model", lambda: failure().get("cause") in ("bad_model", "bad_flag"))
        until("systemctl status says so", lambda: "has served before, trying again in" in sh("systemctl status vllm@embedding || true"), 60)
        assert state("embedding")["permanent"] is False
        assert sh("systemctl show -P ActiveState vllm@embedding").strip() != "failed"
        shown = run(playbook(name="status.yml", only_service="embedding"))
        assert "has served before, trying again in" in shown.output, shown.output
    finally:
        sh("umount /srv/models/tiny-embed")
    seconds = until(
        "embedding is back by itself", lambda: has_another_container("vllm-embedding", old) and are_ready("vllm@embedding.service")
    )
    measured("model away at a restart, then there again", ready_again_after=seconds)


def test_a_hung_engine_is_noticed_and_restarted() -> None:
    old = container("vllm-chat-b")
    sh("kill -STOP $(docker top vllm-chat-b -eo pid | tail -n +2)")
    seconds = until("chat-b is back", lambda: has_another_container("vllm-chat-b", old) and are_ready("vllm@chat-b.service"))
    failure = state("chat-b")["last_failure"]
    assert "hung: no sign of life for 30 s" in failure["message"], failure
    measured("engine hung (SIGSTOP), watchdog 30 s", ready_again_after=seconds)
