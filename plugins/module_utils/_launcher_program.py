# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The files of the launcher's program, of the one that tells numbers, and whatever of ours they import; side by side on a node."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

# Not used here: Ansible sends a module with what it imports, and the program's files have to be among it.
from ansible_collections.llmops.gpu_inference.plugins.module_utils import _launcher, _metrics  # noqa: F401 # pylint: disable=unused-import
from ansible_collections.llmops.gpu_inference.plugins.module_utils._shipped import sources


def program() -> dict[str, str]:
    """Text by file name."""
    return {f"{name}.py": text for name, text in {**sources("_launcher"), **sources("_metrics")}.items()}


@dataclass(frozen=True)
class Differences:
    write: tuple[str, ...]
    remove: tuple[str, ...]


def compare(folder: Path, texts: Mapping[str, str], mode: int) -> Differences:
    """What of the folder is not as it should be. Program files that the program no longer has are to go; others are left alone."""

    def right(name: str) -> bool:
        file = folder / name
        try:
            status = os.lstat(file)
            return not file.is_symlink() and (status.st_mode & 0o7777) == mode and file.read_bytes() == texts[name].encode()
        except OSError:
            return False

    present = {file.name for file in folder.glob("_*.py")} if folder.is_dir() else set()
    return Differences(tuple(sorted(name for name in texts if not right(name))), tuple(sorted(present - set(texts))))


def install(folder: Path, texts: Mapping[str, str], found: Differences, mode: int, move: Callable[[str, str], None]) -> None:
    """Makes the folder what it should be; C(move) puts a file in the place of another.

    All files are written beside the old ones before the first takes its place: a launcher may start at any moment, and whatever goes wrong
    while they are written, a full disk above all, leaves the program as it was. Raises OSError.
    """
    staged: list[tuple[str, Path]] = []
    try:
        for name in found.write:
            handle, temporary = tempfile.mkstemp(prefix=".", dir=folder)
            staged.append((temporary, folder / name))
            with os.fdopen(handle, "wb") as stream:
                stream.write(texts[name].encode())
                os.fchmod(stream.fileno(), mode)
    except OSError:
        for temporary, _final in staged:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise
    for temporary, final in staged:
        move(temporary, str(final))
        os.chmod(final, mode)
    for name in found.remove:
        (folder / name).unlink()
