# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It runs on managed nodes, so it uses the standard library only and runs on Python 3.9.

"""dnf's .repo files by what they say, and the packages that dnf.conf keeps out of every transaction; all else in the files stays."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.llmops.gpu_inference.plugins.module_utils._apt_sources import Repository, repository

_NO = frozenset({"0", "no", "false", "off"})


@dataclass(frozen=True)
class Section:
    """One `[id]` of a .repo file: its lines from the heading on, and its values, continuation lines joined."""

    name: str
    lines: tuple[str, ...]
    values: Mapping[str, str]

    @property
    def enabled(self) -> bool:
        return self.values.get("enabled", "1").strip().lower() not in _NO

    def places(self, variables: Mapping[str, str]) -> list[Repository]:
        """Where its packages come from; `variables` are dnf's, such as basearch."""
        text = self.values.get("baseurl", "")
        for name, value in variables.items():
            text = text.replace(f"${{{name}}}", value).replace(f"${name}", value)
        return [repository(address, "/", "") for address in re.split(r"[\s,]+", text) if address]


def sections(text: str) -> tuple[list[str], list[Section]]:
    """The lines before the first heading, and the sections."""
    head: list[str] = []
    found: list[list[str]] = []
    for line in text.split("\n"):
        if re.match(r"\[[^\]]+\]", line):
            found.append([line])
        elif found:
            found[-1].append(line)
        else:
            head.append(line)
    return head, [Section(lines[0][1 : lines[0].index("]")].strip(), tuple(lines), _values(lines[1:])) for lines in found]


def _values(lines: Sequence[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    name = ""
    for line in lines:
        if line[:1] in ("#", ";") or not line.strip():
            continue
        if line[0] in " \t" and name:
            values[name] += " " + line.strip()
            continue
        name, _equals, value = (part.strip() for part in line.partition("="))
        values[name] = value
    return values


def without_sections(text: str, goes: t.Callable[[Section], bool]) -> str:
    """The file without some sections; everything else in it stays, letter by letter."""
    head, found = sections(text)
    if not any(map(goes, found)):
        return text
    return "\n".join([*head, *(line for section in found if not goes(section) for line in section.lines)])


def section_text(name: str, values: Mapping[str, str]) -> str:
    """A section as dnf reads it; a line break would begin another option, so there may be none."""
    for value in (name, *values.values()):
        if re.search(r"[\x00-\x1f\x7f\x85\u2028\u2029]", value):
            raise ValueError(f"{value!r} holds a line break or another control character")
    return f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in values.items())


# --- dnf.conf ----------------------------------------------------------------------------------------------------

_MAIN = re.compile(r"^\[main\][^\n]*$", re.MULTILINE)
_OPTION = re.compile(r"^(excludepkgs|exclude)[ \t]*=", re.MULTILINE)


def excluded(text: str) -> list[str]:
    """The packages that [main] of dnf.conf excludes."""
    for section in sections(text)[1]:
        if section.name == "main":
            joined = ",".join(section.values.get(key, "") for key in ("excludepkgs", "exclude"))
            return [name for name in re.split(r"[\s,]+", joined) if name]
    return []


def with_excluded(text: str, names: Sequence[str]) -> str:
    """dnf.conf with these packages excluded as well: no `dnf upgrade` moves them then, from whichever repository."""
    missing = [name for name in names if name not in excluded(text)]
    if not missing:
        return text
    added = ",".join(missing)
    main = _MAIN.search(text)
    if not main:
        return f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}[main]\nexcludepkgs={added}\n"
    end = re.compile(r"^\[", re.MULTILINE).search(text, main.end())
    option = _OPTION.search(text, main.end(), end.start() if end else len(text))
    if not option:
        return f"{text[: main.end()]}\nexcludepkgs={added}{text[main.end() :]}"
    rest = text[option.end() :]
    others = re.match(r"[^\n]*\S|[^\n]*\n[ \t]+\S", rest)
    return f"{text[: option.end()]}{added}{',' if others else ''}{rest}"


def without_excluded(text: str, names: Sequence[str]) -> str:
    """dnf.conf without these; an option that has no other is taken away with them."""
    ours = re.compile("|".join(rf"(?<![^\s,=]){re.escape(name)}(?:,|(?=\s|$))" for name in names))
    lines: list[str] = []
    inside = in_option = False
    for line in text.split("\n"):
        if line.startswith("["):
            inside, in_option = line.startswith("[main]"), False
        in_option = bool(inside and _OPTION.match(line)) or (in_option and line[:1] in (" ", "\t"))
        lines.append(ours.sub("", line) if in_option and names else line)
    left = "\n".join(lines)
    return _without_empty_option(left) if left != text else text


def _without_empty_option(text: str) -> str:
    return re.sub(r"^(excludepkgs|exclude)[ \t]*=[ \t]*\n(?![ \t]+\S)", "", text, flags=re.MULTILINE)
