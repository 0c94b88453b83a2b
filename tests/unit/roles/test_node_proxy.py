# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proxy's configuration: as text, and as nginx itself means it.

The second half runs the distribution's nginx on loopback addresses in front of a server that plays Ollama; without nginx it is skipped.
"""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.ollama import free_port, played_ollama
from support.programs import installed
from support.render import render

GOLDEN = Path(__file__).resolve().parent / "golden"
KEY = "Sk-0123456789abcdef.+=/~"
OLD_KEY = "Sk-fedcba9876543210.+=/~"
ADDRESS = "127.0.0.16"


def service(**changes: Any) -> dict[str, Any]:
    return {"name": "vllm-chat", "port": 8070, "upstream_port": 8070, "allowed_addresses": ["192.0.2.10"], "key": KEY, **changes}


CASES: dict[str, dict[str, Any]] = {
    "plain": {
        "node_proxy_listen_address": "192.0.2.20",
        "node_proxy_services": [
            service(
                name="ollama-11434", port=11434, upstream_port=11434, engine="ollama", allowed_addresses=["198.51.100.0/24", "192.0.2.10"]
            ),
            service(engine="vllm"),
        ],
    },
    "tls": {
        "node_proxy_listen_address": "2001:db8::20",
        "node_proxy_tls_certificate": "/etc/ssl/node.pem",
        "node_proxy_tls_certificate_key": "/etc/ssl/private/node.key",
        "node_proxy_services": [service(allowed_addresses=["2001:db8::10"])],
    },
}
CASES["own certificate"] = {**CASES["plain"], "node_proxy_tls_pem": "certificate and key\n"}
CASES["renewed"] = {**CASES["plain"], "node_proxy_tls_pem": "another certificate and key\n"}
CASES["other key"] = {**CASES["plain"], "node_proxy_services": [{**one, "key": KEY + "x"} for one in CASES["plain"]["node_proxy_services"]]}


FILES = ("nginx.conf", "keys.conf", "gpu-inference-proxy.service")


@pytest.fixture(scope="module")
def rendered() -> dict[tuple[str, str], str]:
    names = [(case, file) for case in CASES for file in FILES]
    return dict(zip(names, render("node_proxy", [(f"{file}.j2", CASES[case]) for case, file in names])))


@pytest.mark.parametrize("case", ["plain", "tls"])
@pytest.mark.parametrize("file", FILES)
def test_rendered_files(rendered: dict[tuple[str, str], str], case: str, file: str) -> None:
    golden = GOLDEN / f"node_proxy-{case}-{file}"
    assert rendered[case, file].splitlines() == golden.read_text(encoding="utf-8").splitlines()


def test_no_key_outside_of_its_file(rendered: dict[tuple[str, str], str]) -> None:
    assert [name for name, text in rendered.items() if "0123456789abcdef" in text and name[1] != "keys.conf"] == []


def test_another_key_is_another_file(rendered: dict[tuple[str, str], str]) -> None:
    assert rendered["plain", "nginx.conf"] != rendered["other key", "nginx.conf"]


def test_a_certificate_is_one_file_with_its_key_and_a_renewed_one_is_another(rendered: dict[tuple[str, str], str]) -> None:
    """Which nginx takes with a reload, while what runs has what it began with."""
    found = [re.findall(r"ssl_certificate(?:_key)? (.*);", rendered[case, "nginx.conf"]) for case in ("own certificate", "renewed")]
    assert [len(set(files)) for files in found] == [1, 1]
    assert re.fullmatch(r"/etc/gpu-inference/proxy/tls-[0-9a-f]{16}\.pem", found[0][0])
    assert found[0] != found[1]
    assert "listen 192.0.2.20:8070 ssl;" in rendered["own certificate", "nginx.conf"]
    assert "certificate and key" not in "".join(text for (case, _file), text in rendered.items() if case == "own certificate")


class Engine(BaseHTTPRequestHandler):
    """Tells what arrived, and streams with pauses."""

    protocol_version = "HTTP/1.1"
    gone = threading.Event()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path != "/v1/stream":
            self.reply({"path": self.path, "authorization": self.headers.get("Authorization"), "for": self.headers.get("X-Forwarded-For")})
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for _number in range(1000):
                self.wfile.write(b"6\r\ndata\n\n\r\n")
                self.wfile.flush()
                time.sleep(0.1)
        except OSError:
            self.gone.set()

    def do_POST(self) -> None:
        self.reply({"bytes": len(self.rfile.read(int(self.headers["Content-Length"])))})

    def reply(self, answer: dict[str, Any]) -> None:
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def nginx(folder: Path, **variables: Any) -> Iterator[None]:
    run = folder / "run"
    run.mkdir()
    own = {"__node_proxy_dir": str(folder), "__node_proxy_run": str(run), "node_proxy_listen_address": ADDRESS, **variables}
    text, keys = render("node_proxy", [("nginx.conf.j2", own), ("keys.conf.j2", own)])
    (folder / text.split(f"include {folder}/")[1].split(";")[0]).write_text(keys, encoding="utf-8")
    config = folder / "nginx.conf"
    config.write_text(text, encoding="utf-8")
    folder.chmod(0o755)
    subprocess.run([installed("nginx"), "-t", "-q", "-e", "stderr", "-c", str(config)], check=True)
    with subprocess.Popen(
        [installed("nginx"), "-e", "stderr", "-c", str(config), "-g", "daemon off;"], stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    engine = ThreadingHTTPServer(("127.0.0.1", 0), Engine)
    engine.daemon_threads = True
    threading.Thread(target=engine.serve_forever, daemon=True).start()
    ports = {name: free_port(ADDRESS) for name in ("vllm", "ollama", "down", "closed")}
    with played_ollama(tmp_path_factory.mktemp("models")) as ollama:
        services = [
            service(
                name="chat",
                port=ports["vllm"],
                upstream_port=engine.server_port,
                allowed_addresses=["127.0.0.0/8"],
                previous_key=OLD_KEY,
            ),
            service(
                name="small",
                port=ports["ollama"],
                upstream_port=urlsplit(ollama).port,
                engine="ollama",
                allowed_addresses=["127.0.0.1"],
                previous_key="",
            ),
            service(name="down", port=ports["down"], upstream_port=free_port(), allowed_addresses=["127.0.0.1"]),
            service(name="closed", port=ports["closed"], upstream_port=engine.server_port, allowed_addresses=["192.0.2.10"]),
        ]
        with nginx(tmp_path_factory.mktemp("proxy"), node_proxy_services=services):
            found = {name: f"{ADDRESS}:{port}" for name, port in ports.items()}
            for address in found.values():
                _wait_for(address)
            yield found
    engine.shutdown()


def _wait_for(address: str) -> None:
    for _attempt in range(100):
        try:
            connection(address).connect()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"nginx does not listen on {address}")


def connection(address: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(address, timeout=20, source_address=("127.0.0.1", 0))


def ask(address: str, path: str, method: str = "GET", key: str | None = f"Bearer {KEY}", body: bytes | None = None) -> tuple[int, Any]:
    sent = connection(address)
    sent.request(method, path, body, {"Authorization": key} if key is not None else {})
    answer = sent.getresponse()
    data = answer.read()
    try:
        return answer.status, json.loads(data)
    except ValueError:
        return answer.status, data.decode()


@pytest.mark.parametrize(
    ("key", "status"),
    [
        (f"Bearer {KEY}", 200),
        (f"bearer  {KEY}", 200),
        (f"Bearer {OLD_KEY}", 200),
        (f"Bearer {OLD_KEY}x", 401),
        (None, 401),
        ("", 401),
        (f"Bearer {KEY.lower()}", 401),
        (f"Bearer {KEY}x", 401),
        (f"Bearer x{KEY}", 401),
        (f"Bearer {KEY[:-1]}", 401),
        (f"Bearer {KEY.replace('.', 'x')}", 401),
        (f"Basic {KEY}", 401),
        (KEY, 401),
    ],
)
def test_the_key_is_checked(urls: dict[str, str], key: str | None, status: int) -> None:
    found, answer = ask(urls["vllm"], "/health", key=key)
    assert found == status
    if status == 401:
        assert answer["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize(
    ("engine", "method", "path", "status"),
    [
        ("vllm", "GET", "/health", 200),
        ("vllm", "GET", "/metrics", 200),
        ("vllm", "GET", "/v1/models?x=1", 200),
        ("vllm", "GET", "/", 404),
        ("vllm", "GET", "/tokenize", 404),
        ("vllm", "GET", "/invocations", 404),
        ("vllm", "GET", "/healthy", 404),
        ("vllm", "GET", "/docs", 404),
        ("ollama", "GET", "/", 200),
        ("ollama", "GET", "/api/version", 200),
        ("ollama", "GET", "/api/tags", 200),
        ("ollama", "GET", "/api/ps", 200),
        ("ollama", "GET", "/v1/models", 200),
        ("ollama", "POST", "/api/pull", 404),
        ("ollama", "DELETE", "/api/delete", 404),
        ("ollama", "POST", "/api/create", 404),
        ("ollama", "POST", "/api/copy", 404),
        ("ollama", "POST", "/api/push", 404),
        ("ollama", "HEAD", "/api/blobs/sha256:0", 404),
        ("ollama", "POST", "/v1/../api/pull", 404),
        ("ollama", "POST", "/v1/%2e%2e/api/pull", 404),
        ("ollama", "POST", "/v1/..%2fapi/pull", 404),
        ("ollama", "POST", "/v1/%252e%252e/api/pull", 404),
        ("ollama", "POST", "//api//pull", 404),
        ("ollama", "POST", "/api/chat/../pull", 404),
    ],
)
def test_only_inference_is_forwarded(urls: dict[str, str], engine: str, method: str, path: str, status: int) -> None:
    body = b'{"model": "tiny:1"}' if method == "POST" else None
    assert ask(urls[engine], path, method, body=body)[0] == status
    assert ask(urls["ollama"], "/api/tags")[1]["models"] == []


def test_what_arrives(urls: dict[str, str]) -> None:
    _status, answer = ask(urls["vllm"], "/v1/models/Qwen%2FQwen3-4B?x=%20y")
    assert answer == {"path": "/v1/models/Qwen/Qwen3-4B?x=%20y", "authorization": f"Bearer {KEY}", "for": "127.0.0.1"}


def test_other_addresses_are_refused_whatever_key_they_have(urls: dict[str, str]) -> None:
    for key in (f"Bearer {KEY}", None):
        status, answer = ask(urls["closed"], "/health", key=key)
        assert (status, answer["error"]["code"]) == (403, "address_not_allowed")


def test_an_engine_that_is_down(urls: dict[str, str]) -> None:
    status, answer = ask(urls["down"], "/health")
    assert (status, answer["error"]["message"]) == (502, "The engine down does not answer.")


def test_large_requests_pass(urls: dict[str, str]) -> None:
    assert ask(urls["vllm"], "/v1/audio/transcriptions", "POST", body=bytes(20_000_000)) == (200, {"bytes": 20_000_000})


def test_a_stream_comes_piece_by_piece_and_ends_with_its_client(urls: dict[str, str]) -> None:
    sent = connection(urls["vllm"])
    started = time.monotonic()
    sent.request("GET", "/v1/stream", headers={"Authorization": f"Bearer {KEY}"})
    answer = sent.getresponse()
    for _number in range(3):
        answer.readline()
        answer.readline()
    # The whole stream takes 100 s.
    assert time.monotonic() - started < 30
    answer.close()
    sent.close()
    # An engine that writes to nobody would compute to the end.
    assert Engine.gone.wait(30)
