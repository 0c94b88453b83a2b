# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It runs on managed nodes, so it uses the standard library only and runs on Python 3.9.

"""apt's sources by what they say, in both forms that apt reads (sources.list(5)), and files without those of one repository.

For apt a repository is one thing, however many files name it: it reads no source of the host any more when two of them give one repository
different keys ("Conflicting values set for option Signed-By").
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

_NO = frozenset({"no", "false", "without", "off", "disable", "0"})
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Repository:
    """Where it is, told apart as people do: neither the scheme, nor a slash, nor a password in the address makes it another one.

    A flat repository has its whole path in `place`, as `deb URI amd64/` and `deb URI/amd64 /` are the same.
    """

    place: str
    suite: str


def repository(uri: str, suite: str, architecture: str) -> Repository:
    """`$(ARCH)` is the host's architecture in both."""
    uri, suite = (text.replace("$(ARCH)", architecture) for text in (uri, suite))
    flat = suite.endswith("/")
    parts = urlsplit(uri)
    host = (parts.hostname or "").lower()
    try:
        port = parts.port
    except ValueError:
        port = None
    if port and port != _PORTS.get(parts.scheme):
        host += f":{port}"
    path = f"{parts.path}/{suite}" if flat else parts.path
    steps = [step for step in path.split("/") if step not in ("", ".")]
    where = host or f"{parts.scheme}:" if parts.scheme not in _PORTS else host
    return Repository("/".join([where, *steps]), "" if flat else suite)


Matches = t.Callable[[Repository], bool]


def repositories(text: str, *, deb822: bool, architecture: str) -> list[Repository]:
    """All that the file switches on."""
    if deb822:
        stanzas = [_Stanza(lines) for lines in _stanzas(text)]
        return [repository(*pair, architecture) for stanza in stanzas if stanza.enabled for pair in stanza.pairs()]
    return [repository(*pair, architecture) for pair in map(_pair, text.split("\n")) if pair]


def without(text: str, matches: Matches, *, deb822: bool, architecture: str) -> str:
    """The file without the sources that match; everything else in it stays as it is, letter by letter."""
    if deb822:
        return _without_deb822(text, matches, architecture)
    lines = text.split("\n")
    return "\n".join(line for line in lines if not ((pair := _pair(line)) and matches(repository(*pair, architecture))))


# --- one line each -----------------------------------------------------------------------------------------------


def _pair(line: str) -> tuple[str, str] | None:
    """URI and suite of `deb [OPTIONS] URI SUITE COMPONENTS # comment`."""
    words = _words(_uncommented(line))
    if len(words) > 1 and words[1].startswith("["):
        del words[1]
    if len(words) < 3 or words[0] not in ("deb", "deb-src"):
        return None
    return words[1], words[2]


def _uncommented(line: str) -> str:
    """apt ends a line at the first `#` outside of square brackets."""
    position = 0
    while position < len(line) and line[position] != "#":
        if line[position] == "[":
            position = max(line.find("]", position), position)
        position += 1
    return line[:position]


def _words(line: str) -> list[str]:
    """Words as apt takes them: options in brackets are one, quotes go, `%20` is a blank."""
    words = re.findall(r"\[[^\]]*\]|(?:\"[^\"]*\"|[^\s\"])+", line)
    return [word if word.startswith("[") else unquote(word.replace('"', "")) for word in words]


# --- stanzas -----------------------------------------------------------------------------------------------------


def _stanzas(text: str) -> t.Iterator[list[str]]:
    """Lines of each stanza; an empty line, or one of blanks, ends it."""
    lines: list[str] = []
    for line in text.split("\n"):
        if line.strip():
            lines.append(line)
        elif lines:
            yield lines
            lines = []
    if lines:
        yield lines


class _Stanza:
    """The lines of one stanza, comments among them, and which lines each field has."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.fields: dict[str, list[int]] = {}
        name = ""
        for number, line in enumerate(lines):
            field = re.match(r"([^\s:#][^\s:]*)\s*:", line)
            if line.startswith("#"):
                continue
            if field:
                name = field.group(1).lower()
                self.fields[name] = [number]
            elif name:
                self.fields[name].append(number)

    def value(self, name: str) -> str:
        """The field in one line, its name cut off."""
        return " ".join(self.lines[number] for number in self.fields.get(name, [])).partition(":")[2]

    @property
    def enabled(self) -> bool:
        return self.value("enabled").strip().lower() not in _NO and bool(set(self.value("types").split()) & {"deb", "deb-src"})

    def pairs(self) -> list[tuple[str, str]]:
        return [(uri, suite) for uri in self.value("uris").split() for suite in self.value("suites").split()]

    def with_pairs(self, uris: t.Sequence[str], suites: t.Sequence[str]) -> list[str]:
        """The same stanza for these alone."""
        lines: dict[int, str] = dict(enumerate(self.lines))
        for name, values in (("uris", uris), ("suites", suites)):
            first, *more = self.fields[name]
            lines[first] = f"{self.lines[first].partition(':')[0]}: {' '.join(values)}"
            for number in more:
                del lines[number]
        return list(lines.values())


def _without_deb822(text: str, matches: Matches, architecture: str) -> str:
    kept: list[list[str]] = []
    changed = False
    for lines in _stanzas(text):
        stanza = _Stanza(lines)
        pairs = stanza.pairs() if stanza.enabled else []
        left = [pair for pair in pairs if not matches(repository(*pair, architecture))]
        if len(left) == len(pairs):
            kept.append(lines)
            continue
        changed = True
        kept += _parts(stanza, left)
    return "\n\n".join("\n".join(lines) for lines in kept) + ("\n" if kept else "") if changed else text


def _parts(stanza: _Stanza, pairs: t.Sequence[tuple[str, str]]) -> t.Iterator[list[str]]:
    """One stanza for all addresses that keep the same suites."""
    suites: dict[str, list[str]] = {}
    for uri, suite in pairs:
        suites.setdefault(uri, []).append(suite)
    grouped: dict[tuple[str, ...], list[str]] = {}
    for uri, of_uri in suites.items():
        grouped.setdefault(tuple(of_uri), []).append(uri)
    for of_group, uris in grouped.items():
        yield stanza.with_pairs(uris, of_group)
