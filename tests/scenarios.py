# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run molecule scenarios, two at once, and end with a table of results and times.

All scenarios share one engine, one registry and one set of images and models; each has nodes of its own. Most of a run waits for one
process after the other, so that two of them on two cores take little longer than one. The exit status is 1 when one of them failed.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Begun in this order: a long one that comes last would run alone. Those that are not named come after these.
LONGEST_FIRST = ("faults", "mixed", "platforms", "examples", "four-capabilities", "default", "toolkit")
SCENARIOS = sorted(
    (path.parent.name for path in ROOT.glob("molecule/*/molecule.yml")),
    key=lambda name: (LONGEST_FIRST.index(name) if name in LONGEST_FIRST else len(LONGEST_FIRST), name),
)
CLOSING = re.compile(r"=+ ([^=]*\b(?:passed|failed|errors?)\b[^=]*) in [\d.]+s")
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
FRAME = re.compile(r"\s*│\s*")

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


def test(name: str, *, aloud: bool) -> tuple[bool, str]:
    """Run `molecule test`; return whether it passed, and its line of the table. Unless aloud, its log is printed when it ends."""
    show(f"=== scenario {name}")
    began = time.monotonic()
    done = subprocess.run(
        ["molecule", "test", "--scenario-name", name],
        cwd=ROOT,
        check=False,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        stdout=None if aloud else subprocess.PIPE,
        stderr=None if aloud else subprocess.STDOUT,
    )
    passed = done.returncode == 0
    log = done.stdout or ""
    line = f"{name:<20} {'passed' if passed else 'FAILED':<8} {time.monotonic() - began:5.0f} s   {counts(log)}".rstrip()
    show("" if aloud else f"=== log of scenario {name}\n{log}\n=== {line}")
    return passed, line


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of {', '.join(SCENARIOS)}; all of them unless named")
    parser.add_argument("--jobs", type=int, default=2, help="how many at once (2); with 1, each prints as it goes")
    options = parser.parse_args()
    if unknown := set(options.scenarios) - set(SCENARIOS):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    if subprocess.run([sys.executable, "tests/testbed/bed.py", "up"], cwd=ROOT, check=False).returncode:
        return 1
    wanted = [name for name in SCENARIOS if name in options.scenarios or not options.scenarios]
    with ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(lambda name: test(name, aloud=options.jobs == 1), wanted))
    print("\n" + "\n".join(line for _passed, line in results))
    return 0 if all(passed for passed, _line in results) else 1


if __name__ == "__main__":
    sys.exit(main())
