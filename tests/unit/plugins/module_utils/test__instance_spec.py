# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from support.instances import SERVICE, spec

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _instance_spec as instance_spec
from ansible_collections.llmops.gpu_inference.plugins.module_utils._instance_spec import SpecError


def test_spec_is_read() -> None:
    read = spec()
    assert (read.unit, read.container, read.instance) == ("vllm@chat.service", "vllm-chat", "vllm/chat")
    assert read.locks == ("GPU-a", "GPU-b")  # a fixed order, so that nobody waits in a circle
    assert read.probe is not None
    assert (read.probe.health_path, read.probe.level) == ("/health", "answer")
    assert (read.start_timeout, read.stop_timeout, read.restart_limit) == (900.0, 60.0, 5)


def test_the_names_of_adapters_are_read() -> None:
    read = spec(probe={"base_url": "http://127.0.0.1:8070/v1", "model": "chat", "further_models": ["sql", "support"]})
    assert read.probe is not None
    assert read.probe.further_models == ("sql", "support")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        (json.dumps({**SERVICE, "owner": "me"}), "owner marker"),
        (json.dumps({**SERVICE, "name": "other"}), "is that of vllm/other"),
        (json.dumps({**SERVICE, "image": ""}), "no image"),
        (json.dumps({**SERVICE, "locks": "GPU-a"}), "locks is not a list"),
        (json.dumps({**SERVICE, "probe": {"model": "x"}}), "base_url"),
        (json.dumps({**SERVICE, "probe": {"base_url": "http://x", "further_models": "sql"}}), "further_models is not a list"),
        (json.dumps({**SERVICE, "start_timeout": "soon"}), "wrong type"),
    ],
)
def test_bad_spec_is_refused(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        instance_spec.parse_spec(text, "vllm", "chat")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\nB=x=y\n", {"A": "1", "B": "x=y"}),
        ("# note\nA= 1\n\nC\n", {"A": " 1"}),
        ("", {}),
        *((f"A=x{odd}B=y\n", {"A": f"x{odd}B=y"}) for odd in "\r\x0b\x0c\x1c\x85\u2028\u2029"),
    ],
)
def test_env_file(text: str, expected: dict[str, str]) -> None:
    assert instance_spec.parse_env(text) == expected
