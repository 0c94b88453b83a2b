# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real load generator: what it says of a server whose delays are known, and of a real engine. Needs the test bed: `make real`."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from support.containers import VLLM
from support.inventories import cpu, host, inventory, service, variables
from testbed import settings

from ansible_collections.llmops.gpu_inference.plugins.module_utils._benchmark_run import CONTAINER
from ansible_collections.llmops.gpu_inference.plugins.modules.benchmark import measure
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._benchmark.report import documents, report
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._benchmark.targets import GENERATORS, choose
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import build_plan

KEY = "engine-key-0123456789"
TOKENS = 8


class Slow(BaseHTTPRequestHandler):
    """Streams an answer whose first token and every other one come after a time that is known."""

    protocol_version = "HTTP/1.1"
    first, each = 0.1, 0.01
    asked: ClassVar[list[dict[str, Any]]] = []

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        text = b"vllm:num_requests_running 0\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions" or self.headers.get("Authorization") != f"Bearer {KEY}":
            self.send_response(404 if self.headers.get("Authorization") else 401)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.asked.append(body)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for number in range(TOKENS):
            time.sleep(self.each if number else self.first)
            self.event({"choices": [{"index": 0, "delta": {"content": f"word{number} "}}]})
        self.event({"choices": [], "usage": {"prompt_tokens": 64, "completion_tokens": TOKENS, "total_tokens": 64 + TOKENS}})
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def event(self, document: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(document)}\n\n".encode())
        self.wfile.flush()


@contextlib.contextmanager
def serving(first: float, each: float) -> Iterator[int]:
    class Handler(Slow):
        asked: ClassVar[list[dict[str, Any]]] = []

    Handler.first, Handler.each = first, each
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    assert {(body["max_completion_tokens"], body["ignore_eos"], body["temperature"]) for body in Handler.asked} == {(TOKENS, True, 0.0)}
    prompts = [body["messages"][0]["content"] for body in Handler.asked]
    assert len({json.dumps(prompt) for prompt in prompts}) >= len(prompts) - 2, "prompts that a cache has seen"


def target(port: int, **given: Any) -> dict[str, Any]:
    """Of a service that listens on this port, with the bed's own image."""
    chat = service(memory="1GiB", port=port)
    images = {"inference_images": {"vllm": VLLM}}
    plan = build_plan(inventory(one=host("inference_nodes", hardware=cpu(), **variables(chat, **images))))
    chosen = choose(plan, {"benchmark_input_tokens": 64, "benchmark_output_tokens": TOKENS, **given}, int(time.time()))
    assert chosen["problems"] == []
    (found,) = chosen["targets"]["one"]
    return {**found, "files": GENERATORS[found["generator"]].files()}


def at(found: dict[str, Any], base_url: str, network: str) -> dict[str, Any]:
    """The same at another address."""
    before = "http://vllm-chat:8000"
    steps = [{**step, "command": [base_url if word == before else word for word in step["command"]]} for step in found["steps"]]
    return {**found, "network": network, "steps": steps}


def kept(found: dict[str, Any], measured: dict[str, Any], config_hash: str, hour: int) -> list[dict[str, Any]]:
    units = {"one": {"units": [{"unit": "vllm@chat.service", "config_hash": config_hash, "image": VLLM, "image_digest": None}]}}
    result = {"ansible_loop_var": "one", "one": found, "started": f"2026-11-28T{hour}:00:00Z", **measured}
    return documents([result], "one", units, [])


def test_two_releases_whose_difference_is_known() -> None:
    results = []
    for hour, first, each in ((10, 0.1, 0.02), (11, 0.3, 0.04)):
        with serving(first, each) as port:
            found = at(target(port, benchmark_concurrency="2", benchmark_requests="8"), f"http://127.0.0.1:{port}", "host")
            measured = measure(found, KEY, None, None)
        assert measured["failure"] is None, measured["failure"]
        results += kept(found, measured, str(hour), hour)
    shown = report({"one": {"documents": results}}, {}, "2026-11-28T12:00:00Z")
    files = {file["name"]: file["content"] for file in shown["files"]}
    rows = {row["figure"]: row for row in json.loads(files["benchmarks.json"])["services"][0]["rows"]}
    for figure, before, newest in (
        ("ttft_median", 100, 300),
        ("itl_median", 20, 40),
        ("e2e_median", 100 + 20 * (TOKENS - 1), 300 + 40 * (TOKENS - 1)),
    ):
        row = rows[figure]
        # A machine that is busy is late, and never early.
        assert before <= row["before"] < before * 1.5 + 30, row
        assert newest <= row["newest"] < newest * 1.5 + 30, row
        assert row["better"] is False
    assert rows["request_throughput"]["change"] < -0.3
    assert "% worse" in files["benchmarks.html"]


