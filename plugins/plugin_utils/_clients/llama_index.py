# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""LlamaIndex: the environment of its OpenAI packages."""

from __future__ import annotations

from typing import ClassVar

from .libraries import LibraryClient


class LlamaIndex(LibraryClient):
    """Read in llama-index-llms-openai 0.8.3 and llama-index-embeddings-openai 0.7.0, C(utils.py)."""

    name: ClassVar[str] = "llama_index"
    title: ClassVar[str] = "LlamaIndex"
