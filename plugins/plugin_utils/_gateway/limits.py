# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""How much the gateway takes, and the memory that goes with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MIB = 1024 * 1024
#: Bytes of one request's body, and of all that are in work. Eight images of 2 MB as base64, or 25 MB of sound, pass.
DEFAULT_REQUEST_LIMIT = 32 * MIB
DEFAULT_WORK_LIMIT = 64 * MIB
#: MiB of the container. LiteLLM alone takes a third of the first, streams another; a body in work takes up to eight times its size.
BASE_MEMORY = 1024
MEMORY_PER_WORK = 16


def memory_of(policy: Mapping[str, Any]) -> str:
    """The memory limit that goes with these limits of requests, in Docker's spelling."""
    work = int((policy.get("limits") or {}).get("work") or DEFAULT_WORK_LIMIT)
    return f"{BASE_MEMORY + MEMORY_PER_WORK * -(-work // MIB)}m"
