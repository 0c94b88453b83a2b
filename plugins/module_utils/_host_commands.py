# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Programs that modules run on their host, and what they answered."""

from __future__ import annotations

import os
import subprocess
import typing as t
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Ran:
    rc: int
    out: str = ""
    err: str = ""


class Run(t.Protocol):
    def __call__(self, argv: Sequence[str], timeout: float, text: str = "", /) -> Ran: ...


def run_command(argv: Sequence[str], timeout: float, text: str = "") -> Ran:
    """Runs a program with a text as its standard input, in the locale C, as what it says is read.

    One that does not exist answers 127, one that takes too long 124.
    """
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(list(argv), input=text.encode("utf-8"), capture_output=True, timeout=timeout, check=False, env=environment)
    except FileNotFoundError:
        return Ran(127, "", f"{argv[0]}: not found")
    except subprocess.TimeoutExpired:
        return Ran(124, "", f"no answer within {timeout:.0f} s: {' '.join(argv[:3])}")
    return Ran(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))
