# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Addresses of servers as URLs."""

from __future__ import annotations


def server_url(address: str, port: int) -> str:
    bare = address.strip("[]")
    return f"http://[{bare}]:{int(port)}" if ":" in bare else f"http://{bare}:{int(port)}"


def gateway_url(bind: str, port: int, address: str = "127.0.0.1") -> str:
    """The gateway as its own host reaches it, or at its C(address) as others do."""
    return server_url(address if bind.strip("[]") in ("", "0.0.0.0", "::", "localhost") else bind, port)  # noqa: S104
