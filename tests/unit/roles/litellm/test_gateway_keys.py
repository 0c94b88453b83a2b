# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from pathlib import Path
from typing import Any

import pytest
from gateway_keys import Keys, kept_servers


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def place(folder: Path, text: str) -> None:
    """At once, as a node does it."""
    new = folder / ".keys.json.new"
    new.write_text(text, encoding="utf-8")
    new.replace(folder / "keys.json")


def document(master: str = "m", **clients: Any) -> str:
    return json.dumps({"master": [digest(master)], "clients": {name: [digest(key) for key in keys] for name, keys in clients.items()}})


def watched(folder: Path) -> Keys:
    return Keys.from_environment({"GATEWAY_LIVE_FOLDER": str(folder)})


def test_a_key_is_good_from_the_moment_the_file_is_replaced(tmp_path: Path) -> None:
    place(tmp_path, document(alice=["old"]))
    keys = watched(tmp_path)
    assert (keys.client_of("old"), keys.client_of("new"), keys.is_master("m")) == ("alice", None, True)
    place(tmp_path, document(alice=["new", "old"]))
    assert (keys.client_of("old"), keys.client_of("new")) == ("alice", "alice")
    place(tmp_path, document(master="other", alice=["new"]))
    assert (keys.client_of("old"), keys.client_of("new"), keys.is_master("m"), keys.is_master("other")) == (None, "alice", False, True)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"clients": 1}', None])
def test_what_cannot_be_read_changes_nothing_and_is_told(tmp_path: Path, text: str | None, caplog: pytest.LogCaptureFixture) -> None:
    place(tmp_path, document(alice=["key"]))
    keys = watched(tmp_path)
    if text is None:
        (tmp_path / "keys.json").unlink()
    else:
        place(tmp_path, text)
    with caplog.at_level(logging.ERROR):
        assert keys.client_of("key") == "alice"
    assert "cannot be read again" in caplog.text
    place(tmp_path, document(alice=["next"]))
    assert keys.client_of("next") == "alice"


def test_a_gateway_without_its_keys_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        watched(tmp_path)
    place(tmp_path, "{")
    with pytest.raises(ValueError):
        watched(tmp_path)


@pytest.mark.parametrize(
    "text", ['["sk-secret"]', '{"master": 5, "clients": "sk-secret"}', '{"servers": {"sk-secret": null}}', "sk-secret"]
)
def test_what_is_wrong_with_the_keys_names_the_file_and_no_key(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place(Path(folder), text)
        with pytest.raises(ValueError, match=r"keys\.json is not what .* run the playbook again") as told:
            watched(Path(folder))
    assert "sk-secret" not in str(told.value)
    assert told.value.__suppress_context__


def test_where_there_is_no_folder_no_key_is_good(tmp_path: Path) -> None:
    """The check of a configuration has none."""
    keys = watched(tmp_path / "missing")
    assert not keys.is_master("")
    assert keys.client_of("") is None
    assert keys.servers == {}


def test_a_server_may_still_ask_for_its_old_key() -> None:
    old = {"http://a:1": {"A": ("1",)}, "http://gone:1": {"G": ("g",)}}
    new = {"http://a:1": {"A": ("2",)}, "http://new:1": {"N": ("n",)}}
    assert kept_servers(old, new) == {"http://a:1": {"A": ("2", "1")}, "http://gone:1": {"G": ("g",)}, "http://new:1": {"N": ("n",)}}
    assert kept_servers({"http://a:1": {"A": ("3", "2", "1")}}, {"http://a:1": {"A": ("4",)}}) == {"http://a:1": {"A": ("4", "3", "2")}}
    assert kept_servers(old, old) == old
