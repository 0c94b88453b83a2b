# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The files of the launcher's program: itself, and whatever of ours it imports. They lie side by side on a node."""

from __future__ import annotations

import ast
import contextlib
import importlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

# Not used here: Ansible sends a module with what it imports, and the program's files have to be among it.
from ansible_collections.llmops.gpu_inference.plugins.module_utils import _launcher  # noqa: F401 # pylint: disable=unused-import

_PACKAGE = __name__.rsplit(".", 1)[0]
_FIRST = "_launcher"


def source_of(name: str) -> str:
    """Also of a file in the archive that Ansible makes of a module."""
    loader = getattr(importlib.import_module(f"{_PACKAGE}.{name}").__spec__, "loader", None)
    text = loader.get_source(f"{_PACKAGE}.{name}") if loader is not None and hasattr(loader, "get_source") else None
    if not text:
        raise OSError(f"the source of {name} cannot be read")
    return str(text)


def imported(source: str) -> set[str]:
    """Names of our files that a source imports."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == _PACKAGE:
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(_PACKAGE + "."):
            names.add(node.module[len(_PACKAGE) + 1 :])
    return names


def program() -> dict[str, str]:
    """Text by file name."""
    texts: dict[str, str] = {}
    missing = {_FIRST}
    while missing:
        name = missing.pop()
        texts[name + ".py"] = source_of(name)
        missing |= {other for other in imported(texts[name + ".py"]) if other + ".py" not in texts}
    return texts


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
