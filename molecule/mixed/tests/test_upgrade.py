# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Both engines of a model are replaced, one after the other, while clients send requests, and none of these fails."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from deployment import BOARD, GATEWAY, SERVER, VARIABLES, asked_all_the_time, begun_and_ready, keys, out_of_rotation, site

UNITS = {SERVER: "vllm@chat", BOARD: "ollama@11434"}


def later(folder: Path) -> Path:
    """An inventory beside that of the scenario, in which the engines have another environment: both have to be replaced."""
    for host, variable in ((SERVER, "CHANGED"), (BOARD, "OLLAMA_DEBUG")):
        services = [{**service, "env": {variable: "1"}} for service in VARIABLES["host_vars"][host]["inference_services"]]
        file = folder / "host_vars" / f"{host}.yml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(yaml.safe_dump({"inference_services": services}))
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {SERVER: {}, BOARD: {}}}}))
    return folder


def test_a_model_with_two_backends_answers_all_the_time_while_both_change(tmp_path: Path) -> None:
    before = {node: begun_and_ready(node, unit) for node, unit in UNITS.items()}
    client = keys()["client_keys/applications"]
    rollout = {"batch": 1, "probation": 5, "proof": {"speed": 0.3}}
    with asked_all_the_time(*2 * [(SERVER, client, "chat"), (GATEWAY, client, "chat")]) as told:
        site("-i", str(later(tmp_path)), "-e", json.dumps({"inference_rollout": rollout}), "--tags", "engines")
    assert set(told) == {"200"}
    after = {node: begun_and_ready(node, unit) for node, unit in UNITS.items()}
    for node in UNITS:
        assert before[node][1] < after[node][0], "another container"
    (_first, first_ready), (second, _ready) = sorted(after.values())
    assert first_ready < second, "the second begins when the first one serves again"
    for node in (SERVER, GATEWAY):
        assert out_of_rotation(node) == {}
