# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is asked here of our own rules is asked of vLLM's parser in tests/real/test_engine_flags.py."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.vllm_flags import (
    Flag,
    FlagError,
    file_entries,
    number,
    overlay,
    read_flag,
    settings,
    switched_on,
)


@pytest.mark.parametrize(
    ("written", "flag"),
    [
        ("max_num_seqs", Flag("max-num-seqs")),
        (" --max-num-seqs ", Flag("max-num-seqs")),
        ("speculative_config.num_speculative_tokens", Flag("speculative-config", ("num_speculative_tokens",))),
        ("--hf_overrides.rope_scaling.original-length", Flag("hf-overrides", ("rope_scaling", "original-length"))),
        ("-cc.pass_config.fuse_rope_kvcache", Flag("compilation-config", ("pass_config", "fuse_rope_kvcache"))),
        ("x_y.list+", Flag("x-y", ("list",), appends=True)),
        ("-tp", Flag("tensor-parallel-size")),
        ("-O3", Flag("optimization-level", value=3)),
        ("-O", Flag("optimization-level")),
    ],
)
def test_a_key_is_read_as_vllm_reads_it(written: str, flag: Flag) -> None:
    assert read_flag(written) == flag


@pytest.mark.parametrize(
    "written", ["", "-", "x", "a b", "-x", "x-y.", "x-y..z", ".x", "x-y.a b", "max-num-seqs+", "x-y=1", "1abc", "ä-b-c"]
)
def test_what_is_no_flag_is_told(written: str) -> None:
    with pytest.raises(FlagError, match="full name of an engine flag"):
        read_flag(written)


def test_an_old_form_of_the_compilation_config_is_told_what_to_write() -> None:
    with pytest.raises(FlagError, match=r"write compilation-config\.pass_config\.x"):
        read_flag("-O.pass_config.x")


@pytest.mark.parametrize(
    ("arguments", "entries"),
    [
        ({"speculative-config.num_speculative_tokens": 3}, {"speculative-config.num_speculative_tokens": 3}),
        ({"speculative_config.enforce_eager": False}, {"speculative-config.enforce_eager": "false"}),
        ({"a-config.x": True}, {"a-config.x": "true"}),
        ({"a-config.x": ["a", 1]}, {"a-config.x": '["a", 1]'}),
        ({"a-config.x+": ["a", 1]}, {"a-config.x": '["a", 1]'}),
        ({"a-config.x+": "a,b"}, {"a-config.x+": "a,b"}),
        ({"a-config.x": {"y": True}}, {"a-config.x": {"y": True}}),
        ({"a-config.x": None}, {}),
        ({"a-config": {"y": 1}, "a-config.x": "2"}, {"a-config": {"y": 1, "x": 2}}),
        ({"a-config.x.z": "80k", "a-config": '{"y": 1, "x": {"w": 0}}'}, {"a-config": {"y": 1, "x": {"w": 0, "z": 80000}}}),
        ({"a-config": '{"y": 1}'}, {"a-config": '{"y": 1}'}),
        ({"no-enable-prefix-caching": False}, {"no-enable-prefix-caching": None, "enable-prefix-caching": True}),
        ({"enable-prefix-caching": False}, {"enable-prefix-caching": None, "no-enable-prefix-caching": True}),
        ({"disable-log-stats": False}, {"disable-log-stats": None}),
        ({"allowed-origins": ["*"]}, {"allowed-origins": '["*"]'}),
        ({"allowed-origins": '["*"]'}, {"allowed-origins": '["*"]'}),
        ({"disable-access-log-for-endpoints": ["/a", "/b"]}, {"disable-access-log-for-endpoints": "/a,/b"}),
        ({"lora-modules": [{"name": "a", "path": "/a"}, "b=/b"]}, {"lora-modules": ['{"name": "a", "path": "/a"}', "b=/b"]}),
        ({"-O2": True}, {"optimization-level": 2}),
        ({"???": 1}, {"???": 1}),
    ],
)
def test_the_file_says_it_as_vllm_reads_it(arguments: dict[str, Any], entries: dict[str, Any]) -> None:
    assert file_entries(arguments) == entries


def test_before_vllm_reads_mappings_they_are_written_as_json() -> None:
    arguments = {"limit-mm-per-prompt": {"image": 4}, "a-config.x": {"y": True}, "max-num-seqs": 2}
    assert file_entries(arguments, (0, 16)) == file_entries(arguments) == arguments
    assert file_entries(arguments, (0, 15, 1)) == {"limit-mm-per-prompt": '{"image": 4}', "a-config.x": '{"y": true}', "max-num-seqs": 2}


@pytest.mark.parametrize(
    ("below", "above", "result"),
    [
        ({"a-b": 1, "c-d": 2}, {"c-d": 3, "e-f": 4}, {"a-b": 1, "c-d": 3, "e-f": 4}),
        ({"a-b": 1, "c-d": 2}, {"a-b": None}, {"c-d": 2}),
        ({"a-b.x": 1, "a-b.y": 2, "c-d": 3}, {"a-b.x": 5}, {"a-b.x": 5, "a-b.y": 2, "c-d": 3}),
        ({"a-b.x": 1, "c-d": 3}, {"a-b": {"y": 1}}, {"c-d": 3, "a-b": {"y": 1}}),
        ({"a-b.x": 1, "a-b": {"y": 2}}, {"a-b": None}, {}),
        ({"a-b": {"x": {"z": 1}, "y": 2}}, {"a-b.x.z": None}, {"a-b": {"x": {}, "y": 2}}),
        ({"a-b": {"y": 2}}, {"a-b.x": 1}, {"a-b": {"y": 2}, "a-b.x": 1}),
        ({"a-b": {"y": 2}}, {"a-b.x.z": None}, {"a-b": {"y": 2}}),
    ],
)
def test_arguments_are_laid_over_others_flag_by_flag(below: dict[str, Any], above: dict[str, Any], result: dict[str, Any]) -> None:
    found = overlay(below, above)
    assert list(found.items()) == list(result.items())


def test_what_is_said_of_a_flag_in_any_form_is_one_mapping() -> None:
    arguments = {
        "a-config": '{"x": {"y": 1}}',
        "a-config.x.z": "true",
        "a-config.list": ["p"],
        "a-config.list+": "q,r",
        "b-config.x": 5,
        "c-d": 1,
    }
    assert settings(arguments, "a-config") == {"x": {"y": 1, "z": True}, "list": ["p", "q", "r"]}
    assert settings(arguments, "b-config") == {"x": 5}
    assert settings(arguments, "c-d") == settings(arguments, "nothing") == {}


@pytest.mark.parametrize(
    ("value", "found"),
    [(4, 4), ("4", 4), (" 4 ", 4), ("32K", 32768), ("32k", 32000), ("auto", None), (True, None), (None, None), (1.5, None)],
)
def test_a_number_is_read_as_vllm_reads_it(value: Any, found: int | None) -> None:
    assert number({"x-y": value}, "x-y") == found


def test_a_switch_is_on_as_a_text_too() -> None:
    assert [switched_on({"x-y": value}, "x-y") for value in (True, "True", False, "false", 1, None)] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]
