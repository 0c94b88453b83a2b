# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files as people have them: links, modes, owners, attributes; and changes that are taken back."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils._files import (
    FileChanges,
    UnusableFileError,
    backup,
    read,
    real_file,
    replace,
    why_not_written,
)


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_a_link_is_followed_to_its_file(tmp_path: Path) -> None:
    (tmp_path / "site.json").write_text("{}")
    (tmp_path / "first").symlink_to(tmp_path / "site.json")
    (tmp_path / "second").symlink_to("first")
    assert real_file(str(tmp_path / "second")) == str(tmp_path / "site.json")
    assert real_file(str(tmp_path / "none")) == str(tmp_path / "none")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("dangling", "is a link to /nowhere/at/all, which does not exist. Make that file, or remove the link"),
        ("loop", "is a link that leads back to itself. Remove it."),
        ("directory", "is a directory, where a file is wanted"),
        ("link to a directory", "is a directory, where a file is wanted"),
        ("pipe", "is not a regular file"),
    ],
)
def test_what_is_no_file_is_told(tmp_path: Path, kind: str, message: str) -> None:
    path = tmp_path / "daemon.json"
    if kind == "dangling":
        path.symlink_to("/nowhere/at/all")
    elif kind == "loop":
        path.symlink_to("daemon.json")
    elif kind == "directory":
        path.mkdir()
    elif kind == "link to a directory":
        path.symlink_to(tmp_path)
    else:
        os.mkfifo(path)
    with pytest.raises(UnusableFileError, match=message):
        real_file(str(path))


def test_a_file_that_is_there_keeps_its_mode_and_attributes(tmp_path: Path) -> None:
    path = tmp_path / "daemon.json"
    path.write_text("old")
    path.chmod(0o640)
    os.setxattr(path, "user.label", b"kept")
    replace(str(path), b"new", 0o777)
    assert (path.read_text(), mode(path), os.getxattr(path, "user.label")) == ("new", "0o640", b"kept")
    assert os.listdir(tmp_path) == ["daemon.json"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_file_that_is_there_keeps_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "daemon.json"
    path.write_text("old")
    os.chown(path, 1, 2)
    replace(str(path), b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == (1, 2)
    copy = Path(backup(str(path), "now"))
    assert (copy.stat().st_uid, copy.stat().st_gid, copy.read_text()) == (1, 2, "new")


def test_a_new_file_gets_the_mode(tmp_path: Path) -> None:
    replace(str(tmp_path / "daemon.json"), b"{}", 0o644)
    assert mode(tmp_path / "daemon.json") == "0o644"


def test_a_backup_is_a_copy_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "nvidia.list"
    path.write_text("deb x")
    path.chmod(0o600)
    copy = Path(backup(str(path), "2026-11-20@08:00:00"))
    assert copy.name.startswith("nvidia.list.")
    assert copy.name.endswith(".2026-11-20@08:00:00~")
    assert (copy.read_text(), mode(copy)) == ("deb x", "0o600")


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.EROFS, "/x cannot be written: Read-only file system. The file system is read-only."),
        (errno.EPERM, "chattr -i takes the attribute away"),
        (errno.ENOSPC, "The disk is full: see df -h."),
        (errno.EACCES, "/x cannot be written: Permission denied."),
    ],
)
def test_why_not_written(number: int, message: str) -> None:
    assert message in why_not_written("/x", OSError(number, os.strerror(number)))


@pytest.fixture
def journal(tmp_path: Path) -> str:
    return str(tmp_path / "state/journal.json")


def test_changes_are_taken_back_together(tmp_path: Path, journal: str) -> None:
    old, new, gone = tmp_path / "old", tmp_path / "folder/new", tmp_path / "gone"
    old.write_bytes(b"\xff old")
    old.chmod(0o640)
    gone.write_text("gone")
    gone.chmod(0o604)
    changes = FileChanges(journal)
    assert not changes.interrupted
    changes.write(str(old), b"changed")
    changes.write(str(old), b"changed again")
    changes.write(str(new), b"new", 0o600)
    changes.write(str(gone), None)
    assert changes.interrupted
    assert (old.read_text(), new.read_text(), mode(new), gone.exists()) == ("changed again", "new", "0o600", False)
    assert mode(Path(journal)) == "0o600"
    assert changes.take_back() == []
    assert (old.read_bytes(), mode(old), new.exists(), gone.read_text(), mode(gone)) == (b"\xff old", "0o640", False, "gone", "0o604")
    assert not Path(journal).exists()


def test_what_is_good_stays(tmp_path: Path, journal: str) -> None:
    changes = FileChanges(journal)
    changes.write(str(tmp_path / "file"), b"good")
    changes.keep()
    assert changes.take_back() == []
    assert (tmp_path / "file").read_text() == "good"
    assert not FileChanges(journal).interrupted


def test_after_a_run_that_was_killed_the_state_before_it_counts(tmp_path: Path, journal: str) -> None:
    path = tmp_path / "daemon.json"
    path.write_text("proven")
    FileChanges(journal).write(str(path), b"never proven")  # and killed
    later = FileChanges(journal)
    assert later.interrupted
    later.write(str(path), b"another")
    assert later.take_back() == []
    assert path.read_text() == "proven"


def test_a_damaged_journal_is_none(tmp_path: Path, journal: str) -> None:
    Path(journal).parent.mkdir()
    for text in ("{", '[{"path": "/x"}]', "5"):
        Path(journal).write_text(text)
        assert not FileChanges(journal).interrupted


def test_nothing_is_written_that_cannot_be_remembered(tmp_path: Path, journal: str) -> None:
    changes = FileChanges(journal)
    (tmp_path / "state").write_text("in the way of the folder")
    with pytest.raises(UnusableFileError, match="journal"):
        changes.write(str(tmp_path / "file"), b"x")
    assert read(str(tmp_path / "file")) is None
