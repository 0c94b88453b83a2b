# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All capabilities through one port, by every name, with what the client programs' own files say."""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import re
import subprocess
import time
import wave
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
SAMPLES = PROJECT / "playbooks" / "files" / "samples"
RAW_ROUTES = ("/embeddings/v1/embeddings", "/api/embeddings")
MULTIMODAL = "/srv/models/tiny-vision/."
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


def post(url: str, path: str, headers: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
    reply = requests.post(f"{url}{path}", headers=headers, json=body, timeout=120)
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


def chat(url: str, headers: dict[str, str], model: str, content: Any, **more: Any) -> dict[str, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": content}], "max_tokens": 16, **more}
    return post(url, "/v1/chat/completions", headers, body)


def picture() -> dict[str, Any]:
    image = base64.b64encode((SAMPLES / "text.png").read_bytes()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}}


# --- chat


@pytest.mark.parametrize("model", ["chat", "/srv/models/tiny-chat", "LLM", "LLM_SMALL", "LLM_DEFAULT"])
def test_chat(url: str, client: dict[str, str], model: str) -> None:
    assert chat(url, client, model, "Hello")["choices"][0]["message"]["content"].strip() == "Hello from tiny-chat."


def test_what_the_request_leaves_open_the_inventory_says(url: str, client: dict[str, str]) -> None:
    body = {"model": "LLM", "messages": [{"role": "user", "content": "Hello"}]}
    choice = post(url, "/v1/chat/completions", client, body)["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Hello from", "length")


def test_a_stream_comes_in_pieces(url: str, client: dict[str, str]) -> None:
    body = {"model": "chat", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 16, "stream": True}
    with requests.post(f"{url}/v1/chat/completions", headers=client, json=body, timeout=120, stream=True) as reply:
        assert reply.headers["Content-Type"].startswith("text/event-stream")
        found = [line.removeprefix("data: ") for line in reply.iter_lines(decode_unicode=True) if line]
    assert found[-1] == "[DONE]"
    pieces = [json.loads(event)["choices"][0]["delta"].get("content") for event in found[:-1]]
    assert "".join(filter(None, pieces)).strip() == "Hello from tiny-chat."
    assert len(list(filter(None, pieces))) > 1


WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


def test_tools_may_be_offered(url: str, client: dict[str, str]) -> None:
    message = chat(url, client, "chat", "Hello", tools=[WEATHER])["choices"][0]["message"]
    assert message["content"].strip() == "Hello from tiny-chat."


def test_a_tool_is_called(url: str, client: dict[str, str]) -> None:
    """Asked for one by name, vLLM leaves the model no choice but to call it. What it then says is noise, and sometimes no end is found."""
    choice = {"type": "function", "function": {"name": "weather"}}
    for seed in range(10):
        answer = chat(url, client, "chat", "Hello", tools=[WEATHER], tool_choice=choice, max_tokens=200, seed=seed)
        for call in answer["choices"][0]["message"].get("tool_calls") or []:
            assert call["function"]["name"] == "weather"
            json.loads(call["function"]["arguments"])
            return
    pytest.fail("no tool call in ten answers")


def generated(host: Any) -> float:
    """Tokens that the chat engine has generated in its life, by its own counter, summed over its labels."""
    program = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8070/metrics').read().decode())"
    text = host.check_output("python3 -c %s", program)
    return sum(float(value) for value in re.findall(r"^vllm:generation_tokens_total\{.*\} (\S+)$", text, re.MULTILINE))


def generated_in_the_end(host: Any, seconds: float) -> float:
    """The counter when it has stood still for two seconds."""
    ends = time.monotonic() + seconds
    count = generated(host)
    still_since = time.monotonic()
    while time.monotonic() < still_since + 2:
        assert time.monotonic() < ends, f"still generating after {seconds:g} s: {count:g} tokens"
        time.sleep(0.2)
        if (now := generated(host)) != count:
            count, still_since = now, time.monotonic()
    return count


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_generation_ends_when_its_client_leaves(host: Any, url: str, client: dict[str, str], stream: bool) -> None:
    """Told by the tokens, which are what is wasted, and not by the gauge of running requests, which is set by further steps only."""
    # Many long answers at once, which takes half a minute and more: the tiny model would be through with one before anybody looks.
    length, count = 1900, 32
    wanted = {"max_tokens": length, "n": count, "ignore_eos": True, "stream": stream}
    body = {"model": "chat", "messages": [{"role": "user", "content": "Hello"}], **wanted}
    before = generated_in_the_end(host, 30)
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {**client, "Content-Type": "application/json"})
    ends = time.monotonic() + 60
    while generated(host) == before:
        assert time.monotonic() < ends, connection.getresponse().read()[:2000]
        time.sleep(0.2)
    connection.close()
    assert 0 < generated_in_the_end(host, 60) - before < length * count


