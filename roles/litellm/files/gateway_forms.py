# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Uploads: read once, and put together anew, so that LiteLLM and the engine read what was judged. Needs no LiteLLM."""

from __future__ import annotations

import secrets
import typing as t
from dataclasses import dataclass

from gateway_errors import RequestError


@dataclass(frozen=True)
class Upload:
    field: str
    name: str
    content_type: str
    content: bytes


@dataclass(frozen=True)
class Form:
    """Fields by their name, without the ``[]`` of lists; a field that was sent several times is a list."""

    fields: t.Mapping[str, t.Any]
    uploads: tuple[Upload, ...]
    #: Those whose name ended in ``[]``.
    lists: frozenset[str] = frozenset()

    @classmethod
    def of(cls, pairs: t.Iterable[tuple[str, str]], uploads: t.Iterable[Upload]) -> Form:
        fields: dict[str, t.Any] = {}
        lists: set[str] = set()
        for name, value in pairs:
            if name.endswith("[]"):
                name = name[:-2]
                lists.add(name)
                fields.setdefault(name, [])
                if not isinstance(fields[name], list):
                    raise RequestError(400, f"{name[:60]} is given twice", param=name[:60], code="invalid_type")
                fields[name].append(value)
            elif name in fields:
                raise RequestError(400, f"{name[:60]} is given twice", param=name[:60], code="invalid_type")
            else:
                fields[name] = value
        return cls(fields, tuple(uploads), frozenset(lists))


def _quoted(text: str) -> bytes:
    """A name inside the header of a part, as browsers write it."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A").encode()


def write(form: Form, boundary: str | None = None) -> tuple[bytes, bytes]:
    """Content type and body of a form."""
    mark = (boundary or secrets.token_hex(24)).encode()
    pieces: list[bytes] = []

    def part(headers: bytes, content: bytes) -> None:
        pieces.append(b"--" + mark + b"\r\nContent-Disposition: form-data; " + headers + b"\r\n\r\n" + content + b"\r\n")

    for name, value in form.fields.items():
        for item in value if isinstance(value, list) else (value,):
            part(b'name="' + _quoted(name + ("[]" if name in form.lists else "")) + b'"', str(item).encode())
    for upload in form.uploads:
        kind = upload.content_type if upload.content_type.isprintable() and upload.content_type.isascii() else "application/octet-stream"
        head = b'name="' + _quoted(upload.field) + b'"; filename="' + _quoted(upload.name) + b'"\r\nContent-Type: ' + kind.encode()
        part(head, upload.content)
    return b"multipart/form-data; boundary=" + mark, b"".join(pieces) + b"--" + mark + b"--\r\n"
