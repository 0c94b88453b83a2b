# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""A client of LiteLLM by its SDK."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from .base import Context
from .environment import EnvironmentClient


class LitellmSdk(EnvironmentClient):
    """Read in litellm_local, C(litellm_client.py), which appends the API path itself."""

    name: ClassVar[str] = "litellm_sdk"
    title: ClassVar[str] = "LiteLLM client"

    def environment(self, context: Context) -> Mapping[str, str]:
        return {"GATEWAY_URL": context.root_url, "GATEWAY_KEY": context.api_key}
