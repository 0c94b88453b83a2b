# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole module against a server that plays Ollama."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.module_arguments import patch_module_args
from support.ollama import free_port, played_ollama
from support.played_server import Play, Server

from ansible_collections.llmops.gpu_inference.plugins.modules import ollama_models

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def url(store: Path) -> Iterator[str]:
    with played_ollama(store) as found:
        yield found


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run_module(
        url: str, *models: str | dict[str, str], check_mode: bool = False, device: str = "gpu", **options: Any
    ) -> dict[str, Any]:
        wanted = [{"tag": model} if isinstance(model, str) else model for model in models]
        instance = {"name": "small", "base_url": url, "device": device, "models": wanted}
        with patch_module_args({"instances": [instance], "_ansible_check_mode": check_mode, **options}), pytest.raises(SystemExit):
            ollama_models.main()
        said = capsys.readouterr()
        result: dict[str, Any] = json.loads(said.out)
        # In a process in which the controller's part of Ansible is loaded too, warnings go there instead of into the result.
        return {"warnings": " ".join(said.err.split()), **result}

    return run_module


def ask(url: str, **body: Any) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode())) as answer:
        answer.read()


def test_missing_models_are_pulled_once(run: Run, url: str) -> None:
    planned = run(url, "tiny", "other:1", check_mode=True)
    assert planned["changed"] is True
    done = run(url, "tiny", "other:1")
    assert done["instances"][0]["pulled"] == ["tiny:latest", "other:1"]
    assert set(done["diff"][0]["after"]) == {"tiny:latest", "other:1"}
    again = run(url, "registry.ollama.ai/library/tiny:latest", "Other:1")
    assert again["changed"] is False
    assert run(url, "tiny", "other:1", check_mode=True)["changed"] is False


def test_other_models_are_removed_if_asked(run: Run, url: str) -> None:
    run(url, "tiny:1", "old:1")
    assert run(url, "tiny:1")["changed"] is False
    assert run(url, "tiny:1", prune=True, check_mode=True)["instances"][0]["removed"] == ["old:1"]
    done = run(url, "tiny:1", prune=True)
    assert (done["changed"], done["instances"][0]["removed"], list(done["instances"][0]["models"])) == (True, ["old:1"], ["tiny:1"])


def test_digests(run: Run, url: str, store: Path) -> None:
    digest = run(url, "tiny:1")["instances"][0]["models"]["tiny:1"]
    pinned = {"tag": "tiny:1", "digest": digest[:12]}
    assert run(url, pinned)["changed"] is False
    with played_ollama(store, PLAY_REVISION="2") as moved:
        assert run(moved, pinned)["changed"] is False
        refused = run(moved, {"tag": "tiny:1", "digest": "f" * 12})
        assert refused["failed"] is True
        assert f"pinned to digest {'f' * 12}, but the registry gives" in refused["msg"]
        newer = refused["msg"].split("registry gives ")[1].split(":")[0]
        assert newer != digest
    # A new pin that the registry fulfils is pulled.
    assert run(url, pinned)["instances"][0]["pulled"] == ["tiny:1"]


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ("broken:1", "the model broken:1 could not be pulled: max retries exceeded"),
        ("missing:1", "the model missing:1 could not be pulled: pull model manifest: file does not exist"),
    ],
)
def test_an_error_inside_the_stream(run: Run, url: str, tag: str, text: str) -> None:
    result = run(url, tag)
    assert result["failed"] is True
    assert result["msg"].startswith(f"Ollama small: {text}")


def test_a_cut_pull_is_resumed_by_the_next_run(run: Run, url: str) -> None:
    first = run(url, "cut:1")
    assert first["failed"] is True
    assert "the connection broke" in first["msg"] or "ended before it was complete" in first["msg"]
    assert run(url, "cut:1")["instances"][0]["pulled"] == ["cut:1"]


@pytest.mark.parametrize(
    ("device", "action", "noticed"),
    [("gpu", "warn", "warnings"), ("gpu", "fail", "msg"), ("gpu", "ignore", None), ("cpu", "fail", None)],
)
def test_models_partly_on_the_cpu(run: Run, url: str, device: str, action: str, noticed: str | None) -> None:
    run(url, "half:1")
    ask(f"{url}/api/generate", model="half:1", prompt="x")
    result = run(url, "half:1", device=device, partly_on_cpu=action)
    assert result["instances"][0]["partly_on_cpu"] == ({"half:1": 40} if device == "gpu" else {})
    assert result.get("failed", False) is (noticed == "msg")
    assert ("40 % of the model half:1 are on the CPU (partly_on_cpu)" in str(result.get(noticed or "", ""))) is (noticed is not None)


def test_a_server_that_does_not_answer(run: Run) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    result = run(url, "tiny:1")
    assert result["failed"] is True
    assert "got no answer" in result["msg"]
    assert "systemctl status ollama@small.service" in result["msg"]
    planned = run(url, "tiny:1", check_mode=True)
    assert (planned["changed"], planned["instances"][0]["reachable"]) == (True, False)


def test_a_server_that_is_no_ollama(run: Run) -> None:
    """The port of another service, say."""
    other = Server(Play()).start()
    try:
        refused = run(f"http://127.0.0.1:{other.port}", "tiny:1")["msg"]
        other.change(health_path="/api/tags")
        odd = run(f"http://127.0.0.1:{other.port}", "tiny:1")["msg"]
    finally:
        other.stop()
    assert "/api/tags answered 404: " in refused
    assert "/api/tags did not answer with JSON" in odd
