# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every promise of a page (a table with the columns promise and test) names tests that exist; and one of them: what containers may do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from gateway_routes import CANONICAL, Route
from support.inventories import dgpu, one, service
from support.repository import ROOT, tracked_files

from ansible_collections.llmops.gpu_inference.plugins.filter.engines import ollama_units
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.registry import CLIENTS
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines import vllm_unit
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.units import engine_units
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.config import build_config
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.policy import build_policy
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.unit import container_unit
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import build_plan

TESTS = {path.relative_to(ROOT): path.read_text(encoding="utf-8") for path in tracked_files("tests/**/test_*.py", "molecule/**/test_*.py")}


def promises(page: str) -> list[tuple[str, str]]:
    """The rows of the tables whose head is | promise | test |."""
    tables = re.findall(r"^\| promise \| test \|\n\|[ -]+\|[ -]+\|\n((?:\|.*\|\n)+)", page, re.M)
    return [(cells[0], cells[1]) for table in tables for cells in (row.strip("| ").split(" | ") for row in table.splitlines())]


def missing(cell: str) -> list[str]:
    """What a cell names as a test and nobody finds: a file, or a function, with a word of its parameter in the same file."""
    named = re.findall(r"`((?:[\w./-]*/)?test_\w+(?:\.py)?)(?:\[([^\]]*)\])?`", cell)
    wrong = [] if named else [f"no test is named in: {cell}"]
    for name, parameter in named:
        if name.endswith(".py"):
            found = [text for path, text in TESTS.items() if str(path) == name or path.name == name]
        else:
            found = [text for text in TESTS.values() if re.search(rf"^(?:async )?def {re.escape(name)}\(", text, re.M)]
        if not any(parameter in text for text in found):
            wrong.append(name + (f"[{parameter}]" if parameter else ""))
    return wrong


PAGES = {path: promises(path.read_text(encoding="utf-8")) for path in tracked_files("docs/*.md")}
ROWS = [(path.stem, *row) for path, rows in PAGES.items() for row in rows]


@pytest.mark.parametrize(("page", "promise", "cell"), ROWS, ids=[f"{page}: {promise[:60]}" for page, promise, _cell in ROWS])
def test_a_promise_names_tests_that_exist(page: str, promise: str, cell: str) -> None:
    assert missing(cell) == []


def test_the_page_of_routes_has_each_route_with_its_tests_and_programs() -> None:
    page = (ROOT / "docs" / "routes.md").read_text(encoding="utf-8")
    rows = [row.strip("| ").split(" | ") for row in page.splitlines() if row.startswith(("| `POST", "| `GET"))]
    paths = {row[0].strip("`").split()[1]: row[0].strip("`").split()[0] for row in rows}
    assert paths == {path: Route(kind).method for kind, path in CANONICAL.items()}
    assert [wrong for row in rows for wrong in missing(row[3])] == []
    programs = {name for row in rows for name in row[2].split(", ") if not name.startswith("all ")}
    assert programs == {client.title for client in CLIENTS.values() if not client.reads_metrics}


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("`test_promises.py`", []),
        ("`tests/unit/repository/test_promises.py`, and more", []),
        ("`test_a_promise_names_tests_that_exist[security]`", []),
        ("`test_nobody_wrote_this`", ["test_nobody_wrote_this"]),
        ("`test_nobody_wrote_this.py`", ["test_nobody_wrote_this.py"]),
        ("`tests/elsewhere/test_promises.py`", ["tests/elsewhere/test_promises.py"]),
        (f"`test_promises.py[{'qq' * 3}]`", [f"test_promises.py[{'qq' * 3}]"]),
        ("somebody tried it once", ["no test is named in: somebody tried it once"]),
    ],
)
def test_the_search_itself(cell: str, expected: list[str]) -> None:
    assert missing(cell) == expected


def units() -> dict[str, list[str]]:
    """Docker's arguments of one container of each kind, as the plan asks for them."""
    models: dict[str, Any] = {"chat": {"source": "a/b"}, "small": {"source": "qwen3:4b"}, "file": {"source": "/m/x.gguf"}}
    models["own"] = {"engine": "container", "image": "a/b:1", "container_port": 30000}
    services = [service(memory="4GiB"), {"model": "small", "memory": "4GiB"}, service("file", 8071, memory="4GiB")]
    services.append(service("own", 8072, memory="4GiB"))
    plan = build_plan(one(*services, hardware=dgpu(), inference_models=models))
    node: dict[str, Any] = plan["hosts"]["node1"]
    of_rest = {unit["kind"]: unit["docker_arguments"] for unit in engine_units({**node, "vllm": [], "ollama": []})}
    config, policy = build_config(plan["gateway"], "node1"), build_policy(plan["gateway"])
    return {
        "vllm": vllm_unit.container_unit(node["vllm"][0])["docker_arguments"],
        "ollama": ollama_units(node["ollama"])[0]["docker_arguments"],
        "llama_cpp": of_rest["llama_cpp"],
        "container": of_rest["container"],
        "litellm": container_unit(config, policy, image="l:1", master_key="sk-0123456789abcdef")["docker_arguments"],
    }


def values(arguments: list[str], option: str) -> list[str]:
    return [after for before, after in zip(arguments, arguments[1:]) if before == option]


def test_containers_have_no_more_rights_than_told() -> None:
    found = units()
    for arguments in found.values():
        assert values(arguments, "--security-opt") == ["no-new-privileges"]
        text = " ".join(arguments)
        assert not re.search(r"docker\.sock|--privileged|--pid|--ipc|--network[ =]host|--userns|--device-cgroup-rule", text)
    for kind in ("vllm", "llama_cpp", "container"):
        assert (values(found[kind], "--cap-drop"), values(found[kind], "--cap-add")) == (["ALL"], ["DAC_OVERRIDE"])
    assert (values(found["litellm"], "--cap-drop"), values(found["litellm"], "--cap-add")) == (["ALL"], [])
    assert "--read-only" in found["litellm"]
    assert values(found["ollama"], "--cap-add") == []


def test_engines_are_published_on_loopback_alone() -> None:
    found = units()
    assert [published for kind in ("vllm", "ollama", "llama_cpp", "container") for published in values(found[kind], "--publish")] == [
        "127.0.0.1:8070:8000",
        "127.0.0.1:11434:11434",
        "127.0.0.1:8071:8080",
        "127.0.0.1:8072:30000",
    ]


def test_the_page_leads_to_the_file() -> None:
    assert Path(__file__).name in (ROOT / "docs/security.md").read_text(encoding="utf-8")
