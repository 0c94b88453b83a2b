# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every name by which the guard knows media, texts and schemas, with what becomes of an address under it."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_media import MediaRefusedError, check_media, count_images
from gateway_policy import Policy

URL = "http://evil.test/x"
PIXEL = "data:image/png;base64,AA=="
IMAGE = {"image_url": URL}
POLICY = Policy(allowed_domains=("img.example",))

ADDRESSES = "audio_url document_url file_url image_url input_image input_video server_url uri url video_url"
DATA = (
    "audio audio_embeds audios b64_json file file_data file_id files image image_embeds image_pil images input_audio prompt_embeds "
    "video video_embeds videos"
)
LABELS = "detail filename format id media_type mime_type name title transcript type uuid"
TEXTS = (
    "arguments bad_words cache_salt chat_template content context description documents encrypted_content hotwords input input_text "
    "instruction instructions name output output_text partial_json pattern prompt prompt_cache_key queries query reasoning "
    "reasoning_content refusal safety_identifier signature stop stop_sequences suffix summary system text text_1 text_2 thinking "
    "title user user_id"
)
NOTES = "annotations citations logprobs"
NOTES_OF_A_REQUEST = "guided_choice guided_grammar guided_json guided_regex logit_bias metadata response_format structured_outputs"
DEFINITIONS = "functions output_config output_format text tools"
SCHEMAS = "definition input_examples input_schema json_schema output_schema parameters schema"
CALLS = "custom_tool_call function_call mcp_call mcp_tool_use server_tool_use tool_use"
IMAGES = "computer_screenshot image image_embeds image_pil image_url input_image"
IMAGE_NAMES = "image_embeds image_pil image_url input_image"
FILES = "document file input_file"
CONNECTIONS = "ec_transfer_params kv_transfer_params"


def refused(body: dict[str, Any]) -> bool:
    try:
        check_media(body, POLICY)
    except MediaRefusedError:
        return True
    return False


def test_under_a_name_of_media_nothing_but_media_goes_on() -> None:
    """No address at all under a name of addresses; neither base64 nor an address under a name of data."""
    assert [name for name in ADDRESSES.split() if not refused({"new": [{name: "AAAA"}]})] == []
    assert [name for name in DATA.split() if not refused({"new": [{name: "not base64!"}]}) or refused({"new": {name: "AAAA"}})] == []


def test_labels_of_media_are_words_and_no_addresses() -> None:
    assert [name for name in LABELS.split() if refused({"new": {"image": {name: "not base64!"}}})] == []
    assert [name for name in LABELS.split() if not refused({"new": {"image": {name: URL}}})] == []


def test_texts_are_read_and_not_fetched() -> None:
    assert [name for name in TEXTS.split() if refused({name: URL})] == []
    assert [name for name in TEXTS.split() if refused({"new": [{name: URL}]})] == []


def test_notes_and_schemas_may_name_anything() -> None:
    assert [name for name in NOTES.split() if refused({"new": {name: [IMAGE]}})] == []
    assert [name for name in NOTES_OF_A_REQUEST.split() if refused({name: [IMAGE]}) or not refused({"new": {name: [IMAGE]}})] == []
    assert [name for name in SCHEMAS.split() if refused({"tools": [{"x": {name: IMAGE}}]}) or not refused({"new": {name: IMAGE}})] == []
    assert [name for name in DEFINITIONS.split() if refused({name: [{"x": {"schema": IMAGE}}]}) or not refused({name: [IMAGE]})] == []


def test_calls_of_tools_have_the_models_own_words() -> None:
    assert [kind for kind in CALLS.split() if refused({"messages": [{"content": [{"type": kind, "input": IMAGE}]}]})] == []
    assert refused({"messages": [{"content": [{"type": "zork", "input": IMAGE}]}]})


def test_what_is_an_image_by_its_type_or_by_a_name() -> None:
    def counted(part: dict[str, Any]) -> int:
        return count_images({"messages": [{"content": [part]}]})

    assert [kind for kind in IMAGES.split() if counted({"type": kind}) != 1] == []
    assert [name for name in IMAGE_NAMES.split() if counted({"type": "text", name: PIXEL}) != 1] == []
    assert [kind for kind in FILES.split() if counted({"type": kind, "data": PIXEL}) != 1] == []
    assert counted({"type": "zork", "data": PIXEL}) == 0


@pytest.mark.parametrize("name", CONNECTIONS.split())
def test_no_engine_is_sent_to_another_machine(name: str) -> None:
    assert refused({name: {}})


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "http://user@img.example/a.png"}},
        {"type": "image", "image": {"data": "AAAA", "name": URL}},
        {"type": "document", "source": {"type": "text", "data": "words", "url": URL}},
    ],
)
def test_addresses_in_odd_places(part: dict[str, Any]) -> None:
    assert refused({"messages": [{"content": [part]}]})
