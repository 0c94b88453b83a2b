# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Which packages of the NVIDIA Container Toolkit a host needs, given what it has: a newer version stays, whoever packed it."""

from __future__ import annotations

import functools
import re
import typing as t
from collections.abc import Mapping
from dataclasses import dataclass

from ...module_utils._versions import compare, revision, upstream

#: They work only at one and the same version; since 1.18 they insist on it themselves.
PACKAGES = ("nvidia-container-toolkit", "nvidia-container-toolkit-base", "libnvidia-container-tools", "libnvidia-container1")


@dataclass(frozen=True)
class Decision:
    """`install` name -> version with the packager's revision; `present` the same for all that is there in the end."""

    install: Mapping[str, str]
    present: Mapping[str, str]

    def as_dict(self) -> dict[str, t.Any]:
        pins: dict[str, list[str]] = {}
        for name, version in self.present.items():
            pins.setdefault(version, []).append(name)
        return {
            "install": {sign: [f"{name}{sign}{version}" for name, version in self.install.items()] for sign in ("=", "-")},
            "present": dict(self.present),
            "pins": [{"version": version, "names": names} for version, names in pins.items()],
        }


def parse(query: str) -> dict[str, str]:
    """Name -> version from lines `NAME installed VERSION`, as the role has dpkg-query and rpm print them."""
    lines = [line.split() for line in query.split("\n")]
    return {words[0]: words[2] for words in lines if len(words) == 3 and words[0] in PACKAGES and words[1] == "installed"}


def decide(query: str, wanted: str, *, allow_downgrade: bool = False, program: str = "") -> Decision:
    """`program` is the version that nvidia-ctk tells, for a toolkit that is in no package of these names."""
    there = parse(query)
    full = wanted if revision(wanted) else f"{wanted}-1"
    if not there and program and (compare(program, wanted) == 0 or (compare(program, wanted) > 0 and not allow_downgrade)):
        return Decision({}, {})
    versions = {upstream(version) for version in there.values()}
    newest = max(there.values(), key=functools.cmp_to_key(compare), default="")
    target = dict.fromkeys(PACKAGES, full)
    if newest and compare(newest, wanted) > 0 and not allow_downgrade:
        # It stays as its packager made it, in as many packages as that are; half an upgrade to it is completed.
        target = dict.fromkeys(PACKAGES, newest) if len(versions) > 1 else there
    elif len(versions) == 1 and compare(newest, wanted) == 0 and set(there.values()) != {full} and not _other_revision(there, wanted):
        target = there
    # The four depend on each other by exact version, so all of them come in one transaction.
    return Decision({} if target.items() <= there.items() else target, target)


def _other_revision(there: Mapping[str, str], wanted: str) -> bool:
    """Only who names a revision wants that one."""
    return bool(revision(wanted)) and any(re.sub(r"^\d+:", "", version) != wanted for version in there.values())
