# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is kept of a benchmark, what it is compared with, and how that is shown."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from support.benchmarks import document, embedding, step

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._benchmark import progress
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._benchmark.page import benchmark_page
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._benchmark.report import documents, report
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._benchmark.results import summary
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._report.plots import nice, number
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._report.version import ROOT, version

NOW = "2026-11-28T12:00:00Z"
TARGET: dict[str, Any] = {
    "unit": "vllm@chat",
    "name": "chat",
    "model": "chat",
    "engine": "vllm",
    "capability": "chat",
    "through": "engine",
    "behind": [["gpu01", "vllm@chat"]],
    "tool": "vllm bench serve",
    "image": "engine:1",
    "lengths": {"input_tokens": 512, "output_tokens": 128},
    "under_load": False,
    "steps": [{"concurrency": 1}, {"concurrency": 4}],
}
UNITS = {
    "gpu01": {
        "units": [
            {"unit": "vllm@chat.service", "config_hash": "aa", "image": "engine:1", "image_digest": "sha256:1"},
            {"unit": "litellm@gateway.service", "config_hash": "bb", "image": "gateway:1", "image_digest": "sha256:2"},
        ]
    },
    "away": {"unreachable": True},
}


def ran(target: dict[str, Any] = TARGET, **changes: Any) -> dict[str, Any]:
    """A result of the loop over targets."""
    given = {"started": "2026-11-28T10:00:00Z", "used": False, "gave_way": False, "failure": None, "steps": [step(1), step(4)]}
    return {"ansible_loop_var": "one", "one": target, **given, **changes}


def test_what_a_host_keeps_says_what_was_measured() -> None:
    (kept,) = documents([ran()], "gpu01", UNITS, [])
    assert (kept["config_hash"], kept["image"], kept["image_digest"]) == ("aa", "engine:1", "sha256:1")
    assert (kept["date"], kept["complete"], kept["collection"]) == ("2026-11-28T10:00:00Z", True, version())
    assert [one["concurrency"] for one in kept["steps"]] == [1, 4]


def test_through_a_gateway_the_configuration_is_that_of_all_behind_it() -> None:
    target = {**TARGET, "through": "gateway", "unit": "gateway@chat"}

    def hash_of(units: dict[str, Any], **changes: Any) -> Any:
        return documents([ran({**target, **changes})], "gpu01", units, ["gpu01"])[0]["config_hash"]

    first = hash_of(UNITS)
    assert len(first) == 64
    changed = json.loads(json.dumps(UNITS))
    changed["gpu01"]["units"][1]["config_hash"] = "cc"
    assert hash_of(changed) != first
    assert hash_of(UNITS, behind=[["away", "vllm@chat"]]) is None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"steps": [step(1)], "used": True}, "others use it; -e benchmark_under_load=true measures it all the same"),
        ({"steps": [step(1)], "gave_way": True}, "others came while it was measured, and it gave way"),
        ({"steps": [], "failure": "no such image"}, "no such image"),
        ({"steps": None, "msg": "the module failed"}, "the module failed"),
        ({"steps": []}, "it was not measured"),
    ],
)
def test_what_was_not_measured_to_its_end(changes: dict[str, Any], told: str) -> None:
    results = {"gpu01": {"results": [ran(**changes)]}}
    assert report({}, results, NOW)["troubles"] == [f"chat on gpu01: {told}"]
    kept = documents(results["gpu01"]["results"], "gpu01", UNITS, [])
    assert [one["complete"] for one in kept] == [False] * bool(changes["steps"])


def test_a_gateway_in_that_line_and_a_host_that_was_left_out() -> None:
    results = {"gpu01": {"results": [ran({**TARGET, "through": "gateway"}, steps=[])]}, "gpu02": {"skipped": True}, "gpu03": {}}
    assert report({}, results, NOW)["troubles"] == ["chat through the gateway: it was not measured"]
    assert report({}, {"gpu01": {"results": [ran(steps=[], skipped=True)]}}, NOW)["troubles"] == []


def test_before_is_the_last_one_of_another_configuration_that_was_asked_the_same() -> None:
    short = {"input_tokens": 64, "output_tokens": 16}
    older = [document(3.0, 20), document(2.0, 21), document(4.0, 22, lengths=short), document(1.0, 23)]
    (service,) = summary([document(1.0, 28), *older], NOW)["services"]
    assert (service["newest"]["date"][:10], service["before"]["date"][:10]) == ("2026-11-28", "2026-11-21")
    assert service["results"] == 5
    rows = {(row["figure"], row["concurrency"]): row for row in service["rows"]}
    faster = rows["request_throughput", 4]
    assert (faster["change"], faster["better"]) == (pytest.approx(1.0), True)
    sooner = rows["ttft_p99", 16]
    assert (sooner["before"], sooner["newest"], sooner["change"], sooner["better"]) == (570.0, 285.0, pytest.approx(-0.5), True)


def test_a_first_result_a_step_that_was_not_there_and_one_of_another_form() -> None:
    (service,) = summary([document(), {"schema": 2}], NOW)["services"]
    assert service["before"] is None
    assert {row["change"] for row in service["rows"]} == {None}
    (service,) = summary([document(2.0, 27, steps=[step(1)]), document()], NOW)["services"]
    assert [row["before"] for row in service["rows"] if row["figure"] == "e2e_p99"] == [2137.5, None, None]


