# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Addresses of servers as URLs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def server_url(address: str, port: int, *, tls: bool = False) -> str:
    bare = address.strip("[]")
    return f"http{'s' if tls else ''}://{f'[{bare}]' if ':' in bare else bare}:{int(port)}"


def gateway_url(bind: str, port: int, address: str = "127.0.0.1", *, tls: bool = False) -> str:
    """The gateway as its own host reaches it, or at its C(address) as others do."""
    everywhere = ("", "0.0.0.0", "::", "localhost")  # noqa: S104
    return server_url(address if bind.strip("[]") in everywhere else bind, port, tls=tls)


def network_url(gateway: Mapping[str, Any], host: str) -> str | None:
    """Where containers on a gateway's host reach it on their network. A user's own certificate is not for that name."""
    tls = gateway.get("tls")
    if host not in gateway["hosts"] or (tls and not tls["internal"]):
        return None
    return f"http{'s' if tls else ''}://litellm-gateway:4000"
