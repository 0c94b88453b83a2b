# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The flags of a docker command, from its --help."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FLAG = re.compile(r"^ {2,6}(?:-(?P<short>\w), )?--(?P<name>[a-z][a-z0-9-]*)(?: (?P<type>[a-z][a-z0-9-]*))?(?: {2,}|$)", re.M)


@dataclass(frozen=True)
class HelpFlag:
    name: str
    short: str | None
    takes_value: bool


def flags_of(text: str) -> list[HelpFlag]:
    return [HelpFlag(found["name"], found["short"], found["type"] is not None) for found in _FLAG.finditer(text)]
