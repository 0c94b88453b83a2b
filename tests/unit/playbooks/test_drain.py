# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""drain.yml with real Ansible: two gateways and an engine, whose folders are the test's own."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.local_play import HOST, playbook
from support.repository import ROOT

from ansible_collections.llmops.gpu_inference.plugins.module_utils._live_files import place_live, read_live, want_live
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import OWNER
from ansible_collections.llmops.gpu_inference.plugins.module_utils._rotation import Rotation

pytestmark = pytest.mark.slow
BACKENDS = {"chat-n0": "chat", "chat-n1": "chat"}
#: The module as it is, with the folders of the test.
ELSEWHERE = """#!/usr/bin/python
import importlib
import os
import pathlib

from ansible.module_utils.basic import AnsibleModule

OURS = "ansible_collections.llmops.gpu_inference.plugins."
module = importlib.import_module(OURS + "modules.%s")
paths = importlib.import_module(OURS + "module_utils._node").Paths
module.Paths = lambda: paths(instances=pathlib.Path(os.environ["PLACE"]))
module.main()
"""
MODULES = ("gateway_rotation", "engine_idle")


@pytest.fixture(name="engine")
def _engine() -> Iterator[Any]:
    """Says how many requests it has in work, each time one less."""

    class Handler(http.server.BaseHTTPRequestHandler):
        left = 0

        def log_message(self, *arguments: Any) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"vllm:num_requests_running {Handler.left}\nvllm:num_requests_waiting 0\n".encode())
            Handler.left = max(0, Handler.left - 1)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def declare(folder: Path, host: str, backends: dict[str, str]) -> None:
    files = {"live_files": {"rotation.json": Rotation(backends).text}, "live_owner": f"{os.getuid()}:{os.getgid()}"}
    place_live(read_live(folder / "places" / host / "litellm/gateway", want_live(files)))


@pytest.fixture(name="place")
def _place(tmp_path: Path, engine: Any) -> Path:
    plays: list[dict[str, Any]] = yaml.safe_load((ROOT / "playbooks/drain.yml").read_text(encoding="utf-8"))
    for play in plays:
        for task in play.get("tasks", ()):
            for name in MODULES:
                if f"llmops.gpu_inference.{name}" in task:
                    task[f"{name}_elsewhere"] = task.pop(f"llmops.gpu_inference.{name}")
        if "ansible.builtin.import_playbook" in play:
            play["ansible.builtin.import_playbook"] = str(ROOT / "playbooks/groups.yml")
        elif "vars_files" in play:
            play["vars_files"] = [str(ROOT / "playbooks" / file) for file in play["vars_files"]]
            play["environment"] = {"PLACE": f"{tmp_path}/places/{{{{ inventory_hostname }}}}", "PYTHONPATH": str(ROOT / "collections")}
    (tmp_path / "play.yml").write_text(yaml.safe_dump(plays), encoding="utf-8")
    (tmp_path / "library").mkdir()
    for name in MODULES:
        (tmp_path / f"library/{name}_elsewhere.py").write_text(ELSEWHERE % name)
    for host in ("n0", "n1"):
        declare(tmp_path, host, BACKENDS)
        unit = tmp_path / "places" / host / "vllm/chat"
        unit.mkdir(parents=True)
        probe = {"base_url": f"http://127.0.0.1:{engine.server_port}/v1"}
        (unit / "service.json").write_text(json.dumps({"owner": OWNER, "probe": probe}))
    hosts = {"n0": dict(HOST), "n1": dict(HOST)}
    groups = {"inference_nodes": {"hosts": hosts}, "gateways": {"hosts": {"n0": None, "n1": None}}, "inference_clients": {}}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": groups}}))
    return tmp_path


def drain(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return playbook(place, "play.yml", "-i", "hosts.yml", *arguments, ANSIBLE_LIBRARY=str(place / "library"), USER="alice")


def out_in(place: Path) -> list[list[str]]:
    files = [place / "places" / host / "litellm/gateway/live/rotation.json" for host in ("n0", "n1")]
    return [sorted(json.loads(file.read_text())["out"]) for file in files]


def changes(done: subprocess.CompletedProcess[str]) -> int:
    return sum(int(line.partition("changed=")[2].split()[0]) for line in done.stdout.splitlines() if "changed=" in line)


def test_a_host_goes_and_comes_back(place: Path, engine: Any) -> None:
    engine.RequestHandlerClass.left = 2
    forecast = drain(place, "-e", "host=n1", "--check")
    assert forecast.returncode == 0, forecast.stdout + forecast.stderr
    assert (changes(forecast), out_in(place)) == (2, [[], []])
    engine.RequestHandlerClass.left = 2
    done = drain(place, "-e", "host=n1", "-e", "drain_reason=fan")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (changes(done), out_in(place)) == (2, [["chat-n1"]] * 2)
    assert "\nchat-n1  out of rotation at the gateway on n0, n1, model chat, since 2" in done.stdout
    assert ", by alice: fan\n" in done.stdout
    assert "\nvllm@chat.service  no request in work\n" in done.stdout
    assert engine.RequestHandlerClass.left == 0
    assert changes(drain(place, "-e", "host=n1", "-e", "service=chat")) == 0
    back = drain(place, "-e", "host=n1", "-e", "drain_state=back")
    assert (back.returncode, changes(back), out_in(place)) == (0, 2, [[], []]), back.stdout
    assert "\nEvery backend is in rotation.\n" in back.stdout
    assert "no request in work" not in back.stdout


def test_the_last_backend_stays_at_every_gateway(place: Path) -> None:
    declare(place, "n1", {"chat-n1": "chat"})
    refused = drain(place, "-e", "host=n1")
    assert refused.returncode == 2
    assert "without chat-n1 nothing in rotation serves chat any more" in refused.stdout
    assert out_in(place) == [[], []], "nor at the gateway that has another one"
    done = drain(place, "-e", "host=n1", "-e", "drain_last=true")
    assert (done.returncode, out_in(place)) == (0, [["chat-n1"]] * 2), done.stdout


def test_it_says_so_when_requests_do_not_end(place: Path, engine: Any) -> None:
    engine.RequestHandlerClass.left = 1000
    done = drain(place, "-e", "host=n1", "-e", "drain_timeout=1")
    assert (done.returncode, out_in(place)) == (2, [["chat-n1"]] * 2)
    assert "requests in work after 1 s" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "there are engines on n0, n1"),
        (["-e", "host=n7"], "no gateway sends anybody to n7"),
        (["-e", "host=n1", "-e", "service=big"], "n1 has no service big"),
        (["-e", "host=n1", "-e", "drain_state=away"], "drain_state is out or back."),
        (["-e", "host=n1", "--limit", "n1"], "Leave --limit out."),
    ],
)
def test_what_it_refuses(place: Path, arguments: list[str], said: str) -> None:
    refused = drain(place, *arguments)
    assert refused.returncode == 2
    assert said in refused.stdout + refused.stderr, refused.stdout
    assert out_in(place) == [[], []]
