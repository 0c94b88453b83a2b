# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _unit_status as status
from ansible_collections.llmops.gpu_inference.plugins.module_utils._moments import Moment

CHAT_ID = "f3" * 32


@pytest.mark.parametrize(
    ("text", "expected"),
    [("812.4MiB", 812), ("1.5GiB", 1536), ("2GB", 1907), ("0B", 0), ("512KiB", 0), ("--", None), ("", None), ("12 parsec", None)],
)
def test_parse_size_mib(text: str, expected: int | None) -> None:
    assert status.parse_size_mib(text) == expected


def test_memory_by_container() -> None:
    assert status.parse_stats("vllm-chat\t842MiB / 23.4GiB\nvllm-gone\t-- / --\n") == {"vllm-chat": 842}


def test_digest_of_a_pulled_and_of_a_built_image() -> None:
    text = 'sha256:aa\t["registry.example/vllm@sha256:bb","other@sha256:cc"]\nsha256:dd\t[]\nsha256:ee\tnull\n'
    assert status.parse_digests(text) == {"sha256:aa": "sha256:bb", "sha256:dd": "sha256:dd", "sha256:ee": "sha256:ee"}


@pytest.mark.parametrize(
    ("apps", "expected"),
    [
        pytest.param("4711, 11800\n4712, 200\n", {"vllm-chat": 12000}, id="two-processes-of-one-container"),
        pytest.param("4713, 900\n", {}, id="somebody-elses-process"),
        pytest.param("4711, [N/A]\n", {}, id="unified-memory"),
        pytest.param("", {}, id="no-gpu"),
    ],
)
def test_gpu_memory(apps: str, expected: dict[str, int]) -> None:
    cgroups = dict.fromkeys(("4711", "4712"), f"0::/system.slice/docker-{CHAT_ID}.scope")
    assert status.gpu_memory(apps, cgroups, {"vllm-chat": (CHAT_ID, "sha256:aa")}) == expected


def test_rows() -> None:
    rows = status.assemble(
        [("vllm", "chat"), ("litellm", "gateway")],
        units={
            "vllm@chat.service": {"ActiveState": "active", "NRestarts": "2"},
            "litellm@gateway.service": {"ActiveState": "failed", "NRestarts": "0"},
        },
        states={
            "vllm@chat.service": {
                "phase": "ready",
                "ready_at": 9000.0,  # by a clock that was set back since
                "monotonic": {"ready_at": 1000.0, "started": 928.4},
                "last_failure": {"cause": "timeout", "message": "hung: no sign of life", "at": 940.0},
            },
            "litellm@gateway.service": {
                "phase": "failed",
                "ready_at": 900.0,
                "since": 4612.0,
                "cause": "port_in_use",
                "message": "port 8400 is taken",
            },
        },
        services={
            "vllm@chat.service": {
                "image": "vllm/vllm-openai:v0.32.0",
                "config_hash": "cc",
                "probe": {"base_url": "http://127.0.0.1:8070/v1"},
            }
        },
        containers={"vllm-chat": (CHAT_ID, "sha256:aa")},
        digests={"sha256:aa": "sha256:bb"},
        memory={"vllm-chat": 842},
        gpu={},
        now=Moment(4672.0, 4672.0),
    )
    assert [row.unit for row in rows] == ["litellm@gateway.service", "vllm@chat.service"]
    gateway, chat = rows
    assert (chat.uptime, chat.restarts, chat.memory_mib, chat.gpu_memory_mib, chat.image_digest) == (3672, 2, 842, None, "sha256:bb")
    assert (chat.ready_after, gateway.ready_after) == (72, None)
    assert (chat.config_hash, gateway.config_hash) == ("cc", None)
    assert (chat.url, gateway.url) == ("http://127.0.0.1:8070/v1", None)
    assert (gateway.uptime, gateway.cause) == (None, "port_in_use")
    assert (chat.phase, chat.cause, chat.failed_ago) == ("ready", "timeout", 3732)
