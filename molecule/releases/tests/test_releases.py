# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes of an engine that do not hold are taken back without a human; those that hold are kept; and there is a way back by hand."""

from __future__ import annotations

import json

import pytest
from asked import RIGHT, asked_all_the_time, counted, site_stamped
from made_changes import BAD, changed, played
from one_gpu_node import MODELS, NODE, SERVICES, VARIABLES, measured, module, node, playbook, restore, run, sh, site, state
from recorded import FOLDER, answer, changes_nothing, is_taken_back, numbers, releases


def test_what_serves_is_a_release() -> None:
    known = releases()
    assert known[-1]["config_hash"] == state("chat")["config_hash"]
    assert known[-1]["image_id"] == sh("docker inspect -f '{{.Image}}' vllm-chat").strip()
    assert known[-1]["ready_after"] > 0
    assert set(sh(f"stat -c %a {FOLDER}/0*.json").split()) == {"600"}
    secret = sh("grep ^VLLM_API_KEY= /etc/gpu-inference/instances/vllm/chat/env").strip().partition("=")[2]
    assert len(secret) >= 16
    assert node.run(f"grep -r {secret} /var/lib/gpu-inference/releases").rc == 1
    changes_nothing()
    assert releases() == known


@pytest.mark.parametrize("name", [name for name, bad in BAD.items() if bad.ci])
def test_a_change_that_does_not_hold_is_taken_back(name: str) -> None:
    is_taken_back(name, BAD[name])
    changes_nothing()


def test_no_client_sees_what_has_not_proved_itself() -> None:
    known, old = numbers(), state("chat")["config_hash"]
    rollout = {**VARIABLES["inference_rollout"], "batch": 1}
    with asked_all_the_time() as client:
        done = site_stamped(**played("garbage"), inference_rollout=rollout)
    counted("garbage, batch: 1", "taken back", client, done, kept_away=True)
    assert done.rc != 0, done.output
    assert "Taken back" in done.output, done.output
    # 503 is what a model without another backend says meanwhile.
    assert set(client.counted()) == {RIGHT, "503"}
    assert (numbers(), state("chat")["config_hash"]) == (known, old)
    assert json.loads(sh("cat /etc/gpu-inference/instances/litellm/gateway/live/rotation.json"))["out"] == {}
    # What a run that was killed has left out, the next one puts back.
    left = module("gateway_rotation", backends=[f"chat-{NODE}"], state="out", by="rollout", last=True)[0]
    assert left["changed"], left
    again = site(inference_rollout=rollout)
    assert again.rc == 0, again.output
    assert answer() == RIGHT
    with asked_all_the_time() as client:
        done = site_stamped(**changed({"HARMLESS": "2"}), inference_rollout=rollout)
    counted("variable, batch: 1", "kept", client, done, kept_away=True)
    assert done.rc == 0, done.output
    assert set(client.counted()) == {RIGHT, "503"}
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