class Page(HTMLParser):
    """Its tables as lists of rows, its plots by their caption, and what it asks others for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: dict[str, list[str]] = {}
        self.labels: list[str] = []
        self.outside: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == [], "elements that nobody closes"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "link", "line", "circle", "rect", "polyline", "path"):
            self.open.append(tag)
        for name, value in attributes:
            if name == "aria-label":
                self.labels.append(value or "")
            if name in ("src", "href", "xlink:href") and value != "data:,":
                self.outside.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open:
            self.text.setdefault(self.open[-1], []).append(data)


def test_the_page() -> None:
    found = summary([document(2.0, 27), document(), embedding()], NOW)
    text = benchmark_page(found)
    page = Page(text)
    assert (page.outside, "url(" in text, "<script" in text) == ([], False, False)
    assert page.text["h1"] == ["Benchmarks"]
    assert [label.partition(".")[0] for label in page.labels] == [
        "Throughput, requests per second",
        "Throughput, tokens of answers per second",
        "Time to first token, ms",
        "Inter-token latency, ms",
        "End-to-end latency, ms",
        "Throughput, requests per second",
        "End-to-end latency, ms",
    ]
    assert "before median: 90.0 at 1, 120 at 4, 240 at 16" in page.labels[2]
    assert "newest median: 45.0 at 1, 60.0 at 4, 120 at 16" in page.labels[2]
    assert "-50 % better" in page.text["td"]
    assert "+100 % better" in page.text["td"]


def test_a_page_of_what_people_name_stays_a_page() -> None:
    nasty = document(model="<script>alert(1)</script>", unit='vllm@"x"', image="a&b<i>", under_load=True, complete=False)
    text = benchmark_page(summary([nasty], NOW))
    Page(text)
    assert "<script" not in text
    assert "Measured while others may have used it. Not all steps were measured." in text


def test_a_page_of_nothing() -> None:
    assert "Nothing has been measured." in benchmark_page(summary([], NOW))


def test_lines_and_files_are_of_this_run_alone() -> None:
    kept = {"gpu01": {"documents": [document(2.0, 27), document(), embedding()]}, "gpu02": {"documents": [document(host="gpu02")]}}
    found = report(kept, {"gpu01": {"results": [ran()]}}, NOW)
    heads, *rows = found["lines"]
    assert heads.split()[:4] == ["MODEL", "HOST", "THROUGH", "AT"]
    assert [re.split(r"  +", row)[:9] for row in rows][1:] == [
        ["chat", "gpu01", "engine", "4", "1.33", "170.7", "60 ms 142 ms", "14 ms 46 ms", "1800 ms 2850 ms"],
        ["chat", "gpu01", "engine", "16", "2.67", "341.3", "120 ms 285 ms", "27 ms 93 ms", "3600 ms 5700 ms"],
    ]
    assert rows[0].endswith("0.22 (+100 % better)")
    files = {file["name"]: file["content"] for file in found["files"]}
    assert list(files) == ["benchmarks.json", "benchmarks.html", "gpu01-vllm_chat-chat-2026-11-28T10_00_00Z.json"]
    assert json.loads(files["gpu01-vllm_chat-chat-2026-11-28T10_00_00Z.json"]) == document()
    assert json.loads(files["benchmarks.json"]) == summary([document(2.0, 27), document(), embedding(), document(host="gpu02")], NOW)
    assert files["benchmarks.html"] == benchmark_page(json.loads(files["benchmarks.json"]))
    assert found["troubles"] == []
    assert report(kept, {}, NOW)["lines"] == []


def test_lines_of_a_model_that_writes_nothing() -> None:
    target = {**TARGET, "unit": "vllm@embedding", "model": "embedding"}
    row = report({"gpu01": {"documents": [embedding()]}}, {"gpu01": {"results": [ran(target)]}}, NOW)["lines"][1]
    assert re.split(r"  +", row)[3:] == ["1", "4.44", "-", "-", "-", "135 ms 214 ms", "-"]


@pytest.mark.parametrize(
    ("done", "told"),
    [
        ({"steps": [], "used": True}, "not measured, others use it"),
        ({"steps": [], "gave_way": True}, "ended, others came"),
        ({"steps": [], "failure": "no such image"}, "failed: no such image"),
        ({"steps": [step(4)]}, "1.33 requests/s, 170.7 tokens/s, first token 60 ms (p99 142 ms), whole answer 1800 ms (p99 2850 ms)"),
        ({"steps": [{"concurrency": 4, "requests": 8, "failed": 3.0, "request_throughput": 0.5}]}, "0.50 requests/s, 3 of 8 failed"),
    ],
)
def test_a_line_about_a_step(done: dict[str, Any], told: str) -> None:
    assert progress.ended({"name": "chat"}, {"concurrency": 4}, done) == f"chat: 4 at once: {told}"


def test_a_line_before_a_step() -> None:
    assert progress.begun({"name": "chat"}, {"concurrency": 4, "requests": 32}) == "chat: measures 32 requests, 4 at once"
    assert [progress.milliseconds(value) for value in (1.234, 12.34, 9999, 12345)] == ["1.2 ms", "12 ms", "9999 ms", "12.3 s"]


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0"), (0.01234, "0.0123"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123"), (12345.6, "12,346")]
)
def test_numbers(value: float, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(("most", "end"), [(0, 1), (0.9, 1), (1, 1), (1.1, 1.2), (95, 100), (101, 120), (570, 600)])
def test_the_end_of_an_axis(most: float, end: float) -> None:
    assert nice(most) == pytest.approx(end)


def test_the_version(tmp_path: Path) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(-dev\d+)?", version(ROOT))
    assert version(tmp_path) == "unknown"
    (tmp_path / "MANIFEST.json").write_text('{"collection_info": {"version": "9.9.9"}}')
    assert version(tmp_path) == "9.9.9"
