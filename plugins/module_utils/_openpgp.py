# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Fingerprints of OpenPGP public keys without GnuPG, which a minimal Debian does not have (RFC 4880, RFC 9580).

Only the fingerprint is computed: it is a hash over the primary key itself. Whether subkeys and signatures are valid is decided
by the package manager each time it uses the key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import typing as t

_PUBLIC_KEY = 6
_SECRET_KEYS = (5, 7)
_BLOCK = re.compile(r"-----BEGIN PGP PUBLIC KEY BLOCK-----[ \t]*\r?\n(.*?)-----END PGP PUBLIC KEY BLOCK-----", re.DOTALL)


class KeyFormatError(ValueError):
    """The data is no OpenPGP public key."""


def primary_fingerprints(data: bytes) -> tuple[str, ...]:
    """The fingerprint of each primary key in the data, armoured or binary, as upper case hexadecimal digits."""
    found: list[str] = []
    for tag, body in _packets(dearmor(data)):
        if tag in _SECRET_KEYS:
            raise KeyFormatError("it holds a secret key")
        if tag == _PUBLIC_KEY:
            found.append(_fingerprint(body))
    if not found:
        raise KeyFormatError("it holds no OpenPGP public key")
    return tuple(found)


def normal_fingerprint(text: str) -> str:
    """A fingerprint as people write it, with blanks or colons, to upper case digits."""
    digits = re.sub(r"[\s:]", "", text).upper()
    digits = digits[2:] if digits.startswith("0X") else digits
    if not re.fullmatch(r"[0-9A-F]{40}|[0-9A-F]{64}", digits):
        raise KeyFormatError(f"{text!r} is not a full fingerprint of 40 or 64 hexadecimal digits; short key ids can be forged")
    return digits


def dearmor(data: bytes) -> bytes:
    """The binary form of the key, whichever form it has."""
    if data[:1] and data[0] & 0x80:
        return data
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise KeyFormatError("it is neither an armoured nor a binary OpenPGP key") from None
    blocks = _BLOCK.findall(text)
    if not blocks:
        raise KeyFormatError("it is neither an armoured nor a binary OpenPGP key")
    return b"".join(_decoded_block(block) for block in blocks)


def armored(data: bytes) -> str:
    """The key as text; an armoured one unchanged."""
    if not data[:1] or not data[0] & 0x80:
        return data.decode("utf-8")
    body = base64.b64encode(data).decode("ascii")
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    checksum = base64.b64encode(_crc24(data).to_bytes(3, "big")).decode("ascii")
    return "\n".join(["-----BEGIN PGP PUBLIC KEY BLOCK-----", "", *lines, f"={checksum}", "-----END PGP PUBLIC KEY BLOCK-----", ""])


def _decoded_block(block: str) -> bytes:
    lines = [line.strip() for line in block.split("\n")]
    if "" in lines:
        lines = lines[lines.index("") + 1 :]  # armour headers end with an empty line
    encoded = "".join(line for line in lines if line and not line.startswith("="))
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise KeyFormatError("its armour is damaged") from None


def _crc24(data: bytes) -> int:
    crc = 0xB704CE
    for byte in data:
        crc ^= byte << 16
        for _bit in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1864CFB
    return crc & 0xFFFFFF


def _packets(data: bytes) -> t.Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        head = data[position]
        if not head & 0x80:
            raise KeyFormatError("it is damaged")
        position += 1
        if head & 0x40:
            tag, (length, used) = head & 0x3F, _new_length(data[position : position + 5])
        else:
            tag, (length, used) = (head >> 2) & 0x0F, _old_length(head & 0x03, data[position : position + 4])
        position += used
        if position + length > len(data):
            raise KeyFormatError("it is cut off")
        yield tag, data[position : position + length]
        position += length


def _new_length(data: bytes) -> tuple[int, int]:
    if len(data) >= 1 and data[0] < 192:
        return data[0], 1
    if len(data) >= 2 and data[0] < 224:
        return ((data[0] - 192) << 8) + data[1] + 192, 2
    if len(data) >= 5 and data[0] == 255:
        return int.from_bytes(data[1:5], "big"), 5
    raise KeyFormatError("it is damaged")


def _old_length(kind: int, data: bytes) -> tuple[int, int]:
    size = {0: 1, 1: 2, 2: 4}.get(kind)
    if size is None or len(data) < size:
        raise KeyFormatError("it is damaged")
    return int.from_bytes(data[:size], "big"), size


def _fingerprint(body: bytes) -> str:
    version = body[0] if body else 0
    if version == 4:
        # SHA-1 is what OpenPGP version 4 defines for this; GnuPG prints the same digits.
        return hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body, usedforsecurity=False).hexdigest().upper()
    if version in (5, 6):
        return hashlib.sha256(bytes([0x9A if version == 5 else 0x9B]) + len(body).to_bytes(4, "big") + body).hexdigest().upper()
    raise KeyFormatError(f"its key has version {version}, which package managers no longer accept")
