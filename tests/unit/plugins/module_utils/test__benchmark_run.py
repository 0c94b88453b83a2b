# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A step of a benchmark: what it runs, whether it looks and gives way, and what it makes of the end."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _benchmark_run as run

GAUGES = ["engine:running", "engine:waiting"]
METRICS = """# TYPE engine:running gauge
engine:running{model_name="chat"} 2.0
engine:running{model_name="sql"} 1
engine:waiting{model_name="chat"} 4e0
engine:running_total{model_name="chat"} 99
"""
STEP = run.Step(4, 8, ["bench", "--many", "8"])
FIGURES = {"completed": "done", "ttft_median": "median", "unknown": "nothing"}


@pytest.mark.parametrize(
    ("metrics", "gauges", "expected"),
    [
        pytest.param(METRICS, GAUGES, 7.0, id="all-of-them"),
        pytest.param("engine:running 0.0\n", GAUGES, 0.0, id="without-labels"),
        pytest.param("", GAUGES, None, id="a-server-that-does-not-tell"),
        pytest.param(METRICS, [], None, id="an-engine-without-them"),
    ],
)
def test_requests_in_progress(metrics: str, gauges: list[str], expected: float | None) -> None:
    assert run.in_progress(metrics, gauges) == expected


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param([0.0] * 10, False, id="idle"),
        pytest.param([1.0, 1.0] + [0.0] * 8, False, id="a-question-of-the-launcher"),
        pytest.param([0.0, 3.0] * 5, True, id="short-requests"),
        pytest.param([0.0, None], None, id="no-answer"),
    ],
)
def test_whether_others_use_it(seen: list[float | None], expected: bool | None) -> None:
    looks = iter(seen)
    slept: list[float] = []
    assert run.is_used(lambda: next(looks), slept.append) is expected
    assert set(slept) == {run.PAUSE}


def test_it_gives_way_to_others_and_to_nothing_else() -> None:
    now = [0.0]
    seen = iter([4.0, 9.0, None, 5.0, 5.0, 4.0, 5.0, 6.0, 5.0])
    watch = run.Watch(lambda: next(seen), 4, lambda: now[0])
    watch()  # it has just begun
    for _look in range(8):
        now[0] += 1.0
        watch()
    now[0] += 1.0
    with pytest.raises(run.GaveWay):
        watch()


@pytest.fixture
def server() -> Iterator[Callable[[str], str]]:
    """Answers with a text, to whoever has the key."""
    said = [""]

    class Metrics(BaseHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(200 if self.headers.get("Authorization") == "Bearer key" else 401)
            self.end_headers()
            self.wfile.write(said[0].encode())

    http = ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
    threading.Thread(target=http.serve_forever, daemon=True).start()

    def says(text: str) -> str:
        said[0] = text
        return f"http://127.0.0.1:{http.server_port}/metrics"

    yield says
    http.shutdown()
    http.server_close()


def test_a_look_at_several_servers(server: Callable[[str], str]) -> None:
    url = server(METRICS)
    both = [{"url": url, "gauges": GAUGES}, {"url": url, "gauges": ["engine:waiting"]}]
    assert run.look_at(both, "key") == 11.0
    assert run.look_at(both, "wrong") is None
    assert run.look_at([*both, {"url": "http://127.0.0.1:1/metrics", "gauges": GAUGES}], "key") is None
    assert run.look_at([*both, {"url": url, "gauges": []}], "key") is None
    server("engine:other 1\n")
    assert run.look_at(both, "key") is None


DOCKER = """#!/bin/sh
echo "$@" >> {folder}/said
[ "$1" = rm ] && exit 0
while [ $# -gt 0 ]; do
  [ "$1" = --env-file ] && cp "$2" {folder}/env && stat -c %a "$2" >> {folder}/mode
  [ "$1" = --volume ] && place=${{2%%:*}}
  shift
done
cat $place/tokenizer/words.json > {folder}/files
{does}
"""


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    def put(does: str) -> Path:
        file = tmp_path / "docker"
        file.write_text(DOCKER.format(folder=tmp_path, does=does))
        file.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        return tmp_path

    return put


def program(**changes: Any) -> run.Program:
    given = {"files": {"tokenizer/words.json": "[1]"}, "environment": {"HOME": "/tmp"}, "figures": FIGURES, **changes}
    return run.Program(image="engine:1", entrypoint="tool", network="engines", **given)


def step(timeout: float = 20, tick: Callable[[], None] = lambda: None) -> dict[str, Any]:
    return run.run_step(program(), STEP, {"KEY": "secret-0123456789"}, timeout, tick)


def test_a_step_that_ends_well(docker: Callable[[str], Path]) -> None:
    result = json.dumps({"done": 7, "median": 12.5, "other": [1]})
    folder = docker(f"echo '{result}' > $place/result.json")
    assert step() == {"figures": {"completed": 7.0, "ttft_median": 12.5, "failed": 1.0}}
    ran, removed = (folder / "said").read_text().splitlines()
    assert removed.startswith(f"rm --force {run.CONTAINER}-")
    assert "secret" not in ran
    for words in ("--network engines", "--pull never", "--cap-drop ALL", "--read-only", "--entrypoint tool engine:1 bench --many 8"):
        assert words in ran
    assert (folder / "env").read_text() == "HOME=/tmp\nKEY=secret-0123456789\n"
    assert (folder / "mode").read_text() == "600\n"
    assert (folder / "files").read_text() == "[1]"


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("echo 'ModuleNotFoundError: no such thing' >&2; exit 1", "engine:1 ended with exit code 1: ModuleNotFoundError: no such thing"),
        (
            "echo 'docker: Error response from daemon: No such image: engine:1.' >&2; exit 125",
            "engine:1 ended with exit code 125: docker: Error response from daemon: No such image: engine:1.",
        ),
        ("exit 0", "engine:1 left no result that can be read:"),
        ("echo '[]' > $place/result.json", "engine:1 left no result that can be read:"),
        (
            "echo '{\"done\": 0}' > $place/result.json; echo 'Error 0: Unauthorized'",
            "none of 8 requests was answered: Error 0: Unauthorized",
        ),
        ("echo '{\"done\": 0}' > $place/result.json", "none of 8 requests was answered: no reason was given"),
        ("echo 'Cannot connect to the Docker daemon at unix:///x.' >&2; exit 1", "Docker does not answer:"),
    ],
)
def test_a_step_that_fails(docker: Callable[[str], Path], does: str, told: str) -> None:
    folder = docker(does)
    assert step()["failure"].startswith(told)
    assert "rm --force" in (folder / "said").read_text()


def test_a_step_that_takes_too_long(docker: Callable[[str], Path]) -> None:
    folder = docker("exec sleep 60")
    assert step(timeout=0.3) == {"failure": "it had not ended after 0 s"}
    assert "rm --force" in (folder / "said").read_text()


def test_a_step_during_which_others_come(docker: Callable[[str], Path]) -> None:
    folder = docker("exec sleep 60")

    def tick() -> None:
        raise run.GaveWay

    with pytest.raises(run.GaveWay):
        step(tick=tick)
    assert "rm --force" in (folder / "said").read_text()
