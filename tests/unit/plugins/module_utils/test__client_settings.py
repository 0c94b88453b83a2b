# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import importlib
import importlib.util
import json
from typing import Any

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils._client_settings import (
    merge_json,
    merge_toml,
    without_json,
    without_toml,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._clients import ClientFileError

#: Python 3.11 and newer; on nodes there are older ones.
PARSER: Any = importlib.import_module("tomllib") if importlib.util.find_spec("tomllib") else None
OURS: dict[str, Any] = {"model": "chat", "env": {"BASE": "http://gw", "KEY": "k"}}
IDS = ("/model", "/env/BASE", "/env/KEY")


def text(document: Any) -> str:
    return json.dumps(document, indent=2) + "\n"


@pytest.mark.parametrize(
    ("present", "known", "expected", "gave_way"),
    [
        pytest.param(None, (), OURS, False, id="new"),
        pytest.param("", (), OURS, False, id="empty"),
        pytest.param(text({"theme": "dark"}), (), {"theme": "dark", **OURS}, False, id="others-stay"),
        pytest.param(text({"env": {"A": "1"}}), (), {"env": {"A": "1", **OURS["env"]}, "model": "chat"}, False, id="inside-an-object"),
        pytest.param(text({"model": "opus"}), (), {"model": "chat", "env": OURS["env"]}, True, id="a-setting-gives-way"),
        pytest.param(text({"model": "old"}), ("/model",), {"model": "chat", "env": OURS["env"]}, False, id="ours-changes"),
        pytest.param(text({"model": "chat"}), (), {"model": "chat", "env": OURS["env"]}, False, id="the-same-value"),
        pytest.param(
            text({"env": {"OLD": "1"}, "models": {"a/b": {"x": 1}, "c": 2}}),
            ("/env/OLD", "/models/a~1b/x"),
            {"models": {"c": 2}, "env": OURS["env"], "model": "chat"},
            False,
            id="what-was-ours-goes-with-its-empty-objects",
        ),
    ],
)
def test_merge_json(present: str | None, known: tuple[str, ...], expected: dict[str, Any], gave_way: bool) -> None:
    merged, ids, gave = merge_json(present, text(OURS), known, "/x")
    assert json.loads(merged) == expected
    assert sorted(ids) == sorted(IDS)
    assert gave is gave_way
    assert merge_json(merged, text(OURS), ids, "/x") == (merged, ids, False)


def test_the_same_settings_keep_the_spacing_of_their_editor() -> None:
    present = json.dumps({"theme": "dark", **OURS}, indent=7)
    assert merge_json(present, text(OURS), IDS, "/x")[0] == present


@pytest.mark.parametrize("present", ["{}", text({"theme": "dark", "env": {"A": "1"}}), text({"model": {}})])
def test_what_is_merged_comes_out_again(present: str) -> None:
    merged, ids, _gave_way = merge_json(present, text({"env": OURS["env"]}), (), "/x")
    rest = without_json(merged, ids, "/x")
    assert json.loads(rest or "{}") == json.loads(present)


def test_nothing_left_is_told() -> None:
    assert without_json(text(OURS), IDS, "/x") is None
    assert without_json(text({"theme": 1}), IDS, "/x") == text({"theme": 1})


@pytest.mark.parametrize(
    ("present", "message"),
    [
        ('{"a": 1, // a comment\n}', "/x exists and is not JSON"),
        ("[]", "/x exists and is no JSON object"),
        ('{"env": "A"}', "/x has env, which is no JSON object"),
    ],
)
def test_json_of_another_shape_is_left_alone(present: str, message: str) -> None:
    with pytest.raises(ClientFileError, match=message):
        merge_json(present, text(OURS), (), "/x")


# --- TOML --------------------------------------------------------------------------------------------------------

TOML = 'model = "chat"\nproviders.ours.url = "http://gw"\n'
KEYS = ("model", "providers.ours.url")
OTHERS = '# mine\napproval = "never" # so\n\n[projects."/a b"]\nmodel = "trusted"\n\n[providers.other]\nurl = "x"\n'

#: Texts that look like settings and tables.
LONG = 'instructions = """\nmodel = "none" # \\"""\n[t]\n"""\nnotes = \'\'\'\nmodel = 1\'\'\'\n'


@pytest.mark.parametrize(
    ("present", "known", "expected", "gave_way"),
    [
        pytest.param(None, (), TOML, False, id="new"),
        pytest.param(OTHERS, (), f"{TOML}\n{OTHERS}", False, id="others-stay-with-comments-and-order"),
        pytest.param(
            f'# mine\nmodel = "gpt" # big\n{OTHERS}',
            (),
            f'providers.ours.url = "http://gw"\n\n# mine\nmodel = "chat"\n{OTHERS}',
            True,
            id="a-setting-gives-way-in-its-place",
        ),
        pytest.param(f'model = "old"\nold = 1\n{OTHERS}', ("model", "old"), None, False, id="ours-changes-and-goes"),
        pytest.param(f"{TOML}new = 1\n{OTHERS}", KEYS, f"{TOML}new = 1\n{OTHERS}", False, id="a-setting-between-ours-stays"),
        pytest.param(
            f'{LONG}model = "gpt"\n', (), f'providers.ours.url = "http://gw"\n\n{LONG}model = "chat"\n', True, id="not-in-a-long-text"
        ),
        pytest.param('"model" = "gpt"\n', (), None, True, id="a-quoted-key"),
    ],
)
def test_merge_toml(present: str | None, known: tuple[str, ...], expected: str | None, gave_way: bool) -> None:
    merged, ids, gave = merge_toml(present, TOML, known, "/x")
    assert expected is None or merged == expected
    assert "old" not in merged
    assert ids == KEYS
    assert gave is gave_way
    assert merge_toml(merged, TOML, ids, "/x") == (merged, ids, False)
    document: dict[str, Any] = PARSER.loads(merged) if PARSER else {"model": "chat", "providers": {"ours": {"url": "http://gw"}}}
    assert document["model"] == "chat"
    assert document["providers"]["ours"] == {"url": "http://gw"}


@pytest.mark.parametrize("present", ["", OTHERS, 'a = "1"\n', "[t]\n", LONG])
def test_toml_comes_out_again_as_it_was(present: str) -> None:
    merged, ids, _gave_way = merge_toml(present, TOML, (), "/x")
    assert (without_toml(merged, ids, "/x") or "") == present
    assert without_toml(present, ids, "/x") == present


@pytest.mark.parametrize(
    ("present", "message"),
    [
        *([("a = ", "/x exists and is not TOML")] if PARSER else []),
        ('[providers.ours]\nurl = "y"\n', r"/x has a table \[providers.ours\]"),
        ("[providers]\na = {}\n", r"/x has a table \[providers\], beside which"),
        ('model = """\na"""\n', "/x sets model over several lines"),
        *([('x = [\n[1]\n]\nmodel = "b"\n', "/x would be no TOML with the settings")] if PARSER else []),
    ],
)
def test_toml_that_cannot_take_our_settings_is_left_alone(present: str, message: str) -> None:
    with pytest.raises(ClientFileError, match=message):
        merge_toml(present, TOML, (), "/x")
