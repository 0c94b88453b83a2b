# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is on the wire: from a client to the real LiteLLM, and from there to nginx in front of an engine on another host.

Every byte of both ways is kept. With TLS there is no key among them, without it there are. Needs the test bed's images: `make real`.
"""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import create_connection
from typing import Any

import pytest
import requests
from support.gateway_folder import write_gateway
from support.local_gateway import local_gateway
from support.ollama import free_port
from support.programs import installed
from support.render import render
from support.wire import Wire, wire

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._secrets.certificates import Pair, make_authority, make_certificate

#: Of the node, on which nginx listens; its engine listens on the same port of 127.0.0.1.
NODE = "127.0.0.16"
MASTER, CLIENT, ENGINE = "sk-master-0123456789abcdef", "client-key-0123456789", "engine-key-0123456789abc"
SECRETS = tuple(key.encode() for key in (MASTER, CLIENT, ENGINE))
NOW = datetime.now(timezone.utc)
AUTHORITY = make_authority(NOW)


class Engine(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        right = self.headers.get("Authorization") == f"Bearer {ENGINE}"
        choice = {"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        reply = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
        body = json.dumps(reply if right else {"error": "Unauthorized"}).encode()
        self.send_response(200 if right else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def engine() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Engine)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def certificate(*names: str, authority: Pair = AUTHORITY) -> Pair:
    return make_certificate(authority, names, NOW)


@dataclass
class Proxy:
    """nginx with the configuration of role node_proxy."""

    folder: Path
    upstream: int
    certificate: str
    port: int = field(default_factory=lambda: free_port("127.0.0.1"))
    process: subprocess.Popen[bytes] | None = None

    def write(self) -> None:
        service = {"name": "chat", "port": self.port, "upstream_port": self.upstream, "allowed_addresses": ["127.0.0.1"], "key": ENGINE}
        own = {
            "__node_proxy_dir": str(self.folder),
            "__node_proxy_run": str(self.folder / "run"),
            "node_proxy_listen_address": NODE,
            "node_proxy_services": [service],
            "node_proxy_tls_pem": self.certificate,
        }
        text, keys = render("node_proxy", [("nginx.conf.j2", own), ("keys.conf.j2", own)])
        # The relay has an address of loopback for its target.
        text = text.replace(f"listen {NODE}:", "listen 127.0.0.1:")
        (self.folder / text.split(f"include {self.folder}/")[1].split(";")[0]).write_text(keys, encoding="utf-8")
        if self.certificate:
            (self.folder / text.split(f"ssl_certificate {self.folder}/")[1].split(";")[0]).write_text(self.certificate, encoding="utf-8")
        (self.folder / "nginx.conf").write_text(text, encoding="utf-8")
        subprocess.run([installed("nginx"), "-t", "-q", "-e", "stderr", "-c", str(self.folder / "nginx.conf")], check=True)

    def start(self) -> None:
        (self.folder / "run").mkdir()
        self.folder.chmod(0o755)
        self.write()
        argv = [installed("nginx"), "-e", "stderr", "-c", str(self.folder / "nginx.conf"), "-g", "daemon off;"]
        self.process = subprocess.Popen(argv, stderr=subprocess.DEVNULL)

    def renew(self, text: str) -> None:
        assert self.process is not None
        self.certificate = text
        self.write()
        self.process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)


@dataclass
class Deployment:
    proxy: Proxy
    gateway_folder: Path
    url: str
    to_gateway: Wire
    to_node: Wire

    def chat(self, session: requests.Session | None = None, url: str | None = None, **options: Any) -> requests.Response:
        given = {"verify": str(self.gateway_folder / "authority.pem"), "timeout": 60, **options}
        body = {"model": "chat", "messages": [{"role": "user", "content": str(time.monotonic())}]}
        headers = {"Authorization": f"Bearer {CLIENT}"}
        asked = session or requests
        return asked.post(f"{url or self.url}/v1/chat/completions", json=body, headers=headers, **given)

    def seen(self) -> bytes:
        return bytes(self.to_gateway.seen + self.to_node.seen)


@contextmanager
def deployment(folder: Path, *, tls: bool, node: Pair | None = None) -> Iterator[Deployment]:
    """A client's way to the gateway and the gateway's way to a node, each by a wire that keeps what it sees."""
    scheme = "https" if tls else "http"
    (folder / "proxy").mkdir()
    (folder / "gateway").mkdir()
    (folder / "gateway/authority.pem").write_text(AUTHORITY.certificate)
    with ExitStack() as stack:
        node_certificate = (node or certificate("127.0.0.1")).text if tls else ""
        proxy = Proxy(folder / "proxy", stack.enter_context(engine()), node_certificate)
        stack.callback(proxy.stop)
        proxy.start()
        to_node = stack.enter_context(wire(proxy.port))
        backend = {"id": "chat-n1", "host": "n1", "engine": "vllm", "model": "chat", "key_variable": "ENGINE_KEY_N1"}
        plan = {"models": [{"name": "chat", "backends": [{**backend, "url": f"{scheme}://127.0.0.1:{to_node.port}/v1"}]}]}
        own = certificate("127.0.0.1", "localhost", "litellm-gateway")
        environment = write_gateway(
            folder / "gateway",
            plan,
            master_key=MASTER,
            client_keys={"alice": CLIENT},
            secret_environment={"ENGINE_KEY_N1": ENGINE},
            tls={"own": own.text, "ca": AUTHORITY.certificate} if tls else {},
        )
        serving = stack.enter_context(local_gateway(folder / "gateway", environment))
        serving.wait()
        to_gateway = stack.enter_context(wire(int(serving.url.rpartition(":")[2])))
        yield Deployment(proxy, folder / "gateway", f"{scheme}://127.0.0.1:{to_gateway.port}", to_gateway, to_node)
        assert serving.process.poll() is None, serving.log.read_text()
        assert not [key for key in SECRETS if key in serving.log.read_bytes()]


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with deployment(tmp_path_factory.mktemp("secured"), tls=True) as made:
        yield made


def test_no_key_is_on_the_wire(secured: Deployment) -> None:
    answer = secured.chat()
    assert (answer.status_code, answer.json()["choices"][0]["message"]["content"]) == (200, "Hello.")
    for way in (secured.to_gateway, secured.to_node):
        assert way.seen[:1] == b"\x16", "a TLS handshake is the first that is sent"
        assert len(way.seen) > 1000
    assert not [key for key in SECRETS if key in secured.seen()]
    assert b"Hello." not in secured.seen()


def test_without_tls_the_keys_are(tmp_path: Path) -> None:
    """Else the test above would prove nothing."""
    with deployment(tmp_path, tls=False) as clear:
        assert clear.chat().status_code == 200
        assert CLIENT.encode() in clear.to_gateway.seen
        assert ENGINE.encode() in clear.to_node.seen


def test_a_client_that_does_not_know_the_authority_sends_no_key(secured: Deployment) -> None:
    with pytest.raises(requests.exceptions.SSLError, match=r"self.signed certificate in certificate chain|unable to get local issuer"):
        secured.chat(verify=True)


def test_the_gateway_sends_no_key_to_a_node_with_a_foreign_certificate(tmp_path: Path) -> None:
    with deployment(tmp_path, tls=True, node=certificate("127.0.0.1", authority=make_authority(NOW))) as foreign:
        assert foreign.chat().status_code >= 500
        assert foreign.to_node.connections > 0


def served(port: int) -> bytes:
    context = ssl.create_default_context(cadata=AUTHORITY.certificate)
    with create_connection(("127.0.0.1", port)) as raw, context.wrap_socket(raw, server_hostname="127.0.0.1") as connection:
        return connection.getpeercert(binary_form=True) or b""


def leaf(pair: Pair) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pair.certificate.partition("\n-----BEGIN CERT")[0] + "\n")


def replace(path: Path, text: str) -> None:
    """At once, as a node does it."""
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    os.replace(new, path)


def test_certificates_are_renewed_without_a_failed_request(secured: Deployment) -> None:
    """Of the gateway and of the node, three times each, under requests on new connections and on those that are kept."""
    stop = threading.Event()

    def ask(kept: bool) -> list[Any]:
        found: list[Any] = []
        with requests.Session() as session:
            while not stop.is_set():
                try:
                    found.append(secured.chat(session if kept else None).status_code)
                except requests.RequestException as error:
                    found.append(repr(error))
        return found

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask, kept) for kept in (True, True, False, False)]
        try:
            for _round in range(3):
                time.sleep(1)
                gateway, node = certificate("127.0.0.1", "localhost", "litellm-gateway"), certificate("127.0.0.1")
                replace(secured.gateway_folder / "live/tls.pem", gateway.text)
                assert served(secured.to_gateway.port) == leaf(gateway)
                secured.proxy.renew(node.text)
                deadline = time.monotonic() + 10
                while served(secured.proxy.port) != leaf(node):
                    assert time.monotonic() < deadline, "nginx still serves the old certificate"
                    time.sleep(0.1)
            time.sleep(1)
        finally:
            stop.set()
        answers = [answer for one in asking for answer in one.result()]
    assert len(answers) > 40
    assert set(answers) == {200}
