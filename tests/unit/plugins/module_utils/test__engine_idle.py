# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils._engine_idle import Engine, ask_engine, look, wait_idle


def metrics(running: int, waiting: int = 0) -> str:
    """As vLLM tells them."""
    labels = '{engine="0",model_name="chat"}'
    return (
        f"# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{labels} {running}.0\n"
        f"vllm:num_requests_waiting{labels} {waiting}.0\nvllm:num_requests_waiting_by_reason{labels} 7.0\n"
    )


CHAT = Engine("vllm@chat.service", "vllm", "http://127.0.0.1:8000/v1", "key")
OTHER = Engine("ollama@main.service", "ollama", "http://127.0.0.1:8001")


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def wait(
    engines: list[Engine], told: Callable[[float], str], timeout: float = 60, quiet: float = 10
) -> tuple[list[tuple[str, int | None]], float]:
    time = Time()

    def ask(url: str, key: str | None) -> str:
        assert (url, key) == ("http://127.0.0.1:8000/metrics", "key")
        return told(time.now - 100)

    found = wait_idle(engines, timeout=timeout, quiet=quiet, clock=lambda: time.now, sleep=time.sleep, ask=ask)
    return [(one.state, one.requests) for one in found], time.now - 100


def test_it_waits_until_the_last_request_has_ended() -> None:
    assert wait([CHAT], lambda now: metrics(max(0, 3 - int(now)), 1 if now < 5 else 0)) == ([("idle", 0)], 6)
    assert wait([CHAT], lambda now: metrics(0)) == ([("idle", 0)], 1), "one that came a moment ago would be seen"


def test_it_gives_up() -> None:
    assert wait([CHAT], lambda now: metrics(2, 3)) == ([("busy", 5)], 60)
    assert wait([CHAT], lambda now: metrics(2, 3), timeout=0) == ([("busy", 5)], 0)


def test_one_that_does_not_tell_gets_its_time() -> None:
    assert wait([OTHER], lambda now: "") == ([("unknown", None)], 10)
    assert wait([OTHER, CHAT], lambda now: metrics(1 if now < 20 else 0)) == ([("unknown", None), ("idle", 0)], 21)
    assert wait([CHAT], lambda now: "vllm:other 1") == ([("unknown", None)], 10)
    assert wait([OTHER], lambda now: "", timeout=5) == ([("unknown", None)], 5)
    assert wait([], lambda now: "") == ([], 0)


def test_one_that_does_not_run_has_nothing_to_do() -> None:
    def refused(_now: float) -> str:
        raise ConnectionRefusedError

    assert wait([CHAT], refused) == ([("stopped", None)], 0)

    def slow(_now: float) -> str:
        raise TimeoutError

    assert wait([CHAT], slow) == ([("unknown", None)], 10)


def test_llama_cpp_tells_too() -> None:
    found = look(Engine("u", "llama_cpp", "http://h/v1"), lambda url, key: "llamacpp:requests_processing 1\nllamacpp:requests_deferred 2\n")
    assert (found.state, found.requests) == ("busy", 3)


def test_a_real_server_and_none() -> None:
    asked: list[str | None] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            asked.append(self.headers.get("Authorization"))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(metrics(1).encode())

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    assert "num_requests_running" in ask_engine(f"{url}/metrics", "k")
    assert asked == ["Bearer k"]
    server.shutdown()
    server.server_close()
    with pytest.raises(ConnectionRefusedError):
        ask_engine(f"{url}/metrics", None)
