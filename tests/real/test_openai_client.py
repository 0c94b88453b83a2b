# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenAI's own client at the gateway, with real vLLM engines behind it. Needs the test bed's images and models: `make real`.

On the engines' network there is a listener, too: what the client has the engines fetch would arrive there.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.containers import LITELLM, VLLM
from support.gateway_container import container, docker, gateway, network
from testbed import settings

CLIENT, ENGINE = "client-key-0123456789", "engine-key-0123456789"
SAMPLE = Path(__file__).parents[2] / "playbooks" / "files" / "samples" / "speech.wav"
GUARD = Path(__file__).parent / "guard"
#: Fewer than test_guard.py has, since real engines answer: 60, with GATEWAY_MUTATIONS=10000 300.
MUTATIONS = int(os.environ.get("GATEWAY_MUTATIONS") or 2000) * 3 // 100
SEED = int(os.environ.get("GATEWAY_SEED") or 20261120)
ENGINES = {"chat": "tiny-vision", "asr": "tiny-asr"}

LISTENER = """
import http.server, threading
hits = []
class Listener(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = str(len(hits)).encode() if self.path == "/hits" else b""
        if self.path != "/hits":
            hits.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass
servers = [http.server.ThreadingHTTPServer(("0.0.0.0", port), Listener) for port in (80, 8000, 6379, 9911)]
for server in servers[1:]:
    threading.Thread(target=server.serve_forever).start()
servers[0].serve_forever()
"""

#: Runs in a container on the gateway's network; prints what became of each step.
PROGRAM = """
import json, sys
import openai
client = openai.OpenAI(base_url="http://litellm-gateway:4000/v1", api_key=sys.argv[1], max_retries=0, timeout=120)
wrong = openai.OpenAI(base_url="http://litellm-gateway:4000/v1", api_key="nobody-has-this-key", max_retries=0)
hello = [{"role": "user", "content": "hi"}]
sound = ("speech.wav", open("/speech.wav", "rb").read())
tool = {"type": "function", "function": {"name": "f", "strict": True, "parameters": {"type": "object", "properties": {}}}}
def told(answer):
    return answer.model_dump() if hasattr(answer, "model_dump") else answer
def transcribed(**options):
    answer = client.audio.transcriptions.create(model="asr", file=sound, language="en", **options)
    return [told(event) for event in answer] if options.get("stream") else told(answer)
def looked_at(url, **options):
    part = {"type": "image_url", "image_url": {"url": url}}
    return told(client.chat.completions.create(model="chat", messages=[{"role": "user", "content": [part]}], max_tokens=5, **options))
steps = {
    "chat": lambda: told(client.chat.completions.create(model="chat", messages=hello, max_tokens=5)),
    "stream": lambda: [told(chunk) for chunk in client.chat.completions.create(model="chat", messages=hello, max_tokens=5, stream=True)],
    "unknown model": lambda: client.chat.completions.create(model="nope", messages=hello),
    "other kind": lambda: client.chat.completions.create(model="asr", messages=hello),
    "embedding of a chat model": lambda: client.embeddings.create(model="chat", input="x"),
    "wrong key": lambda: wrong.models.list(),
    "unknown path": lambda: client.post("/nothing", cast_to=object),
    "administration": lambda: openai.OpenAI(base_url="http://litellm-gateway:4000", api_key=sys.argv[1]).get("/model/info", cast_to=object),
    "wrong type": lambda: client.chat.completions.create(model="chat", messages=hello, temperature="hot"),
    "too long": lambda: client.chat.completions.create(model="chat", messages=[{"role": "user", "content": "word " * 5000}], max_tokens=5),
    "steering": lambda: client.chat.completions.create(model="chat", messages=hello, extra_body={"api_base": "http://listener:9911/v1"}),
    "functions": lambda: client.chat.completions.create(model="chat", messages=hello, functions=[{"name": "f", "parameters": {}}]),
    "models": lambda: sorted(model.id for model in client.models.list()),
    "model with a slash": lambda: client.models.retrieve("org/Model-1").id,
    "model that is not there": lambda: client.models.retrieve("org/nope"),
    "json": lambda: transcribed(),
    "text": lambda: transcribed(response_format="text"),
    "srt": lambda: transcribed(response_format="srt"),
    "vtt": lambda: transcribed(response_format="vtt"),
    "verbose_json": lambda: transcribed(response_format="verbose_json"),
    "xml": lambda: transcribed(response_format="xml"),
    "stream of words": lambda: transcribed(stream=True),
    "image": lambda: looked_at(sys.argv[2]),
    "image elsewhere": lambda: looked_at("http://listener:9911/a.png"),
    "image in extra_body": lambda: client.chat.completions.create(model="chat", messages=hello, extra_body={"extra_body": {
        "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://listener:9911/b.png"}}]}]}}),
    "image in a text": lambda: client.chat.completions.create(model="chat", messages=[{"role": "user", "content": [
        {"type": "text", "text": "x", "uuid": "1", "image_url": "http://listener:9911/c.png"}]}]),
    "image of a tool": lambda: client.responses.create(model="chat", input=[{"type": "function_call_output", "call_id": "c", "output": [
        {"type": "input_image", "image_url": "http://listener:9911/d.png"}]}]),
}
found = {}
for name, step in steps.items():
    try:
        found[name] = {"answer": step()}
    except openai.APIStatusError as error:
        found[name] = {"error": type(error).__name__, "status": error.status_code, "code": error.code, "message": error.message,
                       "headers": dict(error.response.headers)}
print(json.dumps(found))
"""
#: Requests of real clients, mutated as in test_guard.py, whose addresses are those of the listener; prints how many had which status.
MUTATED = """
import collections, json, sys, urllib.error, urllib.request as u
sys.path.insert(0, "/guard")
import mutate
mutate.ORACLE = "listener"
corpus = [entry for entry in json.load(open("/guard/corpus.json")) if entry["body"].get("model") in ("chat", "LLM_DEFAULT", "org/Model-1")]
for entry in corpus:
    entry["body"]["model"] = "chat"
    for name in {"max_tokens", "max_completion_tokens", "max_output_tokens"} & set(entry["body"]):
        entry["body"][name] = 4
mutator = mutate.Mutator(corpus, int(sys.argv[3]))
statuses, broken = collections.Counter(), []
for number in range(int(sys.argv[2])):
    made = mutator.make()
    address = "http://litellm-gateway:4000" + made.path + ("?" + made.query.decode() if made.query else "")
    headers = {**dict(made.headers), "Authorization": "Bearer " + sys.argv[1]}
    try:
        with u.urlopen(u.Request(address, made.bytes(), headers), timeout=120) as answer:
            answer.read()
            statuses[answer.status] += 1
    except u.HTTPError as error:
        statuses[error.code] += 1
        if error.code >= 500:
            broken.append([number, made.done, error.code, error.read().decode("utf-8", "replace")[:300]])
    except ValueError:
        statuses["not sent"] += 1  # a header that this client itself refuses
print(json.dumps({"statuses": statuses, "broken": broken}))
"""
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAIAAAD9b0jDAAAAIklEQVR42mNooAFgGDV01NBRQ0cNHTV01NBRQ0cN"
    "HRmGAgDZoZg95hjqugAAAABJRU5ErkJggg=="
)


