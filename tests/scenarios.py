# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run molecule scenarios, two at once, and end with a table of results and times, and with what failed.

All scenarios share one engine, one registry and one set of images and models; each has nodes of its own. Most of a run waits for one
process after the other, so that two of them on two cores take little longer than one. The exit status is 1 when one of them failed.
tests/scenarios.yml is the list of them.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))

from support import scenario_list

ROOT = Path(__file__).resolve().parents[1]
# A long one that comes last would run alone.
SCENARIOS = [
    scenario.name for scenario in sorted(scenario_list.load(), key=lambda one: (-(one.minutes or scenario_list.UNMEASURED), one.name))
]
CLOSING = re.compile(r"=+ ([^=]*\b(?:passed|failed|errors?)\b[^=]*) in [\d.]+s")
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
FRAME = re.compile(r"\s*│\s*")
LEFT_OF_LINE = re.compile(r"^ *[│┌└][ ─]?", re.MULTILINE)
# molecule says this of the step that failed; what it printed before is what the step had to say.
STEP_FAILED = re.compile(r"Executed: Failed\b")
LINES_OF_A_FAILURE = 40
# molecule wraps what it frames, and pytest cuts the causes off its summary: at 80 columns of nobody's terminal.
WIDE = {**os.environ, "COLUMNS": "200"}

printing = threading.Lock()


def show(text: str) -> None:
    """Print the text in one piece, whatever other scenarios print."""
    with printing:
        print(text, flush=True)


def counts(log: str) -> str:
    """Return what the verifier counted, such as "22 passed, 1 skipped"; molecule wraps pytest's closing line in a frame."""
    plain = FRAME.sub(" ", ESCAPE.sub("", log))
    found = CLOSING.findall(plain)
    return found[-1] if found else ""


def what_failed(log: str) -> str:
    """Return the end of what the failed step printed: the error of a play, or pytest's assertion and its summary."""
    plain = LEFT_OF_LINE.sub("", ESCAPE.sub("", log)).splitlines()
    end = next((number for number, line in enumerate(plain) if STEP_FAILED.search(line)), len(plain))
    return "\n".join(line.rstrip() for line in plain[max(0, end + 1 - LINES_OF_A_FAILURE) : end + 1])


def verdict(returncode: int, counted: str) -> str:
    """Return "passed" only where tests ran, all of them: molecule is content with a scenario that has none."""
    if returncode:
        return "FAILED"
    if not re.search(r"\b[1-9]\d* passed\b", counted):
        return "NO TESTS"
    return "SKIPPED" if re.search(r"\b(?:skipped|xfailed|xpassed)\b", counted) else "passed"


@dataclass(frozen=True)
class Result:
    name: str
    verdict: str
    seconds: float
    counted: str
    failure: str

    @property
    def line(self) -> str:
        """Its line of the table."""
        return f"{self.name:<20} {self.verdict:<8} {self.seconds:5.0f} s   {self.counted}".rstrip()


def test(name: str, *, aloud: bool) -> Result:
    """Run `molecule test`. Its log is printed as it comes if aloud, else in one piece when it ends."""
    show(f"=== scenario {name}")
    began = time.monotonic()
    lines = []
    with subprocess.Popen(
        ["molecule", "test", "--scenario-name", name],
        cwd=ROOT,
        text=True,
        errors="replace",
        env=WIDE,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        for line in process.stdout or ():
            lines.append(line)
            if aloud:
                sys.stdout.write(line)
                sys.stdout.flush()
    log = "".join(lines)
    counted = counts(log)
    found = verdict(process.returncode, counted)
    failure = "" if found == "passed" else what_failed(log)
    result = Result(name, found, time.monotonic() - began, counted, failure)
    show("" if aloud else f"=== log of scenario {name}\n{log}\n=== {result.line}")
    return result


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of {', '.join(SCENARIOS)}; all of them unless named")
    parser.add_argument("--ci", action="store_true", help="those that a build server runs today")
    parser.add_argument("--list", action="store_true", help="say which ones would run, and run none")
    parser.add_argument("--record", action="store_true", help="write results and minutes into tests/scenarios.yml")
    parser.add_argument("--jobs", type=int, default=2, help="how many at once (2); with 1, each prints as it goes")
    options = parser.parse_args()
    if unknown := set(options.scenarios) - set(SCENARIOS):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    if options.ci:
        options.scenarios += scenario_list.for_build_server()
    wanted = [name for name in SCENARIOS if name in options.scenarios or not options.scenarios]
    show(f"scenarios: {', '.join(wanted)}; left out: {', '.join(name for name in SCENARIOS if name not in wanted) or 'none'}")
    if options.list:
        return 0
    if subprocess.run([sys.executable, "tests/testbed/bed.py", "up"], cwd=ROOT, check=False).returncode:
        return 1
    with ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(lambda name: test(name, aloud=options.jobs == 1), wanted))
    print("\n" + "\n".join(result.line for result in results))
    if options.record:
        scenario_list.record({result.name: (result.verdict, result.seconds / 60) for result in results})
    # Once more at the very end, for a build server that shows only that.
    failed = [result for result in results if result.verdict != "passed"]
    print("\n".join(f"\n=== {result.line}\n{result.failure}" for result in failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
