# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Four capabilities through one port, by every name, with what the client programs' own files say."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
SAMPLES = PROJECT / "playbooks" / "files" / "samples"
FILES = ("sdk.env", "openai.env", ".llm.env", "metis.yaml", "llm_connections.json")


@pytest.fixture(scope="module")
def url(host: Any) -> str:
    # The address that the node shows outwards: `hostname -I` lists its own Docker networks too, in any order.
    program = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('192.0.2.1', 9)); print(s.getsockname()[0])"
    return f"http://{host.check_output('python3 -c %s', program)}:8400"


def text_of(host: Any, name: str) -> str:
    return str(host.check_output(f"cat /etc/clients/{name}"))


def environment(host: Any, name: str) -> dict[str, str]:
    """As `docker run --env-file` reads it."""
    lines = [line for line in text_of(host, name).splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture(scope="module")
def client(host: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {environment(host, 'sdk.env')['GATEWAY_KEY']}"}


@pytest.fixture(scope="module")
def master() -> dict[str, str]:
    return {"Authorization": f"Bearer {(EPHEMERAL / 'secrets' / 'master_key').read_text().strip()}"}


def chat(url: str, headers: dict[str, str], model: str, content: Any) -> dict[str, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": content}], "max_tokens": 16}
    reply = requests.post(f"{url}/v1/chat/completions", headers=headers, json=body, timeout=120)
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


@pytest.mark.parametrize("model", ["chat", "/srv/models/tiny-chat"])
def test_chat(url: str, client: dict[str, str], model: str) -> None:
    assert chat(url, client, model, "Hello")["choices"][0]["message"]["content"].strip() == "Hello from tiny-chat."


@pytest.mark.parametrize("model", ["ocr", "/srv/models/tiny-vision"])
def test_the_image_arrives(url: str, client: dict[str, str], model: str) -> None:
    image = "data:image/png;base64," + base64.b64encode((SAMPLES / "text.png").read_bytes()).decode()
    plain = chat(url, client, model, "Read it.")
    seen = chat(url, client, model, [{"type": "text", "text": "Read it."}, {"type": "image_url", "image_url": {"url": image}}])
    assert seen["choices"][0]["message"]["content"].strip() == "Text seen by tiny-vision."
    assert seen["usage"]["prompt_tokens"] > plain["usage"]["prompt_tokens"]


@pytest.mark.parametrize("model", ["asr", "/srv/models/tiny-asr"])
def test_speech(url: str, client: dict[str, str], model: str) -> None:
    with (SAMPLES / "speech.wav").open("rb") as sound:
        reply = requests.post(f"{url}/v1/audio/transcriptions", headers=client, data={"model": model}, files={"file": sound}, timeout=120)
    assert reply.status_code == 200, reply.text
    assert reply.json()["text"].strip() == "Words heard by tiny-asr."


@pytest.mark.parametrize("model", ["embedding", "/srv/models/tiny-embed"])
def test_embeddings(url: str, client: dict[str, str], model: str) -> None:
    reply = requests.post(f"{url}/v1/embeddings", headers=client, json={"model": model, "input": ["one", "two"]}, timeout=120)
    assert reply.status_code == 200, reply.text
    assert [len(entry["embedding"]) for entry in reply.json()["data"]] == [64, 64]


def test_health_and_model_list(url: str, client: dict[str, str], master: dict[str, str]) -> None:
    assert requests.get(f"{url}/health_check", timeout=30).json() == {"status": "ok"}
    assert requests.get(f"{url}/health/readiness", timeout=30).status_code == 200
    health = requests.get(f"{url}/health", headers=master, timeout=120).json()
    assert health["unhealthy_count"] == 0
    names = {entry["id"] for entry in requests.get(f"{url}/v1/models", headers=client, timeout=30).json()["data"]}
    assert {"chat", "ocr", "embedding", "asr"} <= names


@pytest.mark.parametrize("path", ["/v1/models", "/health", "/v1/chat/completions"])
def test_nothing_is_served_without_a_key(url: str, path: str) -> None:
    assert requests.get(f"{url}{path}", timeout=30).status_code == 401


def test_a_client_may_not_administer(url: str, client: dict[str, str]) -> None:
    assert requests.get(f"{url}/health", headers=client, timeout=30).status_code == 403


@pytest.mark.parametrize("name", FILES)
def test_client_files_are_closed_and_hold_no_master_key(host: Any, master: dict[str, str], name: str) -> None:
    file = host.file(f"/etc/clients/{name}")
    expected = ("daemon", 0o640) if name == "llm_connections.json" else ("root", 0o600)
    assert (file.user, file.mode) == expected
    assert master["Authorization"].split()[1] not in text_of(host, name)


def test_each_client_has_a_key_of_its_own(host: Any) -> None:
    connections = json.loads(text_of(host, "llm_connections.json"))["connections"]
    keys = {
        environment(host, "sdk.env")["GATEWAY_KEY"],
        environment(host, ".llm.env")["LLM_API_KEY"],
        yaml.safe_load(text_of(host, "metis.yaml"))["llm_provider"]["api_key"],
        connections[0]["api_key"],
    }
    assert len(keys) == 4
    assert environment(host, "openai.env")["OPENAI_API_KEY"] in keys


def test_crawl4ai_is_told_what_a_container_can_reach(host: Any) -> None:
    found = environment(host, ".llm.env")
    assert (found["LLM_PROVIDER"], found["LLM_BASE_URL"]) == ("openai/chat", "http://litellm-gateway:4000/v1")


def test_metis_knows_the_measured_dimension(host: Any) -> None:
    document = yaml.safe_load(text_of(host, "metis.yaml"))
    assert document["metis_engine"]["embed_dim"] == 64
    assert document["embedding_provider"]["code_embedding_model"] == "embedding"


def test_chat_studio_reaches_every_chat_model_without_the_path(host: Any, url: str) -> None:
    for connection in json.loads(text_of(host, "llm_connections.json"))["connections"]:
        assert not connection["base_url"].endswith("/v1")
        # The published client posts here, without /v1.
        reply = requests.post(
            f"{url}/chat/completions",
            headers={"Authorization": f"Bearer {connection['api_key']}"},
            json={"model": connection["model"], "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 16},
            timeout=120,
        )
        assert reply.status_code == 200, reply.text


def verify(report: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            "ansible-playbook",
            "-i",
            str(EPHEMERAL / "inventory"),
            str(PROJECT / "playbooks" / "verify.yml"),
            "-e",
            f"verify_report_dir={report}",
        ]
        + list(arguments),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(PROJECT / "collections")},
    )


def test_verify_asks_for_all_of_it_from_both_sides(tmp_path: Path) -> None:
    done = verify(tmp_path)
    assert done.returncode == 0, done.stdout[-4000:]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["failed"] == 0
    assert [view["name"] for view in report["views"]] == ["gpuinf-four (host)", "gpuinf-four (clients network)"]
    for view in report["views"]:
        checks = {(row["name"], row["check"]) for row in view["rows"]}
        assert {("chat", "stream"), ("ocr", "image"), ("asr", "transcription"), ("embedding", "embedding"), ("chat", "key")} <= checks
        assert ("/srv/models/tiny-vision", "image") in checks
    assert {unit["unit"] for unit in report["units"]} >= {"vllm@chat.service", "litellm@gateway.service"}
    assert "## Running" in (tmp_path / "report.md").read_text()


def test_verify_fails_and_says_why_when_an_engine_is_down(host: Any, tmp_path: Path) -> None:
    host.check_output("systemctl stop vllm@asr.service")
    try:
        done = verify(tmp_path, "-e", "verify_networks=false", "-e", "verify_timeout=30")
        assert done.returncode != 0
        report = json.loads((tmp_path / "report.json").read_text())
        assert {row["model"] for row in report["views"][0]["rows"] if not row["ok"]} == {"asr"}
    finally:
        host.check_output("systemctl start vllm@asr.service")
