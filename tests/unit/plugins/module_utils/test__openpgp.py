# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from support.openpgp import ED25519, ED25519_FINGERPRINT

from ansible_collections.llmops.gpu_inference.plugins.module_utils._openpgp import (
    KeyFormatError,
    armored,
    dearmor,
    normal_fingerprint,
    primary_fingerprints,
)

# A second throw-away key, and the fingerprint that `gpg --show-keys` prints for it.
RSA = """\
-----BEGIN PGP PUBLIC KEY BLOCK-----

mQENBGsAIAwBCADQl/eaD5Jju+0TofXcTvlUbrWgqvI9pZWWOxCkEtp3knFZqv5W
UiYqT+W2mPVaVG6YW8Mk5zgeGVt7wEKePIrzY+iruuhZN+lFYw4PckohANCTQDW2
Iu+xHOdpIFx9FgEUDgT5YfRCM88j4pJXfKhLrR/piAUhDre9/32vow20T1nBK+6Y
GhCARaQAnIphVzG6LxSY79Kn1lKIJS0Ll4b7eLrJsw6HUQjOvOZScnl+X3+i0t2r
nwmU8d6ACpsMyDFk7btRVmEvMsz9QKM9Y/n0/5u2oOR8hNAY/rYxnFJiH2KH57M8
7GyFLLTJZJw/+AhdugzqmTGQTR1dOoKOegDPABEBAAG0HFRlc3QgcnNhMjA0OCA8
dEBleGFtcGxlLm9yZz6JAU4EEwEKADgWIQS23aLhQuc4V6xLOkV459+GOiX9YQUC
awAgDAIbAwULCQgHAgYVCgkICwIEFgIDAQIeAQIXgAAKCRB459+GOiX9YXsVB/0d
ewR05PPmUhL/Vq1WvHo3tPQ9JbA6hTEKVZtRFm8mVn341WQgYa6N0GVYNd5Y45Z5
tMdQMKZLyJtKKC1L8bgchmlilJZi5KU60gEFkJ0lB9oHU06UCUpZSX8faU3ulIzI
Y50FcyeP3j6Hs/q9L2vsCaQpw5rBOt1kYLEglNZORqLbbrhC0INeKWOSUCNPy4zQ
dTH/jFzV6sRnHW9XeulOTCF7aVBqtgv/IN2Jakooe6JDu9MJpYNXbRMuAo9SmPSE
G2amxrU0/ovNkCqhjsby+AEtF3c3Dxp48mFk/n7NYOBLSMk7GUzf+UVWIFaSn2ou
VHgS1B7qSN7CaWed49gC
=TGT6
-----END PGP PUBLIC KEY BLOCK-----
"""
RSA_FINGERPRINT = "B6DDA2E142E73857AC4B3A4578E7DF863A25FD61"


@pytest.mark.parametrize(
    ("data", "fingerprints"),
    [
        (ED25519, [ED25519_FINGERPRINT]),
        (RSA, [RSA_FINGERPRINT]),
        (ED25519 + RSA, [ED25519_FINGERPRINT, RSA_FINGERPRINT]),
        ("a line before\n" + ED25519.replace("\n", "\r\n"), [ED25519_FINGERPRINT]),
        (ED25519.replace("BLOCK-----\n\n", "BLOCK-----\nVersion: GnuPG v2\nComment: x=y\n\n", 1), [ED25519_FINGERPRINT]),
    ],
)
def test_fingerprints(data: str, fingerprints: list[str]) -> None:
    assert list(primary_fingerprints(data.encode())) == fingerprints
    assert list(primary_fingerprints(dearmor(data.encode()))) == fingerprints


@pytest.mark.parametrize("data", [ED25519, RSA, ED25519 + RSA])
def test_armour_round_trip(data: str) -> None:
    binary = dearmor(data.encode())
    assert dearmor(armored(binary).encode()) == binary
    assert armored(data.encode()) == data
    if data != ED25519 + RSA:
        assert armored(binary) == data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "neither"),
        (b"<html>404</html>", "neither"),
        (b"\xff\xfe", "damaged"),
        (dearmor(RSA.encode())[:40], "cut off"),
        (ED25519.replace("mDM", "!!!").encode(), "armour is damaged"),
        (bytes([0xC5, 1, 4]), "secret key"),
        (bytes([0xCD, 1, 65]), "no OpenPGP public key"),
        (bytes([0xC6, 1, 3]), "version 3"),
        (b"\x7f" + b"binary\xff", "neither"),
    ],
)
def test_what_is_no_key(data: bytes, message: str) -> None:
    with pytest.raises(KeyFormatError, match=message):
        primary_fingerprints(data)


@pytest.mark.parametrize(
    "text",
    [
        ED25519_FINGERPRINT,
        ED25519_FINGERPRINT.lower(),
        "0x" + ED25519_FINGERPRINT,
        " ".join(ED25519_FINGERPRINT[i : i + 4] for i in range(0, 40, 4)),
    ],
)
def test_fingerprints_as_people_write_them(text: str) -> None:
    assert normal_fingerprint(text) == ED25519_FINGERPRINT


@pytest.mark.parametrize("text", ["", "F796ECB0", "DDCAE044F796ECB0", ED25519_FINGERPRINT + "0", "no"])
def test_short_key_ids_are_refused(text: str) -> None:
    with pytest.raises(KeyFormatError, match="not a full fingerprint"):
        normal_fingerprint(text)
