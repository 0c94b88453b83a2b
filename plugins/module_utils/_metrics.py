# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""What a host's units are doing, as a file for the textfile collector of node_exporter: where they are, restarts, memory, room on disks.

A program of its own beside the launchers: it tells of a unit whose launcher has given up, or hangs, and a node without it has neither the
program running nor a file. It asks systemd and the driver, each with a time limit, and Docker nothing.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _progress as progress
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Run, run_command
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._memory_limit import held_by
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import (
        SERVICE_FILE,
        Instance,
        Paths,
        is_ours,
        program_hash,
        read_json,
        write_atomically,
    )
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._systemd import Systemd, SystemdError
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_status import gpu_memory, ready_after
except ImportError:  # on the node the files lie side by side
    import _progress as progress  # type: ignore[import-not-found,no-redef]
    from _host_commands import Run, run_command  # type: ignore[import-not-found,no-redef]
    from _memory_limit import held_by  # type: ignore[import-not-found,no-redef]
    from _node import (  # type: ignore[import-not-found,no-redef]
        SERVICE_FILE,
        Instance,
        Paths,
        is_ours,
        program_hash,
        read_json,
        write_atomically,
    )
    from _systemd import Systemd, SystemdError  # type: ignore[import-not-found,no-redef]
    from _unit_status import gpu_memory, ready_after  # type: ignore[import-not-found,no-redef]

SETTINGS = "/etc/gpu-inference/metrics.json"
FILE = "llmops.prom"
PAUSE = 15  # seconds
LONGEST_ANSWER = 10
MIB = 1024 * 1024
#: Where a container's cgroup is, with systemd's driver and with Docker's own.
_GROUPS = ("sys/fs/cgroup/system.slice/docker-{}.scope", "sys/fs/cgroup/docker/{}")
#: Name, type and meaning of each family, in the order in which they are told.
FAMILIES = (
    ("llmops_unit_ready", "gauge", "Whether the unit answers."),
    ("llmops_unit_phase", "gauge", "1 for the phase that the unit is in."),
    ("llmops_unit_restarts_total", "counter", "Starts again by systemd since the unit was started."),
    ("llmops_unit_start_duration_seconds", "gauge", "From the start of the unit that is ready until it was."),
    ("llmops_unit_memory_bytes", "gauge", "Main memory that the container holds, without page cache."),
    ("llmops_unit_memory_budget_bytes", "gauge", "The bound on it."),
    ("llmops_unit_gpu_memory_bytes", "gauge", "GPU memory of the container, as the driver tells it."),
    ("llmops_unit_gpu_memory_budget_bytes", "gauge", "GPU memory that the plan gives it."),
    ("llmops_disk_size_bytes", "gauge", "Size of the file system of a folder."),
    ("llmops_disk_available_bytes", "gauge", "What is left in it."),
    ("llmops_written_timestamp_seconds", "gauge", "When these numbers were written, in seconds since 1970."),
)
PHASES = (
    *(progress.PULLING, progress.DOWNLOADING, progress.WAITING_FOR_GPU, progress.STARTING, progress.LOADING_WEIGHTS),
    *(progress.COMPILING, progress.CAPTURING_GRAPHS, progress.WARMING_UP, progress.READY, progress.STOPPING, progress.STOPPED),
    progress.FAILED,
)
Sample = tuple[str, dict[str, str], float]  # family, labels, value


@dataclass(frozen=True)
class Unit(Instance):
    """A unit with what is on disk of it: service.json and the state file of its launcher."""

    service: Mapping[str, Any]
    state: Mapping[str, Any]

    @property
    def labels(self) -> dict[str, str]:
        return {"kind": self.kind, "service": self.name, "model": str((self.service.get("probe") or {}).get("model") or "")}


def units_of(paths: Paths) -> list[Unit]:
    found = []
    for file in sorted(paths.instances.glob(f"*/*/{SERVICE_FILE}")):
        document = read_json(file)
        if document is not None and is_ours(document):
            kind, name = file.parent.parent.name, file.parent.name
            found.append(Unit(kind, name, document, read_json(paths.state(kind, name)) or {}))
    return found


def shown_by_systemd(units: Sequence[Unit], run: Run) -> dict[str, dict[str, str]]:
    """Properties by unit; empty where systemd does not answer."""
    try:
        return Systemd(run).show([unit.unit for unit in units], ("ActiveState", "NRestarts"))
    except SystemdError:
        return {}


