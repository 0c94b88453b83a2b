# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils._verify import Row
from ansible_collections.llmops.gpu_inference.plugins.module_utils._verify_table import summary, table
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.verification import assemble, markdown

ROOT = "http://gateway:8400"
ROWS = [
    {**asdict(Row("chat", "chat", "text", True, 0.5, answer="Ready | now", prompt_tokens=7))},
    {**asdict(Row("chat", "LLM", "image", False, None, "refused", "nothing listens", "start it"))},
]


def test_table_and_summary() -> None:
    assert table(ROWS) == [
        "        model  name  check  seconds  answer",
        "ok      chat         text   0.50     Ready | now",
        "FAILED  chat   LLM   image           refused: nothing listens",
    ]
    assert summary(ROWS) == {"checks": 2, "failed": 1, "down": 0, "models": 1, "failed_models": ["chat"]}


def test_a_server_that_is_not_required_is_told_and_fails_nothing() -> None:
    shown = [asdict(Row("small", "small", "text", False, None, "refused", "nothing listens", required=False))]
    assert table(shown)[1].startswith("down")
    assert summary(shown)["failed"] == 0
    report = assemble(ROOT, "", {"here": {"rows": [ROWS[0], *shown]}})
    assert (report["checks"], report["failed"], report["down"], report["failures"]) == (2, 0, 1, [])
    text = markdown(report)
    assert "1 of 2 checks passed. 1 found a server down that is not required." in text
    assert "| down | small |" in text


def test_the_report_says_what_runs_where_and_what_answers() -> None:
    placement = [{"host": "node1", "service": "chat", "engine": "vllm", "port": 8070, "gpu": [0, 1], "memory": 12.0, "image": None}]
    units: dict[str, dict[str, Any]] = {
        "node1": {"units": [{"unit": "vllm@chat.service", "phase": "ready", "image_digest": "sha256:1"}]},
        "node2": {"msg": "gone"},
    }
    report = assemble(ROOT, "2026-01-01T00:00:00Z", {"the gateway's host": {"rows": ROWS}}, placement, units)
    assert (report["checks"], report["failed"]) == (2, 1)
    assert report["failures"] == ["- from the gateway's host: chat as LLM, image: refused: nothing listens start it"]
    assert report["units"][1] == {"host": "node2", "unit": "(unknown)", "message": "gone"}
    text = markdown(report)
    assert f"2026-01-01T00:00:00Z, gateway {ROOT}. 1 of 2 checks passed." in text
    assert "| node1 | chat | vllm | 8070 | 0, 1 | 12.0 |  |  |" in text
    assert "| node1 | vllm@chat.service | ready |" in text
    assert "## Answers, seen from the gateway's host\n\n| result |" in text
    assert "| ok | chat | chat | text | 0.50 | 7 | Ready \\| now |" in text
    assert "| FAILED | chat | LLM | image |  |  | **refused**: nothing listens start it |" in text
    assert "## Planned" not in markdown(assemble(ROOT, "", {}))


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"unreachable": True, "msg": "no route"}, "the host could not be reached: no route"),
        ({"failed": True, "msg": "no docker"}, "no docker"),
        ({"skipped": True}, "the requests were not made"),
    ],
)
def test_a_place_that_could_not_ask_is_a_failure(result: dict[str, Any], message: str) -> None:
    report = assemble(ROOT, "", {"there": result})
    assert report["failed"] == 1
    assert report["views"][0]["rows"][0]["message"] == message


def test_client_programs_count_like_answers() -> None:
    did = asdict(Row("coder", "Codex", "task", True, 12.0, answer="codex of alice wrote the file"))
    missing = asdict(Row("coder", "Claude Code", "task", False, 1.0, "program_missing", "claude is not on the PATH"))
    programs: dict[str, list[dict[str, Any]]] = {
        "desk": [{"rows": [did, missing]}, {"rows": []}],
        "gone": [{"unreachable": True, "msg": "no route"}],
    }
    report = assemble(ROOT, "", {"here": {"rows": [ROWS[0]]}}, programs=programs)
    assert (report["checks"], report["failed"]) == (4, 2)
    assert [line.partition(" Read the log lines")[0] for line in report["failures"]] == [
        "- from client programs of desk: coder as Claude Code, task: program_missing: claude is not on the PATH",
        "- from client programs of gone: (all), view: unknown: the host could not be reached: no route",
    ]
    assert [view["name"] for view in report["views"]] == ["here", "client programs of desk", "client programs of gone"]
