# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests/scenarios.py reads out of molecule's log, and which scenarios a build server runs.

The log of a build server may be cut to its end, so the cause must stand there.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import scenarios
import yaml
from support.repository import ROOT
from support.scenario_list import (
    ALWAYS,
    FILE,
    IN_TURN,
    MINUTES_IN_TURN,
    PAGE,
    UNMEASURED,
    Scenario,
    choose,
    load,
    page_with_table,
    parse,
    recorded,
)

VERIFIER = """\
\x1b[34mINFO    \x1b[0m \x1b[32mmixed\x1b[0m ➜ \x1b[33mverify\x1b[0m: Executing
  ┌──────────────────────────
  │ E       AssertionError: 1 == 2
  │ =========================== short test summary info
  │   ============================
  │ FAILED tests/test_mixed.py::test_one[ansible://node] - AssertionError: 1 == 2
  │ =================== \x1b[31m1 failed, 37 passed\x1b[0m in 82.21s (0:01:22)
  │   ====================
  └─ Return code: 1 ────────
CRITICAL Verifier tests failed
\x1b[31mERROR   \x1b[0m \x1b[32mmixed\x1b[0m ➜ \x1b[33mverify\x1b[0m: \x1b[31mExecuted: Failed\x1b[0m
INFO     mixed ➜ destroy: Executing
  │ changed: [localhost]
ERROR    Molecule executed 1 scenario (1 failed)
"""


def test_the_failure_is_the_end_of_the_step_that_failed() -> None:
    said = scenarios.what_failed(VERIFIER).splitlines()
    assert "E       AssertionError: 1 == 2" in said
    # .ci/run looks for this at the beginning of a line.
    assert "FAILED tests/test_mixed.py::test_one[ansible://node] - AssertionError: 1 == 2" in said
    assert said[-1] == "ERROR    mixed ➜ verify: Executed: Failed"


def test_a_log_without_a_failed_step_ends_with_its_last_lines() -> None:
    said = scenarios.what_failed("\n".join(f"line {number}" for number in range(100))).splitlines()
    assert said[-1] == "line 99"
    assert len(said) == scenarios.LINES_OF_A_FAILURE - 1


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (VERIFIER, "1 failed, 37 passed"),
        ("  │ ===== 22 passed,\n  │ 1 skipped in 9.5s =====\n", "22 passed, 1 skipped"),
        ("fatal: [node]: FAILED!\n", ""),
    ],
)
def test_what_the_verifier_counted_is_found_in_its_frame(log: str, expected: str) -> None:
    assert scenarios.counts(log) == expected


@pytest.mark.parametrize(
    ("returncode", "counted", "expected"),
    [
        (0, "22 passed", "passed"),
        (0, "22 passed, 3 warnings", "passed"),
        (1, "1 failed, 37 passed", "FAILED"),
        (2, "22 passed", "FAILED"),
        # What molecule is content with.
        (0, "", "NO TESTS"),
        (0, "0 passed", "NO TESTS"),
        (0, "3 skipped", "NO TESTS"),
        (0, "22 passed, 1 skipped", "SKIPPED"),
        (0, "22 passed, 1 xfailed", "SKIPPED"),
    ],
)
def test_a_scenario_passes_only_with_tests_that_ran(returncode: int, counted: str, expected: str) -> None:
    assert scenarios.verdict(returncode, counted) == expected


def test_every_scenario_is_in_the_list_and_has_tests() -> None:
    names = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))
    assert sorted(scenario.name for scenario in load()) == names
    assert [name for name in names if not list(ROOT.glob(f"molecule/{name}/tests/test_*.py"))] == []
    assert [path for scenario in load() for path in scenario.touches if not (ROOT / path).exists()] == []


def test_the_page_is_in_step() -> None:
    """Otherwise: make docs."""
    page = PAGE.read_text(encoding="utf-8")
    assert page == page_with_table(page)


def test_a_build_server_asks_the_list() -> None:
    assert "\tpython tests/scenarios.py --ci\n" in (ROOT / "Makefile").read_text(encoding="utf-8")


FIRST, A, B, C = (Scenario(name, "x", ALWAYS if name == "first" else IN_TURN, minutes=6) for name in ("first", "a", "b", "c"))


@pytest.mark.parametrize(
    ("touched", "day", "minutes", "expected"),
    [
        ((), 0, 1, ["first", "a"]),
        ((), 1, 1, ["first", "b"]),
        ((), 5, 1, ["first", "c"]),
        (("c",), 0, 1, ["first", "c"]),
        (("c", "b"), 2, 1, ["first", "c"]),
        (("c", "b"), 0, 12, ["first", "b", "c"]),
        (("b",), 2, 12, ["first", "b", "c"]),
        ((), 0, 18, ["first", "a", "b", "c"]),
    ],
)
def test_what_a_build_server_runs(touched: tuple[str, ...], day: int, minutes: float, expected: list[str]) -> None:
    assert choose([FIRST, A, B, C], lambda scenario: scenario.name in touched, day, minutes) == expected


