# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A configuration is tried, and taken back when Docker does not come up with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.dockerd import Dockerd

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _daemon_config
from ansible_collections.llmops.gpu_inference.plugins.module_utils._daemon_change import Change, ChangeFailedError, NewFile, carry_out
from ansible_collections.llmops.gpu_inference.plugins.module_utils._files import FileChanges

Try = Callable[..., str]


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    return tmp_path / "daemon.json"


@pytest.fixture(name="attempt")
def _attempt(tmp_path: Path, file: Path) -> Try:
    def attempt(daemon: Dockerd, wanted: dict[str, Any], *more: NewFile) -> str:
        """What Docker has against it; empty when it took the change."""
        text = file.read_text() if file.exists() else None
        before = _daemon_config.merge(text, {})
        merged = _daemon_config.merge(text, wanted)
        files = [NewFile(str(file), merged.text.encode())] if merged.changed else []
        change = Change((*files, *more), merged.action, str(file), before.document, merged.document, units_changed=bool(more))
        try:
            carry_out(change, daemon.service(), FileChanges(str(tmp_path / "journal.json")))
        except ChangeFailedError as error:
            return str(error)
        return ""

    return attempt


def test_a_change_that_works(file: Path, attempt: Try) -> None:
    daemon = Dockerd(file)
    assert attempt(daemon, {"mtu": 1400}) == ""
    assert daemon.loaded == {"mtu": 1400}
    assert daemon.commands == ["reset-failed docker.service docker.socket", "restart"]
    assert attempt(daemon, {"mtu": 1400}) == ""
    assert len(daemon.commands) == 2


def test_a_reload_where_that_is_enough(file: Path, attempt: Try) -> None:
    daemon = Dockerd(file)
    assert attempt(daemon, {"runtimes": {"nvidia": {"path": "x"}}}) == ""
    assert daemon.commands == ["reload"]


@pytest.mark.parametrize(
    ("key", "reason"), [("broken", "failed to start daemon: unknown log opt"), ("hangs", "it was not ready 60 s after its start")]
)
def test_a_docker_that_does_not_come_back_gets_its_old_file_back(file: Path, attempt: Try, key: str, reason: str) -> None:
    file.write_text('{"mtu": 1500}')
    file.chmod(0o640)
    daemon = Dockerd(file)
    said = attempt(daemon, {key: True})
    assert said.startswith(f"Docker did not start with {file}: {reason}.")
    assert "The old configuration was put back, and Docker runs with it again." in said
    assert (file.read_text(), oct(file.stat().st_mode)[-3:]) == ('{"mtu": 1500}', "640")
    assert (daemon.runs, daemon.loaded) == (True, {"mtu": 1500})


def test_a_file_that_was_not_there_is_none_again(file: Path, attempt: Try) -> None:
    daemon = Dockerd(file)
    assert attempt(daemon, {"broken": True})
    assert not file.exists()
    assert daemon.runs


def test_a_reload_that_is_refused_stops_nothing(file: Path, attempt: Try) -> None:
    daemon = Dockerd(file)
    said = attempt(daemon, {"unreloadable": 1, "debug": True, "labels": ["a=1"], "live-restore": True})
    assert "Docker did not take over" in said
    assert "invalid mirror" in said
    assert "Docker goes on with it" in said
    assert "restart" not in daemon.commands
    assert not file.exists()


def test_running_containers_survive_a_change_that_fails(file: Path, attempt: Try) -> None:
    """Docker stops what runs when it starts without live-restore, so it is put into force first and for the way back as well."""
    daemon = Dockerd(file)
    daemon.containers = True
    assert attempt(daemon, {"live-restore": True, "broken": True})
    assert (daemon.containers, daemon.runs, file.exists()) == (True, True, False)


def test_running_containers_survive_a_change_that_works(file: Path, attempt: Try) -> None:
    daemon = Dockerd(file)
    daemon.containers = True
    assert attempt(daemon, {"live-restore": True, "mtu": 1400}) == ""
    assert daemon.containers


def test_a_docker_that_did_not_run_before_is_not_our_doing(file: Path, attempt: Try) -> None:
    file.write_text('{"broken": true}')
    daemon = Dockerd(file, runs=False)
    said = attempt(daemon, {})
    assert said.startswith("Docker does not start: failed to start daemon: unknown log opt. This run has changed nothing")
    said = attempt(daemon, {"mtu": 1400})
    assert "It did not run before this run either." in said
    assert json.loads(file.read_text()) == {"broken": True}


def test_a_docker_that_was_stopped_is_started(file: Path, attempt: Try) -> None:
    daemon = Dockerd(file, runs=False)
    assert attempt(daemon, {}) == ""
    assert daemon.runs


def test_a_drop_in_is_tried_and_taken_back_too(tmp_path: Path, file: Path, attempt: Try) -> None:
    daemon = Dockerd(file)
    drop_in = tmp_path / "docker.service.d/gpu-inference.env"
    assert attempt(daemon, {}, NewFile(str(drop_in), b"A=1\n", 0o600)) == ""
    assert daemon.commands[0] == "daemon-reload"
    assert oct(drop_in.stat().st_mode)[-3:] == "600"
    assert attempt(daemon, {"broken": True}, NewFile(str(drop_in), b"A=2\n"))
    assert drop_in.read_text() == "A=1\n"
    assert daemon.commands.count("daemon-reload") == 3


@pytest.mark.parametrize("wanted", [{}, {"broken": True}, {"mtu": 1400}])
def test_what_a_killed_run_left_is_taken_back_by_the_next(tmp_path: Path, file: Path, attempt: Try, wanted: dict[str, Any]) -> None:
    file.write_text('{"debug": true}')
    FileChanges(str(tmp_path / "journal.json")).write(str(file), b'{"broken": true}')
    daemon = Dockerd(file, runs=False)
    said = attempt(daemon, wanted)
    assert "The old configuration was put back, and Docker runs with it again." in said
    assert file.read_text() == '{"debug": true}'
    assert daemon.runs


def test_what_a_killed_run_left_stays_when_it_is_good(tmp_path: Path, file: Path, attempt: Try) -> None:
    daemon = Dockerd(file)
    FileChanges(str(tmp_path / "journal.json")).write(str(file), b'{"mtu": 1400}')
    assert attempt(daemon, {}) == ""
    assert daemon.loaded == {"mtu": 1400}
    assert not (tmp_path / "journal.json").exists()


def test_what_cannot_be_written_changes_nothing(tmp_path: Path, file: Path, attempt: Try) -> None:
    daemon = Dockerd(file)
    (tmp_path / "in-the-way").write_text("")
    said = attempt(daemon, {"mtu": 1400}, NewFile(str(tmp_path / "in-the-way/file"), b"x"))
    assert "in-the-way" in said
    assert "Nothing was changed." in said
    assert not file.exists()
    assert daemon.commands == []
