# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from gateway_counts import OUTCOMES, Counts

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._screen.usage import usage_table


def told(since: float = 1790000000, **clients: Any) -> dict[str, Any]:
    """What a gateway answers. By client: requests answered and failed, tokens, and answers that said them."""
    counts = Counts(lambda: since)
    for client, (answered, failed, read, written, measured) in clients.items():
        row = counts.row(client, "chat")
        row.requests.update(answered=answered, failed=failed)
        row.read, row.written, row.measured = read, written, measured
    return {"status": 200, "json": counts.document()}


def test_one_gateway() -> None:
    assert usage_table({"gpu01": {}, "gw": told(crawler=(1200, 3, 150000, 20, 1200), studio=(4, 0, 7, 0, 3), asr=(2, 0, 0, 0, 0))}) == [
        "What clients have used, counted by the gateway from its start: gw since 2026-09-21 14:13 UTC",
        "CLIENT   MODEL  REQUESTS  ANSWERED  LIMITED  REFUSED  FAILED  LEFT  TOKENS IN  TOKENS OUT",
        "asr      chat          2         2        0        0       0     0          -           -",
        "crawler  chat      1,203     1,200        0        0       3     0    150,000          20",
        "studio   chat          4         4        0        0       0     0         7+          0+",
    ]


def test_several_are_summed_up() -> None:
    lines = usage_table({"a": told(crawler=(1, 0, 10, 5, 1)), "b": told(1790003600, crawler=(2, 0, 20, 5, 2))})
    assert lines[0].endswith("start: a since 2026-09-21 14:13 UTC, b since 2026-09-21 15:13 UTC, all of them together")
    assert lines[2].split() == ["crawler", "chat", "3", "3", "0", "0", "0", "0", "30", "10"]
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (
            {"status": -1, "msg": "Status code was -1 and not [200]: Request failed:\n refused"},
            "Status code was -1 and not [200]: Request failed: refused",
        ),
        ({"status": 401, "json": {"error": {"message": "This API key is not known."}}, "msg": "401"}, "This API key is not known."),
        ({"status": 200, "json": {"usage": "?"}}, "no answer"),
    ],
)
def test_a_gateway_that_is_away_is_a_line(result: Any, line: str) -> None:
    note = f"b  its gateway did not say what clients have used: {line}"
    assert usage_table({"b": result}) == [note]
    assert usage_table({"a": told(), "b": result})[1:] == ["nothing yet", note]


def test_nobody_was_asked() -> None:
    assert usage_table({"a": {}, "b": {"skipped": True}, "c": {"unreachable": True, "msg": "no"}, "d": None}) == []


def test_what_becomes_of_requests_has_the_gateways_words() -> None:
    titles = usage_table({"a": told(crawler=(1, 0, 0, 0, 0))})[1].lower().split()
    assert titles[3:8] == list(OUTCOMES)
