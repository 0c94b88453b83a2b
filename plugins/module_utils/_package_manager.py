# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It runs on managed nodes, so it uses the standard library only and runs on Python 3.9.

"""apt and dnf: where their sources are, and what they say of them. Every question has a time limit."""

from __future__ import annotations

import os
import re
import typing as t
from collections.abc import Mapping

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _files, _package_sources
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_packages import parse_os
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran, Run
from ansible_collections.llmops.gpu_inference.plugins.module_utils._package_sources import Host, Wanted, files_of

_ASK = 60.0
_FETCH = 180.0


class Manager(t.Protocol):
    """What a module needs of a package manager."""

    name: str

    def path(self, name: str) -> str: ...
    def texts(self) -> dict[str, str]: ...
    def changes(self, wanted: Wanted | None, name: str, texts: Mapping[str, str]) -> dict[str, str]: ...
    def complaint(self) -> str: ...
    def refused(self, path: str, name: str) -> str: ...


def _text(path: str) -> str:
    return (_files.read(path) or b"").decode("utf-8", "surrogateescape")


class Apt:
    """`run(argv, seconds)` starts a command and never raises."""

    name = "apt"

    def __init__(self, run: Run, sleep: t.Callable[[float], None]) -> None:
        self._run = run
        self._sleep = sleep
        shown = run(["apt-config", "shell", "LIST", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d"], _ASK).out
        places = dict(re.findall(r"^(LIST|PARTS)='(.*)'$", shown, re.MULTILINE))
        self._list = places.get("LIST", "/etc/apt/sources.list")
        self._parts = places.get("PARTS", "/etc/apt/sources.list.d/").rstrip("/")

    def path(self, name: str) -> str:
        return f"{self._parts}/{name}.sources"

    def texts(self) -> dict[str, str]:
        single = [self._list] if os.path.isfile(self._list) else []
        return {path: _text(path) for path in [*single, *files_of(self._parts, (".list", ".sources"), r"[A-Za-z0-9_.-]+")]}

    def changes(self, wanted: Wanted | None, name: str, texts: Mapping[str, str]) -> dict[str, str]:
        architecture = self._run(["dpkg", "--print-architecture"], _ASK).out.strip()
        return _package_sources.apt_changes(wanted, self.path(name), texts, Host(architecture, {}))

    def complaint(self) -> str:
        """Why apt cannot read its sources; empty when it can. Nothing is fetched for that."""
        done = self._run(["apt-get", "indextargets"], _ASK)
        return "" if done.rc == 0 else _errors(done)

    def refused(self, path: str, name: str) -> str:
        """Why apt cannot fetch what this file names; empty when it can. The lists of others are not asked, and stay."""
        options = {
            "Dir::Etc::SourceList": path,
            "Dir::Etc::SourceParts": "/dev/null",
            "APT::Get::List-Cleanup": "0",
            "APT::Update::Error-Mode": "any",
            "Acquire::Retries": "2",
            "Acquire::http::Timeout": "30",
            "Acquire::https::Timeout": "30",
        }
        return update(self._run, self._sleep, options)


def update(run: Run, sleep: t.Callable[[float], None], options: Mapping[str, str] | None = None, seconds: float = _FETCH) -> str:
    """`apt-get update`; returns what did not work, or an empty text. It waits for another apt that is at work."""
    argv = ["apt-get", "--quiet", "--assume-yes", *(f"--option={name}={value}" for name, value in (options or {}).items()), "update"]
    for _attempt in range(24):
        done = run(argv, seconds)
        if "Could not get lock" not in done.err:
            break
        sleep(5.0)
    failed = done.rc != 0 or re.search(r"^[WE]: (Failed to fetch|Some index files)", done.err, re.MULTILINE)
    return _errors(done) if failed else ""


def _errors(done: Ran) -> str:
    lines = [line.strip() for line in done.err.split("\n") if line.strip()]
    telling = [line for line in lines if line.startswith("E:")] or [line for line in lines if line.startswith("W:")] or lines[-2:]
    text = " ".join(dict.fromkeys(re.sub(r"^[WE]: ", "", line).rstrip(".") + "." for line in telling)).rstrip(".")
    return re.sub(r"//[^/@\s]*@", "//***@", text) or f"exit code {done.rc}"


class Dnf:
    """dnf4 and dnf5, which read the same files."""

    name = "dnf"
    _folder = "/etc/yum.repos.d"

    def __init__(self, run: Run, sleep: t.Callable[[float], None]) -> None:
        self._run = run
        self._sleep = sleep

    def path(self, name: str) -> str:
        return f"{self._folder}/{name}.repo"

    def texts(self) -> dict[str, str]:
        return {path: _text(path) for path in files_of(self._folder, (".repo",))}

    def changes(self, wanted: Wanted | None, name: str, texts: Mapping[str, str]) -> dict[str, str]:
        architecture = os.uname().machine
        release = parse_os(_text("/etc/os-release")).version.partition(".")[0]
        variables = {"basearch": architecture, "arch": architecture, "releasever": release}
        return _package_sources.dnf_changes(wanted, name, self.path(name), texts, Host(architecture, variables))

    def complaint(self) -> str:
        done = self._run(["dnf", "--quiet", "--cacheonly", "repolist", "--all"], _ASK)
        return "" if done.rc == 0 else _errors(done)

    def refused(self, path: str, name: str) -> str:
        argv = ["dnf", "--quiet", "--assumeyes", "--disablerepo=*", f"--enablerepo={name}", "makecache", "--refresh"]
        done = self._run(argv, _FETCH)
        return "" if done.rc == 0 else _errors(done)
