# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.vllm_arguments import (
    flag_troubles,
    read_engine_args,
    slice_arguments,
)
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.findings import Fields, Report
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.platform import Device


def read(arguments: Any) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    report = Report()
    found, written = read_engine_args(Fields({"engine_args": arguments}, "", report, ["engine_args"]))
    return found, written, [str(finding) for finding in report.findings]


def test_keys_are_kept_under_one_name_and_as_they_were_written() -> None:
    found, written, findings = read({"--max_num_seqs": 4, "-cc.pass_config.x_y": "True", "-O3": True, "a-config": None})
    assert found == {"max-num-seqs": 4, "compilation-config.pass_config.x_y": "True", "optimization-level": 3, "a-config": None}
    assert written == {
        "max-num-seqs": "--max_num_seqs",
        "compilation-config.pass_config.x_y": "-cc.pass_config.x_y",
        "optimization-level": "-O3",
        "a-config": "a-config",
    }
    assert findings == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"-tp": 2}, "engine_args.-tp = 2: is set by the collection: use tensor_parallel_size"),
        ({"config.x": 2}, "engine_args.config.x = 2: is set by the collection"),
        ({"hf_token": "hf_x"}, "engine_args.hf_token = (a text, not shown): is set by the collection: use inference_huggingface_token"),
        ({"a-b.c": 1, "a_b.c": 2}, "engine_args.a_b.c = 2: is given twice, as a-b.c"),
        ({"-dp": 2, "data_parallel_size": 2}, "engine_args.data_parallel_size = 2: is given twice, as -dp"),
        ({"-O3": True, "optimization-level": 1}, "is given twice, as -O3"),
        ({"-O3": 2}, "contains its value already"),
        ({"x": 1}, "must be the full name of an engine flag"),
        ({"a-b": {"c": 1}, "a-b.c": 2}, "engine_args.a-b.c = 2: is given in a-b too, with another value"),
        ({"a-b": '{"c": 1}', "a-b.c": 2}, "is given in a-b too, with another value"),
        ({"a-b": "text", "a-b.c": 2}, "is a field of a-b, which is also given and is not a mapping"),
        ({"a-b.c": 1, "a-b.c.d": 2}, "engine_args.a-b.c.d = 2: is a field of a-b.c, which is given too"),
        ({"enable-x": True, "no-enable-x": True}, "engine_args.no-enable-x = true: contradicts enable-x"),
        ({"a-b": "--no-auth"}, "begins with a dash"),
        ({"a-b": ["x", "-y"]}, "begins with a dash"),
        ({"a-b": -0.5}, "begins with a dash"),
        ({"a-b": "-x.y z"}, "begins with a dash"),
        ({"a-b": math.nan}, "must be a text, a number"),
        ({"a-b": {"c": [math.inf]}}, "must be a text, a number"),
        ({"a-b": {"c": object()}}, "must be a text, a number"),
        ({"a-b": {1: 2}}, "must be a text, a number"),
        ({"a-b": "x\0y"}, "must be a text, a number"),
        ({"a-b": "\ud800"}, "must be a text, a number"),
    ],
)
def test_what_vllm_would_read_otherwise_is_refused(arguments: dict[str, Any], text: str) -> None:
    (finding,) = read(arguments)[2]
    assert text in finding


@pytest.mark.parametrize(
    "arguments",
    [
        {"a-b": {"c": 1}, "a-b.c": "1"},
        {"a-b": {"c": 1}, "a-b.d": 2},
        {"a-b": None, "a-b.d": 2},
        {"a-b": -1},
        {"a-b": "-"},
        {"a-b": "-x with a blank"},
        {"a-b.c": "-x"},
        {"a-b": "two\nlines", "c-d": 'it\'s "quoted" \\ \u2028'},
        {"enable-x": True, "no-enable-x": None},
    ],
)
def test_what_vllm_reads_right_passes(arguments: dict[str, Any]) -> None:
    assert read(arguments)[2] == []


PRODUCER = {"kv_connector": "NixlConnector", "kv_role": "kv_producer"}


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        ({"nnodes": 2, "node-rank": 0, "master-addr": "192.0.2.1"}, ["nnodes"]),
        ({"nnodes": "2", "node-rank": "1", "headless": "true"}, ["nnodes", "node-rank", "headless"]),
        ({"nnodes": 1, "node-rank": 0, "headless": False}, []),
        ({"data-parallel-size": 4, "data-parallel-size-local": 2, "data-parallel-address": "192.0.2.1"}, ["data-parallel-size-local"]),
        ({"data-parallel-size": 4, "data-parallel-size-local": "4", "data-parallel-rpc-port": 13345}, []),
        ({"data-parallel-size": 4, "data-parallel-start-rank": 2}, ["data-parallel-start-rank"]),
        ({"data-parallel-rank": 0}, ["data-parallel-rank"]),
        ({"data-parallel-external-lb": True}, ["data-parallel-external-lb"]),
        ({"data-parallel-hybrid-lb": True}, ["data-parallel-hybrid-lb"]),
        ({"kv-transfer-config": PRODUCER}, ["kv-transfer-config"]),
        ({"kv-transfer-config": '{"kv_connector": "P2pNcclConnector", "kv_role": "kv_consumer"}'}, ["kv-transfer-config"]),
        ({"kv-transfer-config.kv_role": "kv_producer"}, ["kv-transfer-config.kv_role"]),
        ({"kv-transfer-config": {"kv_role": "kv_both", "kv_connector_extra_config": {"connectors": [PRODUCER]}}}, ["kv-transfer-config"]),
        ({"kv-transfer-config": {"kv_connector": "LMCacheMPConnector", "kv_role": "kv_both"}}, []),
        ({"ec-transfer-config": {"ec_connector": "x", "ec_role": "ec_producer"}}, ["ec-transfer-config"]),
        ({"ec-transfer-config": {"ec_connector": "x", "ec_role": "ec_both"}}, []),
        ({"kv-transfer-config": "no json"}, []),
    ],
)
def test_a_part_of_something_larger_is_told_by_the_key_that_makes_it_one(arguments: dict[str, Any], keys: list[str]) -> None:
    found = list(flag_troubles(arguments))
    assert [key for key, _message in found] == keys
    assert all("inference_external_endpoints" in message for _key, message in found)


@pytest.mark.parametrize(
    ("changes", "capability", "arguments", "batch"),
    [
        ({}, "chat", {}, 8192),
        ({"whole_mib": 60_000.0}, "chat", {}, None),
        ({"whole_mib": None}, "chat", {}, None),
        ({"memory_mib": 9_728.0}, "chat", {}, None),
        ({"name": "NVIDIA A100-SXM4-80GB 3g.40gb"}, "chat", {}, None),
        ({"is_slice": False}, "chat", {}, None),
        ({}, "embedding", {}, None),
        ({}, "chat", {"max-num-batched-tokens": 4096}, None),
        ({}, "chat", {"enable-chunked-prefill": False}, None),
        ({}, "chat", {"no-enable-chunked-prefill": True}, None),
    ],
)
def test_a_slice_is_told_the_batch_of_its_gpu(
    changes: dict[str, Any], capability: str, arguments: dict[str, Any], batch: int | None
) -> None:
    slice_ = Device("MIG-1", "0:0", "NVIDIA H200 2g.35gb", 33_280.0, (9, 0), is_slice=True, whole_mib=143_771.0)
    found = slice_arguments(replace(slice_, **changes), capability, arguments)
    assert found == ({} if batch is None else {"max-num-batched-tokens": batch})
