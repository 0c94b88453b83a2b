# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Files that a running container reads again when they change, so that it need not be replaced for them.

They lie in the folder C(live) of an instance, which the container mounts as a whole: of a file that is mounted alone it would go on seeing
the one that was replaced. What is not declared goes; of C(rotation.json) what somebody has written into it stays (C(_rotation.py)).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ansible_collections.llmops.gpu_inference.plugins.module_utils._files import keep_attributes
from ansible_collections.llmops.gpu_inference.plugins.module_utils._rotation import ROTATION_FILE, Rotation

LIVE_FOLDER = "live"
HIDDEN = "<hidden>\n"
HIDDEN_CHANGED = "<hidden> (changed)\n"


@dataclass(frozen=True)
class LiveFiles:
    """What belongs into the folder. The owner is the user that the container reads them as: nobody else can."""

    texts: Mapping[str, str] = field(default_factory=dict, repr=False)
    secret: frozenset[str] = frozenset()
    owner: tuple[int, int] = (0, 0)

    def mode(self, name: str) -> int:
        return 0o600 if name in self.secret else 0o644

    def with_rotation(self, found: str | None) -> LiveFiles:
        """What somebody has taken out of rotation stays out."""
        try:
            text = Rotation.from_text(self.texts[ROTATION_FILE]).declared_again(found).text
        except (KeyError, ValueError):  # none, or somebody's own file of that name
            return self
        return replace(self, texts={**self.texts, ROTATION_FILE: text})


def parse_owner(text: str) -> tuple[int, int] | None:
    """User and group as numbers; None for names, which mean something in the container only."""
    user, _colon, group = text.partition(":")
    if text == "root":
        return 0, 0
    if user.isdigit() and (group or user).isdigit():
        return int(user), int(group or user)
    return None


def want_live(parameters: Mapping[str, Any]) -> LiveFiles:
    plain = {name: str(text) for name, text in (parameters.get("live_files") or {}).items()}
    secret = {name: str(text) for name, text in (parameters.get("secret_live_files") or {}).items()}
    return LiveFiles({**plain, **secret}, frozenset(secret), parse_owner(str(parameters.get("live_owner") or "0")) or (0, 0))


@dataclass(frozen=True)
class LiveFolder:
    """The folder as it is, compared with what is wanted."""

    path: Path
    wanted: LiveFiles
    exists: bool = False
    texts: Mapping[str, str] = field(default_factory=dict, repr=False)
    wrong: frozenset[str] = frozenset()  # files whose owner or mode is another; "" is the folder itself
    left: tuple[str, ...] = ()  # of a run that was killed

    @property
    def surplus(self) -> list[str]:
        return sorted(name for name in self.texts if name not in self.wanted.texts)

    @property
    def differing(self) -> list[str]:
        return sorted(name for name, text in self.wanted.texts.items() if self.texts.get(name) != text or name in self.wrong)

    @property
    def differs(self) -> bool:
        if not self.wanted.texts:
            return self.exists
        return bool(self.differing or self.surplus or "" in self.wrong or not self.exists)

    def diff(self) -> list[dict[str, str]]:
        """Before and after. What was there and is no longer wanted may have been secret."""
        result = []
        for name in dict.fromkeys([*self.differing, *self.surplus]):
            before, after = self.texts.get(name, ""), self.wanted.texts.get(name, "")
            if name not in self.wanted.texts or name in self.wanted.secret:
                before, after = before and HIDDEN, after and (HIDDEN if after == before else HIDDEN_CHANGED)
            header = str(self.path / name)
            result.append({"before_header": header, "after_header": header, "before": before, "after": after})
        return result


def read_live(folder: Path, wanted: LiveFiles) -> LiveFolder:
    """C(folder): that of the instance."""
    path = folder / LIVE_FOLDER
    try:
        entries = sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return LiveFolder(path, wanted)
    texts: dict[str, str] = {}
    wrong = set() if _is(path, 0o700, wanted.owner) else {""}
    for entry in entries:
        file = path / entry
        if entry.startswith("."):
            continue
        if not stat.S_ISREG(file.lstat().st_mode):
            wrong.add(entry)
            continue
        texts[entry] = file.read_bytes().decode("utf-8", "replace")
        if not _is(file, wanted.mode(entry), wanted.owner):
            wrong.add(entry)
    left = tuple(entry for entry in entries if entry.startswith("."))
    return LiveFolder(path, wanted.with_rotation(texts.get(ROTATION_FILE)), True, texts, frozenset(wrong), left)


def _is(path: Path, mode: int, owner: tuple[int, int]) -> bool:
    found = path.lstat()
    return stat.S_IMODE(found.st_mode) == mode and (found.st_uid, found.st_gid) == owner


def place_live(folder: LiveFolder) -> None:
    """Puts each file in its place at once: who reads sees the old one or the new one, and never half of it."""
    wanted, path = folder.wanted, folder.path
    if not wanted.texts:
        remove_live(path.parent)
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    os.chmod(path, 0o700)
    os.chown(path, *wanted.owner)
    with locked(path):
        # Looked at again: meanwhile somebody may have taken a backend out of rotation.
        folder = read_live(path.parent, wanted)
        for name in folder.left:
            (path / name).unlink()
        for name in folder.differing:
            _put(folder, name)
        for name in folder.surplus:
            (path / name).unlink()


def _put(folder: LiveFolder, name: str) -> None:
    wanted, path = folder.wanted, folder.path
    temporary = path / f".{name}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(wanted.texts[name].encode("utf-8"))
        if name in folder.texts:
            keep_attributes(str(path / name), str(temporary))
        os.fchmod(handle.fileno(), wanted.mode(name))
        os.fchown(handle.fileno(), *wanted.owner)
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(temporary, path / name)


def change_rotation(path: Path, change: Callable[[Rotation], Rotation], *, keep: bool = False) -> tuple[Rotation, Rotation]:
    """Before and after. C(path): the folder of live files; C(keep): only say what would come out.

    Raise FileNotFoundError where there is no such file, ValueError for one that nobody of us has written, RotationError as C(change) does.
    """
    with locked(path):
        file = path / ROTATION_FILE
        text, status = file.read_text(encoding="utf-8"), file.stat()
        before = Rotation.from_text(text)
        after = change(before)
        if after != before and not keep:
            with contextlib.suppress(FileNotFoundError):
                (path / f".{ROTATION_FILE}.new").unlink()
            wanted = LiveFiles({ROTATION_FILE: after.text}, owner=(status.st_uid, status.st_gid))
            _put(LiveFolder(path, wanted, True, {ROTATION_FILE: text}), ROTATION_FILE)
        return before, after


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Alone with a folder of live files: whoever reads one to write it anew would else lose what another has written."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def remove_live(folder: Path) -> None:
    """Takes the folder away from an instance, with all that lies in it: it has nothing but ours."""
    path = folder / LIVE_FOLDER
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for entry in os.listdir(path):
            (path / entry).unlink()
        path.rmdir()
