# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``policy.json``: what the plan tells the gateway's plug-ins beyond LiteLLM's own configuration."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Policy:
    max_images: t.Mapping[str, int] = field(default_factory=dict)
    allow_data: bool = True
    allowed_domains: tuple[str, ...] = ()
    client_routes: tuple[str, ...] = ()
    #: Raw routes, which LiteLLM hands to an engine or another server as they come -> how many images they may carry.
    raw: t.Mapping[str, int | None] = field(default_factory=dict)
    #: Whether a conversation stays with one of the backends that are first in order.
    sticky_sessions: bool = False

    @classmethod
    def from_mapping(cls, data: t.Mapping[str, t.Any]) -> Policy:
        media = data.get("media") or {}
        return cls(
            max_images={str(name): int(limit) for name, limit in (data.get("max_images") or {}).items()},
            allow_data=bool(media.get("allow_data", True)),
            allowed_domains=tuple(str(domain).lower() for domain in media.get("allowed_domains") or ()),
            client_routes=tuple(data.get("client_routes") or ()),
            raw=dict(data.get("raw") or {}),
            sticky_sessions=bool(data.get("sticky_sessions", False)),
        )

    @classmethod
    def load(cls, path: Path) -> Policy:
        if not path.exists():
            return cls()
        return cls.from_mapping(json.loads(path.read_text(encoding="utf-8")))
