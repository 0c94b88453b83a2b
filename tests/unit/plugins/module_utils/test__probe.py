# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ast
import inspect
import json
import socket
import typing as t
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from support.played_server import Play, Server, closing_listener, make_certificate

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _probe
from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import Cause
from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe import (
    Endpoint,
    Observation,
    probe,
    probe_all,
    run,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe_http import Reply, Request, Transport, urllib_transport
from ansible_collections.llmops.gpu_inference.plugins.module_utils._probers import requests_transport
from ansible_collections.llmops.gpu_inference.plugins.module_utils._shipped import source_of, sources

TRANSPORTS = [pytest.param(urllib_transport, id="stdlib"), pytest.param(requests_transport, id="requests")]


@pytest.fixture
def serve() -> t.Iterator[t.Callable[..., Server]]:
    started: list[Server] = []

    def start(**what: t.Any) -> Server:
        tls = what.pop("tls", None)
        started.append(Server(Play(**what)).start(tls))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


Serve = t.Callable[..., Server]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("play", "asked", "dimension"),
    [
        ({}, {"model": "chat"}, None),
        ({"models": ("chat", "LLM")}, {"model": "LLM"}, None),
        ({"models": ("chat", "sql", "support")}, {"model": "chat", "further_models": ("support", "sql")}, None),
        ({}, {}, None),
        ({"key": "sk-right-key"}, {"model": "chat", "api_key": "sk-right-key"}, None),
        ({"sees_images": True}, {"model": "chat", "modalities": ("text", "image")}, None),
        ({"capability": "embedding"}, {"model": "chat", "capability": "embedding"}, 8),
        ({"capability": "embedding", "dimension": 64}, {"model": "chat", "capability": "embedding", "dimension": 64}, 64),
        ({"capability": "rerank"}, {"model": "chat", "capability": "rerank"}, None),
        ({"capability": "transcription"}, {"model": "chat", "capability": "transcription"}, None),
        ({"models": ("qwen3:latest",), "owned_by": "library"}, {"model": "qwen3:latest"}, None),
        ({"health_path": ""}, {"model": "chat"}, None),
        ({"health_path": "/health/readiness"}, {"model": "chat", "health_path": "/health/readiness"}, None),
        ({"health_path": ""}, {"model": "chat", "health_path": ""}, None),
    ],
)
def test_a_real_answer_is_the_proof(
    serve: Serve, transport: Transport, play: dict[str, t.Any], asked: dict[str, t.Any], dimension: int | None
) -> None:
    server = serve(**play)
    seen = probe(Endpoint("x", server.base_url, **asked), 5.0, transport=transport)
    assert (seen.ok, seen.level_reached, seen.cause, seen.message) == (True, "answer", None, "")
    assert seen.dimension == dimension
    assert seen.models == server.play.models
    assert seen.latency is not None
    assert server.requests[-1][0] == "POST"


@pytest.mark.parametrize(
    ("level", "requests"),
    [
        ("open", [("GET", "/health")]),
        ("health", [("GET", "/health")]),
        ("model", [("GET", "/health"), ("GET", "/v1/models")]),
        ("answer", [("GET", "/health"), ("GET", "/v1/models"), ("POST", "/v1/chat/completions")]),
    ],
)
def test_a_level_sends_no_more_than_it_needs(serve: Serve, level: str, requests: list[tuple[str, str]]) -> None:
    server = serve()
    assert probe(Endpoint("x", server.base_url, model="chat"), 5.0, level=level).ok
    assert server.requests == requests


def test_a_model_that_is_out_of_rotation_is_not_waited_for() -> None:
    body = b'{"error": {"message": "every server is out of rotation", "code": "out_of_rotation"}}'

    def gateway(request: Request) -> Reply:
        if request.method == "POST":
            return Reply(503, body, "")
        return Reply(200, b'{"object": "list", "data": [{"id": "chat", "object": "model"}]}', "")

    assert probe(Endpoint("x", "http://gw:8400/v1", model="chat"), 5.0, transport=gateway).ok


