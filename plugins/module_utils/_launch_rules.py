# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""What the launcher decides, free of side effects: whose container it is, when to try again, when an engine hangs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import REMEDIES, Cause, Diagnosis, classify_log
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import Container
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._instance_spec import Spec
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import LABEL
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._progress import READY
except ImportError:  # on the node the files lie side by side
    from _causes import REMEDIES, Cause, Diagnosis, classify_log  # type: ignore[import-not-found,no-redef]
    from _docker_cli import Container  # type: ignore[import-not-found,no-redef]
    from _instance_spec import Spec  # type: ignore[import-not-found,no-redef]
    from _node import LABEL  # type: ignore[import-not-found,no-redef]
    from _progress import READY  # type: ignore[import-not-found,no-redef]

STABLE_AFTER = 300.0  # an instance that was ready for so long starts its count of failures anew

ADOPT, REPLACE, ABSENT, FOREIGN = "adopt", "replace", "absent", "foreign"


def decide_existing(container: Container | None, spec: Spec) -> str:
    """What to do about a container that has our name already."""
    if container is None:
        return ABSENT
    if not container.owned or container.instance != spec.instance:
        return FOREIGN
    if container.running and container.labels.get(LABEL + "config-hash") == spec.config_hash:
        return ADOPT
    return REPLACE


def may_disturb(neighbour: Container, spec: Spec, state: Mapping[str, Any] | None, alive: bool) -> bool:
    """Whether another container of ours on one of our GPUs may still be loading.

    Its launcher's state file says so, as long as it speaks of this very container. A dead launcher's word that it was ready still
    holds; its word that nothing had been loaded yet does not.
    """
    if not neighbour.running or neighbour.instance == spec.instance or not set(neighbour.locks) & set(spec.locks):
        return False
    if state is None or state.get("container_id") != neighbour.id:
        return True
    if state.get("phase") == READY:
        return False
    return not alive or bool(state.get("loading"))


RESTART_SEC = 5.0  # systemd's pause between two attempts, unless launcher_systemd_restart_sec says otherwise


@dataclass(frozen=True)
class Backoff:
    """Wait before the next attempt. systemd's own RestartSec comes on top."""

    base: float = 5.0
    longest: float = 300.0

    def delay(self, failures: int) -> float:
        return 0.0 if failures < 2 else min(self.longest, self.base * 2.0 ** min(failures - 1, 16))


def count_failure(failures_before: int, ready_for: float) -> int:
    return 1 if ready_for >= STABLE_AFTER else failures_before + 1


def verdict(diagnosis: Diagnosis, failures: int, limit: int, served: bool = False) -> Diagnosis:
    """The diagnosis to publish: after too many failures in a row it becomes permanent.

    C(served): this very configuration has been ready on this host. Then the world around it has changed, whatever the cause looks like,
    and may change back: it is never given up.
    """
    if served:
        seconds = RESTART_SEC + Backoff().delay(failures)
        return replace(diagnosis, message=f"{diagnosis.message}; has served before, trying again in {seconds:.0f} s", permanent=False)
    if diagnosis.permanent or failures < limit:
        return diagnosis
    cause = Cause.CRASH_LOOP if diagnosis.cause is Cause.UNKNOWN else diagnosis.cause
    return replace(
        diagnosis,
        cause=cause,
        message=f"{failures} failed starts in a row, given up. The last one: {diagnosis.message}",
        remedy=diagnosis.remedy if cause is diagnosis.cause else REMEDIES[cause],
        permanent=True,
    )


def probe_timeout(number: int) -> float:
    """Time limit of the n-th readiness probe: the first answer of a model may take long, a dead port answers at once."""
    return (10.0, 10.0, 30.0, 60.0)[number] if number < 4 else 120.0


@dataclass(frozen=True)
class Watch:
    """Decides when an engine counts as hung: no sign of life for longer than the limit."""

    limit: float
    last_sign: float
    counter: float | None = None

    def observe(self, now: float, answered: bool, counter: float | None) -> Watch:
        moved = counter is not None and self.counter is not None and counter != self.counter
        sign = now if answered or moved else self.last_sign
        return replace(self, last_sign=sign, counter=self.counter if counter is None else counter)

    def excuse(self, now: float) -> Watch:
        """While Docker is down its published ports are too: that is not the engine's fault."""
        return replace(self, last_sign=now)

    def hung(self, now: float) -> bool:
        return self.limit > 0 and now - self.last_sign > self.limit


def activity(metrics: str, counted: str) -> float | None:
    """Sum of an engine's work counters, by an expression for their names. While it moves, the engine works, however long its queue."""
    values = [float(value) for value in re.findall(rf"^(?:{counted})(?:\{{[^}}]*\}})?\s+(\S+)", metrics, re.M)]
    return sum(values) if values else None


def missing_models(tags: Mapping[str, Any], wanted: Iterable[str]) -> list[str]:
    """Which models Ollama has not got yet. A name without tag means :latest."""

    def full(name: str) -> str:
        return name if ":" in name.rsplit("/", 1)[-1] else name + ":latest"

    present = {full(str(model.get("name") or model.get("model") or "")) for model in tags.get("models") or []}
    return [name for name in wanted if full(name) not in present]


def cpu_share(processes: Mapping[str, Any]) -> int:
    """Percentage of Ollama's loaded models that lies outside the GPU, from GET /api/ps."""
    models = processes.get("models") or []
    size = sum(int(model.get("size") or 0) for model in models)
    vram = sum(int(model.get("size_vram") or 0) for model in models)
    return 0 if size <= 0 else max(0, round(100 * (size - vram) / size))


def lost_gpu(rc: int, lines: Sequence[str]) -> str | None:
    """What ``nvidia-smi -L`` inside a container says of a GPU that the container has lost; None where it has it, or nobody can tell.

    An image without nvidia-smi (docker exec: 126, 127) can't tell, nor can a container that is just going.
    """
    if rc == 0:
        return None if any(line.startswith("GPU ") for line in lines) else "nvidia-smi -L in the container lists no GPU"
    if classify_log("docker", lines).cause is not Cause.GPU_LOST:
        return None
    return "nvidia-smi -L in the container: " + next((line.strip() for line in lines if line.strip()), f"exit code {rc}")
