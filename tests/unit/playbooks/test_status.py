# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""status.yml with a host that does not answer, and one that is this machine, with a gateway that a small server stands for."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from gateway_counts import JSON_PATH, Counts
from support.local_play import HOST, playbook
from support.repository import ROOT

pytestmark = pytest.mark.slow


def play(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    away = {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_become": False}
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_become": False}
    groups = {"inference_nodes": {"hosts": {"away": away, "here": here}}, "gateways": {}, "inference_clients": {}}
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": groups}}))
    status = str(ROOT / "playbooks/status.yml")
    return playbook(folder, status, "-i", "hosts.yml", "-e", "only_service=no-such", ANSIBLE_HOST_KEY_CHECKING="false", **environment)


def test_a_host_that_did_not_answer_is_in_the_table_and_an_error(tmp_path: Path) -> None:
    found = play(tmp_path)
    assert found.returncode == 2, found.stdout + found.stderr
    shown = found.stdout.partition("TASK [Show the units]")[2].partition("TASK [")[0].splitlines()
    assert shown[2].startswith("away  did not answer: "), found.stdout
    assert shown[3] == "here  has no unit of this collection"
    assert "Not known of away, for the reason in the table." in found.stdout


def test_a_document_stays_one(tmp_path: Path) -> None:
    document = json.loads(play(tmp_path, ANSIBLE_STDOUT_CALLBACK="ansible.posix.json").stdout)
    (lines,) = [host["lines"] for one in document["plays"] for task in one["tasks"] for host in task["hosts"].values() if "lines" in host]
    assert lines[1] == "here  has no unit of this collection"


MASTER = "sk-master-0123456789abcdef"


class Gateway(http.server.BaseHTTPRequestHandler):
    """Tells what clients have used to whoever has the master key."""

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        counts = Counts()
        counts.row("crawler", "chat").requests["answered"] = 4321
        good = self.path == JSON_PATH and self.headers.get("Authorization") == f"Bearer {MASTER}"
        document = counts.document() if good else {"error": {"message": "This API key is not known to the gateway."}}
        body = json.dumps(document).encode()
        self.send_response(200 if good else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def gateway() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def usage(folder: Path, port: int, *arguments: str, key: str | None = MASTER) -> list[str]:
    """What is shown of clients; the whole run is well, whatever the gateway does."""
    here = {**HOST, "inference_gateway": {"bind": "127.0.0.1", "port": port}, **({"inference_master_key": key} if key else {})}
    groups = {"inference_nodes": {"hosts": {"here": here}}, "gateways": {"hosts": {"here": None}}, "inference_clients": {}}
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": groups}}))
    found = playbook(folder, str(ROOT / "playbooks/status.yml"), "-i", "hosts.yml", *arguments)
    assert found.returncode == 0, found.stdout + found.stderr
    assert MASTER not in found.stdout
    assert not (folder / ".secrets").exists(), "no key was made"
    shown = found.stdout.partition("TASK [Show what clients have used]")[2].partition("ok: [here]")
    return [line for line in shown[0].splitlines()[1:] if line] if shown[1] else []


def test_what_clients_have_used_is_below_the_units(tmp_path: Path, gateway: int) -> None:
    title, heads, row = usage(tmp_path, gateway, "-vvv")[-3:]
    assert title.startswith("What clients have used, counted by the gateway from its start: here since 2")
    assert heads.split()[:3] == ["CLIENT", "MODEL", "REQUESTS"]
    assert row.split() == ["crawler", "chat", "4,321", "4,321", "0", "0", "0", "0", "-", "-"]


def test_a_gateway_that_is_away_or_has_another_key_is_a_line(tmp_path: Path, gateway: int) -> None:
    assert usage(tmp_path, gateway, key=None) == [
        "here  its gateway did not say what clients have used: This API key is not known to the gateway."
    ]
    (line,) = usage(tmp_path, 1)
    assert line.startswith("here  its gateway did not say what clients have used: ")
    assert "refused" in line


def test_a_service_by_itself_is_no_reason_to_ask(tmp_path: Path, gateway: int) -> None:
    assert usage(tmp_path, gateway, "-e", "only_service=chat") == []
