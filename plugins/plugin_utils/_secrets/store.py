# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Keys that are the user's or generated, one file each, on the controller.

A new key takes the place of another one only when the hosts serve with it::

    master_key, engine_keys/HOST, client_keys/NAME   the key that the hosts serve with
    .pending/NAME                                    a new one, until a run has proved that they serve with it
    .served/NAME                                     what was proved last: the key, or sha256:... of one that is the user's own variable
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from .keys import weakness

PENDING, SERVED = ".pending", ".served"
_DIGEST = "sha256:"


class SecretError(Exception):
    """A key that can't be used. Its text never holds the key."""


def check_strength(variable: str, value: str) -> None:
    """Refuse what is no secret."""
    trouble = weakness(value)
    if trouble:
        remedy = "Use a random text, for example from `openssl rand -hex 24`, or leave the variable out to have one generated."
        raise SecretError(f"{variable}: {trouble}. {remedy}")


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


@dataclass(frozen=True)
class Previous:
    """The key that the hosts may still serve with. Of one that was the user's own variable only the digest is known."""

    digest: str
    key: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Secret:
    name: str
    key: str = field(repr=False)
    given: bool = False
    previous: Previous | None = None
    #: Whether it was proved that the hosts serve with this one.
    served: bool = False


class SecretStore:
    """A folder of 0600 files below the inventory, kept out of git by a .gitignore of its own.

    In check mode a missing key is made up for this run alone and nothing is written. C(rotate): names, or folders of names, that get a
    new key. Without C(pending), new keys that no run has proved yet are left aside: what is returned is what the hosts serve with.
    """

    def __init__(
        self,
        directory: Path,
        *,
        write: bool = True,
        generate: Callable[[], str] = lambda: secrets.token_hex(24),
        rotate: Collection[str] = (),
        pending: bool = True,
    ) -> None:
        self.directory = directory
        self.write = write
        self.generate = generate
        self.rotate = frozenset(rotate)
        self.pending = pending
        self.created: list[str] = []

    def wants_rotation(self, name: str) -> bool:
        return bool(self.rotate & {"all", name, name.split("/")[0]})

    def get(self, variable: str, *path: str, given: str | None = None, prefix: str = "") -> Secret:
        """The key that the user gave, else the stored one, else a new one that is stored.

        Raises SecretError for a weak key, for one that cannot be rotated here, and for a file that can't be read or written.
        """
        name = "/".join(path)
        if given is not None:
            check_strength(variable, given)
            if name in self.rotate:
                raise SecretError(f"{variable}: is your own variable, so there is nothing to generate; change the variable to rotate it.")
        for part in path:
            if not part or part.startswith(".") or "/" in part:
                raise SecretError(f"{variable}: {part!r} can't be a file name in {self.directory}.")
        try:
            found = self._given(name, given) if given is not None else self._generated(name, prefix)
        except OSError as error:
            raise SecretError(f"{variable}: can't use {self.directory / name}: {error.strerror}. Check inference_secrets_dir.") from error
        if not found.given:
            check_strength(str(self.directory / name), found.key)
        return found

    def record(self, secret: Secret) -> bool:
        """Keeps that the hosts serve with this key: a new one takes the place of the old one. Whether that is news."""
        if secret.served or not self.write:
            return not secret.served
        if not secret.given and self._read(PENDING, secret.name) == secret.key:
            os.replace(self._file(PENDING, secret.name), self._file(secret.name))
        self._put(self._file(SERVED, secret.name), _DIGEST + digest(secret.key) if secret.given else secret.key)
        return True

    # -- files of more than one line

    def read(self, *path: str) -> str | None:
        return self._read(*path)

    def create(self, text: str, *path: str) -> str:
        """Written where there is none yet; what is there in any case."""
        return self._create(self._file(*path), text)

    def put(self, text: str, *path: str) -> None:
        self._put(self._file(*path), text)

    # -- one key

    def _given(self, name: str, given: str) -> Secret:
        before = self._served(name)
        if before is None:
            # What was generated before the user had a key of their own.
            stored = self._read(name)
            before = Previous(digest(stored), stored) if stored else None
            return Secret(name, given, True, before if before and before.digest != digest(given) else None)
        served = before.digest == digest(given)
        return Secret(name, given, True, None if served else before, served)

    def _generated(self, name: str, prefix: str) -> Secret:
        stored, served = self._read(name), self._served(name)
        rotate = self.wants_rotation(name)
        if stored is None and served is not None and served.key is not None:
            # Somebody took the file away, which is a way to ask for a new key. The hosts serve with the old one all the same.
            stored, rotate = served.key, True
            if self.pending and self.write:
                stored = self._create(self._file(name), stored)
        if stored is None:
            stored = self._new(self._file(name), name, prefix)
        key = stored
        if self.pending:
            waiting = self._read(PENDING, name)
            if waiting is None and rotate and name not in self.created:
                waiting = self._new(self._file(PENDING, name), name, prefix)
            if waiting is not None:
                return Secret(name, waiting, False, Previous(digest(stored), stored))
        known = served is not None and served.digest == digest(key)
        return Secret(name, key, False, None if known else served, known)

    def _served(self, name: str) -> Previous | None:
        text = self._read(SERVED, name)
        if not text:
            return None
        return Previous(text[len(_DIGEST) :]) if text.startswith(_DIGEST) else Previous(digest(text), text)

    # -- files

    def _file(self, *parts: str) -> Path:
        return self.directory.joinpath(*parts)

    def _read(self, *parts: str) -> str | None:
        file = self._file(*parts)
        try:
            text = file.read_text(encoding="utf-8").strip()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if self.write and stat.S_IMODE(file.stat().st_mode) != 0o600:
            file.chmod(0o600)
        return text

    def _new(self, file: Path, name: str, prefix: str) -> str:
        self.created.append(name)
        value = prefix + self.generate()
        return self._create(file, value) if self.write else value

    def _folder_of(self, file: Path) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        ignore = self.directory / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")

    def _temporary(self, file: Path, value: str) -> Path:
        temporary = file.with_name(f".{file.name}.{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(value + "\n")
        return temporary

    def _create(self, file: Path, value: str) -> str:
        self._folder_of(file)
        # Written beside and linked into place: two runs at once agree on one key, and nobody ever reads half of it.
        temporary = self._temporary(file, value)
        try:
            with contextlib.suppress(FileExistsError):
                os.link(temporary, file)
        finally:
            temporary.unlink(missing_ok=True)
        return file.read_text(encoding="utf-8").strip()

    def _put(self, file: Path, value: str) -> None:
        self._folder_of(file)
        os.replace(self._temporary(file, value), file)
