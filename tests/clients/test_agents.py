# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real coding agents, pinned in package.json, each with the file that the collection writes for it: `make test-clients`.

Each finishes a task in a folder of its own (it writes a file by its own tool) at a gateway on loopback whose model is scripted. The file
is merged into one that its user has already. Nothing else can be reached: all other addresses lead to a proxy that is not there.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from clients.scripted_gateway import ANSWER, FILE_NAME, FILE_TEXT, Asked, Script, serving
from gateway_routes import route_of
from gateway_sessions import names_of

from ansible_collections.llmops.gpu_inference.plugins.module_utils._client_merge import FORMS
from ansible_collections.llmops.gpu_inference.plugins.module_utils._client_run import Program, run_program
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import run_command
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.registry import CLIENTS
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.render import programs_to_run, render_client_files

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "build" / "clients" / "node_modules" / ".bin"
KEY = "sk-client-0123456789abcdef"
WINDOW, SMALL_WINDOW = 65536, 40960
MODELS: list[dict[str, Any]] = [
    {"name": "coder", "capability": "chat", "aliases": ["Qwen/Qwen3-Coder-30B-A3B-Instruct"], "max_input_tokens": WINDOW},
    {"name": "small", "capability": "chat", "max_input_tokens": SMALL_WINDOW},
]
TASK = f"Write the file {FILE_NAME}."


@dataclass(frozen=True)
class Agent:
    """How a program is run once, and where its file is below the home directory."""

    command: tuple[str, ...]
    file: str
    route: str
    #: What its user has in the file.
    mine: str
    #: The keys of the entry.
    entry: Mapping[str, Any]
    #: The limit of answers that it is to send; None where it sends none.
    max_tokens: int | None
    environment: Mapping[str, str]


AGENTS: dict[str, Agent] = {
    "claude_code": Agent(
        ("claude", "-p", TASK, "--permission-mode", "acceptEdits", "--output-format", "json"),
        ".claude/settings.json",
        "/v1/messages",
        json.dumps({"model": "opus", "cleanupPeriodDays": 30, "env": {"EDITOR": "vi"}}, indent=2) + "\n",
        {"small_model": "small"},
        SMALL_WINDOW // 4,
        # What its user has for Anthropic's own service is not sent here.
        {"ANTHROPIC_API_KEY": "sk-ant-of-the-user"},
    ),
    "codex": Agent(
        ("codex", "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "--json", TASK),
        ".codex/config.toml",
        "/v1/responses",
        '# mine\nmodel_reasoning_effort = "low"\n\n[projects."/srv/a"]\ntrust_level = "trusted"\n',
        {},
        None,
        {},
    ),
    "opencode": Agent(
        ("opencode", "run", TASK),
        ".config/opencode/opencode.json",
        "/v1/chat/completions",
        json.dumps({"$schema": "https://opencode.ai/config.json", "autoupdate": False, "share": "disabled"}, indent=2) + "\n",
        {"small_model": "small"},
        WINDOW // 4,
        {"OPENCODE_DISABLE_MODELS_FETCH": "1", "OPENCODE_DISABLE_LSP_DOWNLOAD": "1"},
    ),
}


@dataclass(frozen=True)
class Run:
    script: Script
    result: subprocess.CompletedProcess[str]
    home: Path

    @property
    def work(self) -> list[Asked]:
        """The requests that offer tools."""
        return [asked for asked in self.script.asked if asked.tools]


Runs = Callable[..., Run]


def session_of(asked: Asked) -> str:
    """What the gateway calls the conversation, by the name that the program gives it."""
    route = route_of(asked.path)
    assert route is not None
    headers = [(name.encode(), value.encode()) for name, value in asked.headers.items()]
    named, _begins = names_of(route.kind, asked.body, headers, "agents")
    return named


@pytest.fixture
def run(tmp_path: Path) -> Runs:
    def run_agent(name: str, given_key: str = KEY, **entry: Any) -> Run:
        agent = AGENTS[name]
        program = PROGRAMS / agent.command[0]
        if not program.exists():
            pytest.skip(f"{program} is not there: `make test-clients` fetches it with npm")
        folder = tmp_path / "work"
        folder.mkdir()
        script = Script(KEY, [name for model in MODELS for name in (model["name"], *model.get("aliases", ()))], str(folder))
        with serving(script) as url:
            files = [{"type": name, "path": f"~/{agent.file}", **agent.entry, **entry}]
            (file,) = render_client_files(files, gateway_url=url, models=MODELS, api_key=given_key)
            path = tmp_path / agent.file
            path.parent.mkdir(parents=True)
            path.write_text(FORMS[file["merge"]].merge(agent.mine, file["content"], (), str(path))[0], encoding="utf-8")
            nowhere = "http://127.0.0.1:9"
            environment = {
                "HOME": str(tmp_path),
                "PATH": os.environ["PATH"],
                "LC_ALL": "C.UTF-8",
                **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), nowhere),
                **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1"),
                **agent.environment,
            }
            result = subprocess.run(
                [str(program), *agent.command[1:]],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=600,
                check=False,
            )
        return Run(script, result, tmp_path)

    return run_agent


