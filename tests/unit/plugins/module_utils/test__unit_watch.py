# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import FileLock
from ansible_collections.llmops.gpu_inference.plugins.module_utils._systemd import blocks
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_watch import (
    Run,
    UnitWatch,
    WatchError,
    journal_tail,
    read_state,
    state_path,
    view_of,
)

SHOW = """\
Id=vllm@chat.service
LoadState=loaded
ActiveState=activating
SubState=auto-restart
Result=exit-code
NRestarts=3
MainPID=0
ExecMainStatus=2
Job=0

Id=vllm@none.service
LoadState=not-found
ActiveState=inactive
SubState=dead
Result=success
NRestarts=0
MainPID=0
ExecMainStatus=0
Job=1234
"""

STATE = {
    "unit": "vllm@chat.service",
    "phase": "loading_weights",
    "percent": 43,
    "detail": "2/5",
    "since": 1800000000.5,
    "monotonic": {"since": 700.5},
    "started": 1799999990,
    "ready_at": None,
    "attempt": 2,
    "failures": 1,
    "config_hash": "abc",
    "container_id": "def",
    "cause": None,
    "message": None,
    "remedy": None,
    "log_lines": [],
    "permanent": False,
    "pid": 4711,
}


def test_the_blocks_of_systemctl_show_keep_their_order() -> None:
    views = {unit: view_of(unit, block) for unit, block in blocks(["vllm@chat.service", "vllm@none.service"], SHOW).items()}
    chat, none = views["vllm@chat.service"], views["vllm@none.service"]
    assert (chat.load_state, chat.active_state, chat.sub_state, chat.result) == ("loaded", "activating", "auto-restart", "exit-code")
    assert (chat.restarts, chat.exit_status, chat.job, chat.kind) == (3, 2, False, "vllm")
    assert (none.load_state, none.job) == ("not-found", True)


def test_a_unit_without_a_block_is_not_found() -> None:
    assert view_of("a.service", blocks(["a.service"], "")["a.service"]).load_state == "not-found"


def test_the_launchers_state_is_read() -> None:
    state = read_state(json.dumps(STATE))
    assert state is not None
    assert (state.phase, state.percent, state.since, state.failures, state.pid) == ("loading_weights", 43, 700.5, 1, 4711)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"phase": 3}'])
def test_a_broken_state_file_is_no_state(text: str) -> None:
    assert read_state(text) is None


@pytest.mark.parametrize(
    "text", ['{"phase": "ready"}', '{"phase": "failed", "since": null, "failures": null, "percent": "x", "log_lines": null}']
)
def test_a_sparse_state_file_is_one(text: str) -> None:
    assert read_state(text) is not None


@pytest.mark.parametrize(
    ("unit", "path"),
    [("vllm@chat.service", "/s/vllm@chat.json"), ("vllm@chat", "/s/vllm@chat.json"), ("../x.service", "/s/x.json")],
)
def test_where_the_state_lies(unit: str, path: str) -> None:
    assert state_path(unit, "/s") == path


def played(folder: Path, name: str, script: str) -> None:
    program = folder / name
    program.write_text("#!/bin/sh\n" + script)
    program.chmod(0o755)


def test_units_and_states_are_looked_at_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "show.txt").write_text(SHOW)
    played(tmp_path, "systemctl", f'echo "$@" >> {tmp_path}/calls; cat {tmp_path}/show.txt\n')
    (tmp_path / "vllm@chat.json").write_text(json.dumps(STATE))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    views = UnitWatch(str(tmp_path))(["vllm@chat.service", "vllm@none.service"])
    assert views["vllm@chat.service"].state is not None
    assert views["vllm@none.service"].state is None
    assert (tmp_path / "calls").read_text().count("\n") == 1
    assert UnitWatch(str(tmp_path))([]) == {}


def test_a_state_of_an_earlier_process_is_not_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "show.txt").write_text(SHOW.replace("MainPID=0", "MainPID=99", 1))
    played(tmp_path, "systemctl", f"cat {tmp_path}/show.txt\n")
    (tmp_path / "vllm@chat.json").write_text(json.dumps(STATE))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    view = UnitWatch(str(tmp_path))(["vllm@chat.service"])["vllm@chat.service"]
    assert view.state is not None
    assert view.own_state is None


def test_the_run_that_works_on_the_host_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played(tmp_path, "systemctl", "echo Id=a.service\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    watch = UnitWatch(str(tmp_path / "state"))
    assert watch(["a.service"])["a.service"].run is None
    lock = FileLock(tmp_path / "reconcile.lock")
    lock.try_lock('{"pid": 7, "by": "ansible-playbook of alice", "since": "noon"}')
    told = "ansible-playbook of alice, since noon, process 7 on this host"
    assert watch(["a.service"])["a.service"].run == Run(told, active=True)
    lock.release()
    assert watch(["a.service"])["a.service"].run == Run(told)


def test_a_host_without_systemd_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WatchError, match="systemctl does not exist"):
        UnitWatch(str(tmp_path))(["a.service"])
    assert journal_tail("a.service") == []
    played(tmp_path, "systemctl", "echo 'System has not been booted with systemd' >&2; exit 1\n")
    with pytest.raises(WatchError, match="not been booted"):
        UnitWatch(str(tmp_path))(["a.service"])


def test_the_journals_tail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played(tmp_path, "journalctl", "echo one; echo two\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert journal_tail("a.service") == ["one", "two"]