@pytest.fixture(scope="module")
def engine() -> Iterator[tuple[str, int]]:
    """A real vLLM on a network of its own: its address there, and its port on this machine."""
    name = f"{CONTAINER}-test-{uuid.uuid4().hex[:8]}"
    subprocess.run(["docker", "network", "create", name], check=True, capture_output=True)
    argv = ["docker", "run", "--detach", "--name", name, "--network", name, "--publish", "127.0.0.1:0:8000"]
    argv += [
        "--env",
        f"VLLM_API_KEY={KEY}",
        "--env",
        "HF_HUB_OFFLINE=1",
        "--volume",
        f"{settings.MODELS}:/models:ro",
        "--entrypoint",
        "vllm",
    ]
    argv += [VLLM, "serve", "/models/tiny-chat", "--served-model-name", "chat", "--kv-cache-memory-bytes", "16M"]
    try:
        subprocess.run(argv, check=True, capture_output=True)
        shown = subprocess.run(["docker", "port", name, "8000/tcp"], check=True, capture_output=True, text=True).stdout
        port = int(shown.split()[0].rpartition(":")[2])
        healthy = ["docker", "exec", name, "python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health')"]
        deadline = time.monotonic() + 240
        while subprocess.run(healthy, check=False, capture_output=True).returncode != 0:
            if time.monotonic() > deadline:
                raise AssertionError(subprocess.run(["docker", "logs", name], check=False, capture_output=True, text=True).stderr[-3000:])
            time.sleep(1)
        yield name, port
    finally:
        subprocess.run(["docker", "rm", "--force", name], check=False, capture_output=True)
        subprocess.run(["docker", "network", "rm", name], check=False, capture_output=True)


def test_a_real_engine(engine: tuple[str, int]) -> None:
    name, port = engine
    found = at(target(port, benchmark_concurrency="1,4", benchmark_requests="8"), f"http://{name}:8000", name)
    measured = measure(found, KEY, None, None)
    assert measured["failure"] is None, measured["failure"]
    assert (measured["used"], measured["gave_way"]) == (False, False)
    assert [(step["concurrency"], step["completed"], step["failed"]) for step in measured["steps"]] == [(1, 8, 0), (4, 8, 0)]
    for step in measured["steps"]:
        assert step["output_tokens"] == 8 * TOKENS
        # The tool has the engine count, so that prompts have their length but for the model's own template.
        assert 8 * 64 < step["input_tokens"] < 8 * (64 + 64)
        assert 0 < step["ttft_median"] <= step["ttft_p99"] <= step["e2e_p99"]
    wrong = measure(found, "a-wrong-key", None, None)
    assert wrong["steps"] == []
    assert "Unauthorized" in wrong["failure"]
    assert KEY not in subprocess.run(["docker", "ps", "--all", "--no-trunc"], check=True, capture_output=True, text=True).stdout


def test_a_real_engine_that_others_use(engine: tuple[str, int]) -> None:
    """A long answer is under way. The benchmark begins nothing beside it."""
    name, port = engine
    program = (
        "import json, urllib.request as u\n"
        "body = {'model': 'chat', 'messages': [{'role': 'user', 'content': 'x'}], 'max_tokens': 3000, 'ignore_eos': True}\n"
        f"headers = {{'Content-Type': 'application/json', 'Authorization': 'Bearer {KEY}'}}\n"
        "u.urlopen(u.Request('http://127.0.0.1:8000/v1/chat/completions', json.dumps(body).encode(), headers)).read()\n"
    )
    other = subprocess.Popen(["docker", "exec", name, "python3", "-c", program], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(2)
        found = at(target(port, benchmark_concurrency="1", benchmark_requests="4"), f"http://{name}:8000", name)
        assert measure(found, KEY, None, None) == {"used": True, "gave_way": False, "failure": None, "steps": []}
    finally:
        other.kill()
        other.wait()
