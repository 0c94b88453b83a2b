# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The client programs that there are."""

from __future__ import annotations

from collections.abc import Mapping

from .base import Client
from .chat_studio import ChatStudio
from .claude_code import ClaudeCode
from .codex import Codex
from .crawl4ai import Crawl4ai
from .langchain import Langchain
from .litellm_sdk import LitellmSdk
from .llama_index import LlamaIndex
from .metis import Metis
from .open_webui import OpenWebui
from .openai import Openai
from .opencode import Opencode
from .prometheus import Prometheus

#: By name, in the order in which pages list them.
CLIENTS: Mapping[str, Client] = {
    client.name: client
    for client in (
        Crawl4ai(),
        ChatStudio(),
        Metis(),
        Openai(),
        LitellmSdk(),
        ClaudeCode(),
        Codex(),
        Opencode(),
        Langchain(),
        LlamaIndex(),
        OpenWebui(),
        Prometheus(),
    )
}
