# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What vLLM must be told so that a model can call tools, by family of models.

Read in vLLM's own C(docs/features/tool_calling.md), C(docs/serving/integrations/codex.md) and recipes (github.com/vllm-project/recipes:
Gemma 4, MiniMax M2, Qwen3.5), and compared with the parsers that vLLM 0.32 registers (C(vllm/tool_parsers/__init__.py)). Its chat
templates are in its image.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from .vllm_flags import switched_on

SOURCE = "https://docs.vllm.ai/en/v0.32.0/features/tool_calling.html"
TEMPLATES = "/vllm-workspace/examples"
#: What a model's name says of its family, the parser, and the chat template where the model's own cannot do it. The first that fits counts.
FAMILIES: tuple[tuple[str, str, str | None], ...] = (
    (r"qwen3-coder", "qwen3_xml", None),
    (r"qwen3\.[5-9]", "qwen3_coder", None),
    (r"qwen-?2\.5|qwen-?3|qwq|hermes-(2-pro|2-theta|3)", "hermes", None),
    (r"gpt-oss", "openai", None),
    (r"mistral|ministral|magistral|devstral", "mistral", None),
    (r"llama-4", "llama4_pythonic", "tool_chat_template_llama4_pythonic.jinja"),
    (r"llama-3\.2", "llama3_json", "tool_chat_template_llama3.2_json.jinja"),
    (r"llama-3\.[13]", "llama3_json", "tool_chat_template_llama3.1_json.jinja"),
    (r"granite-4", "granite4", None),
    (r"granite-3\.0", "granite", "tool_chat_template_granite.jinja"),
    (r"granite-3", "granite", None),
    (r"deepseek-v3\.1", "deepseek_v31", "tool_chat_template_deepseekv31.jinja"),
    (r"deepseek-r1", "deepseek_v3", "tool_chat_template_deepseekr1.jinja"),
    (r"deepseek-v3(-|$)", "deepseek_v3", "tool_chat_template_deepseekv3.jinja"),
    (r"kimi-k2", "kimi_k2", None),
    (r"glm-4\.7", "glm47", None),
    (r"glm-4\.[56]", "glm45", None),
    (r"functiongemma", "functiongemma", "tool_chat_template_functiongemma.jinja"),
    (r"gemma-?4", "gemma4", None),
    (r"minimax-m2", "minimax_m2", None),
    (r"olmo-3", "olmo3", None),
    (r"hunyuan-a13b", "hunyuan_a13b", None),
    (r"longcat", "longcat", None),
    (r"jamba", "jamba", None),
    (r"internlm2_5", "internlm", "tool_chat_template_internlm2_tool.jinja"),
    (r"apertus", "apertus", "tool_chat_template_apertus.jinja"),
    (r"gigachat3", "gigachat3", None),
)
AUTO, PARSER, TEMPLATE = "enable-auto-tool-choice", "tool-call-parser", "chat-template"


def flags_for(source: str) -> dict[str, Any] | None:
    """C(engine_args) with which models of this name call tools; None for a family that is not known."""
    name = source.rpartition("/")[2].lower()
    for pattern, parser, template in FAMILIES:
        if re.search(pattern, name):
            return {AUTO: True, PARSER: parser, **({TEMPLATE: f"{TEMPLATES}/{template}"} if template else {})}
    return None


def tools_trouble(source: str, arguments: Mapping[str, Any]) -> str | None:
    """Why a model cannot call tools, and what to do; None where it can."""
    lacking = [name for name, given in ((AUTO, switched_on(arguments, AUTO)), (PARSER, arguments.get(PARSER))) if not given]
    if not lacking:
        return None
    flags = flags_for(source)
    told = f"vLLM passes on no tool calls of {source} without {' and '.join(lacking)}"
    if flags is None:
        return f"{told}; add both to its engine_args, with the parser of its family from {SOURCE}"
    missing = {name: value for name, value in flags.items() if name in lacking or (name == TEMPLATE and name not in arguments)}
    written = ", ".join(f"{name}: {json.dumps(value) if value is True else value}" for name, value in missing.items())
    return f"{told}; add to its engine_args: {{{written}}} ({SOURCE})"
