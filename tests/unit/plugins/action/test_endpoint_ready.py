# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action with real Ansible: into a log, on a terminal, and where programs read."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import threading
import typing as t
from pathlib import Path

import pytest
from support import local_play
from support.played_server import Play, Server

pytestmark = pytest.mark.slow
KEY = "a-key-that-nobody-sees"


@pytest.fixture
def server() -> t.Iterator[Server]:
    """Not healthy until a test says so."""
    played = Server(Play(key=KEY, answer=(503, "warming up"))).start()
    yield played
    played.stop()


def play(folder: Path, server: Server, **options: t.Any) -> list[str]:
    task = {
        "endpoints": [
            {"name": "chat", "base_url": server.base_url, "api_key": KEY},
            {"name": "port", "base_url": server.base_url, "level": "open"},
        ],
        "timeout": 300,
        **options,
    }
    return local_play.command(folder, "endpoint_ready", task, "-vvv")


def test_a_short_wait_without_a_terminal_has_no_lines(tmp_path: Path, server: Server) -> None:
    stopped = threading.Event()

    def warm_up() -> None:
        """Three seconds, counted from the first real request."""
        while not stopped.wait(0.05):
            if any(method == "POST" for method, _path in server.requests):
                stopped.wait(3.0)
                server.change(answer=None)
                return

    threading.Thread(target=warm_up, daemon=True).start()
    done = subprocess.run(play(tmp_path, server), capture_output=True, text=True, check=False, env=local_play.ENVIRONMENT)
    stopped.set()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok=1" in done.stdout
    assert "changed=0" in done.stdout
    assert "localhost chat:" not in done.stdout
    assert KEY not in done.stdout + done.stderr


def test_a_long_wait_without_a_terminal_has_a_line_for_each_phase(tmp_path: Path, server: Server) -> None:
    argv = play(tmp_path, server)
    shown: list[str] = []
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=local_play.ENVIRONMENT
    ) as process:
        assert process.stdout
        for line in process.stdout:
            shown.append(line.strip())
            if line.startswith("localhost chat: not healthy yet ("):
                server.change(answer=None)
    assert process.returncode == 0, shown
    lines = [line.partition(" (")[0] for line in shown if line.startswith(("localhost chat:", "localhost port:"))]
    assert sorted(lines) == ["localhost chat: not healthy yet", "localhost chat: ready", "localhost port: ready"]


def test_a_document_has_no_lines_in_it(tmp_path: Path, server: Server) -> None:
    server.change(answer=None)
    environment = {**local_play.ENVIRONMENT, "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
    argv = [one for one in play(tmp_path, server) if one != "-vvv"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    assert json.loads(done.stdout)["stats"]["localhost"]["ok"] == 1, done.stdout + done.stderr


def on_terminal(argv: list[str], after: str = "", then: t.Callable[[], None] = lambda: None) -> tuple[int, str]:
    """Exit status and what a terminal shows; C(then) is done once, when it shows C(after)."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(argv, stdin=follower, stdout=follower, stderr=follower, env=local_play.ENVIRONMENT, close_fds=True)
    os.close(follower)
    chunks: list[bytes] = []
    while True:
        try:
            chunk = os.read(leader, 65536)
        except OSError:
            break
        if not chunk:
            break
        chunks.append(chunk)
        if after and after.encode() in b"".join(chunks):
            after = ""
            then()
    os.close(leader)
    return process.wait(), b"".join(chunks).decode("utf-8", "replace")


def test_live_lines_on_a_terminal(tmp_path: Path, server: Server) -> None:
    status, text = on_terminal(play(tmp_path, server), "chat: not healthy yet (", lambda: server.change(answer=None))
    lines = [line for line in text.splitlines() if line.startswith("localhost ")]
    assert status == 0, text
    assert any(line.startswith("localhost port: ready (") for line in lines)
    assert any(line.startswith("localhost chat: not healthy yet (") for line in lines)
    assert any(line.startswith("localhost chat: ready (") for line in lines)
    assert KEY not in text


def test_no_lines_where_they_are_not_wanted(tmp_path: Path, server: Server) -> None:
    server.change(answer=None)
    status, text = on_terminal(play(tmp_path, server, progress=False))
    assert status == 0, text
    assert "localhost chat:" not in text


def test_wrong_options_are_refused_before_anything_runs(tmp_path: Path, server: Server) -> None:
    argv = play(tmp_path, server, timeot=3)
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=local_play.ENVIRONMENT)
    assert done.returncode != 0
    assert "timeot" in done.stdout + done.stderr
    assert server.requests == []