# --- images


@pytest.mark.parametrize("model", ["ocr", "/srv/models/tiny-vision", "VLM"])
def test_the_image_arrives(url: str, client: dict[str, str], model: str) -> None:
    plain = chat(url, client, model, "Read it.")
    seen = chat(url, client, model, [{"type": "text", "text": "Read it."}, picture()])
    assert seen["choices"][0]["message"]["content"].strip() == "Text seen by tiny-vision."
    assert seen["usage"]["prompt_tokens"] > plain["usage"]["prompt_tokens"]


@pytest.mark.parametrize("model", ["ocr", "VLM"])
def test_the_latest_image_is_kept(url: str, client: dict[str, str], model: str) -> None:
    one = chat(url, client, model, [{"type": "text", "text": "Read it."}, picture()])
    three = chat(url, client, model, [picture(), {"type": "text", "text": "Read it."}, picture(), picture()])
    assert three["usage"]["prompt_tokens"] == one["usage"]["prompt_tokens"]


@pytest.mark.parametrize("address", ["http://169.254.169.254/latest", "https://picsum.photos/512", "file:///etc/passwd"])
def test_an_engine_is_not_sent_to_fetch_images(url: str, client: dict[str, str], address: str) -> None:
    content = [{"type": "image_url", "image_url": {"url": address}}]
    body = {"model": "ocr", "messages": [{"role": "user", "content": content}]}
    for path in ("/v1/chat/completions", "/embeddings/v1/embeddings"):
        reply = requests.post(f"{url}{path}", headers=client, json=body, timeout=60)
        assert reply.status_code == 400, reply.text
        assert "data:" in reply.text  # what to do instead


# --- speech, vectors, rerank


