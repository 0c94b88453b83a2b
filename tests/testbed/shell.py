# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running programs with progress lines, and the one exception that ends the bed with a message instead of a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from testbed import settings

_STARTED = time.monotonic()
_PRINTING = threading.Lock()
_HEARTBEAT_SECONDS = 10.0


_CHILDREN: list[subprocess.Popen[bytes]] = []


class BedError(Exception):
    """Something the person at the keyboard can act on; the message says how."""


def elapsed() -> float:
    return time.monotonic() - _STARTED


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"


def say(text: str) -> None:
    with _PRINTING:
        print(f"[{clock(elapsed())}] {text}", flush=True)


def tail(path: Path, lines: int = 15) -> str:
    if not path.exists():
        return ""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def run(
    arguments: Sequence[str],
    *,
    step: str,
    environment: Mapping[str, str] | None = None,
    stdin_from: Sequence[str] | None = None,
    cwd: Path | None = None,
) -> float:
    """Run a long command with its output in a log file and a sign of life every few seconds; return the seconds it took.

    With stdin_from, that command's output is piped into it.
    """
    settings.LOGS.mkdir(parents=True, exist_ok=True)
    log = settings.LOGS / (step.replace(" ", "-").replace("/", "-") + ".log")
    began = time.monotonic()
    with log.open("wb") as output:
        feeder: subprocess.Popen[bytes] | None = None
        if stdin_from is not None:
            feeder = _child(subprocess.Popen(stdin_from, stdout=subprocess.PIPE, stderr=output, start_new_session=True))
        process = _child(
            subprocess.Popen(
                arguments,
                stdin=feeder.stdout if feeder else subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                cwd=cwd,
                start_new_session=True,
            )
        )
        if feeder is not None and feeder.stdout is not None:
            feeder.stdout.close()  # the feeder gets SIGPIPE when the command ends early
        while True:
            try:
                code = process.wait(timeout=_HEARTBEAT_SECONDS)
                break
            except subprocess.TimeoutExpired:
                last = tail(log, 1)[:100]
                say(f"  {step}: {int(time.monotonic() - began)} s{': ' + last if last else ''}")
        if feeder is not None:
            code = code or feeder.wait()
    if code != 0:
        raise BedError(f"{step} failed: `{' '.join(arguments)}` ended with {code}. The end of {log}:\n{tail(log)}")
    return time.monotonic() - began


def _child(process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    _CHILDREN.append(process)
    return process


def end_children() -> None:
    """End what run() started, each with its whole process group: builds are shell scripts with children of their own."""
    for process in _CHILDREN:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)


def capture(arguments: Sequence[str], *, check: bool = True, timeout: float = 120) -> str:
    """The output of a short command, without the final newline; an empty string when it fails and check is off."""
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        if check:
            raise BedError(f"`{' '.join(arguments)}` could not run: {error}") from error
        return ""
    if done.returncode != 0:
        if check:
            raise BedError(f"`{' '.join(arguments)}` ended with {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
        return ""
    return done.stdout.rstrip("\n")


def succeeds(arguments: Sequence[str], *, timeout: float = 120) -> bool:
    try:
        return subprocess.run(arguments, capture_output=True, timeout=timeout, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
