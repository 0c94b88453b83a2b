# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.error import GatewayError
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.keys import key_problems, secret_environment

KEY = "4f1c2a9b7e3d5f608192a3b4"


@pytest.mark.parametrize(
    ("master", "clients", "words"),
    [
        (KEY, {}, []),
        (None, {}, ["missing"]),
        ("  ", {}, ["missing"]),
        ("sk-1234", {}, ["documentation"]),
        ("short-key", {}, ["9 characters"]),
        ("a" * 30, {}, ["too few different"]),
        ("with a blank in the key 123", {}, ["blanks"]),
        (KEY, {"metis": KEY}, ["is the master key"]),
        (KEY, {"a": KEY[::-1], "b": KEY[::-1]}, ["[b] is also the key of a"]),
        ("sk-1234", {"a": ""}, ["documentation", "[a] is missing"]),
    ],
)
def test_keys(master: str | None, clients: dict[str, str], words: list[str]) -> None:
    problems = key_problems(master, clients)
    assert len(problems) == len(words)
    for problem, word in zip(problems, words):
        assert word in problem
        assert KEY not in problem


def test_secret_environment() -> None:
    secrets = {"engine_keys": {"gpu-1.lan": "k1"}, "external_keys": {"lab": "k2", "open": None}, "master_key": KEY, "redis_password": "k3"}
    assert secret_environment(secrets) == {"ENGINE_KEY_GPU_1_LAN": "k1", "EXTERNAL_KEY_LAB": "k2", "REDIS_PASSWORD": "k3"}
    with pytest.raises(GatewayError, match="would share the variable ENGINE_KEY_A_B"):
        secret_environment({"engine_keys": {"a-b": "1", "a_b": "2"}})
