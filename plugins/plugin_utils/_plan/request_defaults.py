# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""C(request_defaults): parameters of a request, and nothing else.

LiteLLM takes them in one place with its own settings of a deployment (retries, callbacks, made-up answers, other servers), so only names
that it hands on to an engine are taken; a test holds them to those that the gateway lets through of a client. Whatever else an engine
knows goes into C(extra_body), which LiteLLM doesn't read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from .._gateway.parameters import FREE, ROUTING_KEYS
from .._secrets.secrecy import secrets_in
from .findings import Fields, hint

#: What a request is about: it comes from the client.
CONTENT: Final = frozenset({"file", "input", "messages", "model", "prompt", "query", "stream"})
#: By these an engine connects to another machine; the gateway lets no request with them through.
ADDRESSES: Final = frozenset({"ec_transfer_params", "kv_transfer_params"})
#: Parameters of the APIs, and those of engines that LiteLLM knows as such.
_NAMES: Final = """
    add_generation_prompt add_special_tokens allowed_token_ids audio background bad_words best_of cache_control cache_salt chat_template
    chat_template_kwargs chunking_strategy context_management continue_final_message dimensions documents echo encoding_format
    frequency_penalty guided_choice guided_decoding_backend guided_grammar guided_json guided_regex hotwords ignore_eos include
    include_reasoning include_stop_str_in_output instruction instructions keep_alive language length_penalty logit_bias logprobs
    max_chunks_per_doc max_completion_tokens max_output_tokens max_tokens max_tokens_per_doc max_tool_calls media_io_kwargs metadata min_p
    min_tokens mirostat mirostat_eta mirostat_tau mm_processor_kwargs modalities n num_batch num_ctx num_gpu num_keep num_predict num_thread
    output_config output_format parallel_tool_calls prediction presence_penalty previous_response_id priority prompt_cache_key
    prompt_cache_retention prompt_logprobs rank_fields reasoning reasoning_effort repeat_last_n repeat_penalty repetition_penalty request_id
    response_format return_documents safety_identifier seed service_tier session_id skip_special_tokens spaces_between_special_tokens stop
    stop_sequences stop_token_ids store stream_options structured_outputs suffix system temperature text tfs_z think thinking
    thinking_token_budget timestamp_granularities to_language tool_choice tools top_k top_logprobs top_n top_p truncate_prompt_tokens
    truncation truncation_side typical_p use_activation use_beam_search user verbosity vllm_xargs web_search_options
"""
NAMES: Final = frozenset(_NAMES.split())
_TAKEN: Final = NAMES | {"extra_body"} | set(FREE)


def _references(node: Any, path: str) -> Iterator[str]:
    """Where a value stands that LiteLLM would replace by an environment variable of the gateway."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _references(value, f"{path}.{key}")
    elif isinstance(node, (list, tuple)):
        for position, value in enumerate(node):
            yield from _references(value, f"{path}[{position}]")
    elif isinstance(node, str) and "os.environ/" in node:
        yield path


def _why_not(name: str) -> str | None:
    if name in CONTENT:
        return "is what a request is about, and comes from the client"
    if name in ROUTING_KEYS:
        return "decides where a request goes and is set by the plan; timeout and stream_timeout are keys of the model"
    if name in ("headers", "extra_headers", "default_headers"):
        return "may hold secrets, and would end up in the gateway's config file; remove it"
    if name not in _TAKEN:
        return (
            "is not a request parameter that LiteLLM passes on. A parameter that only the engine knows goes into extra_body; "
            f"how the gateway retries and routes is inference_gateway.settings.router_settings.{hint(name, _TAKEN)}"
        )
    return None


def read_request_defaults(fields: Fields) -> dict[str, Any]:
    defaults = fields.mapping("request_defaults")
    for key in list(defaults):
        trouble = _why_not(key)
        if trouble:
            fields.add(f"request_defaults.{key}", None, trouble)
            del defaults[key]
    inner = Fields(defaults, fields.where("request_defaults"), fields.report, tuple(defaults), fields.hosts)
    for key in inner.mapping("extra_body"):
        if key in CONTENT or key == "extra_body":
            inner.add(f"extra_body.{key}", None, "is what a request is about, and comes from the client")
        elif key in ADDRESSES:
            inner.add(f"extra_body.{key}", None, "would have the engine connect to another machine; no request with it passes the gateway")
    for place in _references(defaults, "request_defaults"):
        fields.add(place, None, "goes to the engine with every request, and can't be taken from the gateway's environment; write the value")
    for place, what in secrets_in(defaults, "request_defaults", tokens=False):
        fields.add(
            place, None, f"{what} and would end up in the gateway's config file; keys of servers are api_key of an external endpoint"
        )
    # The two that files of client programs take over; LiteLLM itself takes whatever the engine may know.
    inner.number("temperature")
    inner.integer("max_tokens", 1)
    return defaults