@pytest.mark.parametrize("name", AGENTS)
def test_it_finishes_a_task_by_its_file_alone(run: Runs, name: str) -> None:
    """The right route, key and models, its limits, and what its user and the program have in the file stays."""
    agent, done = AGENTS[name], run(name)
    assert done.result.returncode == 0, (done.result.stdout, done.result.stderr)
    assert ANSWER in done.result.stdout
    assert (done.home / "work" / FILE_NAME).read_text(encoding="utf-8") == FILE_TEXT
    assert {(asked.path, asked.model, asked.key) for asked in done.work} == {(agent.route, "coder", KEY)}
    assert {asked.body.get("max_tokens") for asked in done.work} == {agent.max_tokens}
    assert {asked.key for asked in done.script.asked if asked.method == "POST"} == {KEY}
    assert all(asked.body.get("stream") for asked in done.work)
    assert len(done.work) > 1
    assert len({session_of(asked) for asked in done.work}) == 1, "the gateway sees one conversation"
    text = (done.home / agent.file).read_text(encoding="utf-8")
    form = FORMS[CLIENTS[name].merge]
    (file,) = render_client_files([{"type": name, "path": "/a", **agent.entry}], gateway_url="http://gw", models=MODELS, api_key=KEY)
    _merged, ids, _gave_way = form.merge(None, file["content"], (), "/a")
    rest = form.without(text, ids, "/a") or ""
    for line in agent.mine.splitlines():
        assert '"model"' in line or line.strip().rstrip(",") in rest  # Claude Code makes opus[1m] of opus
    assert KEY not in rest


@pytest.mark.parametrize("name", AGENTS)
def test_it_proves_itself_to_verify(tmp_path: Path, name: str) -> None:
    """As playbook verify has it run: with its own command and few rights, in a folder that only its own prompt names."""
    agent = AGENTS[name]
    path = tmp_path / "elsewhere" / Path(agent.file).name
    path.parent.mkdir()
    script = Script(KEY, [model["name"] for model in MODELS], "/nowhere")
    with serving(script) as url:
        entry = {"type": name, "path": str(path), "location": "controller", "verify": "run", "program": str(PROGRAMS / agent.command[0])}
        rendered = render_client_files([entry], gateway_url=url, models=MODELS, api_key=KEY)
        path.write_text(rendered[0]["content"], encoding="utf-8")
        (given,) = programs_to_run(rendered, "controller")
        quiet = {**given, "environment": {**given["environment"], **agent.environment}}
        row = run_program(Program.from_mapping(quiet), 120, run_command)
    assert row.ok, row
    assert {(asked.path, asked.model, asked.key) for asked in script.asked if asked.tools} == {(agent.route, "coder", KEY)}


def test_claude_code_takes_the_window_from_its_file(run: Runs) -> None:
    """The smaller of the two models; by itself it assumes a million tokens."""
    usage = json.loads(run("claude_code").result.stdout)["modelUsage"]
    assert usage["coder"]["contextWindow"] == SMALL_WINDOW


@pytest.mark.parametrize("name", AGENTS)
def test_a_model_may_have_the_name_of_its_source(run: Runs, name: str) -> None:
    done = run(name, model="Qwen/Qwen3-Coder-30B-A3B-Instruct")
    assert {asked.model for asked in done.work} == {"Qwen/Qwen3-Coder-30B-A3B-Instruct"}
    assert (done.home / "work" / FILE_NAME).exists()