def gpu_memory_of(units: Sequence[Unit], run: Run, root: str) -> dict[str, int]:
    """Bytes by container."""
    identities = {unit.container: (str(unit.state["container_id"]), "") for unit in units if unit.state.get("container_id")}
    if not identities:
        return {}
    apps = run(["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"], LONGEST_ANSWER).out
    groups = {}
    for line in apps.split("\n"):
        pid = line.partition(",")[0].strip()
        try:
            groups[pid] = Path(root, "proc", pid, "cgroup").read_text(encoding="ascii", errors="replace")
        except OSError:
            continue
    return {container: mib * MIB for container, mib in gpu_memory(apps, groups, identities).items()}


def main_memory_of(unit: Unit, root: str) -> int | None:
    identity = unit.state.get("container_id")
    for group in _GROUPS if identity else ():
        try:
            return held_by(os.path.join(root, group.format(identity)))
        except (OSError, ValueError):
            continue
    return None


def samples_of_unit(unit: Unit, shown: Mapping[str, str], gpu: int | None, gpu_budget: float | None, root: str) -> Iterator[Sample]:
    labels, phase = unit.labels, unit.state.get("phase")
    ready = phase == progress.READY and shown.get("ActiveState") == "active"
    yield "llmops_unit_ready", labels, int(ready)
    for name in PHASES:
        yield "llmops_unit_phase", {**labels, "phase": name}, int(name == phase)
    if shown.get("NRestarts", "").isdigit():
        yield "llmops_unit_restarts_total", labels, int(shown["NRestarts"])
    bound = unit.service.get("memory_limit_mib")
    for name, value in (
        ("llmops_unit_start_duration_seconds", ready_after(unit.state) if ready else None),
        ("llmops_unit_memory_bytes", main_memory_of(unit, root)),
        ("llmops_unit_memory_budget_bytes", bound * MIB if isinstance(bound, int) else None),
        ("llmops_unit_gpu_memory_bytes", gpu),
        ("llmops_unit_gpu_memory_budget_bytes", gpu_budget),
    ):
        if value is not None:
            yield name, labels, value


def samples_of_disks(folders: Sequence[str], root: str) -> Iterator[Sample]:
    docker = read_json(Path(root, "etc/docker/daemon.json")) or {}
    for folder in dict.fromkeys((*folders, str(docker.get("data-root") or "/var/lib/docker"))):
        try:
            found = os.statvfs(os.path.join(root, folder.lstrip("/")))
        except OSError:
            continue  # not made yet
        yield "llmops_disk_size_bytes", {"path": folder}, found.f_blocks * found.f_frsize
        yield "llmops_disk_available_bytes", {"path": folder}, found.f_bavail * found.f_frsize


def text_of(settings: Mapping[str, Any], paths: Paths, now: float, run: Run = run_command, root: str = "/") -> str:
    """The whole file."""
    units = units_of(paths)
    shown, gpu = shown_by_systemd(units, run), gpu_memory_of(units, run, root)
    budgets = settings.get("gpu_memory_mib") or {}
    samples: list[Sample] = []
    for unit in units:
        budget = budgets.get(unit.container)
        in_bytes = None if budget is None else float(budget) * MIB
        samples += samples_of_unit(unit, shown.get(unit.unit, {}), gpu.get(unit.container), in_bytes, root)
    samples += samples_of_disks(settings.get("folders") or (), root)
    samples.append(("llmops_written_timestamp_seconds", {}, round(now, 3)))
    lines = []
    for family, kind, meaning in FAMILIES:
        told = [f"{family}{_labels(labels)} {value:.17g}" for name, labels, value in samples if name == family]
        if told:
            lines += [f"# HELP {family} {meaning}", f"# TYPE {family} {kind}", *told]
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    def escaped(value: str) -> str:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    pairs = ",".join(f'{name}="{escaped(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def serve(settings_file: Path, paths: Paths, program: Path, sleep: Callable[[float], None] = time.sleep) -> None:
    """Until another program lies here, with which systemd starts anew. Told to stop, it takes its file along."""
    mine, written = program_hash(program), None
    try:
        while program_hash(program) == mine:
            settings = read_json(settings_file) or {}
            folder = settings.get("textfile_directory")
            if not isinstance(folder, str):
                sys.stderr.write(f"{settings_file} names no folder to write to; site.yml writes it again\n")
                sleep(PAUSE)
                continue
            file = Path(folder) / FILE
            if written not in (None, file):
                _remove(written)
            written = file
            try:
                write_atomically(file, text_of(settings, paths, time.time()))
            except OSError as error:
                sys.stderr.write(f"{file} cannot be written: {error.strerror}\n")
            sleep(PAUSE)
    except SystemExit:
        _remove(written)
        raise


def _remove(file: Path | None) -> None:
    try:
        if file is not None:
            file.unlink()
    except OSError:
        pass


def main() -> None:
    def end(_signal: int, _frame: Any) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    serve(Path(SETTINGS), Paths(), Path(__file__).resolve().parent)


if __name__ == "__main__":
    main()
