# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Codex: its C(config.toml)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from .._plan.keys import Key
from .agents import agent_model
from .base import Client, Context, Task
from .keys import TEXT

PROVIDER = "gpu-inference"


class Codex(Client):
    """Read in Codex 0.171.0, C(config_toml.rs) by the names in its program, and by what it sent: responses, the only C(wire_api) left.

    It sends no limit of its answers. Web search would be a tool of OpenAI's own servers. What it writes itself into the file (projects
    that are trusted, what was chosen in its menus) stays.
    """

    name: ClassVar[str] = "codex"
    title: ClassVar[str] = "Codex"
    needs: ClassVar[Mapping[str, str]] = {"model": "chat"}
    keys: ClassVar[Mapping[str, Key[Any]]] = {"model": TEXT}
    merge: ClassVar[str] = "toml"
    #: Before SSL_CERT_FILE; none of its settings names such a file.
    ca_variables: ClassVar[Mapping[str, str]] = {"CODEX_CA_CERTIFICATE": "bundle"}
    task: ClassVar[Task] = Task(
        ("codex", "exec", "--skip-git-repo-check", "--ephemeral", "--sandbox", "workspace-write", "{task}"),
        ".codex/config.toml",
        {"CODEX_HOME": "{folder}"},
    )

    def render(self, context: Context) -> str | None:
        model = agent_model(context, "model")
        if model is None:
            return None
        settings: dict[str, str | int] = {
            "model_provider": PROVIDER,
            "model": model.name,
            "model_context_window": model.window,
            "web_search": "disabled",
            f"model_providers.{PROVIDER}.name": "gpu-inference",
            f"model_providers.{PROVIDER}.base_url": context.v1_url,
            f"model_providers.{PROVIDER}.wire_api": "responses",
            f"model_providers.{PROVIDER}.experimental_bearer_token": context.api_key,
        }
        # A JSON string of these values is a TOML string too.
        return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in settings.items())
