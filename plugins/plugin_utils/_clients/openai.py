# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""OpenAI's own libraries, and whatever takes their variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from .base import Context
from .environment import EnvironmentClient


class Openai(EnvironmentClient):
    """Read in openai 2, C(_client.py)."""

    name: ClassVar[str] = "openai"
    title: ClassVar[str] = "OpenAI client"

    def environment(self, context: Context) -> Mapping[str, str]:
        return {"OPENAI_BASE_URL": context.v1_url, "OPENAI_API_KEY": context.api_key}
