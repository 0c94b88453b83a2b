# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It runs on managed nodes, so it uses the standard library only and runs on Python 3.9.

"""Files of a host that somebody else may own: written in one step with all their attributes, and put back when the change does no good."""

from __future__ import annotations

import base64
import contextlib
import errno
import json
import os
import shutil
import stat
import tempfile
import typing as t
from dataclasses import asdict, dataclass


class UnusableFileError(Exception):
    """The file is none that can be read or written; the message says why and what to do."""


def real_file(path: str) -> str:
    """The file behind the path, which links may lead to. It need not exist, unless a link says that it does."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        if not os.path.islink(path):
            return path
        raise UnusableFileError(
            f"{path} is a link to {os.readlink(path)}, which does not exist. Make that file, or remove the link to start with an empty one."
        ) from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UnusableFileError(f"{path} is a link that leads back to itself. Remove it.") from None
        raise UnusableFileError(f"{path} cannot be looked at: {error.strerror}.") from None
    if stat.S_ISDIR(status.st_mode):
        raise UnusableFileError(
            f"{path} is a directory, where a file is wanted. Container engines make one for a mount that has no source; "
            f"remove it when it is empty."
        )
    if not stat.S_ISREG(status.st_mode):
        raise UnusableFileError(f"{path} is not a regular file. Move it away.")
    return os.path.realpath(path)


def read(path: str) -> bytes | None:
    """The content; None where there is no such file."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnusableFileError(f"{path} cannot be read: {error.strerror}.") from None


def replace(path: str, content: bytes, new_mode: int = 0o644) -> None:
    """Write the file in one step.

    A file that is there keeps its owner, mode, ACL and SELinux label; a new one gets the mode, and the label that its folder gives.
    """
    handle, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=os.path.dirname(path))
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            before = os.stat(path)
        except FileNotFoundError:
            os.chmod(temporary, new_mode)
        else:
            os.chown(temporary, before.st_uid, before.st_gid)
            shutil.copystat(path, temporary)  # mode, and the extended attributes: ACL and SELinux label
            os.utime(temporary)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def keep_attributes(before: str, after: str) -> None:
    """Give a file that takes the place of another its extended attributes: ACL and SELinux label.

    To be done before the mode is set, which an ACL is a part of. What the file system or the process may not keep is left out.
    """
    try:
        names = os.listxattr(before)
    except OSError:
        return
    for name in names:
        with contextlib.suppress(OSError):
            os.setxattr(after, name, os.getxattr(before, name))


def backup(path: str, stamp: str) -> str:
    """Copy the file beside itself, with owner, mode and attributes, under a name that apt, dnf and Docker pass over; returns that name."""
    copy = f"{path}.{os.getpid()}.{stamp}~"
    try:
        replace(copy, read(path) or b"", 0o600)
        status = os.stat(path)
        os.chown(copy, status.st_uid, status.st_gid)
        shutil.copystat(path, copy)
    except OSError as error:
        raise UnusableFileError(why_not_written(path, error)) from None
    return copy


def why_not_written(path: str, error: OSError) -> str:
    """For people: what stands in the way of writing, and what to do."""
    remedy = {
        errno.EROFS: f"The file system is read-only. Where another program manages {path}, let it have the change; else remount it.",
        errno.EPERM: f"Somebody protected it: see lsattr {path}; chattr -i takes the attribute away.",
        errno.ENOSPC: "The disk is full: see df -h.",
        errno.EDQUOT: "The disk quota is used up.",
    }.get(error.errno or 0, "")
    return f"{path} cannot be written: {error.strerror}. {remedy}".rstrip()


@dataclass(frozen=True)
class Before:
    """A file as it was; `content` is base64, None where there was no file."""

    path: str
    content: str | None
    mode: int
    uid: int
    gid: int


class FileChanges:
    """Changes of several files that are taken back together.

    What the files were is written to the journal first. A run that was killed leaves it there, and the next run goes back, if it must, to
    what was before that run: files that Docker or apt have never been proven with are no state to go back to.
    """

    def __init__(self, journal: str) -> None:
        self._journal = journal
        self._before = {before.path: before for before in self._read_journal()}

    @property
    def interrupted(self) -> bool:
        """Whether there is something to prove or to take back, of this run or of one that was killed."""
        return bool(self._before)

    def write(self, path: str, content: bytes | None, new_mode: int = 0o644) -> None:
        """Write or, with None, remove the file."""
        self._remember(path)
        try:
            self._put(path, content, new_mode)
        except OSError as error:
            raise UnusableFileError(why_not_written(path, error)) from None

    def keep(self) -> None:
        """The changes are good."""
        self._before = {}
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._journal)

    def take_back(self) -> list[str]:
        """Put every file back as it was; returns the files that could not be."""
        failed = []
        for before in self._before.values():
            try:
                self._put(before.path, None if before.content is None else base64.b64decode(before.content), before.mode)
                if before.content is not None:
                    os.chown(before.path, before.uid, before.gid)
            except OSError as error:
                failed.append(why_not_written(before.path, error))
        if not failed:
            self.keep()
        return failed

    def _put(self, path: str, content: bytes | None, new_mode: int) -> None:
        if content is None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            return
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        replace(path, content, new_mode)

    def _remember(self, path: str) -> None:
        if path in self._before:
            return
        content = read(path)
        if content is None:
            self._before[path] = Before(path, None, 0, 0, 0)
        else:
            status = os.stat(path)
            encoded = base64.b64encode(content).decode("ascii")
            self._before[path] = Before(path, encoded, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
        text = json.dumps([asdict(before) for before in self._before.values()])
        try:
            self._put(self._journal, text.encode("utf-8"), 0o600)  # it may hold a password of a proxy
        except OSError as error:
            raise UnusableFileError(why_not_written(self._journal, error)) from None

    def _read_journal(self) -> t.Iterator[Before]:
        try:
            for entry in json.loads(read(self._journal) or b"[]"):
                yield Before(str(entry["path"]), entry["content"], int(entry["mode"]), int(entry["uid"]), int(entry["gid"]))
        except (ValueError, KeyError, TypeError):
            return
