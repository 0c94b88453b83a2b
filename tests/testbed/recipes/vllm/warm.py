# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Import what a server imports, so that the compiled files exist, and let vLLM inspect the classes of the tiny models."""

from __future__ import annotations

import vllm.entrypoints.cli.main
import vllm.entrypoints.openai.api_server
import vllm.v1.engine.core
import vllm.v1.worker.cpu_worker  # noqa: F401
from vllm.model_executor.models import ModelRegistry

for name in (
    "Qwen3ForCausalLM",
    "BertForSequenceClassification",
    "WhisperForConditionalGeneration",
    "PaddleOCRVLForConditionalGeneration",
):
    ModelRegistry.models[name].inspect_model_cls()
