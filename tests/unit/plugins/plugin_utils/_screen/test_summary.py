# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The end of a run, from facts to lines."""

from __future__ import annotations

from typing import Any

import pytest
from support.inventories import cpu, host, inventory, one, service, variables

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import build_plan
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._screen.run import Run, Touched
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._screen.summary import MOST_LINES, summary

FILES = {"master_key": "/c/.secrets/master_key", "client_keys/alice": "/c/.secrets/client_keys/alice"}
EMBEDDING = {"source": "intfloat/multilingual-e5-small", "capability": "embedding"}
MODELS = {"chat": {"source": "Qwen/Qwen3-8B", "aliases": ["LLM", "VLM"]}, "embedding": EMBEDDING}


def command(name: str) -> str:
    return f"ansible-playbook {name}.yml"


def fleet(count: int, **changes: Any) -> dict[str, Any]:
    """Hosts n0, n1 and so on with the same model; the first two are gateways."""
    own = variables(service(memory="4GiB"), inference_models=MODELS, **changes)
    hosts = {}
    for number in range(count):
        groups = ["inference_nodes", *(["gateways"] if number < 2 else [])]
        hosts[f"n{number}"] = host(*groups, hardware=cpu(), **own, inference_address=f"192.0.2.{number + 1}")
    return build_plan(inventory(**hosts))


def run(*touched: Touched, engines: tuple[str, ...] = (), gateways: tuple[str, ...] = (), **changes: Any) -> Run:
    return Run(touched, changes.pop("kept", 0), frozenset(engines), frozenset(gateways), **changes)


def row(lines: list[str], begin: str) -> str:
    (found,) = [line for line in lines if line.startswith(begin)]
    return found


def test_the_end_of_a_run_of_one_host() -> None:
    plan = build_plan(one(service(memory="8GiB"), inference_models=MODELS, inference_gateway={"client_keys": {"alice": None, "bob": None}}))
    started = Touched("node1", "vllm/chat", "start", "not running", 71.6)
    assert summary(plan, run(started, engines=("node1",), gateways=("node1",), kept=1), FILES, command) == [
        "Gateway  http://node1:8400/v1 on node1",
        "Key      /c/.secrets/client_keys/alice; other clients: bob",
        "",
        "MODEL  ALSO CALLED              SERVED BY",
        "chat   LLM, Qwen/Qwen3-8B, VLM  node1",
        "",
        'curl -s http://node1:8400/v1/chat/completions -H "Authorization: Bearer $(cat /c/.secrets/client_keys/alice)" '
        "-H 'Content-Type: application/json' "
        '-d \'{"model": "chat", "messages": [{"role": "user", "content": "Hello"}]}\'',
        "",
        "This run",
        "  kept 1 unit",
        "  started vllm/chat on node1, ready after 1 m 12 s (not running)",
        "",
        "Next",
        "  ansible-playbook status.yml  state, port, memory and last failure of each service",
        "  ansible-playbook verify.yml  every model by every name, with a report",
        "  ansible-playbook stop.yml    stop all, or one service with -e only_service=NAME",
        "  ansible-playbook start.yml   start what is stopped",
    ]


@pytest.mark.parametrize(
    ("kept", "check_mode", "expected"),
    [
        (1, False, "No unit was started, restarted or removed: 1 unit kept as it is."),
        (3, False, "No unit was started, restarted or removed: 3 units kept as they are."),
        (3, True, "No unit would be started, restarted or removed: 3 units kept as they are."),
        (0, False, "No unit was in this run."),
    ],
)
def test_a_run_that_touched_nothing_says_so_in_one_line(kept: int, check_mode: bool, expected: str) -> None:
    lines = summary(fleet(1), run(engines=("n0",), gateways=("n0",), kept=kept, check_mode=check_mode), FILES, command)
    assert expected in lines
    assert not [line for line in lines if line.startswith(("This run", "A run", "  kept"))]


def test_check_mode_says_what_would_be() -> None:
    units = (Touched("n0", "vllm/chat", "restart", "image a -> b"), Touched("n0", "vllm/old", "remove", "left the list"))
    lines = summary(fleet(1), run(*units, engines=("n0",), gateways=("n0",), kept=1, check_mode=True), FILES, command)
    begin = lines.index("A run without --check")
    assert lines[begin + 1 : begin + 4] == [
        "  would keep 1 unit",
        "  would restart vllm/chat on n0 (image a -> b)",
        "  would remove vllm/old on n0 (left the list)",
    ]
    assert row(lines, "MODEL").endswith("WOULD BE SERVED BY")
    assert not [line for line in lines if "curl" in line]


