# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It runs on managed nodes, there also beside _launcher.py, so it uses the standard library only and runs on Python 3.9.

"""The one way to systemd: what it is asked, what it reads and what it prints."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran, Run, run_command
except ImportError:  # on the node the files lie side by side
    from _host_commands import Ran, Run, run_command  # type: ignore[import-not-found,no-redef]

#: What systemd's unichar_is_valid (src/basic/utf8.c) refuses: halves of pairs, and code points that are never to be characters.
_NO_TEXT = re.compile(
    "[\ud800-\udfff\ufdd0-\ufdef" + "".join(chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(17)) + "]"
)


class SystemdError(Exception):
    """What it said, for people. C(rc): of its program."""

    def __init__(self, message: str, rc: int) -> None:
        super().__init__(message)
        self.rc = rc


@dataclass(frozen=True)
class Systemd:
    run: Run = run_command
    program: str = "systemctl"

    def call(self, *words: str, seconds: float = 90.0) -> Ran:
        """Whatever comes of it."""
        return self.run([self.program, *words], seconds)

    def do(self, *words: str) -> None:
        """Raises SystemdError."""
        ran = self.call(*words)
        if ran.rc:
            raise SystemdError(f"{self.program} {' '.join(words)}: {ran.err.strip() or ran.out.strip()}", ran.rc)

    def show(self, units: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, str]]:
        """Properties of each of these units. Raises SystemdError."""
        if not units:
            return {}
        ran = self.call("show", "--no-pager", f"--property={','.join(names)}", "--", *units, seconds=60)
        if ran.rc:
            raise SystemdError(ran.err.strip(), ran.rc)
        return blocks(units, ran.out)

    def journal(self, unit: str, *options: str) -> str:
        """Nothing where it may not be read."""
        ran = self.run(["journalctl", "--no-pager", "--output=cat", *options, f"--unit={unit}"], 30)
        return "" if ran.rc else ran.out


def blocks(units: Sequence[str], text: str) -> dict[str, dict[str, str]]:
    """systemctl show answers in the order of the question, blocks parted by empty lines."""
    parts = text.strip().split("\n\n")
    found = [dict(line.split("=", 1) for line in part.split("\n") if "=" in line) for part in parts]
    return {unit: found[number] if number < len(found) else {} for number, unit in enumerate(units)}


def environment_file(values: Mapping[str, str]) -> str:
    """An EnvironmentFile (systemd.exec(5)) from which the process gets exactly these values, whatever characters they hold.

    Unlike Environment= of a unit, its content is not shown to everybody by `systemctl show`, and `%` is no specifier in it.
    """
    lines = []
    for name, value in values.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ValueError(f"{name!r} is not a name of an environment variable")
        if "\0" in value:
            raise ValueError(f"{name} holds a null character")
        if _NO_TEXT.search(value):
            raise ValueError(f"{name} holds what Unicode calls no character, and systemd takes no such environment")
        escaped = re.sub(r'([\\"`$])', r"\\\1", value)
        lines.append(f'{name}="{escaped}"\n')
    return "".join(lines)


def properties(text: str) -> dict[str, list[str]]:
    """The lines `Name=value` of `systemctl show`; a name can come several times."""
    found: dict[str, list[str]] = {}
    for line in text.split("\n"):
        name, separator, value = line.partition("=")
        if separator and re.fullmatch(r"[A-Za-z0-9]+", name):
            found.setdefault(name, []).append(value)
    return found


def environment_paths(values: t.Iterable[str]) -> list[str]:
    """The files in the property EnvironmentFiles: `/etc/default/docker (ignore_errors=yes)`."""
    return [match.group(1) for value in values if (match := re.match(r"(/.*?)(?: \(ignore_errors=\w+\))?$", value))]
