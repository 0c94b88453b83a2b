# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every name of a parameter that the guard knows, by what becomes of it. The tables of the guard are written down here a second time: a
name that goes from one of them by mistake is missed here, and tests/support/guard_rules.py sees to it that none is left out.
"""

from __future__ import annotations

from typing import Any

import pytest
from gateway_errors import RequestError
from gateway_models import Model
from gateway_parameters import arrange, check_types, flatten

#: By route and by what a value has to be: LiteLLM would answer 500 to another one.
TYPES: dict[str, dict[str, str]] = {
    "chat": {
        "an object": "audio logit_bias metadata prediction response_format stream_options thinking web_search_options",
        "a number": "frequency_penalty presence_penalty temperature top_p",
        "true or false": "logprobs parallel_tool_calls store stream",
        "a whole number": "max_completion_tokens max_tokens n seed top_logprobs",
        "a list of objects": "messages tools",
        "a list of texts": "modalities",
        "a text": "model prompt_cache_key prompt_cache_retention reasoning_effort safety_identifier service_tier user verbosity",
        "a text or a list": "stop",
        "a text or an object": "tool_choice",
    },
    "completions": {
        "a whole number": "best_of logprobs max_tokens n seed",
        "true or false": "echo stream",
        "a number": "frequency_penalty presence_penalty temperature top_p",
        "an object": "logit_bias metadata stream_options",
        "a text": "model suffix user",
        "a text, a list of texts, or a list of tokens": "prompt",
        "a text or a list": "stop",
    },
    "count_tokens": {
        "a whole number": "max_tokens",
        "a list of objects": "messages tools",
        "a text": "model",
        "a text or a list": "system",
        "an object": "thinking tool_choice",
    },
    "embeddings": {
        "a whole number": "dimensions",
        "a text": "encoding_format model user",
        "a text, a list of texts, or a list of tokens": "input",
        "an object": "metadata",
    },
    "messages": {
        "an object": "cache_control context_management metadata output_config output_format thinking tool_choice",
        "a whole number": "max_tokens top_k",
        "a list of objects": "messages tools",
        "a text": "model service_tier",
        "a list of texts": "stop_sequences",
        "true or false": "stream",
        "a text or a list": "system",
        "a number": "temperature top_p",
    },
    "rerank": {
        "a list": "documents",
        "a whole number": "max_chunks_per_doc max_tokens_per_doc top_n",
        "a text": "model query",
        "a list of texts": "rank_fields",
        "true or false": "return_documents",
    },
    "responses": {
        "true or false": "background parallel_tool_calls store stream",
        "a list of texts": "include",
        "a text or a list": "input",
        "a text": "instructions model previous_response_id prompt_cache_key safety_identifier service_tier truncation user",
        "a whole number": "max_output_tokens max_tool_calls top_logprobs",
        "an object": "metadata prompt reasoning stream_options text",
        "a number": "temperature top_p",
        "a text or an object": "tool_choice",
        "a list of objects": "tools",
    },
    "transcription": {
        "a text": "chunking_strategy language model prompt response_format stream temperature",
        "a text or a list": "include timestamp_granularities",
    },
}
#: LiteLLM has these for purposes of its own; here they are an engine's.
ENGINE = (
    "add_generation_prompt add_special_tokens allowed_token_ids bad_words cache_salt chat_template chat_template_kwargs "
    "continue_final_message guided_choice guided_decoding_backend guided_grammar guided_json guided_regex hotwords ignore_eos "
    "include_reasoning include_stop_str_in_output instruction keep_alive length_penalty media_io_kwargs min_p min_tokens "
    "mm_processor_kwargs num_ctx priority prompt_logprobs repetition_penalty request_id session_id skip_special_tokens "
    "spaces_between_special_tokens stop_token_ids structured_outputs think thinking_token_budget truncate_prompt_tokens "
    "truncation_side use_beam_search vllm_xargs"
)
#: Where nothing but what is known goes on.
CLOSED = {
    "count_tokens": "cache_control context_management metadata output_config temperature top_k top_p",
    "rerank": "mm_processor_kwargs truncate_prompt_tokens truncation_side use_activation user",
    "transcription": (
        "frequency_penalty hotwords length_penalty max_completion_tokens min_p presence_penalty repetition_penalty seed to_language "
        "top_k top_p use_beam_search user"
    ),
}
OLLAMA = (
    "keep_alive min_p mirostat mirostat_eta mirostat_tau num_batch num_ctx num_gpu num_keep num_predict num_thread repeat_last_n "
    "repeat_penalty tfs_z think top_k typical_p"
)
IN_THE_BODY_ITSELF = "extra_body file input messages model prompt query stream"
#: What LiteLLM reads beside its own lists, and beginnings of names that it reads.
STEERING = (
    "candidate_deployment_id config dataSources disable_fallbacks failure_callback fake_stream functions_unsupported_model "
    "guardrail_config guardrail_to_apply include_fallback_errors include_guardrail_response input_callback json_mode mcp_servers "
    "model_id optional_params original_function original_generic_function policies prompt_integration router_settings_override "
    "specific_deployment standard_callback_dynamic_params success_callback target_model_names token use_clientside_credentials "
    "vector_store_ids watsonx_credentials wx_credentials"
)
BEGINNINGS = "_ aws_ azure_ litellm- litellm_ mock_ user_api_key vertex_ x-litellm"


def wrong(what: str) -> Any:
    return [] if "object" in what and "list" not in what else {}


@pytest.mark.parametrize("kind", TYPES)
def test_a_value_of_another_type_is_refused(kind: str) -> None:
    for what, names in TYPES[kind].items():
        for name in names.split():
            with pytest.raises(RequestError, match=what) as refused:
                check_types(kind, {name: wrong(what)})
            assert refused.value.param == name


def test_parameters_of_engines_go_on_though_litellm_has_a_use_for_them() -> None:
    for name in [*ENGINE.split(), *(name for names in TYPES.values() for each in names.values() for name in each.split())]:
        if name not in IN_THE_BODY_ITSELF.split():
            assert flatten("chat", {name: 1}, {name}) == {name: 1}


@pytest.mark.parametrize("kind", CLOSED)
def test_what_a_closed_route_knows(kind: str) -> None:
    known = [*CLOSED[kind].split(), *(name for names in TYPES[kind].values() for name in names.split())]
    for name in known:
        assert flatten(kind, {name: 1}, ()) == {name: 1}
    with pytest.raises(RequestError, match="not known here") as refused:
        flatten(kind, {"zork": 1}, ())
    assert refused.value.code == "unknown_parameter"


def test_options_of_ollama_stay_where_litellm_puts_them_into_their_place() -> None:
    model = Model("chat", frozenset({"ollama_chat"}))
    for name in OLLAMA.split():
        assert arrange("chat", {"model": "small", name: 1}, (), model) == {"model": "small", name: 1}


def test_what_a_request_is_about_does_not_hide_in_extra_body() -> None:
    for name in IN_THE_BODY_ITSELF.split():
        with pytest.raises(RequestError) as refused:
            flatten("chat", {"extra_body": {name: []}}, ())
        assert refused.value.param == f"extra_body.{name}"


def test_names_that_steer_are_refused_whatever_litellm_lists() -> None:
    for name in [*STEERING.split(), *(beginning + "zork" for beginning in BEGINNINGS.split())]:
        for body in ({name: 1}, {"extra_body": {name: 1}}):
            with pytest.raises(RequestError) as refused:
                flatten("chat", body, ())
            assert (refused.value.param, refused.value.code) == (name, "parameter_refused")


@pytest.mark.parametrize("name", ["function_call", "functions"])
def test_the_old_way_to_call_functions_is_told_as_such(name: str) -> None:
    with pytest.raises(RequestError, match="use tools") as refused:
        flatten("chat", {name: []}, {name})
    assert refused.value.code == "unsupported_parameter"
