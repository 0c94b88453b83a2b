# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Programs that modules run on their host, and what they answered."""

from __future__ import annotations

import os
import subprocess  # nosec: argument lists only
import typing as t
from collections.abc import Sequence
from dataclasses import dataclass

NOT_FOUND = 127
TIMED_OUT = 124


@dataclass(frozen=True)
class Ran:
    rc: int
    out: str = ""
    err: str = ""

    @property
    def lines(self) -> list[str]:
        """What it wrote, blank lines left out. Lines end with a line feed alone: a log line may hold anything else."""
        return [line for line in (*self.out.split("\n"), *self.err.split("\n")) if line.strip()]


class Run(t.Protocol):
    def __call__(self, argv: Sequence[str], timeout: float, text: str = "", /) -> Ran: ...


def run_command(argv: Sequence[str], timeout: float | None, text: str = "", /, apart: bool = False) -> Ran:
    """Runs a program with a text as its standard input, in the locale C, as what it says is read.

    One that does not exist answers 127, one that cannot be run 126, one that takes too long 124. Nobody waits for the end of that one: what
    hangs in a driver cannot be killed. C(apart): in a session of its own, which signals to ours do not reach.
    """
    environment = {**os.environ, "LC_ALL": "C"}
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(list(argv), stdin=pipe, stdout=pipe, stderr=pipe, env=environment, start_new_session=apart)
    except FileNotFoundError:
        return Ran(NOT_FOUND, "", f"{argv[0]}: not found")
    except OSError as error:
        return Ran(126, "", str(error))
    try:
        out, err = process.communicate(text.encode("utf-8"), timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        return Ran(TIMED_OUT, "", f"no answer within {timeout:.0f} s: {' '.join(argv[:3])}")
    return Ran(process.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))
