# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guard in the pinned LiteLLM: what real clients send passes, and nothing gets by it. Needs the test bed's images: `make real`.

One process in LiteLLM's container (``guard/inside.py``) does it all, as starting LiteLLM takes longer than a thousand requests. The number
of mutated requests is GATEWAY_MUTATIONS (2000; `make test-all`: 10000), the seed GATEWAY_SEED.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from gateway_api import KNOWN, UNLISTED
from gateway_parameters import steers
from support.containers import LITELLM, VLLM, docker_run
from support.gateway_folder import write_gateway

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.paths import why_not_free

HERE = Path(__file__).parent / "guard"
MUTATIONS = int(os.environ.get("GATEWAY_MUTATIONS") or 2000)
SEED = int(os.environ.get("GATEWAY_SEED") or 20261120)
DEFAULTS = {"temperature": 0.25, "extra_body": {"chat_template_kwargs": {"enable_thinking": False}}}


def backend(identity: str, engine: str = "vllm") -> dict[str, Any]:
    return {"id": identity, "host": "n", "engine": engine, "model": "m", "url": "http://127.0.0.1:9911/v1", "key_variable": "ENGINE_KEY_N"}


RAW = "/embeddings/v1/embeddings"
PLAN: dict[str, Any] = {
    "aliases": {"LLM_DEFAULT": "chat"},
    "passthrough": [{"path": RAW, "model": "embedding"}],
    "media": {"allowed_domains": ["img.example"]},
    "models": [
        {"name": "chat", "aliases": ["org/Model-1"], "max_images": 1, "request_defaults": DEFAULTS, "backends": [backend("chat-n")]},
        {"name": "small", "backends": [backend("small-n", "ollama")]},
        {"name": "embedding", "capability": "embedding", "max_images": 1, "backends": [backend("embedding-n")]},
        {"name": "rerank", "capability": "rerank", "backends": [backend("rerank-n")]},
        {"name": "asr", "capability": "transcription", "backends": [backend("asr-n")]},
    ],
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("guard")
    for path in HERE.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    environment = write_gateway(
        folder,
        PLAN,
        master_key="sk-master-0123456789abcdef",
        client_keys={"metis": "client-key-0123456789"},
        secret_environment={"ENGINE_KEY_N": "engine-key-0123456789"},
    )
    environment["CONFIG_FILE_PATH"] = str(folder / "config.yaml")
    program = ["python3", "inside.py", str(folder / "report.json"), str(MUTATIONS), str(SEED)]
    done = subprocess.run(docker_run(LITELLM, folder, *program, environment=environment), capture_output=True, text=True, check=False)
    assert (folder / "report.json").exists(), done.stderr[-3000:]
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


#: What LiteLLM keeps to itself: it is about OpenAI's own accounts, and vLLM doesn't know it.
KEPT_BACK = {"metadata", "store", "service_tier", "prompt_cache_key", "safety_identifier", "user"}


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def test_the_first_request_of_each_kind_finds_everything_loaded(report: dict[str, Any]) -> None:
    """Or nobody is served for a second. LiteLLM as it comes: 44 modules for chat, 449 for completions, 539 routes for messages."""
    assert {name: told["status"] for name, told in report["first"].items()} == dict.fromkeys(report["first"], 200)
    assert [(name, told["modules"]) for name, told in report["first"].items() if len(told["modules"]) > 35] == []
    assert [(name, told["routes"]) for name, told in report["first"].items() if told["routes"] > 35] == []


def test_what_real_clients_send_is_answered(report: dict[str, Any]) -> None:
    assert len(report["corpus"]) > 40
    assert [(entry["client"], entry["status"], entry["answer"]) for entry in report["corpus"] if entry["status"] != 200] == []


def test_what_real_clients_send_reaches_the_engine_unchanged(report: dict[str, Any]) -> None:
    """But for its name of the model, and what LiteLLM says in another way: the API of Anthropic, one text for a list of one."""
    changed: list[tuple[str, str, Any, Any]] = []
    for entry in report["corpus"]:
        if entry["path"].startswith("/v1/messages") or entry["sent"]["model"] == "small":
            continue  # Anthropic's API and Ollama's have other names for everything
        (body,) = entry["engine"]
        for name, value in entry["sent"].items():
            got = body.get(name, (body.get("options") or {}).get(name))
            wanted = without_nulls(value)
            if name != "model" and value is not None and name not in KEPT_BACK and without_nulls(got) not in (wanted, [wanted]):
                changed.append((entry["client"], name, value, got))
    assert changed == []


def test_every_parameter_of_litellm_is_passed_on_or_refused(report: dict[str, Any]) -> None:
    """A release with new parameters fails here: they are the API's (then ``gateway_api`` has to know them) or refused."""
    names, passed = set(report["parameters"]["names"]), set(report["parameters"]["passed"])
    signed = set().union(*report["parameters"]["signatures"].values())
    assert signed - {"args", "kwargs"} <= names
    assert passed <= KNOWN
    assert {name for name in names if steers(name, names)} == names - KNOWN
    assert not {"api_base", "custom_llm_provider", "model_list", "mock_response", "num_retries", "fallbacks", "headers"} & passed
    assert len(names) > 450


def test_parameters_of_vllm_are_passed_on(tmp_path: Path, report: dict[str, Any]) -> None:
    program = """
import json
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.entrypoints.openai.completion.protocol import CompletionRequest
from vllm.entrypoints.openai.responses.protocol import ResponsesRequest
print(json.dumps(sorted({*ChatCompletionRequest.model_fields, *CompletionRequest.model_fields, *ResponsesRequest.model_fields})))
"""
    done = subprocess.run(docker_run(VLLM, tmp_path, "python3", "-c", program, environment={}), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    names = json.loads(done.stdout.splitlines()[-1])
    assert len(names) > 80
    assert [name for name in names if steers(name, report["parameters"]["names"])] == []


def test_what_litellm_reads_beside_its_lists_is_known(report: dict[str, Any]) -> None:
    """Names that LiteLLM has taken into its lists need not be in ours."""
    assert set(report["parameters"]["names"]) & UNLISTED == set()


def test_limits_of_a_client_hold_in_front_of_litellm(report: dict[str, Any]) -> None:
    """Each route tells the tokens of its answer in its own way, and a stream of chat only when it is asked."""
    found = report["limits"]
    assert found["plain"] == dict.fromkeys(("chat", "Ollama", "completions", "messages", "responses"), 2)
    assert found["tokens"] == {**found["plain"], "chat, asked": 2}
    hidden = [name for name, told in found["usage"].items() if not told]
    assert hidden == ["chat", "Ollama", "completions"]
    assert found["model"] == [404, "model_not_found", []]
    assert found["models"] == ["chat"]
    assert found["parallel"] == [200, 429, 429]


def test_what_clients_have_used_is_counted_in_front_of_litellm(report: dict[str, Any]) -> None:
    """Of each route, as an answer and as a stream, whether or not the client wants to know it. LiteLLM itself says it, of rerank, too."""
    found = report["usage"]
    kinds = ("chat", "chat, asked", "Ollama", "completions", "messages", "responses")
    assert found["requests"] == {
        **{
            f"{kind}{stream}": ["metis", "small" if kind == "Ollama" else "chat", "answered", 1, 1]
            for kind in kinds
            for stream in ("", ", stream")
        },
        "embeddings": ["metis", "embedding", "answered", 1, 0],
        "raw": ["metis", RAW, "answered", 1, 1],
        "rerank": ["metis", "rerank", "answered", 2, 0],
        "alias": ["metis", "chat", "answered", 1, 1],
        "master": ["master key", "chat", "answered", 1, 1],
        "no model": ["metis", "unknown", "refused", 0, 0],
    }
    samples = {name.removeprefix("llmops_gateway_"): value for name, value in found["metrics"].items()}
    assert samples['requests_total{"client": "metis", "model": "chat", "outcome": "answered"}'] == 3
    assert samples['tokens_total{"client": "metis", "direction": "in", "model": "chat"}'] == 3
    assert found["client"] == [403, 403]


def test_streams_that_break_off_are_told_from_clients_that_leave(report: dict[str, Any]) -> None:
    found = report["usage"]
    assert {kind: told[:3] for kind, told in found["broken"].items()} == {
        kind: ["metis", "chat", "failed"] for kind in ("chat", "messages", "responses")
    }
    assert {kind: told[:3] for kind, told in found["left"].items()} == {kind: ["metis", "chat", "left"] for kind in ("chat", "messages")}


@pytest.mark.parametrize("part", ["mutations", "exit"])
def test_nothing_gets_by_the_guard(report: dict[str, Any], part: str) -> None:
    """No media address at the engine, no image too many, no 5xx, nothing that LiteLLM stumbles over, no answer that tells of the inside."""
    found = report[part]
    assert found["troubles"] == []
    # Not because nothing got through at all.
    assert found["statuses"]["200"] > 0.1 * sum(found["statuses"].values())
    assert {"media_refused", "parameter_refused", "invalid_json"} <= set(found["codes"])


def test_the_gateway_itself_fetches_nothing(report: dict[str, Any]) -> None:
    assert report["looked_up"] == []


def test_no_raw_route_can_stand_on_a_path_of_litellm(report: dict[str, Any]) -> None:
    """A release with new routes fails here: then ``_gateway_paths`` has to know them."""
    paths = [re.sub(r"{[^}]*}", "x", path) for path in report["routes"] if path not in ("/", RAW)]
    assert len(paths) > 800
    assert [path for path in paths if why_not_free(path.rstrip("/")) is None] == []


def test_administration_is_for_the_master_key(report: dict[str, Any]) -> None:
    assert report["master"] == [200, 200, 404]
    assert report["client"] == [403, 403, 404]
