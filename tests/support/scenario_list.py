# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""tests/scenarios.yml: which scenarios there are, which of them a build server runs today, and how their last recorded runs went."""

from __future__ import annotations

import datetime
import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "tests" / "scenarios.yml"
PAGE = ROOT / "docs" / "support.md"
ALWAYS, IN_TURN = "always", "in turn"
UNMEASURED = 12.0
"""Minutes that a scenario counts for while nobody has measured it."""
MINUTES_IN_TURN = 15.0
"""What a build server spends on scenarios beside those that always run; with them `make test` stays under 50 minutes."""


@dataclass(frozen=True)
class Scenario:
    name: str
    proves: str
    ci: str
    touches: tuple[str, ...] = ()
    minutes: float | None = None
    last: Mapping[str, str] | None = None  # date, commit, result


def parse(text: str) -> list[Scenario]:
    """Read the list; raise ValueError for an entry that could not be run or chosen."""
    found = []
    for name, entry in (yaml.safe_load(text) or {}).items():
        if unknown := set(entry) - {"proves", "ci", "touches", "minutes", "last"}:
            raise ValueError(f"{name}: unknown: {', '.join(sorted(unknown))}")
        scenario = Scenario(name, **{**entry, "touches": tuple(entry.get("touches", ()))})
        if scenario.ci not in (ALWAYS, IN_TURN):
            raise ValueError(f"{name}.ci: '{scenario.ci}' is neither '{ALWAYS}' nor '{IN_TURN}'")
        if (scenario.ci == IN_TURN) != bool(scenario.touches):
            raise ValueError(f"{name}.touches: said for scenarios that run in turn, and for no other")
        if scenario.last is not None and set(scenario.last) != {"date", "commit", "result"}:
            raise ValueError(f"{name}.last: needs date, commit and result")
        found.append(scenario)
    return found


def load() -> list[Scenario]:
    return parse(FILE.read_text(encoding="utf-8"))


def changed(scenario: Scenario) -> bool:
    """Whether what it touches differs from the commit of its last recorded run, or nothing is known of such a commit (a shallow clone)."""
    if scenario.last is None or scenario.last["result"] != "passed":
        return True
    argv = ["git", "diff", "--quiet", scenario.last["commit"], "--", *scenario.touches]
    return subprocess.run(argv, cwd=ROOT, check=False, capture_output=True).returncode != 0


def choose(scenarios: Sequence[Scenario], touched: Callable[[Scenario], bool], day: int, minutes: float = MINUTES_IN_TURN) -> list[str]:
    """Return what a build server runs: what always runs, then of the others the first and whatever else fits into these minutes.

    The others begin with another one each day, and those that a change touched come before those that none did.
    """
    others = [scenario for scenario in scenarios if scenario.ci == IN_TURN]
    turn = day % len(others) if others else 0
    chosen = [scenario.name for scenario in scenarios if scenario.ci == ALWAYS]
    left = minutes
    for position, scenario in enumerate(sorted(others[turn:] + others[:turn], key=lambda one: not touched(one))):
        cost = UNMEASURED if scenario.minutes is None else scenario.minutes
        if position == 0 or cost <= left:
            chosen.append(scenario.name)
            left -= cost
    return chosen


def for_build_server() -> list[str]:
    return choose(load(), changed, datetime.datetime.now(datetime.timezone.utc).toordinal())


def recorded(text: str, results: Mapping[str, tuple[str, float]], date: str, commit: str) -> str:
    """Return the list's text with these results (result, minutes) entered; everything else in it stays, letter by letter."""
    for name, (result, minutes) in results.items():
        last = ", ".join(f"{key}: {json.dumps(value)}" for key, value in (("date", date), ("commit", commit), ("result", result)))
        entry = re.compile(rf"^{re.escape(name)}:\n(?:[ ].*\n)*", re.MULTILINE)
        if found := entry.search(text):
            entered = f"{_without_result(found[0])}  minutes: {round(minutes, 1)}\n  last: {{{last}}}\n"
            text = text[: found.start()] + entered + text[found.end() :]
    return text


def _without_result(entry: str) -> str:
    """The entry without its `minutes` and `last`, each with the lines that go on with it."""
    return re.sub(r"(?m)^  (?:minutes|last):.*\n(?:   .*\n)*", "", entry)


def record(results: Mapping[str, tuple[str, float]]) -> None:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    FILE.write_text(recorded(FILE.read_text(encoding="utf-8"), results, date, commit), encoding="utf-8")


def table(scenarios: Sequence[Scenario]) -> str:
    rows = [
        "| scenario | what it proves, on Debian 13, x86_64 | on a build server | minutes | last recorded run |",
        "| --- | --- | --- | --- | --- |",
    ]
    for one in scenarios:
        last = f"{one.last['result']}, {one.last['date']}, {one.last['commit']}" if one.last else ""
        rows.append(f"| `{one.name}` | {one.proves} | {one.ci} | {one.minutes or ''} | {last} |")
    return "\n".join(row.replace("|  |", "| |").replace("|  |", "| |") for row in rows) + "\n"


def page_with_table(page: str) -> str:
    pattern = r"(<!-- BEGIN_SCENARIOS -->\n).*?(<!-- END_SCENARIOS -->)"
    return re.sub(pattern, lambda found: found[1] + table(load()) + found[2], page, flags=re.S)


if __name__ == "__main__":
    PAGE.write_text(page_with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write("docs/support.md is up to date\n")
