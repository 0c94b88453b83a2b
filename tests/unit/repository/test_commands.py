# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands of the pages that a newcomer and an operator follow: one spelling, one place of the inventory, and each in a block is run.

They run in an empty folder, one page after another from the top, on this machine as one with an RTX 5090. What would change the
machine is left out: of site.yml the tasks of roles, which the scenarios run. A command that cannot be run stands in a block of its
own below `<!-- not run by a test: REASON -->`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from support.local_play import ENVIRONMENT
from support.repository import ROOT, tracked_files
from testbed.toolkit.dress import dress

PAGES = ("README.md", "docs/getting-started.md", "docs/operating.md", "docs/upgrading.md", "docs/troubleshooting.md")
PLAYBOOKS = "|".join(sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml")))
#: The one way to write it. What follows may be any options.
SPELLING = re.compile(rf"ansible-playbook llmops\.gpu_inference\.({PLAYBOOKS}) -i (inventory/hosts\.yml|box1,box2|192\.168\.10\.20,)( .*)?")


@dataclass(frozen=True)
class Command:
    page: str
    text: str
    reason: str  # why no test runs it; empty where one does


def commands(page: str, text: str) -> Iterator[Command]:
    """Those in its blocks, with continued lines joined and comments left out."""
    for reason, block in re.findall(r"(?:<!-- not run by a test: (.+?) -->\n)?```(?:bash|sh|shell|console)\n(.*?)```", text, re.S):
        for line in block.replace("\\\n", " ").splitlines():
            command = re.sub(r"\s+# .*$|^#.*$", "", line).strip()
            if command:
                yield Command(page, re.sub(r" {2,}", " ", command), reason)


COMMANDS = [command for page in PAGES for command in commands(page, (ROOT / page).read_text(encoding="utf-8"))]
RUN = [command for command in COMMANDS if not command.reason]


@dataclass
class Gateway:
    """Stands in for the gateway that site.yml would have started: it serves what the first inventory offers, to those with its key."""

    key: Path
    asked: list[tuple[str, str]] = field(default_factory=list)

    def start(self) -> ThreadingHTTPServer:
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                gateway.asked.append((self.path, data["model"]))
                known = self.headers["Authorization"] == f"Bearer {gateway.key.read_text(encoding='utf-8').strip()}"
                if data.get("stream"):
                    piece = json.dumps({"choices": [{"index": 0, "delta": {"content": "Hello to you"}, "finish_reason": "stop"}]})
                    self.send(200, "text/event-stream", f"data: {piece}\n\ndata: [DONE]\n\n")
                else:
                    self.answer(200 if known else 401, gateway.reply(self.path, data))

            def do_GET(self) -> None:
                self.answer(200, {"data": [{"id": name} for name in ("chat", "embedding")]})

            def answer(self, status: int, body: Any) -> None:
                self.send(status, "application/json", json.dumps(body))

            def send(self, status: int, kind: str, text: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, format: str, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def reply(self, path: str, data: dict[str, Any]) -> Any:
        if path.endswith("/embeddings"):
            count = len(data["input"]) if isinstance(data["input"], list) else 1
            return {"data": [{"index": n, "embedding": [0.1 * (n + 1), 0.5, 0.25]} for n in range(count)], "model": data["model"]}
        message = {"role": "assistant", "content": "Hello to you"}
        return {
            "model": data["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"completion_tokens": 3},
        }


class Place:
    """An empty folder of a newcomer, with a home and the collection installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        dress(folder / "machine", "rtx5090")
        (folder / "home").mkdir()
        (folder / "password").write_text("not asked for\n", encoding="utf-8")
        self.inventory = folder / "inventory" / "hosts.yml"
        self.gateway = Gateway(folder / "inventory" / ".secrets" / "master_key")
        self.server = self.gateway.start()
        self.port = self.server.server_address[1]

    def run(self, command: str) -> str:
        programs = [str(Path(sys.executable).parent), str(self.folder / "machine" / "usr" / "bin"), os.environ["PATH"]]
        environment = {name: value for name, value in ENVIRONMENT.items() if name != "ANSIBLE_CONFIG"}
        environment |= {"HOME": str(self.folder / "home"), "PATH": ":".join(programs), "PIP_NO_INDEX": "1"}
        done = subprocess.run(
            ["bash", "-ec", self.adapted(command)],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        if " llmops.gpu_inference.init " in command:
            # The gateway's port is free on a user's machine; here it need not be.
            text = self.inventory.read_text(encoding="utf-8")
            self.inventory.write_text(text.replace("{port: 8400}", f"{{port: {self.port}}}"), encoding="utf-8")
        return done.stdout

    def adapted(self, command: str) -> str:
        """With this machine for those of the page, with nobody to type a password, and without what would change the machine."""
        if command.startswith("ansible-playbook"):
            assert SPELLING.fullmatch(command), f"written in another way than the others: {command}"
            # As user alice nobody can become root here, and -K would ask at the terminal.
            command = re.sub(r" -K\b", f" --become-password-file {self.folder / 'password'}", command) + " -c local -e ansible_become=false"
            if ".site " in command:
                command += " --tags nothing-of-the-roles"
            return command + (" -e verify_networks=false" if ".verify " in command else "")
        if command.startswith("curl "):
            key = self.gateway.key.read_text(encoding="utf-8").strip() if self.gateway.key.exists() else ""
            there = f"http://127.0.0.1:{self.port}/"
            return (
                re.sub(r"http://(192\.168\.10\.20|127\.0\.0\.1):8400/", there, command).replace("Bearer KEY", f"Bearer {key}")
                + " --fail --silent"
            )
        assert command in ('pip install "ansible>=10"', "python3 -m venv ~/ansible && . ~/ansible/bin/activate"), (
            f"no test runs this yet: {command}. Say here how it is run without harm, or mark its block with a reason"
        )
        return command


@pytest.mark.slow
@pytest.mark.parametrize("page", dict.fromkeys(command.page for command in RUN))
def test_the_commands_of_a_page_run_from_its_top(page: str, tmp_path: Path) -> None:
    place = Place(tmp_path)
    if page == "docs/upgrading.md":  # which begins where the others end
        place.run("ansible-playbook llmops.gpu_inference.init -i 192.168.10.20,")
    told = {command.text: place.run(command.text) for command in RUN if command.page == page}
    for text, output in told.items():
        if text.startswith("curl "):
            assert "Hello to you" in output
        elif ".plan " in text:
            assert re.search(r"dgpu +as seen +0 +chat +vllm +8070 +14\.0 GiB", output)
    if any(".verify " in text for text in told):
        assert {("/v1/chat/completions", "chat"), ("/v1/embeddings", "embedding")} <= set(place.gateway.asked)


def test_few_commands_are_not_run() -> None:
    """Each in a block is run by the test above, or says why not; of five at most one says so."""
    assert len(COMMANDS) >= 15, "the blocks are not found any more"
    left_out = [command for command in COMMANDS if command.reason]
    assert len(left_out) * 5 <= len(COMMANDS), [command.text for command in left_out]
    assert all(len(command.reason) > 20 for command in left_out)


def test_a_marker_belongs_to_its_own_block_only() -> None:
    text = "<!-- not run by a test: because of this -->\n```bash\na \\\n  -b   # c\n# d\n```\n\n```bash\ne\n```\n```yaml\nf: 1\n```\n"
    assert list(commands("p", text)) == [Command("p", "a -b", "because of this"), Command("p", "e", "")]


@pytest.mark.parametrize("page", PAGES)
def test_commands_are_written_in_one_way(page: str) -> None:
    """Also those in tables and sentences: the same with the installed collection and in a checkout, with the inventory in one place."""
    text = (ROOT / page).read_text(encoding="utf-8")
    written = [command.text for command in commands(page, text) if command.text.startswith("ansible-playbook")]
    written += re.findall(r"`(ansible-playbook[^`]*)`", re.sub(r"```.*?```", "", text, flags=re.S))
    assert [command for command in written if not SPELLING.fullmatch(command)] == []
    assert re.findall(r"`playbooks/\w+\.yml`|-i inventory\.yml|inventory/hosts(?!\.yml)", text) == []


#: Those of the test bed deploy by the file, as its programs do.
OTHERS = [path for path in tracked_files("docs/*.md", "roles/*/README.md") if path.name != "testbed.md"]


@pytest.mark.parametrize("page", OTHERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_other_pages_name_playbooks_in_the_same_way(page: Path) -> None:
    written = re.findall(r"ansible-playbook (?!killed|site\.yml of)([^`\n]*)", page.read_text(encoding="utf-8"))
    assert [command for command in written if not re.match(rf"llmops\.gpu_inference\.({PLAYBOOKS})\b", command)] == []


@pytest.mark.slow
def test_a_checkout_finds_its_own_playbooks_by_that_name(tmp_path: Path) -> None:
    """By its ansible.cfg, whatever is installed elsewhere."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")} | {"HOME": str(tmp_path)}
    argv = [sys.executable, "-m", "ansible.cli.playbook", "llmops.gpu_inference.plan", "--syntax-check", "-i", "localhost,"]
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(ROOT) in done.stdout