def test_hosts_that_failed_or_were_left_out_do_not_serve() -> None:
    """Also one whose engines had answered before it failed."""
    some = run(engines=("n0", "n1"), gateways=("n0", "n1"), failed=frozenset({"n1", "n2"}), kept=1)
    lines = summary(fleet(4), some, FILES, command)
    assert lines[0].startswith("FAILED   n1, n2: ")
    assert lines[1:3] == ["Gateway  http://192.0.2.1:8400/v1 on n0", "         http://192.0.2.2:8400/v1 on n1 (failed)"]
    assert row(lines, "chat").endswith("  n0; failed: n1, n2; not in this run: n3")


def test_nothing_is_asked_of_what_failed() -> None:
    """The second gateway where the first failed, and no request where none is there or no engine."""
    lines = summary(fleet(3), run(engines=("n2",), gateways=("n1",), failed=frozenset({"n0"})), FILES, command)
    assert row(lines, "curl").startswith("curl -s http://192.0.2.2:8400/v1/chat/completions ")
    for some in (run(engines=("n2",)), run(gateways=("n1",))):
        assert not [line for line in summary(fleet(3), some, FILES, command) if "curl" in line]


def test_a_proxy_in_front_is_the_address_that_clients_use() -> None:
    plan = fleet(2, inference_gateway={"public_url": "https://llm.example/api"})
    lines = summary(plan, run(engines=("n0",), gateways=("n0", "n1")), FILES, command)
    assert lines[:2] == ["Gateway  https://llm.example/api/v1", "         http://192.0.2.1:8400/v1 on n0"]
    assert row(lines, "curl").startswith("curl -s https://llm.example/api/v1/chat/completions ")


def test_external_servers_are_named_as_such() -> None:
    external = [{"name": "lab", "base_url": "http://lab:8000/v1", "models": ["big"]}]
    lines = summary(fleet(1, inference_external_endpoints=external), run(gateways=("n0",)), FILES, command)
    assert row(lines, "big").endswith("  lab (external)")
    assert '"model": "big"' in row(lines, "curl"), "it is the only one that anybody serves"


def test_a_key_of_the_users_own_is_named_by_its_variable() -> None:
    lines = summary(fleet(1), run(engines=("n0",), gateways=("n0",)), {}, command)
    assert row(lines, "Key") == "Key      your own variable inference_master_key"
    assert '"Authorization: Bearer $KEY"' in row(lines, "curl")


def test_engines_without_a_gateway() -> None:
    plan = build_plan(inventory(n0=host("inference_nodes", hardware=cpu(), **variables(service(memory="4GiB")))))
    lines = summary(plan, run(engines=("n0",), kept=1), {"engine_keys/n0": "/c/.secrets/engine_keys/n0"}, command)
    assert lines[0].startswith("There is no gateway")
    assert row(lines, "chat").split() == ["chat", "n0"]
    assert row(lines, "On n0").endswith("/c/.secrets/engine_keys/n0:")
    assert row(lines, "curl") == 'curl -s http://127.0.0.1:8070/v1/models -H "Authorization: Bearer $KEY"'


@pytest.mark.parametrize(("models", "touched"), [(1, 1), (60, 0), (1, 90), (60, 90), (20, 90), (60, 8), (12, 12)])
def test_it_is_never_longer_than_forty_lines(models: int, touched: int) -> None:
    plan = fleet(6, inference_gateway={"client_keys": {f"team{number}": None for number in range(9)}})
    (model,) = plan["gateway"]["models"]
    plan["gateway"]["models"] = [{**model, "name": f"chat{number}"} for number in range(models)]
    hosts = tuple(plan["hosts"])
    units = [Touched("n1", f"vllm/chat{number}", "restart", "line one\nline two " * 40, 5.0) for number in range(touched)]
    some = run(*units, engines=hosts[:-1], gateways=hosts[:2], failed=frozenset(hosts[-1:]), kept=7)
    lines = summary(plan, some, FILES, command)
    assert len(lines) <= MOST_LINES
    assert all("\n" not in line for line in lines)
    assert lines[-1].startswith("  ansible-playbook start.yml"), "what comes next is never cut off"
    told = sum(1 for line in lines if line.startswith("chat")), sum(1 for line in lines if line.startswith("  restarted"))
    left = [int(line.split()[2]) for line in lines if line.startswith("  ... and ")]
    assert sum(told) + sum(left) == models + touched
    if models + touched > MOST_LINES:
        assert len(lines) == MOST_LINES, "the room is used"


def test_what_was_refused_comes_first() -> None:
    units = [Touched("n0", f"vllm/m{number}", action, "") for number, action in enumerate(["start", "reload", "restart", "refused"])]
    lines = summary(fleet(1), run(*units), FILES, command)
    assert [line.split()[0] for line in lines if " on n0" in line and line.startswith("  ")] == [
        "refused",
        "restarted",
        "started",
        "reloaded",
    ]
