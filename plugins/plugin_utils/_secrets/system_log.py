# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Keeps the arguments of a module out of the system log of its host.

Ansible writes them there as Python shows a list or a mapping, and takes secrets out as they are. One with a line break or a backslash looks
different there and would stay: a file with keys, a certificate.
"""

from __future__ import annotations

import typing as t


def unlogged(task_vars: t.Mapping[str, t.Any] | None) -> dict[str, t.Any]:
    return {**(task_vars or {}), "ansible_no_target_syslog": True}
