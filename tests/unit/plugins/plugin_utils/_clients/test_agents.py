# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of coding agents, and which models will do for one. What the real programs make of the files: tests/clients."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import tomllib
from support.inventories import one, service

from ansible_collections.llmops.gpu_inference.plugins.module_utils._client_merge import FORMS
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.base import ClientModel, ClientRenderError
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.checks import plan_findings
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.render import (
    files_to_write,
    programs_to_run,
    render_client_files,
)
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import build_plan

GOLDEN = Path(__file__).parent / "golden"
KEY = "sk-client-0123456789abcdef"
MODELS: list[dict[str, Any]] = [
    {"name": "coder", "capability": "chat", "aliases": ["claude-like", "opus"], "max_input_tokens": 262144},
    {"name": "small", "capability": "chat", "max_input_tokens": 40960},
    {"name": "tiny", "capability": "chat", "max_input_tokens": 8192},
    {"name": "unknown", "capability": "chat"},
    {"name": "embedding", "capability": "embedding", "max_input_tokens": 512},
]
AGENTS = ["claude_code", "codex", "opencode"]


def text(**entry: Any) -> str:
    files = render_client_files([{"path": "/a", **entry}], gateway_url="http://192.0.2.10:8400", models=MODELS, api_key=KEY)
    return str(files[0]["content"])


def findings(**entry: Any) -> list[str]:
    with pytest.raises(ClientRenderError) as caught:
        text(**entry)
    return list(caught.value.findings)


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("claude_code.json", {"type": "claude_code", "small_model": "small"}),
        ("codex.toml", {"type": "codex"}),
        ("opencode.json", {"type": "opencode", "small_model": "small"}),
    ],
)
def test_golden(name: str, entry: dict[str, Any]) -> None:
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text(**entry), encoding="utf-8")
    assert text(**entry) == path.read_text(encoding="utf-8")


def test_claude_code_knows_one_window_for_all_models() -> None:
    """The smaller one's: it has one number for what it does not know."""
    alone = json.loads(text(type="claude_code"))["env"]
    assert (alone["CLAUDE_CODE_MAX_CONTEXT_TOKENS"], alone["CLAUDE_CODE_MAX_OUTPUT_TOKENS"]) == ("262144", "32000")
    both = json.loads(text(type="claude_code", small_model="small"))["env"]
    assert (both["CLAUDE_CODE_MAX_CONTEXT_TOKENS"], both["CLAUDE_CODE_MAX_OUTPUT_TOKENS"]) == ("40960", "10240")
    assert (both["ANTHROPIC_MODEL"], both["ANTHROPIC_DEFAULT_HAIKU_MODEL"]) == ("coder", "small")
    assert both["ANTHROPIC_BASE_URL"] == "http://192.0.2.10:8400"  # it appends /v1/messages itself
    assert json.loads(text(type="claude_code", max_tokens=8000))["env"]["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == "8000"


def test_codex_gets_a_provider_by_dotted_keys() -> None:
    document = tomllib.loads(text(type="codex", model="small"))
    provider = document["model_providers"][document["model_provider"]]
    assert (provider["base_url"], provider["experimental_bearer_token"]) == ("http://192.0.2.10:8400/v1", KEY)
    assert (document["model"], document["model_context_window"]) == ("small", 40960)


def test_opencode_knows_the_limits_of_each_model() -> None:
    models = json.loads(text(type="opencode", small_model="small"))["provider"]["gpu-inference"]["models"]
    assert {name: model["limit"] for name, model in models.items()} == {
        "small": {"context": 40960, "output": 10240},
        "coder": {"context": 262144, "output": 32000},
    }


@pytest.mark.parametrize("kind", AGENTS)
def test_settings_of_its_user_stay_and_ours_come_out_again(kind: str) -> None:
    """As the module writes them."""
    mine = {
        "claude_code": json.dumps({"theme": "dark", "env": {"EDITOR": "vi"}}, indent=2) + "\n",
        "codex": '# mine\napproval_policy = "never"\n\n[projects."/srv/a"]\ntrust_level = "trusted"\n',
        "opencode": json.dumps({"theme": "dark", "provider": {"other": {"name": "x"}}}, indent=2) + "\n",
    }[kind]
    form = FORMS["toml" if kind == "codex" else "json"]
    merged, ids, gave_way = form.merge(mine, text(type=kind), (), "/a")
    assert (gave_way, KEY in merged) == (False, True)
    changed, ids, _gave_way = form.merge(merged, text(type=kind, model="small"), ids, "/a")
    assert "coder" not in changed
    assert form.without(changed, ids, "/a") == mine


@pytest.mark.parametrize("kind", AGENTS)
@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("tiny", "needs a context of 32768 tokens (its first request alone takes a third; 64000 are better), and 'tiny' takes 8192"),
        ("unknown", "has to know how long a context 'unknown' takes, and not all of its servers say so; give max_model_len"),
        ("embedding", "'embedding' has the capability embedding"),
    ],
)
def test_a_model_that_will_not_do_is_refused(kind: str, model: str, message: str) -> None:
    (finding,) = findings(type=kind, model=model)
    assert finding.startswith("clients_files[0].model: ")
    assert message in finding


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"type": "claude_code", "model": "opus"}, "clients_files[0].model: Claude Code takes 'opus' for a model of Anthropic's"),
        ({"type": "claude_code", "small_model": "claude-like"}, "clients_files[0].small_model: Claude Code takes 'claude-like'"),
        (
            {"type": "opencode", "model": "small", "max_tokens": 30000},
            "clients_files[0].max_tokens: 30000 is more than half of",
        ),
        ({"type": "opencode", "small_model": "tiny"}, "clients_files[0].small_model: opencode needs a context of 32768 tokens"),
    ],
)
def test_mistakes(entry: dict[str, Any], message: str) -> None:
    assert findings(**entry)[0].startswith(message)


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [([65536, 40960], 40960), ([65536, None], None), ([65536], 65536), ([], 9)],
)
def test_the_window_is_that_of_the_smallest_server(lengths: list[int | None], expected: int | None) -> None:
    backends = [{"max_input_tokens": length} for length in lengths]
    model = {"name": "chat", "capability": "chat", "max_input_tokens": 9, "backends": backends}
    assert ClientModel.from_plan(model).window == expected


