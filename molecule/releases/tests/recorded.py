# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is recorded on the node, and whether a change was taken back."""

from __future__ import annotations

import json
from typing import Any

from asked import RIGHT, asked_all_the_time, counted, site_stamped
from made_changes import Bad
from one_gpu_node import chat, container, key, measured, sh, site, state, url

FOLDER = "/var/lib/gpu-inference/releases/vllm@chat"


def releases() -> list[dict[str, Any]]:
    return [json.loads(sh(f"cat {file}")) for file in sh(f"ls {FOLDER}/0*.json").split()]


def numbers() -> list[int]:
    return [release["number"] for release in releases()]


def answer() -> str:
    reply = chat(url(), key())
    assert reply.status_code == 200, reply.text
    return str(reply.json()["choices"][0]["message"]["content"])


def is_as_before(known: list[int], old: str) -> None:
    assert (state("chat")["phase"], state("chat")["config_hash"]) == ("ready", old)
    assert answer() == RIGHT
    assert numbers() == known
    assert container("vllm-chat").endswith(" true")


def changes_nothing() -> None:
    """The next run is a plain one."""
    again = site()
    assert again.rc == 0, again.output
    assert "changed=0" in again.output, again.output


def is_taken_back(name: str, bad: Bad) -> None:
    known, old, serves = numbers(), state("chat")["config_hash"], container("vllm-chat")
    with asked_all_the_time() as client:
        done = site_stamped(**bad.change)
    row = counted(name, "taken back" if bad.stops else "refused", client, done)
    assert done.rc != 0, done.output
    assert bad.said in done.output, done.output
    # Whatever it answered while it was proved.
    assert row.wrong_after_verdict == 0, client.told
    if bad.stops:
        assert "Taken back, and serving again as before: vllm/chat as release " in done.output, done.output
    else:
        assert (row.wrong, row.failed) == (0, 0), client.counted()
        assert container("vllm-chat") == serves
    is_as_before(known, old)
    measured(f"taken back: {name}", play=done.seconds)
