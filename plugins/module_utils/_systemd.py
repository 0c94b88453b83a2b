# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It runs on managed nodes, so it uses the standard library only and runs on Python 3.9.

"""What systemd reads and prints."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping


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
