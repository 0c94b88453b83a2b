# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parameters of each route, as data: what the APIs, the engines and LiteLLM call theirs. Needs no LiteLLM."""

from __future__ import annotations

import typing as t

TEXT, NUMBER, WHOLE, FLAG, OBJECT, LIST = "a text", "a number", "a whole number", "true or false", "an object", "a list"
TEXT_OR_OBJECT, TEXT_OR_LIST, OBJECTS = "a text or an object", "a text or a list", "a list of objects"
TEXTS, INPUT = "a list of texts", "a text, a list of texts, or a list of tokens"

#: Parameters of each route's API, and what their values have to be for LiteLLM to read them.
API: t.Final[t.Mapping[str, t.Mapping[str, str]]] = {
    "chat": {
        "audio": OBJECT,
        "frequency_penalty": NUMBER,
        "logit_bias": OBJECT,
        "logprobs": FLAG,
        "max_completion_tokens": WHOLE,
        "max_tokens": WHOLE,
        "messages": OBJECTS,
        "metadata": OBJECT,
        "modalities": TEXTS,
        "model": TEXT,
        "n": WHOLE,
        "parallel_tool_calls": FLAG,
        "prediction": OBJECT,
        "presence_penalty": NUMBER,
        "prompt_cache_key": TEXT,
        "prompt_cache_retention": TEXT,
        "reasoning_effort": TEXT,
        "response_format": OBJECT,
        "safety_identifier": TEXT,
        "seed": WHOLE,
        "service_tier": TEXT,
        "stop": TEXT_OR_LIST,
        "store": FLAG,
        "stream": FLAG,
        "stream_options": OBJECT,
        "temperature": NUMBER,
        "thinking": OBJECT,
        "tool_choice": TEXT_OR_OBJECT,
        "tools": OBJECTS,
        "top_logprobs": WHOLE,
        "top_p": NUMBER,
        "user": TEXT,
        "verbosity": TEXT,
        "web_search_options": OBJECT,
    },
    "completions": {
        "best_of": WHOLE,
        "echo": FLAG,
        "frequency_penalty": NUMBER,
        "logit_bias": OBJECT,
        "logprobs": WHOLE,
        "max_tokens": WHOLE,
        "metadata": OBJECT,
        "model": TEXT,
        "n": WHOLE,
        "presence_penalty": NUMBER,
        "prompt": INPUT,
        "seed": WHOLE,
        "stop": TEXT_OR_LIST,
        "stream": FLAG,
        "stream_options": OBJECT,
        "suffix": TEXT,
        "temperature": NUMBER,
        "top_p": NUMBER,
        "user": TEXT,
    },
    "count_tokens": {
        "max_tokens": WHOLE,
        "messages": OBJECTS,
        "model": TEXT,
        "system": TEXT_OR_LIST,
        "thinking": OBJECT,
        "tool_choice": OBJECT,
        "tools": OBJECTS,
    },
    "embeddings": {
        "dimensions": WHOLE,
        "encoding_format": TEXT,
        "input": INPUT,
        "metadata": OBJECT,
        "model": TEXT,
        "user": TEXT,
    },
    "messages": {
        "cache_control": OBJECT,
        "context_management": OBJECT,
        "max_tokens": WHOLE,
        "messages": OBJECTS,
        "metadata": OBJECT,
        "model": TEXT,
        "output_config": OBJECT,
        "output_format": OBJECT,
        "service_tier": TEXT,
        "stop_sequences": TEXTS,
        "stream": FLAG,
        "system": TEXT_OR_LIST,
        "temperature": NUMBER,
        "thinking": OBJECT,
        "tool_choice": OBJECT,
        "tools": OBJECTS,
        "top_k": WHOLE,
        "top_p": NUMBER,
    },
    "rerank": {
        "documents": LIST,
        "max_chunks_per_doc": WHOLE,
        "max_tokens_per_doc": WHOLE,
        "model": TEXT,
        "query": TEXT,
        "rank_fields": TEXTS,
        "return_documents": FLAG,
        "top_n": WHOLE,
    },
    "responses": {
        "background": FLAG,
        "include": TEXTS,
        "input": TEXT_OR_LIST,
        "instructions": TEXT,
        "max_output_tokens": WHOLE,
        "max_tool_calls": WHOLE,
        "metadata": OBJECT,
        "model": TEXT,
        "parallel_tool_calls": FLAG,
        "previous_response_id": TEXT,
        "prompt": OBJECT,
        "prompt_cache_key": TEXT,
        "reasoning": OBJECT,
        "safety_identifier": TEXT,
        "service_tier": TEXT,
        "store": FLAG,
        "stream": FLAG,
        "stream_options": OBJECT,
        "temperature": NUMBER,
        "text": OBJECT,
        "tool_choice": TEXT_OR_OBJECT,
        "tools": OBJECTS,
        "top_logprobs": WHOLE,
        "top_p": NUMBER,
        "truncation": TEXT,
        "user": TEXT,
    },
    # Fields of a form, all of them texts.
    "transcription": {
        "chunking_strategy": TEXT,
        "include": TEXT_OR_LIST,
        "language": TEXT,
        "model": TEXT,
        "prompt": TEXT,
        "response_format": TEXT,
        "stream": TEXT,
        "temperature": TEXT,
        "timestamp_granularities": TEXT_OR_LIST,
    },
}
#: Parameters that engines know, LiteLLM for its own purposes too, and no API. Where LiteLLM doesn't, no name has to be known here.
ENGINE: t.Final = frozenset(
    {
        *("add_generation_prompt", "add_special_tokens", "allowed_token_ids", "bad_words", "cache_salt", "chat_template"),
        *("chat_template_kwargs", "continue_final_message", "guided_choice", "guided_decoding_backend", "guided_grammar"),
        *("guided_json", "guided_regex", "hotwords", "ignore_eos", "include_reasoning", "include_stop_str_in_output"),
        *("instruction", "keep_alive", "length_penalty", "media_io_kwargs", "min_p", "min_tokens", "mm_processor_kwargs"),
        *("num_ctx", "priority", "prompt_logprobs", "repetition_penalty", "request_id", "session_id", "skip_special_tokens"),
        *("spaces_between_special_tokens", "stop_token_ids", "structured_outputs", "think", "thinking_token_budget"),
        *("truncate_prompt_tokens", "truncation_side", "use_beam_search", "vllm_xargs"),
    }
)
#: Where LiteLLM doesn't hand on an ``extra_body``: nothing but these goes on.
CLOSED: t.Final[t.Mapping[str, frozenset[str]]] = {
    "count_tokens": frozenset({"cache_control", "output_config", "context_management", "metadata", "top_k", "top_p", "temperature"}),
    "rerank": frozenset({"mm_processor_kwargs", "truncate_prompt_tokens", "truncation_side", "use_activation", "user"}),
    "transcription": frozenset(
        {
            *(
                "frequency_penalty",
                "hotwords",
                "length_penalty",
                "max_completion_tokens",
                "min_p",
                "presence_penalty",
                "repetition_penalty",
            ),
            *("seed", "to_language", "top_k", "top_p", "use_beam_search", "user"),
        }
    ),
}
#: Ollama's options, which LiteLLM's own transformation has to put into their place (``ollama_chat``).
OLLAMA: t.Final = frozenset(
    {
        *("keep_alive", "min_p", "mirostat", "mirostat_eta", "mirostat_tau", "num_batch", "num_ctx", "num_gpu", "num_keep", "num_predict"),
        *("num_thread", "repeat_last_n", "repeat_penalty", "tfs_z", "think", "top_k", "typical_p"),
    }
)
#: What a request is about. It stands in the body itself.
MAIN: t.Final = frozenset({"extra_body", "file", "input", "messages", "model", "prompt", "query", "stream"})
#: OpenAI's way of 2023, which engines have dropped; LiteLLM would lose it without a word.
LEGACY: t.Final = frozenset({"function_call", "functions"})
#: What LiteLLM reads and has in none of its own lists (1.110.2: ``kwargs.get`` and ``data.get`` in its proxy, router and main module).
UNLISTED: t.Final = frozenset(
    {
        *("candidate_deployment_id", "config", "dataSources", "disable_fallbacks", "failure_callback", "fake_stream"),
        *("functions_unsupported_model", "guardrail_config", "guardrail_to_apply", "include_fallback_errors"),
        *("include_guardrail_response", "input_callback", "json_mode", "mcp_servers", "model_id", "optional_params"),
        *("original_function", "original_generic_function", "policies", "prompt_integration", "router_settings_override"),
        *("specific_deployment", "standard_callback_dynamic_params", "success_callback", "target_model_names", "token"),
        *("use_clientside_credentials", "vector_store_ids", "watsonx_credentials", "wx_credentials"),
    }
)
#: The same by what they begin with.
PREFIXES: t.Final = ("_", "aws_", "azure_", "litellm_", "mock_", "user_api_key", "vertex_", "x-litellm", "litellm-")
KNOWN: t.Final = frozenset().union(*API.values()) | ENGINE
