# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Keys that are the user's or generated once, one file each, on the controller."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

from ansible_collections.llmops.gpu_inference.plugins.module_utils._keys import weakness


class SecretError(Exception):
    """A key that can't be used. Its text never holds the key."""


def check_strength(variable: str, value: str) -> None:
    """Refuse what is no secret."""
    trouble = weakness(value)
    if trouble:
        remedy = "Use a random text, for example from `openssl rand -hex 24`, or leave the variable out to have one generated."
        raise SecretError(f"{variable}: {trouble}. {remedy}")


class SecretStore:
    """A folder of 0600 files below the inventory, kept out of git by a .gitignore of its own.

    In check mode a missing key is made up for this run alone and nothing is written.
    """

    def __init__(self, directory: Path, *, write: bool = True, generate: Callable[[], str] = lambda: secrets.token_hex(24)) -> None:
        self.directory = directory
        self.write = write
        self.generate = generate
        self.created: list[str] = []

    def get(self, variable: str, *path: str, given: str | None = None, prefix: str = "") -> str:
        """The key that the user gave, else the stored one, else a new one that is stored.

        Raises SecretError for a weak key and for a file that can't be read or written.
        """
        if given is not None:
            check_strength(variable, given)
            return given
        for part in path:
            if not part or part.startswith(".") or "/" in part:
                raise SecretError(f"{variable}: {part!r} can't be a file name in {self.directory}.")
        file = self.directory.joinpath(*path)
        try:
            stored = self._read(file)
            if stored is None:
                stored = prefix + self.generate()
                if self.write:
                    stored = self._create(file, stored)
                self.created.append("/".join(path))
        except OSError as error:
            raise SecretError(f"{variable}: can't use {file}: {error.strerror}. Check inference_secrets_dir.") from error
        check_strength(str(file), stored)
        return stored

    def _read(self, file: Path) -> str | None:
        try:
            text = file.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        if self.write and stat.S_IMODE(file.stat().st_mode) != 0o600:
            file.chmod(0o600)
        return text

    def _create(self, file: Path, value: str) -> str:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        ignore = self.directory / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
        # Written beside and linked into place: two runs at once agree on one key, and nobody ever reads half of it.
        temporary = file.with_name(f".{file.name}.{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(value + "\n")
            with contextlib.suppress(FileExistsError):
                os.link(temporary, file)
        finally:
            temporary.unlink(missing_ok=True)
        return file.read_text(encoding="utf-8").strip()
