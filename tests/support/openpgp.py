# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away key, and the fingerprint that `gpg --show-keys` prints for it."""

from __future__ import annotations

ED25519 = """\
-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEawAgDBYJKwYBBAHaRw8BAQdAFaHYINm45zJhMGVzSRoxULKRZd2gupAFwyZ9
P3OEeIe0HFRlc3QgZWQyNTUxOSA8dEBleGFtcGxlLm9yZz6IkAQTFggAOBYhBFoH
m0Zc+Ft5e6/ynjIyX9Oen8E2BQJrACAMAhsDBQsJCAcCBhUKCQgLAgQWAgMBAh4B
AheAAAoJEDIyX9Oen8E2qEQBAOFDnfiDA5sWhK2nRBF51Bc0oBZfHLhhtOpOhTZv
X3RMAP9+BAERbmGwVQgHNGSguSvTpUk5IeDkVhqOTEHtDnhhBQ==
=DMFK
-----END PGP PUBLIC KEY BLOCK-----
"""
ED25519_FINGERPRINT = "5A079B465CF85B797BAFF29E32325FD39E9FC136"
