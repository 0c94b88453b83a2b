# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Crawl4AI: its environment, and its server as a container."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from .._plan.keys import Key
from .base import Container, Context, Token
from .environment import ENVIRONMENT_KEYS, EnvironmentClient
from .keys import NUMBER, TEXT, TOKEN, said


class Crawl4ai(EnvironmentClient):
    """Read in Crawl4AI 0.9, C(deploy/docker/utils.py) and C(entrypoint.sh).

    These are LLM_PROVIDER, LLM_BASE_URL, LLM_API_KEY, LLM_TEMPERATURE and CRAWL4AI_API_TOKEN; not VLLM_API_KEY, LLM_MAX_TOKENS,
    LLM_TOP_P or the penalties.
    """

    name: ClassVar[str] = "crawl4ai"
    title: ClassVar[str] = "Crawl4AI"
    needs: ClassVar[Mapping[str, str]] = {"model": "chat"}
    keys: ClassVar[Mapping[str, Key[Any]]] = {
        **ENVIRONMENT_KEYS,
        **dict.fromkeys(("model", "provider"), TEXT),
        "temperature": NUMBER,
        "api_token": TOKEN,
    }
    in_container: ClassVar[bool] = True
    container: ClassVar[Container | None] = Container(
        description="Crawl4AI server",
        image="unclecode/crawl4ai:0.9.5",
        port=11235,
        health_path="/health",
        shm_size="1g",
        # Without it Crawl4AI listens on its own loopback alone, and the published port answers nobody.
        token=Token("api_token", "CRAWL4AI_API_TOKEN", "to be reachable from outside of its container"),
    )

    def environment(self, context: Context) -> Mapping[str, str] | None:
        chosen = context.model("model")
        provider = context.entry.get("provider", "openai")
        if provider not in ("openai", "hosted_vllm"):
            context.refuse(
                "provider",
                f"{said(provider, 'provider')} is not a provider that uses LLM_BASE_URL and plain OpenAI; use openai or hosted_vllm",
            )
        if chosen is None:
            return None
        name, model = chosen
        variables = {
            "LLM_PROVIDER": f"{provider}/{name}",
            "LLM_BASE_URL": context.v1_url,
            "LLM_API_KEY": context.api_key,
        }
        temperature = context.entry.get("temperature", model.temperature)
        if temperature is not None:
            variables["LLM_TEMPERATURE"] = str(temperature)
        token = context.entry.get("api_token") or context.own_token
        if token:
            variables["CRAWL4AI_API_TOKEN"] = token
        return variables
