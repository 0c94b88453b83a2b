# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._secrets.store import (
    Previous,
    Secret,
    SecretError,
    SecretStore,
    check_strength,
    digest,
)


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
    first = store.get("inference_master_key", "master_key", prefix="sk-").key
    assert first.startswith("sk-")
    assert store.created == ["master_key"]
    again = SecretStore(directory)
    assert again.get("inference_master_key", "master_key", prefix="sk-").key == first
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
    assert SecretStore(tmp_path).get("inference_master_key", "master_key").key == "0123456789abcdef"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_check_mode_writes_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "secrets"
    store = SecretStore(directory, write=False)
    assert len(store.get("inference_master_key", "master_key").key) >= 16
    assert store.created == ["master_key"]
    assert not directory.exists()


def test_the_users_key_wins_and_is_not_stored(tmp_path: Path) -> None:
    store = SecretStore(tmp_path)
    assert store.get("inference_master_key", "master_key", given="given-by-the-user").key == "given-by-the-user"
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

    mine = SecretStore(tmp_path, generate=generate_after_the_other).get("inference_master_key", "master_key").key
    assert mine == other.get("inference_master_key", "master_key").key


# --- a new key takes the place of another one


NAME = ("inference_master_key", "master_key")


class Folder:
    """A folder of keys over several runs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0

    def generate(self) -> str:
        self.count += 1
        return f"{self.count:02}-0123456789abcdef"

    def run(self, rotate: tuple[str, ...] = (), *, given: str | None = None, ends: bool = True, **options: bool) -> Secret:
        """One run of site.yml, that ends well or fails before it has proved anything."""
        store = SecretStore(self.path, generate=self.generate, rotate=rotate, **options)
        secret = store.get(*NAME, given=given)
        if ends:
            store.record(secret)
        return secret

    def files(self) -> dict[str, str]:
        return {
            str(file.relative_to(self.path)): file.read_text().strip()
            for file in self.path.rglob("*")
            if file.is_file() and file.name[:4] != ".git"
        }


FIRST, SECOND = "01-0123456789abcdef", "02-0123456789abcdef"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path / "keys")
    assert made.run().key == FIRST
    assert made.files() == {"master_key": FIRST, ".served/master_key": FIRST}
    return made


def test_a_run_that_changes_nothing_writes_nothing(folder: Folder) -> None:
    before = [(file, file.stat().st_mtime_ns) for file in sorted(folder.path.rglob("*"))]
    secret = folder.run()
    assert (secret.key, secret.previous, secret.served) == (FIRST, None, True)
    assert [(file, file.stat().st_mtime_ns) for file in sorted(folder.path.rglob("*"))] == before


@pytest.mark.parametrize("how", ["asked", "all", "file taken away"])
def test_a_new_key_takes_the_place_of_the_old_one_when_it_is_proved(folder: Folder, how: str) -> None:
    if how == "file taken away":
        (folder.path / "master_key").unlink()
    rotate = {"asked": ("master_key",), "all": ("all",)}.get(how, ())
    failed = folder.run(rotate, ends=False)
    assert (failed.key, failed.previous) == (SECOND, Previous(digest(FIRST), FIRST))
    # Whatever stops the run: the key that the hosts serve with is where it was.
    assert folder.files() == {"master_key": FIRST, ".served/master_key": FIRST, ".pending/master_key": SECOND}
    again = folder.run(ends=False)
    assert (again.key, again.previous) == (SECOND, failed.previous), "the next run goes on with the same one"
    assert folder.run(rotate, ends=False).key == SECOND, "also when it is asked again"
    assert folder.run().key == SECOND
    assert folder.files() == {"master_key": SECOND, ".served/master_key": SECOND}
    assert folder.run() == Secret("master_key", SECOND, False, None, True)


def test_who_only_looks_gets_the_key_that_works(folder: Folder) -> None:
    """Such as verify.yml, between a run that failed and the next one."""
    folder.run(("master_key",), ends=False)
    assert folder.run(pending=False, ends=False).key == FIRST
    (folder.path / "master_key").unlink()
    assert folder.run(pending=False, ends=False).key == FIRST
    assert not (folder.path / "master_key").exists(), "site.yml is to see that somebody took it away"


def test_a_first_key_needs_no_other(tmp_path: Path) -> None:
    first = Folder(tmp_path).run(("all",), ends=False)
    assert (first.key, first.previous, first.served) == (FIRST, None, False)
    assert Folder(tmp_path).run().key == FIRST


def test_keys_of_an_earlier_release_are_kept(tmp_path: Path) -> None:
    (tmp_path / "master_key").write_text(FIRST + "\n")
    secret = Folder(tmp_path).run()
    assert (secret.key, secret.previous, secret.served) == (FIRST, None, False)
    assert Folder(tmp_path).run().served


def test_a_key_of_the_users_own_is_not_kept_in_plain_text(folder: Folder) -> None:
    mine, other = "mine-0123456789abcdef", "other-0123456789abcdef"
    changed = folder.run(given=mine, ends=False)
    assert (changed.key, changed.previous) == (mine, Previous(digest(FIRST), FIRST))
    folder.run(given=mine)
    assert folder.files()[".served/master_key"] == "sha256:" + digest(mine)
    assert folder.run(given=mine) == Secret("master_key", mine, True, None, True)
    assert folder.run(given=other, ends=False).previous == Previous(digest(mine))
    assert folder.run().previous == Previous(digest(mine)), "back to the generated one"
    assert mine not in "".join(folder.files().values())


def test_a_key_that_the_user_wrote_into_the_file(folder: Folder) -> None:
    (folder.path / "master_key").write_text("mine-0123456789abcdef\n")
    secret = folder.run(ends=False)
    assert (secret.key, secret.previous) == ("mine-0123456789abcdef", Previous(digest(FIRST), FIRST))
    folder.run()
    assert folder.files() == {"master_key": "mine-0123456789abcdef", ".served/master_key": "mine-0123456789abcdef"}


def test_a_given_key_cannot_be_generated(folder: Folder) -> None:
    with pytest.raises(SecretError, match="your own variable"):
        folder.run(("master_key",), given="mine-0123456789abcdef")
    assert folder.run(("all",), given="mine-0123456789abcdef").key == "mine-0123456789abcdef"


def test_a_folder_of_keys_is_rotated_as_a_whole(tmp_path: Path) -> None:
    for store in (SecretStore(tmp_path), SecretStore(tmp_path, rotate=["client_keys"])):
        found = {name: store.get("x", *name.split("/")) for name in ("master_key", "client_keys/a", "client_keys/b.new")}
    assert {name: secret.previous is not None for name, secret in found.items()} == {
        "master_key": False,
        "client_keys/a": True,
        "client_keys/b.new": True,
    }


def test_check_mode_makes_no_new_key_pending(folder: Folder) -> None:
    before = folder.files()
    secret = folder.run(("all",), write=False)
    assert (secret.key, secret.previous) == (SECOND, Previous(digest(FIRST), FIRST))
    assert folder.files() == before


def test_pending_keys_are_private(folder: Folder) -> None:
    folder.run(("all",), ends=False)
    for file in (".pending/master_key", ".served/master_key"):
        assert stat.S_IMODE((folder.path / file).stat().st_mode) == 0o600
        assert stat.S_IMODE((folder.path / file).parent.stat().st_mode) == 0o700
    assert SECOND not in repr(folder.run(ends=False))
