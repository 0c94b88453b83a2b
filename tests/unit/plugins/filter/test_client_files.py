# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters as Ansible calls them: with its own string and list types, and with errors that people read."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.llmops.gpu_inference.plugins.filter.client_files import FilterModule, client_container_units, client_files

MODELS = [{"name": "chat", "capability": "chat"}]


class Tagged(str):
    """Like Ansible's strings."""


def test_rendering_takes_tagged_strings() -> None:
    (file,) = client_files(
        [{"type": Tagged("openai"), "path": Tagged("/a")}], Tagged("http://gw:8400"), MODELS, api_key=Tagged("sk-0123456789abcdef")
    )
    assert type(file["content"]) is str
    assert "OPENAI_API_KEY=sk-0123456789abcdef" in file["content"]


def test_all_mistakes_are_in_one_message_without_the_key() -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        client_files([{"type": "x"}, {"type": "openai"}], "http://gw:8400", MODELS, api_key="sk-0123456789abcdef")
    message = str(caught.value)
    assert "- clients_files[0].type: 'x' is not a known client program" in message
    assert "- clients_files[1].path: None is not an absolute path" in message
    assert "sk-0123" not in message


def test_a_bad_value_names_the_variable_and_not_the_key() -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        client_files([{"type": "openai", "path": "/a"}], "http://gw:8400", MODELS, api_key="sk with blank")
    assert "OPENAI_API_KEY: the value contains ' '" in str(caught.value)
    assert "sk with" not in str(caught.value)


def test_container_mistakes_are_explained_too() -> None:
    files: list[dict[str, Any]] = [{"type": "crawl4ai", "path": "/a", "container": True}]
    with pytest.raises(AnsibleFilterError, match="needs api_token"):
        client_container_units(files, client_files(files, "http://gw:8400", MODELS, api_key="sk-0123456789abcdef"))


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"container": True}, ["crawl4ai"]),
        ({"container": {"port": 8080}}, ["crawl4ai"]),
        ({"container": True, "api_token": "own-token-0123"}, []),
        # Null leaves a key out, and an empty one is none.
        ({"container": True, "api_token": None}, ["crawl4ai"]),
        ({"container": True, "api_token": ""}, ["crawl4ai"]),
        ({"container": False}, []),
        ({"container": None}, []),
        ({}, []),
    ],
)
def test_a_token_is_made_for_a_container_that_has_none(entry: dict[str, Any], expected: list[str]) -> None:
    files = [{"type": "openai", "path": "/a"}, {"type": "crawl4ai", "path": "/b", **entry}]
    assert FilterModule().filters()["client_tokens_to_make"](files) == expected


def test_every_filter_has_a_name_of_its_own() -> None:
    assert set(FilterModule().filters()) == {
        "client_container_units",
        "client_files",
        "client_files_to_write",
        "client_gateway_endpoints",
        "client_models",
        "client_models_to_measure",
        "client_models_with_dimensions",
        "client_programs_to_run",
        "client_tokens_to_make",
        "metrics_targets",
    }
