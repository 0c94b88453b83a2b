# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The folder of an instance: read, written beside the old files, put in place, and removed."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.llmops.gpu_inference.plugins.module_utils._files import keep_attributes
from ansible_collections.llmops.gpu_inference.plugins.module_utils._live_files import remove_live
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import ENV_FILE, SERVICE_FILE, is_ours, read_json
from ansible_collections.llmops.gpu_inference.plugins.module_utils._proved import FOLDER as PROVED
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_errors import UnitsError

FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_STAGED = re.compile(r"^\..*\.new$")

Staged = tuple[Path, Path]
"""A file that was written, and the place that it is to take."""


@dataclass(frozen=True)
class Folder:
    """An instance folder: the texts in it, and which of them deviate in text or mode."""

    path: Path
    exists: bool = False
    owned: bool = False
    texts: Mapping[str, str] = field(default_factory=dict, repr=False)
    modes_right: bool = True
    listed: tuple[str, ...] = ()  # files of ours, according to its service.json
    staged: tuple[str, ...] = ()  # left behind by a run that was killed

    def differing(self, wanted: Mapping[str, str]) -> list[str]:
        return sorted(name for name, text in wanted.items() if self.texts.get(name) != text)

    def surplus(self, wanted: Mapping[str, str]) -> list[str]:
        return sorted(name for name in self.listed if name not in wanted and name in self.texts)


def staged_name(name: str) -> str:
    return f".{name}.new"


def file_mode(name: str) -> int:
    return 0o600 if name == ENV_FILE else 0o644


def read_folder(path: Path) -> Folder:
    try:
        entries = sorted(os.listdir(path))
    except FileNotFoundError:
        return Folder(path)
    texts = {}
    modes_right = (path.stat().st_mode & 0o7777) == 0o700
    staged = tuple(entry for entry in entries if _STAGED.match(entry))
    for entry in entries:
        file = path / entry
        if entry in staged or not file.is_file() or file.is_symlink():
            continue
        texts[entry] = file.read_bytes().decode("utf-8", "replace")
        modes_right = modes_right and (file.stat().st_mode & 0o7777) == file_mode(entry)
    # A run that was killed while it put a new folder's files in place has left its service.json, the last one, under its first name.
    document = read_json(path / (SERVICE_FILE if SERVICE_FILE in texts else staged_name(SERVICE_FILE)))
    listed = tuple(str(name) for name in (document or {}).get("files") or () if FILE_NAME.fullmatch(str(name)))
    return Folder(path, True, is_ours(document), texts, modes_right, listed, staged)


def stage(folder: Path, files: Mapping[str, str]) -> list[Staged]:
    """Writes new files beside the old ones. Nothing that counts is touched; on an error nothing is left."""
    made = not folder.exists()
    staged: list[Staged] = []
    try:
        if made:
            folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700)
        os.chmod(folder, 0o700)
        for name, text in files.items():
            temporary = folder / staged_name(name)
            staged.append((temporary, folder / name))
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as handle:
                keep_attributes(str(folder / name), str(temporary))
                os.fchmod(handle.fileno(), file_mode(name))
                handle.write(text.encode("utf-8"))
                handle.flush()
                os.fsync(handle.fileno())
    except OSError as error:
        unstage(staged)
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        reason = "no space left" if error.errno in (errno.ENOSPC, errno.EDQUOT) else str(error.strerror or error)
        raise UnitsError(f"cannot write {error.filename or folder}: {reason}. Nothing was changed: the old files are whole.") from error
    return staged


def unstage(staged: Iterable[Staged]) -> None:
    for temporary, _final in staged:
        with contextlib.suppress(OSError):
            temporary.unlink()


def discard(folder: Folder, staged: Iterable[Staged]) -> None:
    """As if nothing had been staged: a folder that was made for it goes too."""
    unstage(staged)
    if not folder.exists:
        with contextlib.suppress(OSError):
            folder.path.rmdir()


def commit(folder: Path, staged: Sequence[Staged], surplus: Iterable[str]) -> None:
    """Puts staged files in place, service.json last: its hash must never be newer than the files it speaks of."""
    for temporary, final in sorted(staged, key=lambda pair: pair[1].name == SERVICE_FILE):
        os.replace(temporary, final)
    for name in surplus:
        (folder / name).unlink()
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_folder(folder: Folder) -> None:
    """Removes what is ours in it, service.json last. Files that somebody else put there stay, and the folder with them."""
    remove_live(folder.path)
    shutil.rmtree(folder.path / PROVED, ignore_errors=True)
    for name in [*folder.staged, *folder.listed, ENV_FILE, SERVICE_FILE]:
        with contextlib.suppress(FileNotFoundError):
            (folder.path / name).unlink()
    with contextlib.suppress(OSError):
        folder.path.rmdir()
        folder.path.parent.rmdir()
