# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from support.repository import ROOT

from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import Cause, Diagnosis
from ansible_collections.llmops.gpu_inference.plugins.module_utils._engine_signs import signs_of
from ansible_collections.llmops.gpu_inference.plugins.module_utils._instance_spec import Spec
from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_state import State
from ansible_collections.llmops.gpu_inference.plugins.module_utils._local_http import server_root
from ansible_collections.llmops.gpu_inference.plugins.module_utils._moments import Moment
from ansible_collections.llmops.gpu_inference.plugins.module_utils._progress import FAILED, LOADING_WEIGHTS, READY, Progress

KEY = "key-0123456789"
SPEC = Spec("vllm", "chat", image="vllm/vllm-openai:v0.32.0", config_hash="abc", spec_hash="def")
LOADS = Progress(LOADING_WEIGHTS, 43, "shard 3 of 7")
BROKEN = Diagnosis(Cause.BAD_FLAG, f"refused {KEY}", (f"line with {KEY}",), "Correct it.", permanent=True)


def state(**changes: t.Any) -> State:
    began = Moment(1_800_000_000.0, 100.0)
    return State(**{"started": began, "since": began, "failures": 0, "served": False, "last_failure": None, "now_at": LOADS, **changes})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "loading weights 43 % (shard 3 of 7)"),
        ({"silent": 59}, "loading weights 43 % (shard 3 of 7); no sign of life for 1 min"),
        ({"silent": 185}, "loading weights 43 % (shard 3 of 7); no sign of life for 3 min"),
        ({"failures": 2, "diagnosis": BROKEN}, "loading weights 43 % (shard 3 of 7); attempt 3, the last one failed: bad_flag"),
        ({"diagnosis": BROKEN}, "loading weights 43 % (shard 3 of 7)"),
        ({"failures": 2, "diagnosis": BROKEN, "now_at": Progress(FAILED)}, f"failed: bad_flag: refused {KEY}"),
        ({"failures": 2, "diagnosis": BROKEN, "now_at": Progress(READY)}, "ready"),
    ],
)
def test_what_systemctl_status_says(changes: dict[str, t.Any], told: str) -> None:
    assert state(**changes).status() == told


def test_the_state_file_counts_the_attempt_that_runs_and_tells_no_secret() -> None:
    found = state(failures=2, diagnosis=BROKEN, ready=Moment(1_800_000_030.0, 130.0), gpu_waited=1.26).document(SPEC, (KEY,))
    assert KEY not in str(found)
    assert (found["attempt"], found["failures"], found["permanent"], found["gpu_waited"]) == (3, 2, True, 1.3)
    assert (found["ready_at"], found["monotonic"]) == (1_800_000_030.0, {"since": 100.0, "started": 100.0, "ready_at": 130.0})
    assert state(failures=3, now_at=Progress(FAILED)).document(SPEC, ())["attempt"] == 3


def test_the_page_names_each_key_of_the_state_file() -> None:
    page = (ROOT / "docs" / "launcher.md").read_text(encoding="utf-8").partition("## State file")[2].partition("\n## ")[0]
    # log_position is for the next launcher alone.
    assert [key for key in state().document(SPEC, ()) if f"`{key}`" not in page] == ["log_position"]


@pytest.mark.parametrize(
    ("kind", "signs"),
    [("vllm", ("/metrics", "")), ("ollama", ("", "/api/ps")), ("litellm", ("", "")), ("crawl4ai", ("", ""))],
)
def test_signs_of_engines(kind: str, signs: tuple[str, str]) -> None:
    found = signs_of(kind)
    assert (found.counters, found.loaded) == signs
    assert bool(found.counters) is bool(found.counted)


@pytest.mark.parametrize("base_url", ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/"])
def test_a_servers_own_routes_lie_beside_openais(base_url: str) -> None:
    assert server_root(base_url) == "http://h:1"
