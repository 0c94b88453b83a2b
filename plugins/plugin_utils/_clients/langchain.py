# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""LangChain: the environment of langchain-openai."""

from __future__ import annotations

from typing import ClassVar

from .libraries import LibraryClient


class Langchain(LibraryClient):
    """Read in langchain-openai 1.7.4, C(chat_models/base.py) and C(embeddings/base.py)."""

    name: ClassVar[str] = "langchain"
    title: ClassVar[str] = "LangChain"
