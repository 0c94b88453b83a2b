# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Which keys will do, for engines, the gateway and its clients alike."""

from __future__ import annotations

import re
from collections.abc import Mapping

MINIMUM_LENGTH = 16
#: LiteLLM refuses an unset, blank or documented key (proxy/auth/master_key_boot_check.py); vLLM takes an empty one as "no key".
EXAMPLE_KEYS = frozenset({"sk-1234", "token-abc123", "changeme", "your-api-key"})
#: A bearer token's (RFC 6750). Others cannot stand in an HTTP header, an environment file or the proxy's configuration.
_CHARACTERS = re.compile(r"[A-Za-z0-9._~+/=-]+")


def weakness(key: str) -> str | None:
    """What is wrong with a key, to be read after its name; None for a good one. Never holds the key."""
    if not key.strip():
        return "is missing or empty"
    if key.strip().lower() in EXAMPLE_KEYS:
        return "is the example key of a documentation, which everybody knows"
    if not _CHARACTERS.fullmatch(key):
        return "holds blanks or other characters than letters, digits and -._~+/="
    if len(key) < MINIMUM_LENGTH:
        return f"has {len(key)} characters, at least {MINIMUM_LENGTH} are needed"
    if len(set(key)) < 6:
        return "has too few different characters"
    return None


def shared_keys(master_key: str | None, client_keys: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with keys of clients that are not theirs alone, by client, to be read after its name. Never holds a key."""
    trouble: dict[str, str] = {}
    owners: dict[str, str] = {}
    for name, key in client_keys.items():
        if key == master_key:
            trouble[name] = "is the master key, which no client may hold"
        elif owners.setdefault(key, name) != name:
            trouble[name] = f"is also the key of {owners[key]}"
    return trouble
