# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.llmops.gpu_inference.plugins.filter.units import unit_parts_that_failed, units_as_released, units_to_go_back

UNITS: list[dict[str, Any]] = [
    {"kind": "vllm", "name": "chat", "locks": ["GPU-a"], "probe": {"base_url": "http://127.0.0.1:8070/v1"}},
    {"kind": "vllm", "name": "embedding", "locks": ["GPU-a"], "probe": {"base_url": "http://127.0.0.1:8090/v1"}},
    {"kind": "ollama", "name": "far", "locks": ["GPU-b"], "probe": {"base_url": "http://127.0.0.1:11434/v1"}},
    {"kind": "llama_cpp", "name": "cpu", "probe": {"base_url": "http://127.0.0.1:9000/v1"}},
]


def waited(**ready: bool) -> dict[str, Any]:
    kinds = {"far": "ollama", "cpu": "llama_cpp"}
    return {"endpoints": [{"unit": f"{kinds.get(name, 'vllm')}@{name}.service", "ready": value} for name, value in ready.items()]}


ALL = {"vllm/chat": 3, "vllm/embedding": 1, "ollama/far": 2, "llama_cpp/cpu": 1}


@pytest.mark.parametrize(
    ("unproved", "results", "back"),
    [
        (ALL, {"waited": waited(chat=False, embedding=True, far=True, cpu=True)}, ["vllm/chat", "vllm/embedding"]),
        (ALL, {"waited": waited(chat=True, embedding=True, far=False, cpu=True)}, ["ollama/far"]),
        (ALL, {"waited": waited(chat=True, embedding=True, far=True, cpu=False)}, ["llama_cpp/cpu"]),
        (ALL, {"waited": waited(chat=True), "proved": {"refused": {"llama_cpp/cpu": ["slow"]}}}, ["llama_cpp/cpu"]),
        (ALL, {"waited": waited(chat=True), "proved": {"refused": {}}}, []),
        (ALL, {"waited": waited(chat=True), "proved": {"failed": True, "msg": "cannot work on a file: no space left"}}, list(ALL)),
        (ALL, {"waited": waited(chat=False), "proved": {"skipped": True, "changed": False}}, ["vllm/chat", "vllm/embedding"]),
        (ALL, {"waited": {"msg": "the host is out of reach"}}, list(ALL)),
        (ALL, {"waited": {"endpoints": [{"unit": "ollama@far.service", "ready": False, "cause": "stale_server"}]}}, []),
        ({}, {"waited": waited(chat=False)}, []),  # it failed by itself, and not by a change
        ({"vllm/chat": None}, {"waited": waited(chat=False)}, []),  # a new one has nothing to go back to
        ({"vllm/chat": None, "vllm/embedding": 1}, {"waited": waited(chat=False, embedding=True)}, ["vllm/embedding"]),
        ({"vllm/chat": 3}, {"waited": waited(chat=False, embedding=False)}, ["vllm/chat"]),
    ],
)
def test_what_goes_back(unproved: dict[str, int | None], results: dict[str, Any], back: list[str]) -> None:
    assert units_to_go_back(UNITS, unproved, **results) == dict.fromkeys(back, "latest")


def test_what_went_back_is_asked_where_it_was() -> None:
    probe = {"base_url": "http://127.0.0.1:8071/v1", "model": "chat"}
    assert units_as_released(UNITS, {"vllm/chat": probe}) == [{**UNITS[0], "probe": probe}]


PART = {
    "kind": "vllm",
    "name": "big",
    "locks": ["GPU-a"],
    "group": {"rank": 1, "members": [{"host": "spark1", "address": "192.0.2.1"}, {"host": "spark2", "address": "192.0.2.2"}]},
}


def test_a_part_of_an_engine_over_several_hosts_goes_back_with_the_engine_and_not_with_its_neighbours() -> None:
    units, unproved = [*UNITS, PART], {"vllm/big": 2, "vllm/chat": 3}
    assert units_to_go_back(units, unproved, waited(chat=False)) == {"vllm/chat": "latest"}
    found_here = waited(chat=True)
    assert units_to_go_back(units, unproved, found_here, {"refused": {}}, ["vllm/big"]) == {"vllm/big": "latest", "vllm/chat": "latest"}
    assert units_to_go_back(units, {"vllm/big": None}, found_here, {}, ["vllm/big"]) == {}


@pytest.mark.parametrize(
    ("host", "found", "failed"),
    [
        ("spark1", (waited(big=False), {}), True),
        ("spark2", (waited(big=False), {}), True),
        ("other", (waited(big=False), {}), False),
        ("spark1", (waited(big=True, chat=False), {}), False),
        ("spark1", (waited(big=True), {"refused": {"vllm/big": ["slow"]}, "failed": True}), True),
        ("spark1", (waited(big=True), {"refused": {"vllm/chat": ["slow"]}, "failed": True}), False),
        ("spark1", (waited(big=True), {"failed": True, "msg": "no space left on device"}), True),
        ("spark1", (waited(big=True), {"skipped": True}), False),
        ("spark1", ({"endpoints": [{"unit": "vllm@big.service", "ready": False, "cause": "stale_server"}]}, {}), False),
        ("spark1", ({}, {}), False),  # it has not come so far
    ],
)
def test_what_the_first_host_has_found_holds_for_all_parts(host: str, found: tuple[dict[str, Any], dict[str, Any]], failed: bool) -> None:
    assert unit_parts_that_failed([*UNITS, PART], {host: found}) == (["vllm/big"] if failed else [])
