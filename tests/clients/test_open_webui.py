# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real Open WebUI, pinned in requirements-open-webui.txt, with the environment that is written: `make test-clients`.

Nothing but the gateway can be reached: all other addresses lead to a proxy that is not there.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from clients.scripted_gateway import ANSWER, Script, serving

from ansible_collections.llmops.gpu_inference.plugins.module_utils._clients import parse_env_as_docker
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.render import render_client_files

ROOT = Path(__file__).resolve().parents[2]
BROWSER = ROOT / ".venv-docs" / "bin" / "python"
PROGRAM = ROOT / "build" / "clients" / "open-webui" / "bin" / "open-webui"
KEY = "sk-client-0123456789abcdef"
ENTRY = {"type": "open_webui", "path": "/a", "task_model": "small", "secret_key": "of-the-sessions-0123456789-0123456789"}
MODELS: list[dict[str, Any]] = [
    {"name": name, "capability": capability}
    for name, capability in (
        ("chat", "chat"),
        ("small", "chat"),
        ("embedding", "embedding"),
        ("rerank", "rerank"),
        ("asr", "transcription"),
    )
]
USER = {"email": "user@example.org", "password": "Correct-horse-1"}
QUESTION = "Is the file there?"
SPEECH = ROOT / "playbooks" / "files" / "samples" / "speech.wav"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Server:
    """Open WebUI while it runs."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.token = ""

    def send(self, path: str, body: bytes | None, kind: str) -> Any:
        request = urllib.request.Request(self.base + path, data=body, headers={"Content-Type": kind})
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.loads(answer.read())

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return self.send(path, None if body is None else json.dumps(body).encode(), "application/json")

    def wait(self, process: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + 600
        while time.monotonic() < until and process.poll() is None:
            try:
                self.ask("/health")
                return
            except OSError:
                time.sleep(2)
        raise AssertionError("Open WebUI does not answer")


@contextmanager
def running(environment: Mapping[str, str], folder: Path) -> Iterator[Server]:
    server = Server(port := free_port())
    argv = [str(PROGRAM), "serve", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(argv, env=dict(environment), cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        try:
            server.wait(process)
            yield server
        finally:
            process.terminate()
            process.wait(60)


def speech() -> tuple[bytes, str]:
    """A form with the sample as a file."""
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="speech.wav"\r\nContent-Type: audio/wav\r\n\r\n'
    return head + SPEECH.read_bytes() + b"\r\n--x--\r\n", "multipart/form-data; boundary=x"


def variables(url: str, models: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    (file,) = render_client_files([ENTRY], gateway_url=url, models=models, api_key=KEY)
    return parse_env_as_docker(file["content"])


def offers_tools(script: Script) -> list[bool]:
    """Of each time that it passed the question on to the model for chats."""
    asked = [request for request in script.asked if request.model == "chat" and QUESTION in json.dumps(request.body["messages"][-1])]
    return [bool(request.tools) for request in asked]


def browse(base: str, picture: Path) -> list[str]:
    """Log in, look at the models, and chat, in Chromium. The models."""
    told = {"CHAT_EMAIL": USER["email"], "CHAT_PASSWORD": USER["password"], "CHAT_QUESTION": QUESTION, "CHAT_ANSWER": ANSWER}
    argv = [str(BROWSER), str(Path(__file__).with_name("browse_open_webui.py")), base, str(picture)]
    environment = {**os.environ, **told, "PYTHONPATH": str(ROOT / "website")}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    listed: list[str] = json.loads(done.stdout)
    return listed


def test_it_works_with_the_gateway_alone_and_keeps_our_settings(tmp_path: Path) -> None:
    if not PROGRAM.exists():
        pytest.skip(f"{PROGRAM} is not there: `make test-clients` installs it")
    script = Script(KEY, [model["name"] for model in MODELS], str(tmp_path))
    with serving(script) as url:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "DATA_DIR": str(tmp_path),
            **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"),
            "NO_PROXY": "127.0.0.1,localhost",
            **variables(url, MODELS),
        }
        with running(environment, tmp_path) as server:
            server.token = server.ask("/api/v1/auths/signup", {"name": "user", **USER})["token"]
            assert [model["id"] for model in server.ask("/api/models")["data"]] == script.models
            assert server.ask("/api/config")["default_models"] == "chat"
            chat = {"model": "chat", "messages": [{"role": "user", "content": "Hi"}], "stream": False}
            assert server.ask("/api/chat/completions", chat)["choices"][0]["message"]["content"] == ANSWER
            text = {"name": "notes", "content": "The gateway is on port 8400.", "collection_name": "notes"}
            assert server.ask("/api/v1/retrieval/process/text", text)["status"]
            query = {"collection_names": ["notes"], "query": "Which port?", "k": 1}
            assert "8400" in json.dumps(server.ask("/api/v1/retrieval/query/collection", query))
            assert server.send("/api/v1/audio/transcriptions", *speech())["text"] == ANSWER
            assert browse(server.base, tmp_path / "with-tools.png") == script.models
            assert offers_tools(script) == [True]
            changed = {"OPENAI_API_BASE_URLS": ["http://127.0.0.1:9/v1"], "OPENAI_API_KEYS": ["other"], "OPENAI_API_CONFIGS": {}}
            server.ask("/openai/config/update", {"ENABLE_OPENAI_API": True, **changed})
        without_tools = [{**model, "tools_trouble": "vLLM has no parser for its calls"} for model in MODELS]
        with running({**environment, **variables(url, without_tools)}, tmp_path) as server:
            server.token = server.ask("/api/v1/auths/signin", USER)["token"]
            assert server.ask("/openai/config")["OPENAI_API_BASE_URLS"] == [f"{url}/v1"]
            assert browse(server.base, tmp_path / "without-tools.png") == script.models
            assert offers_tools(script) == [True, False]
