# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.instances import container

from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import parse_inspect
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran
from ansible_collections.llmops.gpu_inference.plugins.module_utils._memory_limit import MIB, by_hook, change, held

PID = 4711
UNIFIED = "0::/system.slice/docker-abc.scope\n"
V1 = "12:memory:/docker/abc\n1:name=systemd:/docker/abc\n0::/\n"
JOINT = "5:cpu,memory:/docker/abc\n0::/\n"


def cgroup(root: Path, groups: str, current: int = 0, cache: int = 0) -> str:
    """A root whose process holds this many MiB, of which some are page cache."""
    (root / f"proc/{PID}").mkdir(parents=True)
    (root / f"proc/{PID}/cgroup").write_text(groups, encoding="ascii")
    folder = root / "sys/fs/cgroup/system.slice/docker-abc.scope"
    folder.mkdir(parents=True)
    (folder / "memory.current").write_text(f"{current * MIB}\n", encoding="ascii")
    (folder / "memory.stat").write_text(
        f"anon 1\nfile {cache * MIB}\ninactive_file {cache * MIB - 4096}\nactive_file 4096\n", encoding="ascii"
    )
    return str(root)


@pytest.mark.parametrize(
    ("groups", "mib"),
    [(UNIFIED, 700), (V1, 0), (JOINT, 0), ("", None), ("0::/elsewhere\n", None)],
)
def test_page_cache_is_nothing_that_is_held(tmp_path: Path, groups: str, mib: int | None) -> None:
    found = held(PID, cgroup(tmp_path, groups, current=1000, cache=300))
    assert found == (None if mib is None else mib * MIB)


def test_a_process_that_is_gone(tmp_path: Path) -> None:
    assert held(PID, str(tmp_path)) is None


@pytest.mark.parametrize(
    ("before", "holds", "groups", "after", "updated", "words"),
    [  # MiB before, held and wanted
        pytest.param(0, 700, UNIFIED, None, False, "", id="no bound is wanted"),
        pytest.param(2048, 700, UNIFIED, 2048, False, "", id="it has it"),
        pytest.param(0, 700, UNIFIED, 2048, True, "main memory to 2.0 GiB, without a restart", id="its first"),
        pytest.param(4096, 700, UNIFIED, 2048, True, "without a restart", id="lower"),
        pytest.param(1024, 1000, UNIFIED, 2048, True, "without a restart", id="higher"),
        pytest.param(0, 1900, UNIFIED, 2048, False, "with its next start: it holds 1.9 GiB", id="it holds too much"),
        pytest.param(0, 700, "", 2048, False, "with its next start: what it holds cannot be read", id="unreadable"),
        pytest.param(1024, 700, "", 2048, True, "without a restart", id="a higher bound needs no look"),
        pytest.param(0, 0, V1, 2048, True, "without a restart", id="cgroup v1 looks itself"),
    ],
)
def test_a_bound_is_changed_while_the_container_runs(
    tmp_path: Path, before: int, holds: int, groups: str, after: int | None, updated: bool, words: str
) -> None:
    calls: list[tuple[str, ...]] = []

    def call(*argv: str) -> Ran:
        calls.append(argv)
        return Ran(0, "", "")

    said = change(call, container(pid=PID, memory=before * MIB), after, False, cgroup(tmp_path, groups, current=holds))
    assert calls == ([("update", "--memory", "2048m", "--memory-swap", "4096m", "c1")] if updated else [])
    assert words in said
    assert bool(said) is bool(words)


def bundle(root: Path, folder: str, hook: str | None) -> None:
    path = root / folder / "io.containerd.runtime.v2.task/moby/c1/config.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"ociVersion": "1.0.2", "hooks": {"prestart": [{"path": hook}]} if hook else None}), encoding="utf-8")


@pytest.mark.parametrize("folder", ["run/containerd", "run/docker/containerd/daemon"])
@pytest.mark.parametrize(
    ("hook", "expected"),
    [
        ("/usr/bin/nvidia-container-runtime-hook", True),
        ("/usr/bin/nvidia-container-toolkit", True),
        ("/proc/812/exe", False),  # Docker's own, for networks
        (None, False),
    ],
)
def test_a_gpu_that_came_by_the_hook_would_be_lost(tmp_path: Path, folder: str, hook: str | None, expected: bool) -> None:
    bundle(tmp_path, folder, hook)
    assert by_hook("c1", str(tmp_path)) is expected
    root = cgroup(tmp_path, UNIFIED, current=1)
    said = change(lambda *_argv: Ran(0, "", ""), container(pid=PID), 2048, True, root)
    assert ("with its next start: NVIDIA's hook" in said) is expected
    assert ("without a restart" in said) is not expected


def test_without_a_look_at_hooks_a_container_with_a_gpu_is_left_alone(tmp_path: Path) -> None:
    root = cgroup(tmp_path, UNIFIED, current=1)
    assert by_hook("c1", root) is None
    assert "with its next start" in change(lambda *_argv: Ran(0, "", ""), container(pid=PID), 2048, True, root)


def test_what_docker_refuses_is_told() -> None:
    refused = Ran(1, "", "Error response from daemon: unable to set memory limit to 314572800 (current usage: 633712640)\n")
    said = change(lambda *_argv: refused, container(pid=PID, memory=8 * MIB), 300, False)
    assert said.endswith(
        "with its next start: Error response from daemon: unable to set memory limit to 314572800 (current usage: 633712640)"
    )


def test_docker_tells_the_bound_and_the_process() -> None:
    (found,) = parse_inspect('[{"Id": "c1", "State": {"Running": true, "Pid": 4711}, "HostConfig": {"Memory": 2097152}}]')
    assert (found.pid, found.memory) == (PID, 2 * MIB)
