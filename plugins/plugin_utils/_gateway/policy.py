# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What the gateway's plug-ins read: sizes, images, media, and what client keys may call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .checks import aliases_of
from .limits import DEFAULT_REQUEST_LIMIT, DEFAULT_WORK_LIMIT
from .models import models_of
from .settings import ROUTING_STRATEGY

#: What a client key may call. The master key may call everything.
CLIENT_ROUTES: Final[tuple[str, ...]] = (
    "/audio/transcriptions",
    "/chat/completions",
    "/completions",
    "/embeddings",
    "/engines/*",
    "/messages",
    "/messages/count_tokens",
    "/models",
    "/models/*",
    "/openai/deployments/*",
    "/rerank",
    "/responses",
)


def build_policy(gateway: Mapping[str, Any]) -> dict[str, Any]:
    """What the gateway's plug-ins read: image limits by every name of a model, the media rule, what client keys may call, raw routes."""
    models = models_of(gateway)
    aliases = aliases_of(gateway, models)
    limits = {model.name: model.max_images for model in models if model.max_images is not None}
    limits.update({alias: limits[target] for alias, target in aliases.items() if target in limits})
    media = gateway.get("media") or {}
    entries = [entry for entry in gateway.get("passthrough") or () if entry.get("path")]
    paths = [str(entry["path"]) for entry in entries]
    return {
        "limits": {
            "request": int(gateway.get("request_limit") or DEFAULT_REQUEST_LIMIT),
            "work": int(gateway.get("work_limit") or DEFAULT_WORK_LIMIT),
        },
        "max_images": dict(sorted(limits.items())),
        "media": {
            "allow_data": bool(media.get("allow_data", True)),
            "allowed_domains": sorted(str(domain).lower() for domain in media.get("allowed_domains") or ()),
        },
        "client_routes": [*CLIENT_ROUTES, *sorted(set(paths) - set(CLIENT_ROUTES))],
        "sticky_sessions": _sticky(gateway),
        "raw": {str(entry["path"]): limits.get(str(entry.get("model"))) for entry in entries},
    }


def _sticky(gateway: Mapping[str, Any]) -> bool:
    """Whether conversations stay with a backend. Another strategy of LiteLLM's has its own idea of which one to choose."""
    router = (gateway.get("settings") or {}).get("router_settings") or {}
    return gateway.get("sticky_sessions") is not False and router.get("routing_strategy") in (None, ROUTING_STRATEGY)
