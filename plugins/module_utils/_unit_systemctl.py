# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What a run has systemd do with units."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ansible_collections.llmops.gpu_inference.plugins.module_utils._systemd import Systemd
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_errors import UnitsError


class Systemctl:
    def __init__(self, systemd: Systemd, wants_dir: Path) -> None:
        self._systemd = systemd
        self._wants_dir = wants_dir

    def stop(self, units: Sequence[str], longest: float) -> None:
        """C(longest): seconds that one of them may take to stop."""
        if not units:
            return
        ran = self._systemd.call("stop", "--", *units, seconds=longest + 180)
        if ran.rc != 0:
            raise UnitsError(f"cannot stop {', '.join(units)}: {ran.err.strip()}")

    def start(self, units: Sequence[str]) -> None:
        """Whatever the count of their failures, and without waiting."""
        self.forget_failure(units)
        ran = self._systemd.call("start", "--no-block", "--", *units, seconds=120)
        if ran.rc != 0:
            raise UnitsError(f"systemctl start --no-block failed: {ran.err.strip()}")

    def forget_failure(self, units: Sequence[str]) -> None:
        self._systemd.call("reset-failed", "--", *units, seconds=60)

    def reload(self, units: Sequence[str]) -> str:
        """What went wrong. To the launchers alone: those without a process read everything anew when they come back."""
        if not units:
            return ""
        ran = self._systemd.call("kill", "--kill-who=main", "--signal=SIGHUP", "--", *units, seconds=120)
        return "" if ran.rc == 0 else f"could not reload {', '.join(units)}: {ran.err.strip()}. The next run tries again."

    def enabled(self, unit: str) -> bool:
        return (self._wants_dir / unit).is_symlink()

    def enable(self, kind: str, unit: str) -> None:
        """Has the unit started at boot.

        By a link of our own: systemctl enable would reload systemd, which can take GPUs from running containers, and
        systemctl enable --no-reload makes systemd advise everybody to do so.
        """
        self._wants_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
        (self._wants_dir / unit).symlink_to(f"../{kind}@.service")

    def disable(self, unit: str) -> None:
        if self.enabled(unit):
            (self._wants_dir / unit).unlink()