# (play, asked, cause, certain, level, text in the message)
FAULTS = [
    ({"key": "right-key"}, {"api_key": "wrong-key-1"}, "auth", True, "health", "the key was refused"),
    ({"key": "right-key"}, {}, "auth", True, "health", "a key is required and none was given"),
    ({"key": "right-key", "wrong_key": (403, "{}")}, {"api_key": "wrong-key-1"}, "auth", True, "health", "HTTP 403"),
    (
        {"key": "right-key", "wrong_key": (400, '{"error":{"message":"No connected db.","type":"no_db_connection"}}')},
        {"api_key": "wrong-key-1"},
        "auth",
        True,
        "health",
        "No connected db",
    ),
    (
        {"key": "right-key", "missing_key": (500, '{"error":"No module named \'prisma\'"}')},
        {},
        "auth",
        True,
        "health",
        "a key is required",
    ),
    ({"models": ("other",)}, {"model": "chat"}, "wrong_model", True, "health", "served: other"),
    ({"models": ("qwen3:8b",), "owned_by": "library"}, {"model": "qwen3:4b"}, "wrong_model", False, "health", "served: qwen3:8b"),
    (
        {"models": ("chat", "a")},
        {"model": "chat", "further_models": ("a", "b")},
        "wrong_model",
        True,
        "health",
        "the model b is not served",
    ),
    ({"models": ()}, {"model": "chat"}, "wrong_model", False, "health", "served: none"),
    ({"health_status": 503}, {}, "bad_answer", False, "open", "HTTP 503"),
    ({"capability": "embedding"}, {"model": "chat"}, "bad_answer", True, "model", "Not Found"),
    (
        {"capability": "embedding"},
        {"model": "chat", "capability": "embedding", "dimension": 9},
        "bad_answer",
        True,
        "model",
        "8 dimensions, expected 9",
    ),
    ({}, {"model": "chat", "modalities": ("image",)}, "bad_answer", True, "model", "not a multimodal model"),
    ({"answer": (500, "engine died")}, {"model": "chat"}, "bad_answer", False, "model", "engine died"),
    ({"answer": (429, "busy")}, {"model": "chat"}, "bad_answer", False, "model", "HTTP 429"),
    ({"answer": (200, "<html>hello</html>")}, {"model": "chat"}, "bad_answer", False, "model", "not a JSON object"),
    ({"answer": (200, '{"choices": []}')}, {"model": "chat"}, "bad_answer", False, "model", "no choices"),
    (
        {"capability": "embedding", "answer": (200, '{"data": [{"embedding": [0, 0, 0]}]}')},
        {"model": "chat", "capability": "embedding"},
        "bad_answer",
        False,
        "model",
        "zeros",
    ),
    (
        {"capability": "embedding", "answer": (200, '{"data": [{"embedding": [NaN, 1]}]}')},
        {"model": "chat", "capability": "embedding"},
        "bad_answer",
        False,
        "model",
        "no vector of numbers",
    ),
    (
        {"capability": "rerank", "answer": (200, '{"results": [{"index": 0}]}')},
        {"model": "chat", "capability": "rerank"},
        "bad_answer",
        False,
        "model",
        "no relevance scores",
    ),
    (
        {"capability": "transcription", "answer": (400, '{"error": "No module named \'soundfile\'"}')},
        {"model": "chat", "capability": "transcription"},
        "bad_answer",
        True,
        "model",
        "soundfile",
    ),
    (
        {"answer": (400, '{"error":{"message":"/chat/completions: Invalid model name passed in model=chat"}}')},
        {"model": "chat"},
        "wrong_model",
        True,
        "model",
        "Invalid model name",
    ),
]


def tei(replies: dict[str, tuple[int, t.Any]], asked: list[tuple[str, str, t.Any]]) -> Transport:
    """Text Embeddings Inference as it answers: no list of models, and a list of scores at the root."""

    def ask(request: Request) -> Reply:
        path = request.url.partition("127.0.0.1:9")[2]
        asked.append((request.method, path, json.loads(request.body) if request.body else None))
        status, data = replies.get(path, (404, ""))
        return Reply(status, json.dumps(data).encode())

    return ask


RANKED = [{"index": 0, "score": 0.98}, {"index": 1, "score": 0.01}]


