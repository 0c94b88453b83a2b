# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""What a launcher tells of its instance: the line of systemctl status, and the state file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _moments as moments
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _progress as progress
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import Diagnosis, redact
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._instance_spec import Spec
except ImportError:  # on the node the files lie side by side
    import _moments as moments  # type: ignore[import-not-found,no-redef]
    import _progress as progress  # type: ignore[import-not-found,no-redef]
    from _causes import Diagnosis, redact  # type: ignore[import-not-found,no-redef]
    from _instance_spec import Spec  # type: ignore[import-not-found,no-redef]


@dataclass
class State:
    """Where an instance is. Times are moments, durations seconds."""

    started: moments.Moment
    since: moments.Moment  # of the phase
    failures: int  # in a row
    served: bool  # whether this configuration has been ready on this host
    last_failure: dict[str, Any] | None
    now_at: progress.Progress = field(default_factory=lambda: progress.Progress(progress.STARTING))
    ready: moments.Moment | None = None
    diagnosis: Diagnosis | None = None  # of the failure, until the instance is ready again
    gpu_waited: float = 0.0
    container_id: str | None = None
    loading: bool = False  # whether the container may be taking GPU memory now
    silent: int = 0
    log_position: str = ""

    @property
    def phase(self) -> str:
        return str(self.now_at.phase)

    @property
    def where(self) -> str:
        return progress.describe(self.phase, self.now_at.percent, self.now_at.detail)

    def status(self) -> str:
        """For a person."""
        status = self.where
        if self.diagnosis is not None and self.phase == progress.FAILED:
            status = f"failed: {self.diagnosis.cause}: {self.diagnosis.message}"
        elif self.diagnosis is not None and self.phase != progress.READY and self.failures:
            status += f"; attempt {self.failures + 1}, the last one failed: {self.diagnosis.cause}"
        if self.silent:
            status += f"; no sign of life for {max(1, self.silent // 60)} min"
        return status

    def document(self, spec: Spec, secrets: Sequence[str]) -> dict[str, Any]:
        """The state file, but for what is the process's own. Its keys are described in docs/launcher.md."""
        diagnosis = self.diagnosis
        return {
            "unit": spec.unit,
            "phase": self.phase,
            "percent": self.now_at.percent,
            "detail": self.now_at.detail,
            "since": self.since.wall,
            "started": self.started.wall,
            "ready_at": self.ready.wall if self.ready else None,
            "monotonic": {
                "since": self.since.monotonic,
                "started": self.started.monotonic,
                "ready_at": self.ready.monotonic if self.ready else None,
            },
            "gpu_waited": round(self.gpu_waited, 1),
            "attempt": self.failures + (0 if self.phase == progress.FAILED else 1),
            "failures": self.failures,
            "config_hash": spec.config_hash,
            "spec_hash": spec.spec_hash,
            "image": spec.image,
            "container_id": self.container_id,
            "loading": self.loading,
            "silent": self.silent,
            "cause": str(diagnosis.cause) if diagnosis else None,
            "message": redact(diagnosis.message, secrets) if diagnosis else None,
            "remedy": diagnosis.remedy if diagnosis else None,
            "log_lines": [redact(line, secrets) for line in diagnosis.log_lines] if diagnosis else [],
            "permanent": bool(diagnosis and diagnosis.permanent),
            "served": self.served,
            "last_failure": self.last_failure,
            "log_position": self.log_position,
        }
