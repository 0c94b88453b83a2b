# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils._client_merge import plan_removal
from ansible_collections.llmops.gpu_inference.plugins.module_utils._clients import MARKER, Record, dump_connections

OTHERS = {"id": "llm-1767854937489", "name": "Local Ollama", "base_url": "http://localhost:11434", "extra": [1]}
OURS = {"id": "vllm-external", "name": "Gateway", "base_url": "http://192.0.2.10:8400", "api_key": "k"}


@pytest.mark.parametrize(
    ("record", "text", "action"),
    [
        pytest.param(Record("/a", "none"), None, "forget", id="gone"),
        pytest.param(Record("/a", "none"), f"{MARKER}\nA=1\n", "delete", id="ours"),
        pytest.param(Record("/a", "none"), "A=1\n", "keep", id="marker-taken-out"),
        pytest.param(Record("/a", "connections", ids=("vllm-external",)), None, "forget", id="list-gone"),
        pytest.param(Record("/a", "connections", ids=("vllm-external",)), "{", "keep", id="list-broken"),
        pytest.param(Record("/a", "connections", ids=("x",)), dump_connections({"connections": [OTHERS]}), "forget", id="entry-gone"),
        pytest.param(
            Record("/a", "connections", ids=("vllm-external",), created=True),
            dump_connections({"connections": [OURS]}),
            "delete",
            id="all-ours",
        ),
        pytest.param(
            Record("/a", "connections", ids=("vllm-external",)), dump_connections({"connections": [OURS]}), "rewrite", id="file-of-others"
        ),
        pytest.param(
            Record("/a", "connections", ids=("vllm-external",), created=True),
            dump_connections({"connections": [OURS, OTHERS]}),
            "rewrite",
            id="others-joined",
        ),
        pytest.param(Record("/a", "json", ids=("/env/A",)), '{"env": {"A": 1}, "b": 2}', "rewrite", id="settings"),
        pytest.param(Record("/a", "json", ids=("/env/A",), created=True), '{"env": {"A": 1}}', "delete", id="settings-all-ours"),
        pytest.param(Record("/a", "json", ids=("/env/A",)), '{"env": {"A": 1}}', "rewrite", id="settings-in-a-file-of-others"),
        pytest.param(Record("/a", "json", ids=("/env/A",)), '{"b": 2}', "forget", id="settings-gone"),
        pytest.param(Record("/a", "json", ids=("/env/A",)), "{", "keep", id="settings-broken"),
        pytest.param(Record("/a", "toml", ids=("model",), created=True), 'model = "chat"\n', "delete", id="toml-all-ours"),
        pytest.param(Record("/a", "toml", ids=("model",)), 'model = "chat"\n[a]\nb = 1\n', "rewrite", id="toml-of-others"),
    ],
)
def test_plan_removal(record: Record, text: str | None, action: str) -> None:
    removal = plan_removal(record, text)
    assert removal.action == action
    if action == "rewrite":
        assert removal.text is not None
        assert OURS["id"] not in removal.text
    if action == "keep":
        assert removal.reason is not None
        assert "/a" in removal.reason
