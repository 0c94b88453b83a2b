# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It runs on managed nodes, so it uses the standard library only and runs on Python 3.9.

"""The Docker daemon as systemd runs it: looked at, reloaded, restarted, and what it says when that fails. All with time limits."""

from __future__ import annotations

import json
import os
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _systemd
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import Docker
from ansible_collections.llmops.gpu_inference.plugins.module_utils._dockerd_flags import unit_flags
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import TIMED_OUT, Ran, Run

UNIT = "docker.service"
_ASK = 30.0
_SHOWN = ("LoadState", "ActiveState", "SubState", "UnitFileState", "ExecStart", "Environment", "EnvironmentFiles")


class NoAnswerError(Exception):
    """The daemon takes the question and does not answer."""


@dataclass(frozen=True)
class Unit:
    """docker.service as systemd knows it."""

    load: str
    active: str
    sub: str
    file: str
    program: str
    flags: tuple[str, ...]

    @property
    def loaded(self) -> bool:
        return self.load == "loaded"

    @property
    def at_boot(self) -> bool:
        """As `systemctl is-enabled` counts; what is enabled until the next boot only is not."""
        return self.file in ("enabled", "static", "alias", "indirect", "generated")


def parse_unit(text: str, read: t.Callable[[str], str]) -> Unit:
    """From `systemctl show`; `read` gives the text of an EnvironmentFile, empty where there is none."""
    shown = _systemd.properties(text)
    first = {name: (shown.get(name) or [""])[0] for name in _SHOWN}
    lines = [*shown.get("Environment", [""])[0].split(" "), *map(read, _systemd.environment_paths(shown.get("EnvironmentFiles", [])))]
    program = re.search(r"\bpath=(\S+) ;", first["ExecStart"])
    return Unit(
        load=first["LoadState"],
        active=first["ActiveState"],
        sub=first["SubState"],
        file=first["UnitFileState"],
        program=program.group(1) if program else "",
        flags=unit_flags(first["ExecStart"], "\n".join(lines)) if first["ExecStart"] else (),
    )


def parse_info(text: str) -> dict[str, t.Any]:
    """What `docker info --format {{json .}}` says; it says something without a daemon too, but no ServerVersion."""
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


#: What dockerd says last before it ends, the most telling first.
_TELLING = (
    re.compile(r"failed to start daemon|unable to configure the Docker daemon|Error reconfiguring the daemon|failed to start cluster"),
    re.compile(r"level=fatal"),
    re.compile(r"level=error"),
    re.compile(r"dockerd\[|^dockerd:|panic:"),
)


def telling_line(log: str) -> str:
    """The line of the daemon's log that says why it did not start or did not take its configuration."""
    lines = [line.strip() for line in log.split("\n") if line.strip()]
    for pattern in _TELLING:
        found = [line for line in lines if pattern.search(line)]
        if found:
            return _plain(found[-1])
    return ""


def _plain(line: str) -> str:
    message = re.search(r'\bmsg="((?:[^"\\]|\\.)*)"', line)
    if message:
        line = re.sub(r"\\(.)", r"\1", message.group(1))
    line = re.sub(r"//[^/@\s]*@", "//***@", line)
    return line if len(line) <= 400 else line[:397] + "..."


class DockerService:
    """`run(argv, seconds)` starts a command and never raises; `wall` gives seconds since the epoch, for the journal."""

    def __init__(
        self, run: Run, clock: t.Callable[[], float], sleep: t.Callable[[float], None], wall: t.Callable[[], float], limit: float = 180.0
    ) -> None:
        self._run = run
        self._systemd = _systemd.Systemd(run)
        self._clock = clock
        self._sleep = sleep
        self._wall = wall
        self._limit = limit

    def unit(self) -> Unit:
        shown = self._systemd.call("show", UNIT, f"--property={','.join(_SHOWN)}", seconds=_ASK)
        return parse_unit(shown.out, text_of)

    def info(self) -> dict[str, t.Any]:
        """What the daemon says of itself; empty without a daemon or without a client."""
        answer = Docker(run=self._run).call("info", "--format", "{{json .}}", timeout=min(_ASK, self._limit))
        if answer.rc == TIMED_OUT:
            raise NoAnswerError
        return parse_info(answer.out)

    def reload_units(self) -> None:
        self._systemd.call("daemon-reload", seconds=_ASK)

    def start_at_boot(self) -> str:
        """Returns why it cannot, or an empty text."""
        done = self._systemd.call("enable", UNIT, seconds=_ASK)
        return _last(done) if done.rc else ""

    def reload(self, followed: t.Callable[[dict[str, t.Any]], bool], seconds: float = 15.0) -> str:
        """Let the running daemon read its file; returns what it has against it, or an empty text."""
        since = self._wall()
        done = self._systemd.call("reload", UNIT, seconds=_ASK)
        if done.rc:
            return f"systemctl reload {UNIT}: {_last(done)}"
        deadline = self._clock() + seconds
        while True:
            # The signal is sent at once, the file is read a moment later; only the journal has the daemon's verdict.
            log = self._log(since)
            if re.search(r"Error reconfiguring the daemon|unable to configure the Docker daemon", log):
                return telling_line(log)
            if "Reloaded configuration" in log and followed(self._info_or_nothing()):
                return ""
            if self._clock() >= deadline:
                return "" if followed(self._info_or_nothing()) else f"it does not follow its file {seconds:.0f} s after the reload"
            self._sleep(0.5)

    def restart(self) -> str:
        """Start the daemon afresh and wait until it answers; returns why it does not, or an empty text."""
        since = self._wall()
        # Several starts within a minute would otherwise hit the start limit of the unit.
        self._systemd.call("reset-failed", UNIT, "docker.socket", seconds=_ASK)
        deadline = self._clock() + self._limit
        done = self._systemd.call("restart", UNIT, seconds=self._limit)
        if done.rc == TIMED_OUT:
            return telling_line(self._log(since)) or f"it was not ready {self._limit:.0f} s after its start"
        if done.rc:
            return telling_line(self._log(since)) or _last(done)
        while not self._info_or_nothing().get("ServerVersion"):
            if self._clock() >= deadline:
                return telling_line(self._log(since)) or f"it did not answer {self._limit:.0f} s after its start"
            self._sleep(1.0)
        return ""

    def _info_or_nothing(self) -> dict[str, t.Any]:
        try:
            return self.info()
        except NoAnswerError:
            return {}

    def _log(self, since: float) -> str:
        # Whole seconds: what is older by less than one was said by a daemon that ran.
        return self._systemd.journal(UNIT, f"--since=@{int(since)}", "--quiet")


def text_of(path: str) -> str:
    """Nothing where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _last(done: Ran) -> str:
    return next((line.strip() for line in reversed((done.out + done.err).split("\n")) if line.strip()), f"exit code {done.rc}")


def dockerd_of(unit: Unit, which: t.Callable[[str], str | None]) -> tuple[str | None, tuple[str, ...]]:
    """The program that can check a daemon.json, and the flags that the file must get along with; a wrapper's flags say nothing."""
    if os.path.basename(unit.program) == "dockerd":
        return unit.program, unit.flags
    return which("dockerd"), ()
