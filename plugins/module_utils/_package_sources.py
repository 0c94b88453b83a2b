# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It runs on managed nodes, so it uses the standard library only and runs on Python 3.9.

"""What the files with a package manager's repositories must become, so that one repository is in them once, as wanted."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _apt_sources, _dnf_files
from ansible_collections.llmops.gpu_inference.plugins.module_utils._apt_sources import Repository

HEADER = "# Made by Ansible for llmops.gpu_inference: changes to these lines are lost.\n"
#: What an address, a suite and a component may hold: anything else would be another word, line or option to the program that reads it.
WORD = re.compile(r"[!-~]+")


class BadValueError(ValueError):
    """A value cannot stand in such a file."""


@dataclass(frozen=True)
class Wanted:
    """The repository as it shall be there; `aliases` are regular expressions for other places of it, such as its publisher's own."""

    name: str
    url: str
    key: str
    suite: str = "/"
    components: tuple[str, ...] = ()
    description: str = ""
    options: Mapping[str, str] | None = None
    aliases: tuple[str, ...] = ()

    def check(self) -> None:
        words = {"name": self.name, "url": self.url, "suite": self.suite, **{f"components[{n}]": c for n, c in enumerate(self.components)}}
        for what, value in words.items():
            if not WORD.fullmatch(value):
                raise BadValueError(f"{what} is {value!r}; it must be one word without blanks, line breaks and other special characters")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", self.name):
            raise BadValueError(f"name is {self.name!r}, which is not a valid file name")


@dataclass(frozen=True)
class Host:
    """`architecture` as the package manager says it; `variables` are dnf's."""

    architecture: str
    variables: Mapping[str, str]


Texts = Mapping[str, str]


def apt_changes(wanted: Wanted | None, path: str, texts: Texts, host: Host) -> dict[str, str]:
    """New texts by path; `wanted` None takes ours away and leaves those of others."""
    ours = _apt_sources.repository(wanted.url, wanted.suite, host.architecture) if wanted else None

    def goes(found: Repository) -> bool:
        return wanted is not None and (found == ours or _is_alias(found, wanted.aliases))

    changes: dict[str, str] = {}
    for file, text in texts.items():
        if wanted is None and file != path:
            continue
        left = _apt_sources.without(_without_ours(text), goes, deb822=file.endswith(".sources"), architecture=host.architecture)
        if file == path and wanted:
            left = _joined(left, apt_stanza(wanted, host.architecture))
        if left != text:
            changes[file] = left
    if wanted and path not in texts:
        changes[path] = apt_stanza(wanted, host.architecture)
    return changes


def apt_stanza(wanted: Wanted, architecture: str) -> str:
    components = f"Components: {' '.join(wanted.components)}\n" if wanted.components else ""
    return (
        f"{HEADER}Types: deb\nURIs: {wanted.url}\nSuites: {wanted.suite}\n{components}"
        f"Architectures: {architecture}\nSigned-By: {wanted.key}\n"
    )


def _without_ours(text: str) -> str:
    """Without the stanza that begins with our header, whatever it names by now."""
    return re.sub(rf"(?m)^{re.escape(HEADER)}(?:.*\S.*\n?)*\n?", "", text)


def _joined(others: str, own: str) -> str:
    return f"{others.rstrip()}\n\n{own}" if others.strip() else own


def _is_alias(found: Repository, aliases: Sequence[str]) -> bool:
    return any(re.match(alias, found.place) for alias in aliases)


def dnf_changes(wanted: Wanted | None, name: str, path: str, texts: Texts, host: Host) -> dict[str, str]:
    """The same for .repo files. What is switched off disturbs nobody and stays, unless it has our name."""
    own = HEADER + _dnf_files.section_text(name, _dnf_values(wanted)) if wanted else ""
    places = _dnf_files.Section("", (), {"baseurl": wanted.url}).places(host.variables) if wanted else []

    def goes(section: _dnf_files.Section) -> bool:
        if wanted is None or not (section.enabled or section.name == name):
            return False
        return any(place in places or _is_alias(place, wanted.aliases) for place in section.places(host.variables))

    changes: dict[str, str] = {}
    for file, text in texts.items():
        left = _dnf_files.without_sections(text, goes)
        if file == path:
            left = _dnf_files.without_sections(left, lambda section: section.name == name)
            left = re.sub(rf"(?m)^{re.escape(HEADER.strip())}$\n?", "", left)
            left = _joined(left, own) if wanted else left
        if left != text:
            changes[file] = left
    if wanted and path not in texts:
        changes[path] = own
    return changes


def _dnf_values(wanted: Wanted) -> dict[str, str]:
    return {"name": wanted.description or wanted.name, "baseurl": wanted.url, "gpgkey": f"file://{wanted.key}", **(wanted.options or {})}


def files_of(folder: str, endings: Sequence[str], names: str = r".*") -> list[str]:
    """The files there that the package manager reads; hidden ones and names that it passes over are left out."""
    try:
        found = sorted(os.listdir(folder))
    except OSError:
        return []
    paths = [os.path.join(folder, name) for name in found if name.endswith(tuple(endings)) and name[0] != "." and re.fullmatch(names, name)]
    return [path for path in paths if os.path.isfile(path)]
