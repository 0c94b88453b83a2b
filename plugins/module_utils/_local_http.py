# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""HTTP to servers on this host."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any


def fetch(url: str, timeout: float, body: Mapping[str, Any] | None = None, key: str | None = None) -> Any:
    """Opens a URL on this host; proxies are for the outside world."""
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = "Bearer " + key
    data = None if body is None else json.dumps(body).encode("utf-8")
    request = urllib.request.Request(url, data=data, headers=headers)  # noqa: S310 - http by configuration
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=timeout)


def fetch_json(url: str, timeout: float, key: str | None = None) -> dict[str, Any]:
    with fetch(url, timeout, key=key) as answer:
        document = json.loads(answer.read().decode("utf-8", "replace"))
    return document if isinstance(document, dict) else {}


def server_root(base_url: str) -> str:
    """Where a server's own routes lie: its address without OpenAI's C(/v1)."""
    root = base_url.rstrip("/")
    return root[: -len("/v1")] if root.endswith("/v1") else root