# --- what a plan says --------------------------------------------------------------------------------------------


def planned(kind: str, small: bool = False, **model: Any) -> list[str]:
    inventory = one(
        service(), inference_models={"chat": {"source": "Qwen/Qwen3-8B", "max_model_len": 40960, **model}}, inference_engine="auto"
    )
    variables = inventory["hosts"]["node1"]["vars"]
    variables["inference_gateway"] = {"client_keys": {"a": None}}
    inventory["hosts"]["node1"]["groups"].append("inference_clients")
    entry = {"type": kind, "path": "/a", **({"small_model": "chat"} if small else {})}
    variables["inference_clients_config"] = [entry]
    return [f"{variable}: {message}" for variable, message in plan_findings(build_plan(inventory))]


FLAGS = {"enable-auto-tool-choice": True, "tool-call-parser": "hermes"}


@pytest.mark.parametrize("kind", AGENTS)
def test_a_model_without_tool_parser_is_refused_with_the_flags_of_its_family(kind: str) -> None:
    (finding,) = planned(kind)
    assert finding.startswith("inference_clients_config[0].model (host node1): ")
    assert "on node1 vLLM passes on no tool calls of Qwen/Qwen3-8B without enable-auto-tool-choice and tool-call-parser" in finding
    assert "add to its engine_args: {enable-auto-tool-choice: true, tool-call-parser: hermes} (https://docs.vllm.ai/" in finding
    assert planned(kind, engine_args=FLAGS) == []


def test_every_model_that_is_to_call_tools_is_looked_at() -> None:
    assert [finding.partition(" (")[0] for finding in planned("claude_code", small=True)] == [
        "inference_clients_config[0].model",
        "inference_clients_config[0].small_model",
    ]
    assert len(planned("opencode", small=True)) == 1  # its small model writes titles


def test_other_engines_need_no_flags() -> None:
    assert planned("codex", source="qwen3:8b", engine="ollama") == []


def to_run(**entry: Any) -> list[dict[str, Any]]:
    files = render_client_files([{"path": "/a", **entry}], gateway_url="http://192.0.2.10:8400", models=MODELS, api_key=KEY)
    assert all("run" not in file for file in files_to_write(files, "host"))
    return programs_to_run(files, "host")


@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_proves_itself_where_its_entry_says_so(name: str) -> None:
    (given,) = to_run(type=name, verify="run", owner="alice", model="small")
    assert (given["user"], given["path"], given["model"], given["secrets"]) == ("alice", "/a", "small", [KEY])
    assert "{task}" in given["command"]
    # What the model has the program do is bounded by the program, however it is called.
    assert not any("dangerous" in word or "bypass" in word.lower() for word in (*given["command"], *given["environment"].values()))
    assert to_run(type=name, verify="run", owner="alice", program="/opt/agent")[0]["command"] == ["/opt/agent", *given["command"][1:]]
    assert to_run(type=name, owner="alice") == to_run(type=name, owner="alice", verify="models") == []


def test_nobody_runs_an_agent_as_root_by_leaving_something_out() -> None:
    assert findings(type="codex", verify="run") == ["clients_files[0].owner: say whose Codex is to run; without it that would be root's"]
    assert findings(type="codex", verify="run", owner="alice", program="codex") == [
        "clients_files[0].program: must be the absolute path of the program"
    ]
    assert "clients_files[0].verify" in findings(type="codex", verify="ran", owner="alice")[0]
    assert "clients_files[0].verify" in findings(type="openai", verify="run", owner="alice")[0]
