# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page of the fleet, and the document that every figure on it comes from."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from support.fleet import plan, row, told

from ansible_collections.llmops.gpu_inference.plugins.filter.fleet import fleet_report
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._report.fleet import pins
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._report.fleet_page import fleet_page

NOW = "2026-11-28T12:00:00Z"
NOTHING: dict[str, Any] = {"facts": {}, "units": {}, "records": {}, "drift": {}}


def report(**parts: Any) -> tuple[dict[str, Any], str]:
    document, page = fleet_report(plan(), **{**told(), **parts}, time=NOW)
    assert (document["name"], page["name"]) == ("fleet.json", "fleet.html")
    return json.loads(document["content"]), page["content"]


class Words(HTMLParser):
    """The texts of a page, without its style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.style = False
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, _attributes: list[tuple[str, str | None]]) -> None:
        self.style = tag == "style"

    def handle_data(self, data: str) -> None:
        if not self.style and data.strip():
            self.found.append(data.strip())


def test_hosts_and_their_gpus() -> None:
    document, _page = report()
    one, two = document["hosts"]
    assert (one["name"], one["answered"], one["trouble"], one["driver"] is None) == ("gpu01", True, None, False)
    (gpu,) = one["gpus"]
    assert (gpu["planned_mib"], gpu["used_mib"]) == (12288 + 4096, 13100)
    assert gpu["planned"] == [{"unit": "vllm@chat", "mib": 12288}, {"unit": "ollama@11434", "mib": 4096}]
    assert (two["answered"], two["trouble"]) == (False, "did not answer: Failed to connect to the host via ssh: No route to host")
    assert two["gpus"] == []


def test_services_with_their_release_and_what_is_not_declared() -> None:
    document, _page = report()
    services = {(service["host"], service["unit"]): service for service in document["services"]}
    assert list(services) == [
        ("gpu01", "litellm@gateway"),
        ("gpu01", "llama_cpp@old"),
        ("gpu01", "ollama@11434"),
        ("gpu01", "vllm@chat"),
        ("gpu02", "vllm@chat"),
    ]
    chat = services["gpu01", "vllm@chat"]
    assert (chat["models"], chat["planned_mib"], chat["ready_after"], chat["declared"]) == (["chat"], 12288, 72, True)
    assert (chat["release"]["number"], chat["release"]["recorded"], chat["newer_than_its_release"]) == (4, "2026-11-28T10:00:00Z", False)
    assert services["gpu01", "ollama@11434"]["newer_than_its_release"] is True
    assert services["gpu01", "llama_cpp@old"]["declared"] is False
    assert services["gpu01", "litellm@gateway"]["declared"] is True
    away = services["gpu02", "vllm@chat"]
    assert (away["phase"], away["release"], away["newer_than_its_release"]) == (None, None, None)


def test_what_a_run_would_change() -> None:
    document, _page = report()
    assert [(one["unit"], one["action"]) for one in document["drift"]] == [("llama_cpp@old", "remove"), ("vllm@chat", "restart")]
    assert [one["host"] for one in document["drift_unknown"]] == ["gpu02"]


def test_versions_that_are_behind() -> None:
    document, _page = report()
    assert {pin["program"]: (pin["runs"], pin["behind"]) for pin in document["pins"]} == {
        "LiteLLM": ("1.110.2", False),
        "Ollama": ("0.32.15", False),
        "llama.cpp": (None, None),
        "vLLM": ("0.31.0", True),
    }
    assert pins([{"kind": "container", "image": "own:1", "unit": "container@x", "host": "a"}]) == []


def test_the_page_is_made_of_the_document_alone() -> None:
    document, page = report()
    assert fleet_page(document) == page


def test_the_words_of_the_page() -> None:
    _document, page = report()
    words = " ".join(Words(page).found)
    for part in (
        "2 hosts, 5 units, 2 of them ready. Not known of gpu02. 2 units would change with a run.",
        "planned: 16.0 GiB, 50 %",
        "in use: 12.8 GiB, 40 %",
        "4 of 2026-11-28T10:00:00Z, proved",
        "gpu_memory_too_small: no room (1 m 35 s ago) Give it more memory.",
        "it is not declared there; a run would remove it",
        "2.67 requests/s, 341.3 tokens/s with 16 at once",
        "gpu02: did not answer: Failed to connect",
    ):
        assert part in words, words
    assert ("<script" in page, re.findall(r"(?:src|href)=\"(?!data:,)", page)) == (False, [])


def test_nothing_is_known() -> None:
    document, page = report(**NOTHING)
    assert [host["trouble"] for host in document["hosts"]] == ["was not asked", "was not asked"]
    assert (document["drift"], document["pins"], document["benchmarks"]) == ([], [], [])
    assert "Nothing runs." in page


def test_a_fleet_that_is_as_it_should_be() -> None:
    kept = {"units": {"vllm/chat": {"action": "keep"}}}
    _document, page = report(drift={"gpu01": kept, "gpu02": kept})
    assert "A run would change no engine." in page
    assert "No engine that was looked at." in page


@pytest.mark.parametrize("key", ["image", "phase", "message"])
def test_what_hosts_say_stays_text(key: str) -> None:
    nasty = row("vllm@chat", cause="x", **{"message": "m", key: "<script>alert(1)</script>"})
    _document, page = report(units={"gpu01": {"units": [nasty]}})
    assert "<script" not in page
