# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Says what is wrong on one host: a finding, or only a warning where the host is away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .._platforms.base import Platform
from .findings import Report
from .model import Host
from .platform import REMEMBERED, Hardware


@dataclass(frozen=True)
class Trouble:
    """Something that cannot be, where it is written; C(of_hardware) where other hardware would make it right."""

    variable: str
    value: Any
    message: str
    of_hardware: bool = False


@dataclass(frozen=True)
class HostFindings:
    """One host with what is known of it, and the report that its findings go to."""

    host: Host
    platform: Platform
    hardware: Hardware | None
    report: Report

    def add(self, variable: str, value: Any, message: str) -> None:
        self.report.add(variable, value, message, [self.host.name])

    def judge(self, variable: str, value: Any, message: str) -> None:
        """A finding about the hardware; only a warning where the host is away and its hardware is remembered or not known at all.

        What it has may have changed since, and a host that is not part of this run must not stop it.
        """
        host, hardware = self.host, self.hardware
        if hardware is not None:
            sure = hardware.origin != REMEMBERED
        else:
            sure = host.settings.platform != "auto" or host.settings.platform_expected is not None
        if host.in_play or sure:
            self.add(variable, value, message)
        else:
            self.warn(f"{variable}: {message}")

    def tell(self, trouble: Trouble) -> None:
        (self.judge if trouble.of_hardware else self.add)(trouble.variable, trouble.value, trouble.message)

    def warn(self, message: str) -> None:
        self.report.warn(message, [self.host.name])