def backend(name: str, host: str) -> dict[str, Any]:
    return {"id": f"{name}-n", "host": "n", "engine": "vllm", "model": "m", "url": f"http://{host}:8000/v1", "key_variable": "ENGINE_KEY_N"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def inside(name: str, program: str, *arguments: str) -> str:
    return docker("exec", name, "python3", "-c", program, *arguments)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    on = f"gpuinf-client-{os.getpid()}"
    described = {
        "models": [
            {"name": "chat", "aliases": ["org/Model-1"], "modalities": ["text", "image"], "backends": [backend("chat", f"{on}-chat")]},
            {"name": "asr", "capability": "transcription", "backends": [backend("asr", f"{on}-asr")]},
        ]
    }
    with ExitStack() as stack:
        stack.enter_context(network(on))
        python = ("--entrypoint", "python3")
        stack.enter_context(container(f"{on}-listener", on, LITELLM, "-c", LISTENER, options=(*python, "--network-alias", "listener")))
        for name, model in ENGINES.items():
            options = ("--volume", f"{settings.MODELS / model}:/model:ro", "--env", f"VLLM_API_KEY={ENGINE}", "--memory", "2g")
            command = ("/model", "--served-model-name", "m", "--max-model-len", "448" if name == "asr" else "512")
            stack.enter_context(container(f"{on}-{name}", on, VLLM, *command, options=options))
        folder = tmp_path_factory.mktemp("gateway")
        secrets = {"ENGINE_KEY_N": ENGINE}
        stack.enter_context(gateway(folder, f"{on}-gateway", on, free_port(), described, {"crawler": CLIENT}, secret_environment=secrets))
        caller = f"{on}-caller"
        mount = ("--volume", f"{SAMPLE}:/speech.wav:ro", "--volume", f"{GUARD}:/guard:ro")
        stack.enter_context(container(caller, on, LITELLM, "infinity", options=("--entrypoint", "sleep", *mount)))
        for name in ENGINES:
            wait_for(caller, f"http://{on}-{name}:8000/health")
        told: dict[str, Any] = json.loads(inside(caller, PROGRAM, CLIENT, PIXEL).splitlines()[-1])
        told["mutated"] = json.loads(inside(caller, MUTATED, CLIENT, str(MUTATIONS), str(SEED)).splitlines()[-1])
        told["hits by the gateway"] = int(inside(caller, GET, "http://listener:9911/hits"))
        # The engine would have fetched: it does so when it is asked directly.
        inside(caller, DIRECT, f"http://{on}-chat:8000", ENGINE)
        told["hits by the engine"] = int(inside(caller, GET, "http://listener:9911/hits"))
        told["inner names"] = [f"{on}-{name}" for name in ENGINES]
        yield told


GET = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode())"
DIRECT = """
import json, sys, urllib.request as u
part = {"type": "text", "text": "x", "uuid": "1", "image_url": "http://listener:9911/direct.png"}
body = {"model": "m", "messages": [{"role": "user", "content": [part]}], "max_tokens": 1}
headers = {"Content-Type": "application/json", "Authorization": "Bearer " + sys.argv[2]}
try:
    u.urlopen(u.Request(sys.argv[1] + "/v1/chat/completions", json.dumps(body).encode(), headers), timeout=60)
except u.HTTPError:
    pass
"""