@pytest.mark.parametrize(
    ("capability", "replies", "cause", "text"),
    [
        ("rerank", {"/health": (200, ""), "/rerank": (200, RANKED)}, None, ""),
        ("embedding", {"/health": (200, ""), "/v1/embeddings": (200, {"data": [{"embedding": [0.5, 1.0]}]})}, None, ""),
        ("rerank", {"/health": (200, ""), "/rerank": (200, {"results": RANKED})}, "bad_answer", "no scores"),
        ("rerank", {"/health": (200, ""), "/rerank": (200, [])}, "bad_answer", "no scores"),
        ("rerank", {"/health": (200, ""), "/rerank": (200, [{"index": 0}])}, "bad_answer", "no scores"),
        ("rerank", {"/health": (200, ""), "/rerank": (424, {"error": "not a re-ranker"})}, "bad_answer", "not a re-ranker"),
        ("rerank", {"/health": (503, "")}, "bad_answer", "not healthy"),
    ],
)
def test_text_embeddings_inference(capability: str, replies: dict[str, t.Any], cause: str | None, text: str) -> None:
    asked: list[tuple[str, str, t.Any]] = []
    endpoint = Endpoint("x", "http://127.0.0.1:9/v1", capability=capability, model="rank", speaks="tei")
    seen = probe(endpoint, 5.0, transport=tei(replies, asked))
    assert (seen.ok, seen.cause) == (cause is None, cause)
    assert text in seen.message
    assert not [path for _method, path, _body in asked if path.endswith("/models")]
    if capability == "rerank" and "/rerank" in replies:
        assert asked[-1][2]["texts"] == ["Yes, it is.", "The sea is blue."]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("play", "asked", "cause", "certain", "level", "text"), FAULTS)
def test_each_fault_has_its_cause(
    serve: Serve, transport: Transport, play: dict[str, t.Any], asked: dict[str, t.Any], cause: str, certain: bool, level: str, text: str
) -> None:
    server = serve(**play)
    seen = probe(Endpoint("x", server.base_url, **asked), 5.0, transport=transport)
    assert (seen.ok, seen.cause, seen.certain, seen.level_reached) == (False, cause, certain, level)
    assert text in seen.message
    assert server.base_url.rsplit("/", 1)[0] in seen.message


@pytest.mark.parametrize(
    ("tail", "better"),
    [("", "/v1"), ("/v1/v1", "/v1"), ("/v1/chat/completions", "/v1"), ("/v1/models", "/v1"), ("/v2", "/v1")],
)
def test_a_base_url_without_the_api_root_names_the_right_one(serve: Serve, tail: str, better: str) -> None:
    server = serve(key="right-key")
    root = f"http://127.0.0.1:{server.port}"
    seen = probe(Endpoint("x", root + tail, model="chat", api_key="right-key"), 5.0)
    assert (seen.cause, seen.certain) == ("not_openai", True)
    assert f"it is at {root}{better}: use that" in seen.message


def test_a_server_that_is_no_model_server(serve: Serve) -> None:
    server = serve(prefix="/elsewhere", health_path="")
    seen = probe(Endpoint("x", server.base_url), 5.0)
    assert (seen.cause, seen.certain) == ("not_openai", False)  # a proxy says 404 as well while its backend is away


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_nothing_listens(transport: Transport) -> None:
    seen = probe(Endpoint("x", f"http://127.0.0.1:{free_port()}/v1"), 5.0, transport=transport)
    assert (seen.cause, seen.certain, seen.level_reached) == ("refused", False, None)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_forwarded_port_without_a_server_behind_it_is_still_starting(transport: Transport, scheme: str) -> None:
    listener, port = closing_listener()
    with listener:
        seen = probe(Endpoint("x", f"{scheme}://127.0.0.1:{port}/v1"), 5.0, transport=transport)
    assert (seen.cause, seen.certain) == ("refused", False)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("host", "certain"), [("no-such-host.invalid", True), ("no-such-container", False)])