def test_a_long_scenario_has_its_turn_too() -> None:
    long = dataclasses.replace(B, minutes=40)
    assert choose([FIRST, A, long], lambda _scenario: False, 1, 15) == ["first", "b"]
    assert choose([FIRST, A, long], lambda _scenario: False, 0, 15) == ["first", "a"]


def test_without_others_what_always_runs_runs() -> None:
    assert choose([FIRST], lambda _scenario: True, 3) == ["first"]


def test_an_unmeasured_scenario_counts_for_something() -> None:
    unmeasured = [dataclasses.replace(one, minutes=None) for one in (A, B)]
    assert choose(unmeasured, lambda _scenario: False, 0, UNMEASURED * 1.5) == ["a"]


def test_scenarios_stay_within_the_time_of_a_build_server() -> None:
    """Two at once: half of the sum, or the longest. Lint and unit tests take twenty of the fifty minutes."""
    costs = [UNMEASURED / 2 if one.minutes is None else one.minutes for one in load() if one.ci == ALWAYS]
    longest = max(one.minutes or UNMEASURED for one in load())
    assert max(longest, (sum(costs) + MINUTES_IN_TURN) / 2) <= 25


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"proves": "x", "ci": "sometimes"}, "neither 'always' nor 'in turn'"),
        ({"proves": "x", "ci": "in turn"}, "touches"),
        ({"proves": "x", "ci": "always", "touches": ["roles"]}, "touches"),
        ({"proves": "x", "ci": "always", "last": {"date": "2026-11-20"}}, "needs date, commit and result"),
        ({"proves": "x", "ci": "always", "minuts": 3}, "unknown: minuts"),
    ],
)
def test_a_wrong_entry_is_refused(entry: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(yaml.safe_dump({"one": entry}))


def test_a_result_is_recorded_and_the_rest_stays() -> None:
    text = FILE.read_text(encoding="utf-8")
    written = recorded(text, {"mixed": ("passed", 7.46)}, "2026-11-27", "0123abc")
    last = {"date": "2026-11-27", "commit": "0123abc", "result": "passed"}
    assert parse(written) == [dataclasses.replace(one, minutes=7.5, last=last) if one.name == "mixed" else one for one in parse(text)]
    assert recorded(written, {}, "", "") == written
    assert recorded(written, {"mixed": ("passed", 7.46)}, "2026-11-27", "0123abc") == written
    assert [line for line in text.splitlines() if line not in written.splitlines() and not line.startswith(("  minutes:", "  last:"))] == []


def test_a_commit_of_digits_stays_a_text() -> None:
    text = "one:\n  proves: x\n  ci: always\n  last:\n    date: '2026-11-26'\n    commit: 1e5\n    result: passed\ntwo:\n  ci: always\n"
    written = recorded(text, {"one": ("NO TESTS", 3.0)}, "2026-11-27", "1234567")
    assert written == (
        "one:\n  proves: x\n  ci: always\n  minutes: 3.0\n"
        '  last: {date: "2026-11-27", commit: "1234567", result: "NO TESTS"}\ntwo:\n  ci: always\n'
    )


def test_all_that_a_test_of_a_scenario_imports_is_found() -> None:
    """It would tell only after its nodes have been deployed."""
    for file in sorted((ROOT / "molecule").glob("*/tests/test_*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
        names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        missing = sorted(name for name in names if importlib.util.find_spec(name.split(".")[0]) is None)
        assert missing == [], file


@pytest.mark.parametrize(
    ("name", "file", "variable"),
    [("releases", "test_all_changes.py", "LLMOPS_ALL_CHANGES"), ("multinode", "test_other_shapes.py", "LLMOPS_ALL_FAULTS")],
)
def test_the_full_count_is_left_out_unless_it_is_asked_for(name: str, file: str, variable: str, tmp_path: Path) -> None:
    """An hour of a build server. Each file is named, as molecule names them."""
    scenario = ROOT / "molecule" / name
    described = yaml.safe_load((scenario / "molecule.yml").read_text(encoding="utf-8"))
    names = [platform["name"] for platform in described["platforms"]]
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(yaml.safe_dump({"all": {"hosts": dict.fromkeys(names)}}), encoding="utf-8")
    environment = {
        **{key: value for key, value in os.environ.items() if key != variable},
        "MOLECULE_PROJECT_DIRECTORY": str(ROOT),
        "MOLECULE_SCENARIO_DIRECTORY": str(scenario),
        "MOLECULE_EPHEMERAL_DIRECTORY": str(tmp_path),
        "MOLECULE_INVENTORY_FILE": str(inventory),
    }
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--collect-only", "-q", *map(str, scenario.glob("tests/test_*.py"))]

    def collected(**more: str) -> str:
        return subprocess.run(argv, cwd=ROOT, env={**environment, **more}, capture_output=True, text=True, check=True).stdout

    of_ci, whole = collected(), collected(**{variable: "1"})
    assert file not in of_ci
    assert file in whole
    others = {path.name for path in scenario.glob("tests/test_*.py")} - {file}
    assert others
    assert [other for other in others if other not in of_ci] == []
