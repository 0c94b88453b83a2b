# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real LiteLLM with our configuration and plug-ins, in front of small servers that write down what they are asked.

Needs the test bed's images: `make real`.
"""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
from support.gateway_folder import write_gateway
from support.local_gateway import local_gateway

MASTER, CLIENT, ENGINE = "sk-master-0123456789abcdef", "client-key-0123456789", "engine-key-0123456789"
NO_CHAT = "a-reranker"
"""A model for which an engine has no such route, as vLLM for one that it serves with another task."""
PIXEL = "data:image/png;base64,AAA"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Engine:
    """Speaks enough of vLLM and Ollama, asks for a key, and remembers."""

    name: str
    port: int = field(default_factory=free_port)
    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    server: http.server.ThreadingHTTPServer | None = None

    def answer(self, path: str, body: dict[str, Any]) -> Any:
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        if path == "/api/chat":
            return {"model": "m", "message": {"role": "assistant", "content": f"from {self.name}"}, "done": True, "done_reason": "stop"}
        if path == "/v1/chat/completions" and body.get("model") != NO_CHAT:
            choice = {"index": 0, "message": {"role": "assistant", "content": f"from {self.name}"}, "finish_reason": "stop"}
            return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
        if path == "/v1/embeddings":
            inputs = body.get("input") or [""]
            data = [{"object": "embedding", "index": index, "embedding": [0.5, 0.5]} for index in range(len(inputs))]
            return {"object": "list", "model": "m", "data": data, "usage": usage}
        if path == "/v1/rerank":
            return {"id": "1", "model": "m", "results": [{"index": 0, "relevance_score": 0.9, "document": {"text": "a"}}], "usage": usage}
        if path == "/rerank":  # as Text Embeddings Inference has it
            return [{"index": index, "score": 0.7} for index in range(len(body["texts"]))]
        if path == "/v1/audio/transcriptions":
            return {"text": "spoken words"}
        return {}

    def start(self) -> None:
        engine = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *arguments: Any) -> None:
                pass

            def reply(self, status: int, data: Any) -> None:
                body = json.dumps(data).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                self.reply(200, {"object": "list", "data": [{"id": engine.name, "object": "model"}]})

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                try:
                    body = json.loads(raw)
                except ValueError:
                    body = {}
                engine.seen.append((self.path, body))
                if self.headers.get("Authorization") != f"Bearer {ENGINE}":
                    self.reply(401, {"error": "Unauthorized"})
                    return
                data = engine.answer(self.path, body)
                self.reply(200 if data else 404, data or {"detail": "Not Found"})

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def kill(self) -> None:
        assert self.server is not None
        self.server.shutdown()
        self.server.server_close()

    def backend(self, identity: str, **changes: Any) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.port}/v1"
        return {"id": identity, "host": "n", "engine": "vllm", "model": "m", "url": url, "key_variable": "ENGINE_KEY_N", **changes}


@dataclass
class Gateway:
    url: str
    engines: dict[str, Engine]

    def call(self, path: str, body: Any = None, key: str | None = CLIENT, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        method = "POST" if body is not None or "files" in options else "GET"
        return requests.request(method, self.url + path, json=body, headers=headers, timeout=60, **options)

    def chat(self, model: str, content: Any = "hi", **parameters: Any) -> requests.Response:
        return self.call("/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": content}], **parameters})


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    engines = {name: Engine(name) for name in ("one", "two", "ollama")}
    for engine in engines.values():
        engine.start()
    one, two, ollama = engines.values()
    defaults = {"temperature": 0.25, "extra_body": {"chat_template_kwargs": {"enable_thinking": False}}}
    plan = {
        "aliases": {"LLM_DEFAULT": "chat"},
        "passthrough": [{"path": "/embeddings/v1/embeddings", "model": "embedding"}],
        "media": {"allowed_domains": ["img.example"]},
        "models": [
            {
                "name": "chat",
                "aliases": ["org/Model-1"],
                "max_images": 1,
                "request_defaults": defaults,
                "backends": [one.backend("chat-n")],
            },
            {"name": "pair", "backends": [one.backend("pair-1", order=1), two.backend("pair-2", order=2)]},
            {"name": "small", "backends": [ollama.backend("small-n", engine="ollama")]},
            {"name": "embedding", "capability": "embedding", "backends": [one.backend("embedding-n")]},
            {"name": "ollama-embedding", "capability": "embedding", "backends": [ollama.backend("oe-n", engine="ollama")]},
            {"name": "rerank", "capability": "rerank", "backends": [one.backend("rerank-n", model=NO_CHAT)]},
            {"name": "tei-rerank", "capability": "rerank", "backends": [one.backend("tei-n", engine="tei")]},
            {"name": "asr", "capability": "transcription", "backends": [one.backend("asr-n")]},
        ],
    }
    environment = write_gateway(folder, plan, master_key=MASTER, client_keys={"metis": CLIENT}, secret_environment={"ENGINE_KEY_N": ENGINE})
    with local_gateway(folder, environment) as process:
        process.wait()
        yield Gateway(process.url, engines)
    assert not any(secret in (folder / "log").read_text() for secret in (MASTER, CLIENT, ENGINE))


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        ("/health/readiness", None, 200),
        ("/health_check", None, 200),
        ("/v1/models", None, 401),
        ("/v1/models", "wrong", 401),
        ("/v1/models", CLIENT, 200),
        ("/v1/models/chat", CLIENT, 200),
        ("/model/info", CLIENT, 403),
        ("/health", None, 200),
        ("/health", "wrong", 401),
        ("/model/info", MASTER, 200),
        ("/ui/", None, 401),
        ("/fallback/login", None, 401),
        ("/", None, 401),
        ("/openapi.json", MASTER, 404),
        ("/usage", None, 401),
        ("/usage", CLIENT, 403),
        ("/usage/metrics", CLIENT, 403),
        ("/usage/metrics", MASTER, 200),
    ],
)
def test_who_may_call_what(gateway: Gateway, path: str, key: str | None, status: int) -> None:
    assert gateway.call(path, key=key).status_code == status


def test_old_health_check(gateway: Gateway) -> None:
    assert gateway.call("/health_check", key=None).json() == {"status": "ok"}


def test_health_is_a_report_for_the_master_key_only(gateway: Gateway) -> None:
    for key in (None, CLIENT):
        assert gateway.call("/health", key=key).json() == {"status": "ok"}
    assert "healthy_endpoints" in gateway.call("/health", key=MASTER).json()


def test_every_name_is_listed(gateway: Gateway) -> None:
    names = {model["id"] for model in gateway.call("/v1/models").json()["data"]}
    assert names == {"chat", "org/Model-1", "LLM_DEFAULT", "pair", "small", "embedding", "ollama-embedding", "rerank", "tei-rerank", "asr"}


@pytest.mark.parametrize("name", ["chat", "org/Model-1", "LLM_DEFAULT"])
def test_chat_with_request_defaults(gateway: Gateway, name: str) -> None:
    reply = gateway.chat(name)
    assert reply.json()["choices"][0]["message"]["content"] == "from one"
    assert reply.headers["x-litellm-model-id"] == "chat-n"
    body = gateway.engines["one"].seen[-1][1]
    assert body["temperature"] == 0.25
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    gateway.chat(name, temperature=0.75)
    assert gateway.engines["one"].seen[-1][1]["temperature"] == 0.75


def test_ollama_speaks_its_own_way(gateway: Gateway) -> None:
    assert gateway.chat("small").json()["choices"][0]["message"]["content"] == "from ollama"
    assert gateway.engines["ollama"].seen[-1][0] == "/api/chat"
    assert gateway.call("/v1/embeddings", {"model": "ollama-embedding", "input": ["a", "b"]}).status_code == 200
    assert gateway.engines["ollama"].seen[-1][0] == "/v1/embeddings"


def test_other_capabilities(gateway: Gateway) -> None:
    assert len(gateway.call("/v1/embeddings", {"model": "embedding", "input": "a"}).json()["data"][0]["embedding"]) == 2
    assert gateway.call("/v1/rerank", {"model": "rerank", "query": "q", "documents": ["a"]}).json()["results"][0]["relevance_score"] == 0.9
    sound = {"file": ("a.wav", b"RIFF0000WAVE"), "model": (None, "asr")}
    assert gateway.call("/v1/audio/transcriptions", files=sound).json()["text"] == "spoken words"


def test_what_clients_have_used_is_told(gateway: Gateway) -> None:
    def answered() -> dict[tuple[str, str], tuple[int, int]]:
        rows = gateway.call("/usage", key=MASTER).json()["usage"]
        return {(row["client"], row["model"]): (row["requests"]["answered"], row["tokens"]["out"]) for row in rows}

    before = answered()
    gateway.chat("LLM_DEFAULT")
    gateway.call("/v1/audio/transcriptions", files={"file": ("a.wav", b"RIFF0000WAVE"), "model": (None, "asr")})
    # By the model's own name; of sound its engine says no tokens.
    wanted = {("metis", "chat"): (1, 1), ("metis", "asr"): (1, 0)}
    for _try in range(50):
        more = {key: (now[0] - before.get(key, (0, 0))[0], now[1] - before.get(key, (0, 0))[1]) for key, now in answered().items()}
        if {key: numbers for key, numbers in more.items() if any(numbers)} == wanted:
            return
        # A request is counted when its answer has gone out.
        time.sleep(0.1)
    raise AssertionError(more)


def test_text_embeddings_inference_ranks_in_its_own_way(gateway: Gateway) -> None:
    answer = gateway.call("/v1/rerank", {"model": "tei-rerank", "query": "q", "documents": ["a", "b"], "top_n": 2})
    assert [row["relevance_score"] for row in answer.json()["results"]] == [0.7, 0.7], answer.text
    path, body = gateway.engines["one"].seen[-1]
    assert (path, body["query"], body["texts"]) == ("/rerank", "q", ["a", "b"])


def test_embeddings_are_cached_and_chat_is_not(gateway: Gateway) -> None:
    seen = gateway.engines["one"].seen
    for _ in range(2):
        gateway.call("/v1/embeddings", {"model": "embedding", "input": "the same words"})
    assert sum(body.get("input") == ["the same words"] for _, body in seen) == 1
    before = len(seen)
    for _ in range(2):
        gateway.chat("chat", "the same question")
    assert len(seen) - before == 2


def test_images_pass_the_raw_route(gateway: Gateway) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PIXEL}}]}]}
    assert gateway.call("/embeddings/v1/embeddings", body).status_code == 200
    assert gateway.engines["one"].seen[-1] == ("/v1/embeddings", body)
    for key in (None, "wrong"):
        assert gateway.call("/embeddings/v1/embeddings", body, key=key).status_code == 401
    body["messages"][0]["content"][0]["image_url"]["url"] = "http://169.254.169.254/"  # type: ignore[index]
    assert gateway.call("/embeddings/v1/embeddings", body).status_code == 400


def test_the_latest_image_is_kept(gateway: Gateway) -> None:
    images = [{"type": "image_url", "image_url": {"url": PIXEL + str(number)}} for number in range(3)]
    assert gateway.chat("LLM_DEFAULT", [*images, {"type": "text", "text": "look"}]).status_code == 200
    content = gateway.engines["one"].seen[-1][1]["messages"][0]["content"]
    assert [part["image_url"]["url"] for part in content if part["type"] == "image_url"] == [PIXEL + "2"]


@pytest.mark.parametrize(("url", "status"), [("http://evil.example/a.png", 400), ("https://img.example/a.png", 200), (PIXEL, 200)])
def test_media_addresses(gateway: Gateway, url: str, status: int) -> None:
    assert gateway.chat("chat", [{"type": "image_url", "image_url": {"url": url}}]).status_code == status


@pytest.mark.parametrize("parameters", [{"api_base": "http://127.0.0.1:9/v1"}, {"user_config": {"model_list": []}}])
def test_a_client_cannot_send_the_keys_elsewhere(gateway: Gateway, parameters: dict[str, Any]) -> None:
    seen = len(gateway.engines["one"].seen)
    reply = gateway.chat("chat", **parameters)
    assert reply.status_code in (400, 401, 403), reply.text
    assert len(gateway.engines["one"].seen) == seen


def test_a_wrong_call_takes_no_single_backend_out(gateway: Gateway) -> None:
    for _ in range(5):
        reply = gateway.chat("rerank")
        assert reply.status_code in (400, 404), reply.text
    assert gateway.call("/v1/rerank", {"model": "rerank", "query": "q", "documents": ["a"]}).status_code == 200


def test_a_killed_replica_costs_no_request(gateway: Gateway) -> None:
    """Last, because it takes the first engine away."""
    killed = threading.Event()

    def ask(number: int) -> tuple[int, str]:
        if number == 15:
            gateway.engines["one"].kill()
            killed.set()
        reply = gateway.chat("pair", f"number {number}")
        return reply.status_code, reply.headers.get("x-litellm-model-id", "")

    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(ask, range(45)))
    assert killed.is_set()
    assert {status for status, _ in replies} == {200}
    assert replies[0][1] == "pair-1"
    assert replies[-1][1] == "pair-2"
