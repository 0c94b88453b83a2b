# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._secret_store import SecretError, SecretStore, check_strength


@pytest.mark.parametrize(
    ("value", "part_of_the_message"),
    [
        pytest.param("", "is missing or empty", id="empty"),
        pytest.param("short", "5 characters", id="short"),
        pytest.param("sk-1234", "example key", id="the-example-that-litellm-refuses"),
        pytest.param("token-abc123", "example key", id="example-of-a-guide"),
        pytest.param("a" * 20 + " ", "blanks", id="trailing-blank"),
        pytest.param("a" * 20 + "\n", "blanks", id="newline"),
        pytest.param("a" * 10 + " " + "b" * 10, "blanks", id="inner-blank"),
        pytest.param("sch\u00f6ner-langer-schl\u00fcssel", "other characters", id="not-for-a-header"),
        pytest.param("a" * 20, "too few different", id="monotonous"),
    ],
)
def test_weak_keys_are_refused(value: str, part_of_the_message: str) -> None:
    with pytest.raises(SecretError, match=part_of_the_message) as error:
        check_strength("inference_master_key", value)
    assert not value.strip() or value.strip() not in str(error.value)


def test_a_key_is_generated_once(tmp_path: Path) -> None:
    directory = tmp_path / "secrets"
    store = SecretStore(directory)
    first = store.get("inference_master_key", "master_key", prefix="sk-")
    assert first.startswith("sk-")
    assert store.created == ["master_key"]
    again = SecretStore(directory)
    assert again.get("inference_master_key", "master_key", prefix="sk-") == first
    assert again.created == []


def test_files_are_private_and_ignored_by_git(tmp_path: Path) -> None:
    directory = tmp_path / "secrets"
    SecretStore(directory).get("inference_engine_key of gpu01", "engine_keys", "gpu01")
    assert stat.S_IMODE((directory / "engine_keys" / "gpu01").stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert (directory / ".gitignore").read_text() == "*\n"
    assert sorted(path.name for path in (directory / "engine_keys").iterdir()) == ["gpu01"]


def test_a_file_that_others_may_read_is_closed(tmp_path: Path) -> None:
    file = tmp_path / "master_key"
    file.write_text("0123456789abcdef" + "\n")
    file.chmod(0o644)
    assert SecretStore(tmp_path).get("inference_master_key", "master_key") == "0123456789abcdef"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_check_mode_writes_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "secrets"
    store = SecretStore(directory, write=False)
    assert len(store.get("inference_master_key", "master_key")) >= 16
    assert store.created == ["master_key"]
    assert not directory.exists()


def test_the_users_key_wins_and_is_not_stored(tmp_path: Path) -> None:
    store = SecretStore(tmp_path)
    assert store.get("inference_master_key", "master_key", given="given-by-the-user") == "given-by-the-user"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../master_key", ".hidden", "", "a/b"])
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SecretError, match="file name"):
        SecretStore(tmp_path).get("inference_gateway.client_keys", "client_keys", name)


def test_an_unusable_folder_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(SecretError, match="inference_secrets_dir"):
        SecretStore(blocked).get("inference_master_key", "master_key")


def test_a_second_run_at_the_same_time_wins_or_loses_but_both_agree(tmp_path: Path) -> None:
    """Another run creates the file between our look and our link."""
    other = SecretStore(tmp_path)

    def generate_after_the_other() -> str:
        other.get("inference_master_key", "master_key")
        return "0123456789abcdef" * 2

    mine = SecretStore(tmp_path, generate=generate_after_the_other).get("inference_master_key", "master_key")
    assert mine == other.get("inference_master_key", "master_key")
