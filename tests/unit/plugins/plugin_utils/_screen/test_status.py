# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One table for all hosts."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._screen.status import table

PLAN = {
    "table": [
        {"host": "gpu01", "engine": "vllm", "service": "chat", "memory": 12.0},
        {"host": "gpu02", "engine": "vllm", "service": "chat", "memory": 8.5},
        {"host": "gpu02", "engine": "ollama", "service": "small", "memory": None},
    ]
}


def unit(name: str = "vllm@chat", **changes: Any) -> dict[str, Any]:
    base = {
        "unit": f"{name}.service",
        "active": "active",
        "phase": "ready",
        "percent": None,
        "url": "http://127.0.0.1:8070/v1",
        "uptime": 3672,
        "restarts": 2,
        "memory_mib": 842,
        "gpu_memory_mib": None,
        "image_digest": "sha256:0123456789abcdef",
        "cause": None,
        "message": None,
        "failed_ago": None,
    }
    return {**base, **changes}


def cells(lines: list[str]) -> list[list[str]]:
    return [re.split(r" {2,}", line) for line in lines]


def test_all_hosts_are_in_one_table() -> None:
    failed = {"cause": "port_in_use", "message": "port 8400 is taken\nby nginx", "failed_ago": 60}
    hosts = {
        "gpu01": {
            "units": [unit(), unit("litellm@gateway", active="failed", phase="failed", uptime=None, url="http://[::1]:8400", **failed)]
        },
        "gpu02": {"units": [unit(phase="loading_weights", percent=43, active="activating", uptime=None), unit("ollama@small", url=None)]},
    }
    titles, *rows = cells(table(hosts, PLAN))
    shown = [dict(zip(titles, row, strict=True)) for row in rows]
    assert [(row["HOST"], row["UNIT"], row["PORT"], row["STATE"], row["BUDGET"]) for row in shown] == [
        ("gpu01", "vllm@chat", "8070", "ready", "12.0 GiB"),
        ("gpu01", "litellm@gateway", "8400", "failed (failed)", "-"),
        ("gpu02", "vllm@chat", "8070", "loading_weights 43 %", "8.5 GiB"),
        ("gpu02", "ollama@small", "-", "ready", "-"),
    ]
    assert [row["LAST CAUSE"] for row in shown] == ["-", "port_in_use: port 8400 is taken by nginx (1 m 0 s ago)", "-", "-"]
    assert shown[0] == {
        "HOST": "gpu01",
        "UNIT": "vllm@chat",
        "PORT": "8070",
        "URL": "http://127.0.0.1:8070/v1",
        "STATE": "ready",
        "UP": "1 h 1 m",
        "RESTARTS": "2",
        "MEMORY": "842 MiB",
        "GPU MEMORY": "-",
        "BUDGET": "12.0 GiB",
        "IMAGE DIGEST": "0123456789ab",
        "LAST CAUSE": "-",
    }


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"unreachable": True, "msg": "ssh: connect to host gpu02\nport 22"}, "gpu02  did not answer: ssh: connect to host gpu02"),
        ({"unreachable": True}, "gpu02  did not answer"),
        ({"failed": True, "msg": "sudo: a password is required"}, "gpu02  could not be looked at: sudo: a password is required"),
        ({}, "gpu02  was not looked at"),
        (None, "gpu02  was not looked at"),
        ({"units": []}, "gpu02  has no unit of this collection"),
    ],
)
def test_a_host_without_units_is_named(result: Any, expected: str) -> None:
    lines = table({"gpu01": {"units": [unit()]}, "gpu02": result}, {})
    assert len(lines) == 3
    assert lines[-1] == expected
    assert table({"gpu02": result}, PLAN) == [expected]


def test_backends_that_are_out_of_rotation_are_below_the_table() -> None:
    out = {"backend": "chat-gpu01", "model": "chat", "by": "alice", "at": "2026-11-28T18:00:00Z", "reason": "new\nfan"}
    bare = {"backend": "small-gpu01"}
    ends = {"backend": "other-gpu01", "at": "2026-11-28T18:00:00Z", "until": "2026-11-28T18:45:00Z", "by": "rollout"}
    hosts = {
        "gpu01": {"units": [unit()], "out_of_rotation": [out, bare, ends]},
        "gpu02": {"units": [unit()], "out_of_rotation": [out]},
        "gpu03": None,
    }
    assert table(hosts, {})[-3:] == [
        "chat-gpu01  out of rotation at the gateway on gpu01, gpu02, model chat, since 2026-11-28T18:00:00Z, by alice: new fan",
        "other-gpu01  out of rotation at the gateway on gpu01, since 2026-11-28T18:00:00Z, until 2026-11-28T18:45:00Z at most, by rollout",
        "small-gpu01  out of rotation at the gateway on gpu01",
    ]