def spoken(times: int) -> tuple[bytes, int]:
    """The sample said so many times over, and the seconds that it takes, begun ones counted whole."""
    with wave.open(str(SAMPLES / "speech.wav")) as sample:
        parameters, frames = sample.getparams(), sample.readframes(sample.getnframes())
    sound = io.BytesIO()
    with wave.open(sound, "wb") as longer:
        longer.setparams(parameters)
        longer.writeframes(frames * times)
    return sound.getvalue(), -(-parameters.nframes * times // parameters.framerate)


@pytest.mark.parametrize(("model", "times"), [("asr", 1), ("/srv/models/tiny-asr", 4)])
def test_speech(url: str, client: dict[str, str], model: str, times: int) -> None:
    """What the scripted model hears is always the same, so that the sound arrived is told by the seconds that vLLM counted."""
    sound, seconds = spoken(times)
    files = {"file": ("speech.wav", sound, "audio/wav")}
    reply = requests.post(f"{url}/v1/audio/transcriptions", headers=client, data={"model": model}, files=files, timeout=120)
    assert reply.status_code == 200, reply.text
    assert reply.json()["text"].strip() == "Words heard by tiny-asr."
    assert reply.json()["usage"] == {"type": "duration", "seconds": seconds}


@pytest.mark.parametrize("model", ["embedding", MULTIMODAL, "Embedding", "Embbeding"])
def test_embeddings(url: str, client: dict[str, str], model: str) -> None:
    answer = post(url, "/v1/embeddings", client, {"model": model, "input": ["one", "two"]})
    assert [len(entry["embedding"]) for entry in answer["data"]] == [64, 64]


@pytest.mark.parametrize(("route", "model"), [(RAW_ROUTES[0], "embedding"), (RAW_ROUTES[0], MULTIMODAL), (RAW_ROUTES[1], "embedding")])
def test_images_are_embedded_on_the_raw_routes(url: str, client: dict[str, str], route: str, model: str) -> None:
    def vector(*content: dict[str, Any]) -> tuple[list[float], int]:
        body = {"model": model, "messages": [{"role": "user", "content": list(content)}]}
        answer = post(url, route, client, body)
        return answer["data"][0]["embedding"], answer["usage"]["prompt_tokens"]

    text = {"type": "text", "text": "What is it?"}
    plain, plain_tokens = vector(text)
    seen, seen_tokens = vector(text, picture())
    assert len(seen) == len(plain) == 64
    assert seen != plain
    assert seen_tokens > plain_tokens


@pytest.mark.parametrize("route", RAW_ROUTES)
def test_texts_are_embedded_on_the_raw_routes_too(url: str, client: dict[str, str], route: str) -> None:
    raw = post(url, route, client, {"model": "embedding", "input": ["one", "two"]})
    usual = post(url, "/v1/embeddings", client, {"model": "embedding", "input": ["one", "two"], "encoding_format": "float"})
    assert [entry["embedding"] for entry in raw["data"]] == [entry["embedding"] for entry in usual["data"]]


@pytest.mark.parametrize("route", RAW_ROUTES)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong-key-wrong-key"}], ids=["no key", "wrong key"])
def test_the_raw_routes_want_a_key(url: str, route: str, headers: dict[str, str]) -> None:
    reply = requests.post(f"{url}{route}", headers=headers, json={"model": "embedding", "input": "one"}, timeout=30)
    assert reply.status_code == 401


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank", "/v2/rerank"])
def test_rerank(url: str, client: dict[str, str], path: str) -> None:
    documents = ["The sea is blue.", "A GPU computes with many cores at once.", "Bread is baked."]
    body = {"model": "rerank", "query": "What is a GPU?", "documents": documents, "top_n": 2}
    results = post(url, path, client, body)["results"]
    assert len(results) == 2
    assert results[0]["relevance_score"] >= results[1]["relevance_score"]
    assert {result["index"] for result in results} < {0, 1, 2}


# --- who may what


def test_health_and_model_list(url: str, client: dict[str, str], master: dict[str, str]) -> None:
    assert requests.get(f"{url}/health_check", timeout=30).json() == {"status": "ok"}
    assert requests.get(f"{url}/health/readiness", timeout=30).status_code == 200
    health = requests.get(f"{url}/health", headers=master, timeout=120).json()
    assert health["unhealthy_count"] == 0
    for headers in ({}, client):
        assert requests.get(f"{url}/health", headers=headers, timeout=30).json() == {"status": "ok"}
    names = {entry["id"] for entry in requests.get(f"{url}/v1/models", headers=client, timeout=30).json()["data"]}
    assert {"chat", "ocr", "embedding", "asr", "rerank", "LLM_DEFAULT", "Embbeding"} <= names


@pytest.mark.parametrize("path", ["/v1/models", "/health/services", "/v1/chat/completions"])
def test_nothing_is_served_without_a_key(url: str, path: str) -> None:
    assert requests.get(f"{url}{path}", timeout=30).status_code == 401


def test_a_client_may_not_administer(url: str, client: dict[str, str]) -> None:
    assert requests.get(f"{url}/model/info", headers=client, timeout=30).status_code == 403


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
        assert {("rerank", "rerank"), ("embedding", "passthrough"), ("LLM_DEFAULT", "text")} <= checks
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
