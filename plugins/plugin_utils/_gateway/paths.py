# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Which paths at the gateway are free for raw routes.

A raw route is open to clients. On a path that LiteLLM has already it would open that route to them, or never be reached. The names are
LiteLLM's 1.110.2, with all that it loads only when asked for; a test holds them to the routes of the pinned release.
"""

from __future__ import annotations

import re
from typing import Final

#: What follows the key belongs to LiteLLM, with everything below it.
_TAKEN: Final = {
    "": """
        .well-known _next a2a access_group active adaptive_router add agent agents alerting anthropic apply_guardrail assemblyai assistants
        audit authorize auto_router azure azure_ai azure_speech backend-api batches bedrock bespoke budget cache callback callbacks
        claude-code claude_code_gateway cloudzero cohere completions compliance comprehendmedical config config_overrides containers
        coordination_redis cost cost_optimization credentials cursor customer debug decisions deepgram delete docs email enabled end_user
        engines eu.assemblyai eu_jev evals extraction fal_ai fallback files fine_tuning gateway gemini get get_favicon get_image
        get_logo_url gigachat global guardrails health health_check interactions introspect invitation jwt key langfuse laya lazy lens
        liteadmin litellm litellm-asset-prefix live login management mcp mcp-rest memory-usage-in-mem-cache
        memory-usage-in-mem-cache-items messages metrics milvus mistral model model-insights model_group model_hub models moderations moyai
        nvidia_nim oauth ocr onboarding openai openai_passthrough openapi.json openrouter organization otel-spans plugin-proxy policies
        policy project prompts provider public queue rag realtime redoc register reload rerank responses revoke robots.txt router routes
        schedule scim search search_tools session settings skill-hub skills spend sse sso subscription_accounts swagger systemone tag team
        telemetry test threads tinyfish token toolset transcribe typesafe ui update upload user utils vantage vector_store vector_stores
        vertex-ai vertex_ai videos vllm watsonx
    """,
    "api/": "event_logging plugins",
    "audio/": "speech transcriptions",
    "chat/": "completions",
    "images/": "edits generations",
    "v1/": """
        a2a access_group agents assistants audio batches chat completions containers decisions embeddings evals extraction files fine_tuning
        images indexes live logs mcp memory messages model models moderations ocr rag realtime rerank responses rust_control_plane search
        skills systemone threads tool traces unified_access_group vector_store vector_stores videos workflows
    """,
    "v1beta/": "agents interactions models",
    "v2/": "audio chat completions embeddings guardrails key login messages model models organization rerank responses team user",
    "v3/": "login",
}
#: What the gateway's guard itself answers (C(gateway_counts.py)).
_OURS: Final = frozenset({"usage"})
_PREFIXES: Final = frozenset(f"{before}{name}" for before, names in _TAKEN.items() for name in names.split())
#: Paths below which there is nothing of LiteLLM's, and its routes that begin with a name of anybody's.
_EXACT: Final = re.compile(r"embeddings|[^/]+/(?:authorize|mcp|register|token|v1/(?:batches|files)(?:/.*)?)")


def why_not_free(path: str) -> str | None:
    """Why a path can be no raw route, or None."""
    steps = path[1:].split("/")
    if any(step in ("", ".", "..") for step in steps):
        return "must be a plain path: no '.', '..' or empty step in it, and no slash at its end"
    if steps[0] in _OURS:
        return "is a path of the gateway's own, or below one; take another, such as /raw" + path
    if any("/".join(steps[:count]) in _PREFIXES for count in (1, 2)) or _EXACT.fullmatch("/".join(steps)):
        return "is a path of LiteLLM's own, or below one; take another, such as /raw" + path
    return None
