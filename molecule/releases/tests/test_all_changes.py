# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The full count: a dozen bad changes of which none stays, and a dozen harmless ones that all do. CI has some in test_releases.py."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from asked import StampedPlay, asked_all_the_time, boots, counted, site_stamped
from made_changes import BAD, HARMLESS, IMAGE, played
from one_gpu_node import MODELS, NODE, SERVICES, docker, restore, sh, state, until
from recorded import changes_nothing, is_as_before, is_taken_back, numbers, releases


@pytest.mark.parametrize("name", [name for name, bad in BAD.items() if not bad.ci])
def test_a_bad_change_is_taken_back(name: str) -> None:
    is_taken_back(name, BAD[name])


@pytest.mark.parametrize("phase", ["loads", "is proved"])
def test_a_host_that_goes_down_in_the_middle_comes_up_with_what_served(phase: str) -> None:
    known, old = numbers(), state("chat")["config_hash"]
    found: list[StampedPlay] = []

    def far_enough() -> bool:
        now = state("chat")
        ready = now.get("phase") == "ready"
        return now.get("config_hash", old) != old and (ready if phase == "is proved" else not ready and bool(now.get("container_id")))

    with asked_all_the_time() as client:
        going = threading.Thread(target=lambda: found.append(site_stamped(**played("garbage"))))
        going.start()
        until(f"the new engine {phase}", far_enough)
        docker("kill", NODE)
        going.join()
        docker("start", NODE)
        booted = time.time()
        until("systemd answers", boots, 120)
        until("there is a right answer", lambda: client.has_right_answer_since(booted), 300)
    assert found[0].rc != 0, found[0].output
    assert client.wrong(booted) == 0, client.counted()
    counted(f"host goes down, {phase}", "booted", client, found[0])
    assert "starts what served before it" in sh("journalctl --no-pager --output cat -u vllm@chat.service")
    is_as_before(known, old)
    changes_nothing()


@pytest.fixture(scope="module")
def made() -> Iterator[dict[str, Any]]:
    """What the harmless changes have made of the model and its service so far: each comes on top of those before that were kept."""
    yield {"model": dict(MODELS["chat"]), "service": dict(SERVICES[0])}
    restore()


@pytest.mark.parametrize("name", list(HARMLESS))
def test_a_harmless_change_is_kept(name: str, made: dict[str, Any]) -> None:
    change = HARMLESS[name]
    model, service = {**made["model"], **change.model}, {**made["service"], **change.service}
    known, old = releases()[-1], state("chat")["config_hash"]
    if name == "image under another tag":
        sh(f"docker tag {sh('docker inspect -f {{.Config.Image}} vllm-chat').strip()} {IMAGE}:v0.32.0-again")
    with asked_all_the_time() as client:
        done = site_stamped("--tags", change.tags, inference_models={"chat": model}, inference_services=[service], **change.more)
    row = counted(name, "kept", client, done)
    assert done.rc == 0, done.output
    assert row.wrong == 0, client.counted()
    assert (state("chat")["config_hash"] != old) is change.restarts
    assert numbers()[-1] == known["number"] + change.restarts
    assert releases()[-1]["config_hash"] == state("chat")["config_hash"]
    made.update(model=model, service=service)
