# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What LiteLLM calls the parameters of a deployment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: Without a price LiteLLM looks for one with every answer, twice, through its whole list: half of all the time that it takes for a request.
FREE: Final[Mapping[str, int]] = {"input_cost_per_token": 0, "output_cost_per_token": 0}
MODES: Final[Mapping[str, str]] = {
    "chat": "chat",
    "embedding": "embedding",
    "rerank": "rerank",
    "transcription": "audio_transcription",
}
#: Keys of C(litellm_params) that decide where a request goes: they come from the plan, never from request defaults.
ROUTING_KEYS: Final = frozenset(
    {
        "model",
        "api_base",
        "base_url",
        "api_key",
        "custom_llm_provider",
        "order",
        "weight",
        "timeout",
        "stream_timeout",
        "messages",
        "input",
        "stream",
    }
)