def test_a_name_that_does_not_resolve(transport: Transport, host: str, certain: bool) -> None:
    seen = probe(Endpoint("x", f"http://{host}:8000/v1"), 5.0, transport=transport)
    assert seen.cause == "dns"
    assert host in seen.message
    # without any resolver the answer is "try again", which is never certain
    assert seen.certain is certain or "emporary" in seen.message


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_hung_server_costs_the_limit_and_no_more(serve: Serve, transport: Transport) -> None:
    server = serve(hang=30.0)
    seen = probe(Endpoint("x", server.base_url), 0.3, transport=transport)
    assert (seen.cause, seen.certain) == ("timeout", False)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_https_spoken_to_plain_http(serve: Serve, transport: Transport) -> None:
    server = serve()
    seen = probe(Endpoint("x", f"https://127.0.0.1:{server.port}/v1"), 5.0, transport=transport)
    assert (seen.cause, seen.certain) == ("tls_mismatch", True)
    assert f"use http://127.0.0.1:{server.port}" in seen.message


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_http_spoken_to_https(serve: Serve, certificate: tuple[Path, Path], transport: Transport) -> None:
    server = serve(tls=certificate)
    seen = probe(Endpoint("x", server.base_url), 5.0, transport=transport)
    assert (seen.cause, seen.certain) == ("tls_mismatch", True)
    assert f"use https://127.0.0.1:{server.port}" in seen.message


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_certificates(serve: Serve, certificate: tuple[Path, Path], transport: Transport) -> None:
    server = serve(tls=certificate)
    endpoint = Endpoint("x", f"https://127.0.0.1:{server.port}/v1", model="chat")
    unknown = probe(endpoint, 5.0, transport=transport)
    assert (unknown.cause, unknown.certain) == ("tls_mismatch", True)
    assert "certificate" in unknown.message
    assert probe(replace(endpoint, ca_path=str(certificate[0])), 5.0, transport=transport).ok
    assert probe(replace(endpoint, validate_certs=False), 5.0, transport=transport).ok
    missing = probe(replace(endpoint, ca_path="/nonexistent/ca.pem"), 5.0, transport=transport)
    assert missing.cause == "tls_mismatch"
    assert missing.certain


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, "<html><center>The plain HTTP request was sent to HTTPS port</center></html>"),
        (400, "Client sent an HTTP request to an HTTPS server.\n"),
    ],
)
def test_proxies_that_say_so_themselves(status: int, body: str) -> None:
    seen = probe(Endpoint("x", "http://h:1/v1"), transport=lambda request: Reply(status, body.encode()))
    assert (seen.cause, seen.certain) == ("tls_mismatch", True)


def test_a_redirect_to_https() -> None:
    seen = probe(Endpoint("x", "http://h:1/v1"), transport=lambda request: Reply(301, b"", "https://h/health"))
    assert (seen.cause, seen.certain) == ("tls_mismatch", True)


def test_a_port_of_another_program() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        import threading

        def ssh() -> None:
            for _turn in range(2):
                connection, _address = listener.accept()
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                connection.recv(1000)
                connection.close()

        threading.Thread(target=ssh, daemon=True).start()
        seen = probe(Endpoint("x", f"http://127.0.0.1:{listener.getsockname()[1]}/v1"), 3.0)
    assert seen.cause == "not_openai"
    assert "not HTTP" in seen.message


def test_a_key_never_comes_back_in_a_message(serve: Serve) -> None:
    server = serve(key="right-key", wrong_key=(401, "bad key: my-private-key"))
    seen = probe(Endpoint("x", server.base_url, api_key="my-private-key"), 5.0)
    assert seen.cause == "auth"
    assert "my-private-key" not in repr(seen)


def test_the_keys_way_is_straight(serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither a proxy of the environment nor .netrc has a say."""
    server = serve(key="right-key")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    for transport in (urllib_transport, requests_transport):
        assert probe(Endpoint("x", server.base_url, api_key="right-key"), 5.0, transport=transport).ok


def test_many_at_once_keep_their_order(serve: Serve) -> None:
    slow, fast = serve(models=("slow",), hang=0.2), serve(models=("fast",))
    seen = probe_all([Endpoint("a", slow.base_url, level="model"), Endpoint("b", fast.base_url, level="model")], 5.0)
    assert [one.models for one in seen] == [("slow",), ("fast",)]


def test_as_in_a_container(serve: Serve) -> None:
    server = serve()
    endpoints = [{"name": "x", "base_url": server.base_url, "modalities": ["text"], "unknown": 1, "api_key": None}]
    assert run({"endpoints": endpoints})[0]["ok"] is True
    assert run({"endpoints": endpoints, "timeout": 5, "level": "open"})[0]["level_reached"] == "health"


@pytest.mark.parametrize("name", sources("_verify"))
def test_what_goes_into_containers_needs_nothing_but_the_standard_library_and_python_3_9(name: str) -> None:
    tree = ast.parse(source_of(name), feature_version=(3, 9))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert not [name for name in imported if name.startswith(("ansible", "requests"))]


def test_its_causes_are_known() -> None:
    named = {call.args[0].value for call in ast.walk(ast.parse(inspect.getsource(_probe))) if _is_stop(call)}  # type: ignore[attr-defined]
    assert named <= {str(cause) for cause in Cause}
    assert {"dns", "refused", "timeout", "tls_mismatch", "auth", "not_openai", "wrong_model", "bad_answer"} <= named


def _is_stop(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "_NotReadyError"
        and bool(node.args)
        and isinstance(node.args[0], ast.Constant)
    )


def test_observations_survive_json() -> None:
    seen = Observation(False, "open", "auth", "m", True, 0.1, ("a",), None)
    assert Observation(**{**json.loads(json.dumps(asdict(seen))), "models": ("a",)}) == seen
