# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils._live_files import (
    LiveFiles,
    parse_owner,
    place_live,
    read_live,
    remove_live,
    want_live,
)

SECRET = "a-key-that-nobody-sees"


def wanted(**changes: Any) -> LiveFiles:
    given = {"live_files": {"drain.json": "[]\n"}, "secret_live_files": {"keys.json": SECRET}, "live_owner": f"{os.getuid()}:{os.getgid()}"}
    return want_live({**given, **changes})


def state(folder: Path) -> dict[str, tuple[str, str]]:
    return {
        path.name: (path.read_text(encoding="utf-8"), oct(stat.S_IMODE(path.stat().st_mode)))
        for path in sorted((folder / "live").iterdir())
    }


def test_files_are_placed_once(tmp_path: Path) -> None:
    before = read_live(tmp_path, wanted())
    assert before.differs
    place_live(before)
    assert state(tmp_path) == {"drain.json": ("[]\n", "0o644"), "keys.json": (SECRET, "0o600")}
    assert stat.S_IMODE((tmp_path / "live").stat().st_mode) == 0o700
    assert not read_live(tmp_path, wanted()).differs


def test_a_file_that_is_replaced_is_another_one_and_the_folder_is_the_same(tmp_path: Path) -> None:
    """A container mounts the folder: it sees the new file, where the mount of a file would go on showing the old one."""
    place_live(read_live(tmp_path, wanted()))
    folder, file = (tmp_path / "live").stat().st_ino, (tmp_path / "live/keys.json").stat().st_ino
    place_live(read_live(tmp_path, wanted(secret_live_files={"keys.json": "new"})))
    assert (tmp_path / "live").stat().st_ino == folder
    assert (tmp_path / "live/keys.json").stat().st_ino != file
    assert (tmp_path / "live/keys.json").read_text() == "new"


def test_a_file_that_is_replaced_keeps_its_label(tmp_path: Path) -> None:
    """SELinux keeps labels in extended attributes, and without the right one the container cannot read its new keys."""
    place_live(read_live(tmp_path, wanted()))
    os.setxattr(tmp_path / "live/keys.json", "user.label", b"container_file_t")
    place_live(read_live(tmp_path, wanted(secret_live_files={"keys.json": "new"})))
    assert os.getxattr(tmp_path / "live/keys.json", "user.label") == b"container_file_t"
    assert state(tmp_path)["keys.json"] == ("new", "0o600")


def test_nobody_reads_half_a_file(tmp_path: Path) -> None:
    texts = {character * 200_000 for character in "ab"}
    seen: set[str] = set()
    done = threading.Event()
    place_live(read_live(tmp_path, wanted(live_files={}, secret_live_files={"keys.json": "a" * 200_000})))

    def read() -> None:
        while not done.is_set():
            seen.add((tmp_path / "live/keys.json").read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20):
        for text in sorted(texts):
            place_live(read_live(tmp_path, wanted(live_files={}, secret_live_files={"keys.json": text})))
    done.set()
    reader.join()
    assert seen <= texts


@pytest.mark.parametrize("spoil", ["mode", "folder", "link", "surplus", "left"])
def test_whatever_differs_is_repaired(tmp_path: Path, spoil: str) -> None:
    place_live(read_live(tmp_path, wanted()))
    live = tmp_path / "live"
    if spoil == "mode":
        (live / "keys.json").chmod(0o644)
    elif spoil == "folder":
        live.chmod(0o755)
    elif spoil == "link":
        (live / "keys.json").unlink()
        (live / "keys.json").symlink_to("/etc/passwd")
    elif spoil == "surplus":
        (live / "old.json").write_text("x")
    else:
        (live / ".keys.json.new").write_text("half")
        (live / "keys.json").unlink()
    found = read_live(tmp_path, wanted())
    assert found.differs
    place_live(found)
    assert state(tmp_path) == {"drain.json": ("[]\n", "0o644"), "keys.json": (SECRET, "0o600")}
    assert not (live / "keys.json").is_symlink()
    assert not read_live(tmp_path, wanted()).differs


def test_the_diff_hides_what_is_or_was_secret(tmp_path: Path) -> None:
    place_live(read_live(tmp_path, wanted()))
    changed = read_live(tmp_path, wanted(live_files={"drain.json": "[1]\n"}, secret_live_files={"keys.json": "another-" + SECRET})).diff()
    assert [(part["before"], part["after"]) for part in changed] == [("[]\n", "[1]\n"), ("<hidden>\n", "<hidden> (changed)\n")]
    gone = read_live(tmp_path, wanted(secret_live_files={})).diff()
    assert [(part["before"], part["after"]) for part in gone] == [("<hidden>\n", "")]
    assert SECRET not in json.dumps([changed, gone])
    assert SECRET not in repr(read_live(tmp_path, wanted()))


def test_without_live_files_there_is_no_folder(tmp_path: Path) -> None:
    assert not read_live(tmp_path, LiveFiles()).differs
    place_live(read_live(tmp_path, wanted()))
    nothing = read_live(tmp_path, LiveFiles())
    assert nothing.differs
    place_live(nothing)
    remove_live(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "owner"),
    [("0", (0, 0)), ("root", (0, 0)), ("1000", (1000, 1000)), ("1000:50", (1000, 50)), ("nobody", None), ("1:x", None), ("", None)],
)
def test_owners(text: str, owner: tuple[int, int] | None) -> None:
    assert parse_owner(text) == owner
