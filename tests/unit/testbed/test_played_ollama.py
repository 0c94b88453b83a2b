# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real client program of Ollama works against the server that plays it."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.ollama import played_ollama

ollama = pytest.importorskip("ollama")

# It waits for servers and clocks that are real.
pytestmark = pytest.mark.slow

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(8)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with played_ollama(tmp_path_factory.mktemp("models")) as found:
        yield found


@pytest.fixture(scope="module")
def client(url: str) -> Any:
    found = ollama.Client(url)
    found.pull("tiny:1")
    return found


def post(url: str, body: dict[str, Any]) -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode())) as answer:
        return json.load(answer)


def test_pull_with_progress(client: Any) -> None:
    events = list(client.pull("slow:1", stream=True))
    assert events[0].status == "pulling manifest"
    assert events[-1].status == "success"
    seen = [event.completed for event in events if event.total]
    assert seen == sorted(seen)
    assert len(set(seen)) > 10
    assert "slow:1" in [model.model for model in client.list().models]


@pytest.mark.parametrize(
    ("tag", "text"),
    [("broken:1", "max retries exceeded"), ("missing:1", "pull model manifest: file does not exist")],
)
def test_an_error_inside_the_stream(client: Any, tag: str, text: str) -> None:
    with pytest.raises(ollama.ResponseError, match=text):
        list(client.pull(tag, stream=True))
    with pytest.raises(ollama.ResponseError, match=text):
        client.pull(tag)
    assert tag not in [model.model for model in client.list().models]


def test_a_cut_pull_resumes(client: Any) -> None:
    with pytest.raises(Exception, match="peer closed connection"):
        list(client.pull("cut:1", stream=True))
    events = [event for event in client.pull("cut:1", stream=True) if event.total]
    assert events[0].completed >= events[0].total // 2


def test_chat(client: Any) -> None:
    answer = client.chat("tiny:1", messages=[{"role": "user", "content": "Say hello"}])
    assert answer.message.content == "Hello from tiny:1."
    assert (answer.prompt_eval_count, answer.done_reason) == (2, "stop")
    pieces = [piece.message.content for piece in client.chat("tiny:1", messages=[{"role": "user", "content": "x"}], stream=True)]
    assert len(pieces) > 2
    assert "".join(pieces) == "Hello from tiny:1."


def test_a_picture_counts(client: Any) -> None:
    with_picture = client.chat("tiny:1", messages=[{"role": "user", "content": "What is it?", "images": [PICTURE]}])
    assert with_picture.prompt_eval_count == 3 + 16
    with pytest.raises(ollama.ResponseError, match="Failed to load image"):
        client.chat("tiny:1", messages=[{"role": "user", "content": "x", "images": [b"no picture"]}])


def test_generate_and_embed(client: Any) -> None:
    assert client.generate("tiny:1", "a b c").response == "Hello from tiny:1."
    one, two = client.embed("tiny:1", ["a", "b"]).embeddings
    assert len(one) == 64
    assert one != two
    assert sum(value * value for value in one) == pytest.approx(1, abs=1e-3)


def test_a_tool_is_called(client: Any) -> None:
    tool = {"type": "function", "function": {"name": "get_time", "description": "", "parameters": {"type": "object", "properties": {}}}}
    answer = client.chat("tiny:1", messages=[{"role": "user", "content": "call get_time"}], tools=[tool])
    assert [call.function.name for call in answer.message.tool_calls] == ["get_time"]


def test_loaded_models(client: Any) -> None:
    for tag in ("tiny:1", "half:1"):
        client.pull(tag)
        client.generate(tag, "x")
    loaded = {model.model: model for model in client.ps().models}
    assert loaded["tiny:1"].size_vram == loaded["tiny:1"].size
    assert loaded["half:1"].size_vram < loaded["half:1"].size
    client.generate("half:1", "x", keep_alive=0)
    assert "half:1" not in [model.model for model in client.ps().models]


@pytest.mark.parametrize("method", ["chat", "show", "delete"])
def test_unknown_models(client: Any, method: str) -> None:
    with pytest.raises(ollama.ResponseError, match="model 'nobody:1' not found") as failure:
        getattr(client, method)("nobody:1")
    assert failure.value.status_code == 404


def test_delete(client: Any) -> None:
    client.pull("spare")
    assert client.show("spare").details.format == "gguf"
    assert client.delete("spare:latest").status == "success"
    assert "spare:latest" not in [model.model for model in client.list().models]


def test_its_openai_side(client: Any, url: str) -> None:
    picture = "data:image/png;base64," + base64.b64encode(PICTURE).decode()
    content = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": picture}}]
    chat = post(f"{url}/v1/chat/completions", {"model": "tiny:1", "messages": [{"role": "user", "content": content}]})
    assert chat["choices"][0]["message"]["content"] == "Hello from tiny:1."
    assert chat["usage"]["prompt_tokens"] == 3 + 16
    embeddings = post(f"{url}/v1/embeddings", {"model": "tiny:1", "input": ["a", "b"]})
    assert [len(entry["embedding"]) for entry in embeddings["data"]] == [64, 64]
    with urllib.request.urlopen(f"{url}/v1/models/tiny:1") as answer:
        assert json.load(answer)["id"] == "tiny:1"


def test_its_openai_stream(client: Any, url: str) -> None:
    body = {
        "model": "tiny:1",
        "messages": [{"role": "user", "content": "x"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    with urllib.request.urlopen(urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode())) as answer:
        lines = [line.decode().removeprefix("data: ").strip() for line in answer if line.strip()]
    assert lines[-1] == "[DONE]"
    events = [json.loads(line) for line in lines[:-1]]
    assert "".join(event["choices"][0]["delta"]["content"] for event in events if event["choices"]) == "Hello from tiny:1."
    assert events[-1]["usage"]["prompt_tokens"] == 1


def test_models_outlive_the_server(tmp_path: Path) -> None:
    for expected in ([], ["tiny:1"]):
        with played_ollama(tmp_path) as url:
            client = ollama.Client(url)
            assert [model.model for model in client.list().models] == expected
            client.pull("tiny:1")
