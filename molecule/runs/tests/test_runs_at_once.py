# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two runs of Ansible at once, and runs that are killed. They change the variables of one service, and leave it so."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from typing import Any

import pytest
from one_gpu_node import (
    ENVIRONMENT,
    INSTANCES,
    NODE,
    PROJECT,
    container,
    do_not_overlap,
    freeze,
    lock_is_free,
    measured,
    now,
    one_copy,
    playbook,
    played,
    sh,
    site,
    starts_since,
    state,
    until,
    variant,
    write,
)


def begin(number: int, **changes: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        playbook("--tags", "engines", **variant(number, **changes)), cwd=PROJECT, env={**ENVIRONMENT, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def read_until(process: subprocess.Popen[str], text: str) -> str:
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return line
    raise AssertionError(f"'{text}' is not in the output:\n{''.join(lines)}")


def kill(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_run_that_waits_for_another_says_so_and_does_nothing_once_killed() -> None:
    before = (container("vllm-embedding"), sh(f"cat {INSTANCES}/vllm/embedding/service.json"))
    write("/run/gpu-inference/reconcile.lock", json.dumps({"pid": 4711, "by": "ansible-playbook of alice", "since": "yesterday"}))
    sh("systemd-run --quiet --unit=played-run flock /run/gpu-inference/reconcile.lock sleep 300")
    try:
        process = begin(3)
        told = read_until(process, "waits for")
        kill(process)
        assert f"{NODE}: waits for ansible-playbook of alice, since yesterday, process 4711 on this host" in told
        time.sleep(10)  # a module that was just started on the node ends
    finally:
        sh("systemctl stop played-run")
    time.sleep(2)
    assert "alice" in sh("cat /run/gpu-inference/reconcile.lock"), "another run has held it since"
    assert (container("vllm-embedding"), sh(f"cat {INSTANCES}/vllm/embedding/service.json")) == before


def test_two_runs_at_once_do_not_interleave() -> None:
    """The second waits for the first, and says so. Then it replaces what the first one started, and the first one says that."""
    began = now()
    runs = {number: begin(number, stop_timeout=2) for number in (11, 12)}
    until("the engine of one of them", lambda: played("embedding") in ("11", "12"))
    first = int(played("embedding"))
    second = 23 - first
    freeze("vllm-embedding")  # or it might be ready before the second run is through with its checks
    outputs = {number: process.communicate(timeout=900)[0] for number, process in runs.items()}
    assert runs[second].returncode == 0, outputs[second]
    assert "waits for ansible-playbook site.yml" in outputs[second], outputs[second]
    assert f"(process {runs[first].pid} there)" in outputs[second]
    assert runs[first].returncode != 0, outputs[first]
    assert "vllm@embedding.service: it runs another configuration than this run asked for" in outputs[first], outputs[first]
    assert f"(process {runs[second].pid} there)" in outputs[first]
    assert played("embedding") == str(second)
    assert f"PLAYED={second}" in sh(f"cat {INSTANCES}/vllm/embedding/env"), "container and folder differ"
    assert one_copy("vllm-embedding")
    assert do_not_overlap(starts_since(began))
    assert lock_is_free()
    measured("two runs at once, different configurations", both=now() - began)


@pytest.mark.parametrize(
    ("point", "number", "task"),
    [
        ("planning", 21, "Facts"),
        ("reconciling", 22, "Keep the engines as declared"),
        ("waiting", 23, "Wait until every engine has answered"),
    ],
)
def test_a_run_that_was_killed_is_repaired_by_the_next(point: str, number: int, task: str) -> None:
    before, began = container("vllm-embedding"), now()
    process = begin(number)
    read_until(process, task)
    if point == "waiting":
        until("the engine loads", lambda: played("embedding") == str(number) and state("embedding").get("loading") is True)
    else:
        time.sleep(0.7)
    killed_at = container("vllm-embedding")
    kill(process)
    done = site(**variant(number))
    assert done.rc == 0, done.output
    assert played("embedding") == str(number)
    assert one_copy("vllm-embedding")
    assert [span[2] for span in starts_since(began)] == ["vllm-embedding"], "one start is enough"
    assert lock_is_free()
    if point == "planning":
        assert killed_at == before
        assert "changed=0" not in done.output
    elif point == "waiting":
        assert killed_at == container("vllm-embedding") != before, "the next run started the loading engine anew"
        assert "changed=0" in done.output, done.output
    else:
        again = site(**variant(number))
        assert "changed=0" in again.output, again.output
    measured(f"ansible-playbook killed while {point}", next_run=done.seconds)
