# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_changes import Change, change_of, held_back, what_differs


def change(instance: str, holds: str = "", takes: str = "", serves: bool = True, leaves: bool = False) -> Change:
    return Change(instance, frozenset(holds.split()), frozenset(takes.split()), serves, leaves)


@pytest.mark.parametrize(
    ("changes", "refused", "waiting"),
    [
        pytest.param([change("a", "g", "g"), change("b", "g", "g")], [], [], id="nothing-refused"),
        pytest.param([change("a", "g", "g"), change("b", "g", "g"), change("c", "h", "h")], ["a"], ["b"], id="one-gpu"),
        pytest.param([change("a", serves=False, takes="g"), change("b", "g", "g")], ["a"], [], id="refused-and-serves-nothing"),
        pytest.param([change("a", "g", "g"), change("new", takes="g", serves=False)], ["a"], ["new"], id="a-new-one-beside-it"),
        pytest.param([change("a", "g", "h"), change("b", "h", "g h"), change("c", "x", "h")], ["a"], ["b", "c"], id="one-after-the-other"),
        pytest.param([change("a", "p1", "p2"), change("b", "p2", "p1")], ["a"], ["b"], id="ports-that-swap"),
        pytest.param([change("a", takes="g", serves=False), change("old", "h", leaves=True)], ["a"], ["old"], id="what-leaves-stays"),
        pytest.param(
            [change("a", takes="g", serves=False), change("old", "h", leaves=True), change("b", "x", "h")],
            ["a"],
            ["old", "b"],
            id="what-leaves-keeps-its-gpu",
        ),
        pytest.param([change("a", "g", "g"), change("old", leaves=True, serves=False)], ["a"], [], id="what-is-dead-may-go"),
    ],
)
def test_what_waits_for_the_next_run(changes: list[Change], refused: list[str], waiting: list[str]) -> None:
    assert sorted(held_back(changes, refused)) == sorted(waiting)


def files(environment: str = "A=1\n", config: str = "", **service: t.Any) -> dict[str, str]:
    return {"service.json": json.dumps({"image": "i:1", **service}), "env": environment, "config.yaml": config}


def test_resources_of_a_change() -> None:
    before = files(locks=["GPU-a"])
    after = files(locks=["GPU-b"], docker_arguments=["-p", "127.0.0.1:8070:8000", "--publish=9000-9001:9000-9001/udp", "-p", "80"])
    found = change_of("vllm/chat", before, after, [("tcp", 8070)], serves=True)
    assert found.holds == {"GPU GPU-a", "port 8070/tcp"}
    assert found.takes == {"GPU GPU-b", "port 8070/tcp", "port 9000/udp", "port 9001/udp"}
    assert not found.leaves
    assert change_of("vllm/chat", before, {}, [], serves=False) == Change("vllm/chat", leaves=True)


@pytest.mark.parametrize(
    ("before", "after", "holds", "takes"),
    [
        (4, 2, True, False),
        (2, 4, False, True),
        (2, 2, False, False),
        (None, 2, False, True),
        (2, None, True, False),
    ],
)
def test_main_memory_that_one_frees_another_may_take(before: int | None, after: int | None, holds: bool, takes: bool) -> None:
    found = change_of("vllm/chat", files(memory_limit_mib=before), files(memory_limit_mib=after), [], serves=True)
    assert ("main memory" in found.holds, "main memory" in found.takes) == (holds, takes)
    on_gpu = change_of(
        "vllm/chat", files(memory_limit_mib=before, locks=["g"]), files(memory_limit_mib=after, locks=["g"]), [], serves=True
    )
    assert "main memory" not in on_gpu.holds | on_gpu.takes


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (files(), files(), ""),
        (files(), files(image="i:2"), "image i:1 -> i:2"),
        (files(docker_arguments=["--memory", "1g"]), files(docker_arguments=["-m2g"]), "without --memory 1g, with --memory 2g"),
        (files(docker_arguments=["-e", "KEY=secret"]), files(docker_arguments=["-e", "KEY=other"]), ""),
        (files(docker_arguments=["-e", "KEY=secret"]), files(), "without --env KEY"),
        (files("A=1\nB=2\n"), files("A=1\nB=secret\nC=3\n"), "variable B, variable C"),
        (files(config="a: 1"), files(config="a: 2"), "file config.yaml"),
        (files(), files(command=["x"], networks=["n"], locks=["g"], entrypoint="sh"), "command, entrypoint, networks, GPUs"),
        ({}, files(), "image None -> i:1, file config.yaml, variable A"),
    ],
)  # fmt: skip
def test_what_differs(before: dict[str, str], after: dict[str, str], told: str) -> None:
    assert what_differs(before, after) == told
