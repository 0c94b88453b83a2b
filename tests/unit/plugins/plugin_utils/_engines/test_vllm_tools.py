# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.vllm_tools import FAMILIES, flags_for, tools_trouble

#: As vLLM 0.32 registers them (vllm/tool_parsers/__init__.py).
PARSERS = frozenset(
    (
        "apertus",
        "cohere_command3",
        "cohere_command4",
        "deepseek_v3",
        "deepseek_v31",
        "deepseek_v32",
        "deepseek_v4",
        "deepseek_v41",
        "dots",
        "ernie45",
        "functiongemma",
        "gemma4",
        "gigachat3",
        "glm45",
        "glm47",
        "granite",
        "granite-20b-fc",
        "granite4",
        "hermes",
        "hf",
        "hunyuan_a13b",
        "hy_v3",
        "hy_v4",
        "inkling",
        "internlm",
        "jamba",
        "k2_horizon",
        "kimi_k2",
        "kimi_k3",
        "lfm2",
        "ling3",
        "llama3_json",
        "llama4_json",
        "llama4_pythonic",
        "longcat",
        "mimo",
        "minicpm5",
        "minimax_m2",
        "minimax_m3",
        "mistral",
        "muse_glimmer",
        "olmo3",
        "openai",
        "phi4_mini_json",
        "plamo3",
        "poolside_v1",
        "pythonic",
        "qwen3_coder",
        "qwen3_json",
        "qwen3_xml",
        "seed_oss",
        "step3",
        "step3p5",
        "xlam",
    )
)


@pytest.mark.parametrize(
    ("source", "parser", "template"),
    [
        ("Qwen/Qwen3-8B", "hermes", None),
        ("Qwen/Qwen3-VL-4B-Instruct-FP8", "hermes", None),
        ("/srv/models/Qwen2.5-7B-Instruct-AWQ", "hermes", None),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "qwen3_xml", None),
        ("Qwen/Qwen3.6-27B", "qwen3_coder", None),
        ("openai/gpt-oss-20b", "openai", None),
        ("mistralai/Devstral-Small-2507", "mistral", None),
        ("meta-llama/Llama-3.2-3B-Instruct", "llama3_json", "tool_chat_template_llama3.2_json.jinja"),
        ("meta-llama/Llama-3.3-70B-Instruct", "llama3_json", "tool_chat_template_llama3.1_json.jinja"),
        ("ibm-granite/granite-3.1-8b-instruct", "granite", None),
        ("deepseek-ai/DeepSeek-V3.1", "deepseek_v31", "tool_chat_template_deepseekv31.jinja"),
        ("deepseek-ai/DeepSeek-V3-0324", "deepseek_v3", "tool_chat_template_deepseekv3.jinja"),
        ("zai-org/GLM-4.7-Flash", "glm47", None),
        ("google/gemma-4-31B-it", "gemma4", None),
        ("MiniMaxAI/MiniMax-M2.5", "minimax_m2", None),
        ("NousResearch/Hermes-3-Llama-3.1-8B", "hermes", None),
    ],
)
def test_flags_of_a_family(source: str, parser: str, template: str | None) -> None:
    flags = flags_for(source)
    assert flags is not None
    assert (flags["enable-auto-tool-choice"], flags["tool-call-parser"]) == (True, parser)
    assert flags.get("chat-template") == (f"/vllm-workspace/examples/{template}" if template else None)


@pytest.mark.parametrize("source", ["google/gemma-3-4b-it", "o/e5", "meta-llama/Llama-2-7b", "deepseek-ai/DeepSeek-V3.2"])
def test_other_models_are_not_guessed(source: str) -> None:
    assert flags_for(source) is None


def test_vllm_has_every_parser() -> None:
    assert {parser for _pattern, parser, _template in FAMILIES} <= PARSERS


@pytest.mark.parametrize(
    ("source", "arguments", "expected"),
    [
        ("Qwen/Qwen3-8B", {"enable-auto-tool-choice": True, "tool-call-parser": "own"}, None),
        ("Qwen/Qwen3-8B", {"enable-auto-tool-choice": "true", "tool-call-parser": "hermes"}, None),
        ("Qwen/Qwen3-8B", {"tool-call-parser": "hermes"}, "engine_args: {enable-auto-tool-choice: true} ("),
        ("Qwen/Qwen3-8B", {"enable-auto-tool-choice": True}, "engine_args: {tool-call-parser: hermes} ("),
        (
            "meta-llama/Llama-3.1-8B-Instruct",
            {},
            "tool-call-parser: llama3_json, chat-template: /vllm-workspace/examples/tool_chat_template_llama3.1_json.jinja} (",
        ),
        (
            "meta-llama/Llama-3.1-8B-Instruct",
            {"chat-template": "/mine"},
            "{enable-auto-tool-choice: true, tool-call-parser: llama3_json} (",
        ),
        (
            "a/b",
            {},
            "without enable-auto-tool-choice and tool-call-parser; add both to its engine_args, with the parser of its family from",
        ),
    ],
)
def test_what_is_lacking(source: str, arguments: dict[str, Any], expected: str | None) -> None:
    trouble = tools_trouble(source, arguments)
    assert (trouble is None) if expected is None else expected in str(trouble)
