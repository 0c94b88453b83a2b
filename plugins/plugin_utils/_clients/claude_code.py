# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Claude Code: the settings of its user."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from .._plan.keys import Key
from .agents import AGENT_KEYS, agent_model
from .base import Client, Context, Task
from .keys import TEXT

#: Words that it resolves itself.
OWN_NAMES = frozenset({"best", "default", "fable", "haiku", "inherit", "mythos", "opus", "opusplan", "sonnet"})


class ClaudeCode(Client):
    """Read in Claude Code 2.1.332, by the names in its program and by what it sent: Anthropic's messages, with the key as a bearer token.

    C(CLAUDE_CODE_MAX_CONTEXT_TOKENS) counts for models that it does not know, which is each one whose name is not Claude's. Without
    it, it assumes a million tokens. C(CLAUDE_CODE_ATTRIBUTION_HEADER) off keeps the beginning of prompts the same, for prefix caches.
    """

    name: ClassVar[str] = "claude_code"
    title: ClassVar[str] = "Claude Code"
    needs: ClassVar[Mapping[str, str]] = {"model": "chat", "small_model": "chat"}
    keys: ClassVar[Mapping[str, Key[Any]]] = {**AGENT_KEYS, "small_model": TEXT}
    merge: ClassVar[str] = "json"
    #: From its file it does not always take it (claude-code#22512), so its user's environment needs it too.
    ca_variables: ClassVar[Mapping[str, str]] = {"NODE_EXTRA_CA_CERTS": "alone"}
    #: Edits of files in the folder are accepted, and nothing else is.
    task: ClassVar[Task] = Task(
        ("claude", "-p", "{task}", "--permission-mode", "acceptEdits", "--no-session-persistence"),
        ".claude/settings.json",
        {"CLAUDE_CONFIG_DIR": "{folder}"},
    )

    def render(self, context: Context) -> str | None:
        main = agent_model(context, "model")
        small = agent_model(context, "small_model") if context.entry.get("small_model") else main
        if main is None or small is None:
            return None
        for key, name in (("model", main.name), ("small_model", small.name)):
            if name in OWN_NAMES or "claude" in name.lower():
                context.refuse(
                    key, f"Claude Code takes {name!r} for a model of Anthropic's, with the window of that one; add another name to aliases"
                )
        variables = {
            "ANTHROPIC_BASE_URL": context.root_url,
            "ANTHROPIC_AUTH_TOKEN": context.api_key,
            # One that its user has for Anthropic would be sent to the gateway too.
            "ANTHROPIC_API_KEY": "",
            "ANTHROPIC_MODEL": main.name,
            **{f"ANTHROPIC_DEFAULT_{kind}_MODEL": main.name for kind in ("FABLE", "OPUS", "SONNET")},
            "ANTHROPIC_DEFAULT_HAIKU_MODEL": small.name,
            # One number for all models.
            "CLAUDE_CODE_MAX_CONTEXT_TOKENS": str(min(main.window, small.window)),
            "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(min(main.max_tokens, small.max_tokens)),
            "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            **context.ca_variables,
        }
        return json.dumps({"env": variables}, indent=2) + "\n"
