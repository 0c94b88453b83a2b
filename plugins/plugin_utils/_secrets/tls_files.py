# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Files with certificates that the user has on the controller."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Protocol

from .certificates import Pair, authority_trouble, troubles
from .store import SecretError

VARIABLE = "inference_gateway.tls"


class Loader(Protocol):
    """Of Ansible's, which knows the passwords of vaults."""

    def get_real_file(self, file_path: str) -> str: ...

    def cleanup_tmp_file(self, file_path: str) -> None: ...


def read_file(path: str, loader: Loader) -> str:
    """Its text, decrypted where it is encrypted; a path begins at the folder that Ansible runs in, as elsewhere."""
    place = Path(path).expanduser()
    try:
        # What Ansible itself says of a file that cannot be read quotes it.
        place.open("rb").close()
    except OSError as error:
        raise SecretError(f"cannot be read on the controller: {error.strerror}") from None
    try:
        found = loader.get_real_file(str(place))
    except Exception as error:
        raise SecretError(f"cannot be decrypted ({type(error).__name__}); give the password of its vault") from None
    try:
        text = Path(found).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise SecretError("is no text; it must be PEM, -----BEGIN ...-----") from None
    finally:
        loader.cleanup_tmp_file(found)
    return text if text.endswith("\n") else text + "\n"


@dataclass(frozen=True)
class FilesOfTls:
    certificate_file: str = ""
    key_file: str = field(default="", repr=False)
    ca_file: str = ""

    @property
    def pair(self) -> str:
        return Pair(self.certificate_file, self.key_file).text if self.certificate_file else ""

    @classmethod
    def read(cls, files: Mapping[str, str], loader: Loader) -> FilesOfTls:
        texts: dict[str, str] = {}
        for name, path in files.items():
            try:
                texts[name] = read_file(path, loader)
            except SecretError as error:
                raise SecretError(f"{VARIABLE}.{name} = {path}: {error}") from None
        return cls(**texts)


def findings(files: Mapping[str, str], name: str, loader: Loader, now: datetime | None = None) -> Iterator[tuple[str, str, str]]:
    """Variable, path and message of all that stands against the files by which clients are to know the gateway as C(name)."""
    texts: dict[str, str] = {}
    for key, path in files.items():
        try:
            texts[key] = read_file(path, loader)
        except SecretError as error:
            yield f"{VARIABLE}.{key}", path, str(error)
    if "certificate_file" in texts and "key_file" in texts:
        for what, message in troubles(texts["certificate_file"], texts["key_file"], name, now or datetime.now(timezone.utc)):
            yield f"{VARIABLE}.{what}_file", files[f"{what}_file"], message
    trouble = authority_trouble(texts["ca_file"]) if "ca_file" in texts else None
    if trouble:
        yield f"{VARIABLE}.ca_file", files["ca_file"], trouble