def wait_for(caller: str, url: str, seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            inside(caller, GET, url)
            return
        except RuntimeError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


@pytest.mark.parametrize(
    ("step", "error", "code"),
    [
        ("unknown model", "NotFoundError", "model_not_found"),
        ("model that is not there", "NotFoundError", "model_not_found"),
        ("other kind", "BadRequestError", "model_not_supported"),
        ("embedding of a chat model", "BadRequestError", "model_not_supported"),
        ("wrong key", "AuthenticationError", "invalid_api_key"),
        ("unknown path", "NotFoundError", "unknown_url"),
        ("administration", "PermissionDeniedError", "forbidden"),
        ("wrong type", "BadRequestError", "invalid_type"),
        ("steering", "BadRequestError", "parameter_refused"),
        ("functions", "BadRequestError", "unsupported_parameter"),
        ("xml", "BadRequestError", "unsupported_value"),
        ("image elsewhere", "BadRequestError", "media_refused"),
        ("image in extra_body", "BadRequestError", "parameter_refused"),
        ("image in a text", "BadRequestError", "media_refused"),
        ("image of a tool", "BadRequestError", "media_refused"),
    ],
)
def test_errors_have_types(found: dict[str, Any], step: str, error: str, code: str) -> None:
    assert (found[step].get("error"), found[step].get("code")) == (error, code), found[step]


def test_the_engines_own_refusal_is_told(found: dict[str, Any]) -> None:
    assert found["too long"]["error"] == "BadRequestError"
    assert "512" in found["too long"]["message"]


def test_answers(found: dict[str, Any]) -> None:
    assert found["chat"]["answer"]["choices"][0]["message"]["content"]
    assert len(found["stream"]["answer"]) > 1
    assert found["image"]["answer"]["usage"]["prompt_tokens"] > 10
    assert found["models"]["answer"] == ["asr", "chat", "org/Model-1"]
    assert found["model with a slash"]["answer"] == "org/Model-1"


def test_speech_to_text_in_every_format(found: dict[str, Any]) -> None:
    words = found["json"]["answer"]["text"]
    assert "tiny-asr" in words
    assert found["text"]["answer"] == words + "\n"
    assert found["srt"]["answer"].startswith("1\n00:00:00,000 --> 00:00:")
    assert words.strip() in found["srt"]["answer"]
    assert found["vtt"]["answer"].startswith("WEBVTT\n\n00:00:00.000 --> 00:00:")
    verbose = found["verbose_json"]["answer"]
    assert verbose["text"] == words
    assert verbose["segments"]
    events = found["stream of words"]["answer"]
    assert [event["type"] for event in events] == ["transcript.text.delta", "transcript.text.done"]
    assert events[-1]["text"] == words


def test_no_mutated_request_breaks_the_gateway(found: dict[str, Any]) -> None:
    """That none of them has anything fetched is seen by the listener, below."""
    assert found["mutated"]["broken"] == []
    statuses = found["mutated"]["statuses"]
    assert sum(statuses.values()) == MUTATIONS
    assert statuses["200"] > 0.05 * MUTATIONS
    assert statuses.get("not sent", 0) < 0.1 * MUTATIONS


def test_nothing_is_fetched_and_nothing_told(found: dict[str, Any]) -> None:
    assert (found["hits by the gateway"], found["hits by the engine"]) == (0, 1)
    for step, told in found.items():
        if isinstance(told, dict) and "error" in told:
            assert not any(name in json.dumps(told) for name in found["inner names"]), step
            assert not [
                name for name in told["headers"] if name.startswith(("x-litellm-version", "x-litellm-model-api-base", "llm_provider"))
            ]
