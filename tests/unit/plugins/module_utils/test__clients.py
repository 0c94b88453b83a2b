# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils._clients import (
    MARKER,
    ClientFileError,
    Record,
    dump_connections,
    dump_manifest,
    is_ours,
    merge_connections,
    parse_connections,
    parse_env_as_docker,
    parse_env_as_shell,
    parse_manifest,
    render_env,
    unsafe_characters,
)

VARIABLES = {
    "LLM_PROVIDER": "openai/Qwen/Qwen2.5-VL-7B-Instruct",
    "LLM_BASE_URL": "http://litellm-gateway:4000/v1",
    "LLM_API_KEY": "sk-a_b-c==",
}


def test_render_env_starts_with_the_marker_and_holds_one_variable_per_line() -> None:
    assert render_env(VARIABLES, comments=["for Crawl4AI"]).splitlines() == [
        MARKER,
        "# for Crawl4AI",
        "LLM_PROVIDER=openai/Qwen/Qwen2.5-VL-7B-Instruct",
        "LLM_BASE_URL=http://litellm-gateway:4000/v1",
        "LLM_API_KEY=sk-a_b-c==",
    ]


def test_a_real_shell_reads_what_was_rendered(tmp_path: Any) -> None:
    path = tmp_path / "client.env"
    path.write_text(render_env(VARIABLES), encoding="utf-8")
    shell = subprocess.run(
        ["/bin/sh", "-c", f"set -a; . {path}; env"], capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"}
    )
    assert {line.split("=", 1)[0]: line.split("=", 1)[1] for line in shell.stdout.splitlines() if line.startswith("LLM_")} == VARIABLES


@pytest.mark.parametrize(
    "value", ["two words", "hash#", "dollar$HOME", "back`tick", 'quote"', "quote'", "back\\slash", "new\nline", "ünïcode"]
)
def test_render_env_refuses_what_readers_take_differently(value: str) -> None:
    with pytest.raises(ClientFileError, match=r"LLM_API_KEY: the value contains .* use letters, digits"):
        render_env({"LLM_API_KEY": value})


@pytest.mark.parametrize(
    ("value", "expected"),
    [("sk-abc_DEF=+/.:@%,", ""), ("a b c", " "), ("$a$b#", "$#")],
)
def test_unsafe_characters_names_each_once(value: str, expected: str) -> None:
    assert unsafe_characters(value) == expected


def test_json_without_spaces_is_taken_where_it_is_meant(tmp_path: Any) -> None:
    text = render_env({"PARAMS": '{"a":["b",0.5]}', "LLM_API_KEY": "k"}, as_json={"PARAMS"})
    assert parse_env_as_docker(text)["PARAMS"] == '{"a":["b",0.5]}'
    for value in ('{"a": 1}', '"quoted"', '{"a":"$b"}'):
        with pytest.raises(ClientFileError, match="PARAMS: the value contains"):
            render_env({"PARAMS": value}, as_json={"PARAMS"})
    for value in ('{"a', "{a:1}", "[", ""):
        with pytest.raises(ClientFileError, match="PARAMS: the value is no JSON"):
            render_env({"PARAMS": value}, as_json={"PARAMS"})


def test_render_env_refuses_a_name_that_does_not_read_back() -> None:
    with pytest.raises(ClientFileError, match="defect of the collection"):
        render_env({"#NAME": "value"})


@pytest.mark.parametrize("parse", [parse_env_as_docker, parse_env_as_shell])
def test_both_readers_skip_comments_and_blank_lines(parse: Any) -> None:
    assert parse("# A=1\n\nB=2\nC=\n") == {"B": "2", "C": ""}


OTHERS = {"id": "llm-1767854937489", "name": "Local Ollama", "base_url": "http://localhost:11434", "extra": [1]}
OURS = {"id": "vllm-external", "name": "Gateway", "base_url": "http://192.0.2.10:8400", "api_key": "k"}


@pytest.mark.parametrize(
    ("document", "wanted", "obsolete", "expected"),
    [
        pytest.param({"connections": []}, [OURS], [], {"connections": [OURS]}, id="first"),
        pytest.param({"connections": [OTHERS]}, [OURS], [], {"connections": [OTHERS, OURS]}, id="others-stay-first"),
        pytest.param(
            {"connections": [{**OURS, "name": "old", "starred": True}, OTHERS]},
            [OURS],
            [],
            {"connections": [{**OURS, "starred": True}, OTHERS]},
            id="same-id-keeps-place-and-unknown-fields",
        ),
        pytest.param({"connections": [OTHERS, OURS]}, [], ["vllm-external"], {"connections": [OTHERS]}, id="obsolete-goes"),
        pytest.param({"connections": [OURS]}, [OURS], ["vllm-external"], {"connections": [OURS]}, id="obsolete-but-wanted-stays"),
        pytest.param(
            {"connections": ["odd", OTHERS], "version": 2}, [OURS], [], {"connections": ["odd", OTHERS, OURS], "version": 2}, id="odd"
        ),
        pytest.param({"version": 2}, [OURS], [], {"version": 2, "connections": [OURS]}, id="no-list-yet"),
    ],
)
def test_merge_connections(document: dict[str, Any], wanted: list[Any], obsolete: list[str], expected: dict[str, Any]) -> None:
    before = json.dumps(document)
    assert merge_connections(document, wanted, obsolete) == expected
    assert json.dumps(document) == before


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_file_has_no_connections(text: str) -> None:
    assert parse_connections(text, "/x") == {"connections": []}


@pytest.mark.parametrize("text", ["{", "[]", '{"connections": {}}'])
def test_a_broken_file_is_refused_and_named(text: str) -> None:
    with pytest.raises(ClientFileError, match=r"/srv/llm_connections\.json exists and is not"):
        parse_connections(text, "/srv/llm_connections.json")


def test_connections_survive_the_round_trip() -> None:
    document = {"connections": [{**OTHERS, "name": "Máy chủ"}]}
    text = dump_connections(document)
    assert "Máy chủ" in text
    assert parse_connections(text, "/x") == document


RECORDS = {
    "/b": Record("/b", "connections", ids=("z", "a"), created=True),
    "/a": Record("/a", "none"),
}


def test_the_manifest_survives_the_round_trip_sorted_and_without_secrets() -> None:
    text = dump_manifest(RECORDS)
    assert list(json.loads(text)["files"]) == ["/a", "/b"]
    assert parse_manifest(text, "/m") == {"/a": Record("/a", "none"), "/b": Record("/b", "connections", ids=("a", "z"), created=True)}
    assert parse_manifest(None, "/m") == {}


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 2, "files": {}}', '{"version": 1, "files": {"/a": {}}}', '{"version": 1, "files": []}']
)
def test_a_foreign_manifest_is_refused(text: str) -> None:
    with pytest.raises(ClientFileError, match="/etc/m is not a manifest"):
        parse_manifest(text, "/etc/m")


def test_is_ours() -> None:
    assert is_ours(render_env({}))
    assert not is_ours("A=1\n")
