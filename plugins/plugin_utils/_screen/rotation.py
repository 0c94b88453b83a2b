# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Backends that are out of rotation, as lines for people."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any


def rotation_lines(gateways: Mapping[str, Any]) -> list[str]:
    """C(gateways): by host, what M(gateway_rotation) returned as C(out). A line for each backend, whatever the number of gateways."""
    told: dict[str, dict[str, Any]] = {}
    where: dict[str, list[str]] = {}
    for host, entries in gateways.items():
        for entry in entries if isinstance(entries, Sequence) and not isinstance(entries, str) else ():
            name = str(entry.get("backend"))
            told.setdefault(name, dict(entry))
            where.setdefault(name, []).append(host)
    return [_line(told[name], where[name]) for name in sorted(told)]


def _line(entry: Mapping[str, Any], hosts: Sequence[str]) -> str:
    text = f"{entry.get('backend')}  out of rotation at the gateway on {', '.join(hosts)}"
    text += f", model {entry['model']}" if entry.get("model") else ""
    text += f", since {entry['at']}" if entry.get("at") else ""
    text += f", until {entry['until']} at most" if entry.get("until") else ""
    text += f", by {entry['by']}" if entry.get("by") else ""
    text += f": {entry['reason']}" if entry.get("reason") else ""
    return re.sub(r"\s+", " ", text).replace(f"{entry.get('backend')} ", f"{entry.get('backend')}  ", 1)
