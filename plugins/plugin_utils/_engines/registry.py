# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The engines that there are."""

from __future__ import annotations

from collections.abc import Mapping

from .base import Engine
from .ollama import Ollama
from .vllm import Vllm

#: By name, in the order in which their roles run.
ENGINES: Mapping[str, Engine] = {engine.name: engine for engine in (Vllm(), Ollama())}
