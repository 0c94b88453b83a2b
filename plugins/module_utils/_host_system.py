# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It runs on managed nodes, so it uses the standard library only and runs on Python 3.9.

"""What installs packages on a host and what runs its services: two of the facts for which module setup would be sent to it.

They go by the names that Ansible has for them.
"""

from __future__ import annotations

import os
import re

_PROGRAMS = (
    ("apt", "usr/bin/apt-get"),
    ("dnf5", "usr/bin/dnf5"),
    ("dnf", "usr/bin/dnf"),
    ("yum", "usr/bin/yum"),
    ("zypper", "usr/bin/zypper"),
    ("pacman", "usr/bin/pacman"),
    ("apk", "sbin/apk"),
)
#: Distributions made of RPM packages, by ID and ID_LIKE. Fedora has a package with apt in it, Debian one with dnf.
_RPM = re.compile(r"^ID(?:_LIKE)?=.*\b(?:fedora|rhel|centos|suse)\b", re.MULTILINE)


def package_manager(os_release: str, root: str = "/") -> str | None:
    """That of the distribution; None where none is known."""
    rpm = _RPM.search(os_release)
    there = (name for name, program in _PROGRAMS if os.path.exists(os.path.join(root, program)) and not (rpm and name == "apt"))
    return next(there, None)


def service_manager(root: str = "/") -> str | None:
    """systemd where it runs, as its own sd_booted() tells; elsewhere the name of the first process."""
    if os.path.isdir(os.path.join(root, "run/systemd/system")):
        return "systemd"
    try:
        with open(os.path.join(root, "proc/1/comm"), encoding="utf-8", errors="replace") as file:
            return file.read().strip() or None
    except OSError:
        return None
