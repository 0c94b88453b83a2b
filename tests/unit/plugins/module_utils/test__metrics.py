# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the program for Prometheus tells of a host that is played; Debian's promtool reads it, or that test is skipped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.programs import installed

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _metrics as metrics
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran
from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_program import program
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import OWNER, Paths

CHAT, OCR = "c" * 64, "d" * 64
MIB = 1024 * 1024
SETTINGS = {"textfile_directory": "/x", "folders": ["/var/lib/gpu-inference"], "gpu_memory_mib": {"vllm-chat": 8192, "vllm-ocr": 100}}
READY = {
    "phase": "ready",
    "container_id": CHAT,
    "ready_at": 1.0,
    "monotonic": {"since": 142.5, "started": 100.0, "ready_at": 142.5},
}


class Host:
    """A host's files below a folder, and what systemd and the driver say."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths = Paths(instances=root / "instances", runtime=root / "run")
        self.shown = ""
        self.apps = ""
        self.asked: list[str] = []

    def run(self, argv: Sequence[str], _timeout: float, _text: str = "", /) -> Ran:
        self.asked.append(argv[0])
        if argv[0] == "systemctl":
            return Ran(0 if self.shown else 1, self.shown)
        return Ran(0, self.apps)

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def unit(self, name: str, state: Any, owner: str = OWNER, **service: Any) -> None:
        document = {"owner": owner, "probe": {"model": name.upper()}, **service}
        self.write(f"instances/vllm/{name}/service.json", json.dumps(document))
        if state is not None:
            self.write(f"run/state/vllm@{name}.json", json.dumps(state))

    def text(self) -> str:
        return metrics.text_of(SETTINGS, self.paths, 1000.5, self.run, str(self.root))

    def values(self) -> dict[str, str]:
        return dict(line.rsplit(" ", 1) for line in self.text().splitlines() if not line.startswith("#"))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    found = Host(tmp_path)
    found.unit("chat", READY, memory_limit_mib=16384)
    found.unit("ocr", {"phase": "loading_weights", "container_id": OCR})
    found.unit("new", None)
    found.unit("foreign", READY, owner="somebody")
    # In the order of the question.
    blocks = ["ActiveState=active\nNRestarts=3", "ActiveState=inactive\nNRestarts=0", "ActiveState=activating\nNRestarts=0"]
    found.shown = "\n\n".join(blocks) + "\n"
    found.apps = "101, 4000\n102, 4100\n103, [N/A]\n999, 50\n"
    for pid, identity in ((101, CHAT), (102, CHAT), (103, OCR)):
        found.write(f"proc/{pid}/cgroup", f"0::/system.slice/docker-{identity}.scope\n")
    found.write(f"sys/fs/cgroup/system.slice/docker-{CHAT}.scope/memory.current", "5000\n")
    found.write(f"sys/fs/cgroup/system.slice/docker-{CHAT}.scope/memory.stat", "inactive_file 700\nactive_file 300\nanon 4000\n")
    found.write(f"sys/fs/cgroup/docker/{OCR}/memory.current", "10\n")
    found.write(f"sys/fs/cgroup/docker/{OCR}/memory.stat", "\n")
    (tmp_path / "var/lib/gpu-inference").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    found.write("etc/docker/daemon.json", '{"data-root": "/data"}')
    return found


def test_what_is_told_of_a_unit_that_is_ready(host: Host) -> None:
    labels = '{kind="vllm",service="chat",model="CHAT"}'
    told = {name.removesuffix(labels): value for name, value in host.values().items() if name.endswith(labels)}
    assert told == {
        "llmops_unit_ready": "1",
        "llmops_unit_restarts_total": "3",
        "llmops_unit_start_duration_seconds": "42.5",
        "llmops_unit_memory_bytes": "4000",
        "llmops_unit_memory_budget_bytes": str(16384 * MIB),
        "llmops_unit_gpu_memory_bytes": str(8100 * MIB),
        "llmops_unit_gpu_memory_budget_bytes": str(8192 * MIB),
    }
    phases = {name: value for name, value in host.values().items() if name.startswith('llmops_unit_phase{kind="vllm",service="chat"')}
    assert len(phases) == len(metrics.PHASES)
    assert [name for name, value in phases.items() if value == "1"] == [f'llmops_unit_phase{labels[:-1]},phase="ready"}}']


def test_what_is_told_of_the_others(host: Host) -> None:
    values = host.values()
    assert values['llmops_unit_ready{kind="vllm",service="ocr",model="OCR"}'] == "0"
    assert values['llmops_unit_memory_bytes{kind="vllm",service="ocr",model="OCR"}'] == "10"
    assert 'llmops_unit_gpu_memory_bytes{kind="vllm",service="ocr",model="OCR"}' not in values, "the driver doesn't tell"
    assert values['llmops_unit_ready{kind="vllm",service="new",model="NEW"}'] == "0"
    assert not any("foreign" in name for name in values)
    assert {name for name in values if name.startswith("llmops_disk_size")} == {
        'llmops_disk_size_bytes{path="/var/lib/gpu-inference"}',
        'llmops_disk_size_bytes{path="/data"}',
    }
    assert values["llmops_written_timestamp_seconds"] == "1000.5"


def test_a_state_of_ready_counts_only_while_the_unit_is_active(host: Host) -> None:
    host.shown = host.shown.replace("ActiveState=active\n", "ActiveState=failed\n")
    assert host.values()['llmops_unit_ready{kind="vllm",service="chat",model="CHAT"}'] == "0"
    host.shown = ""
    values = host.values()
    assert values['llmops_unit_ready{kind="vllm",service="chat",model="CHAT"}'] == "0"
    assert not any("restarts" in name for name in values)


def test_nobody_is_asked_where_there_is_no_unit(tmp_path: Path) -> None:
    host = Host(tmp_path)
    assert [line for line in host.text().splitlines() if line.startswith("llmops_unit")] == []
    assert host.asked == []


def test_prometheus_has_nothing_to_say_against_it(host: Host) -> None:
    host.unit("odd", READY, probe={"model": 'a "b"\\c\n'})
    done = subprocess.run(
        [installed("promtool"), "check", "metrics"], input=host.text(), capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


class EndError(Exception):
    """The end of a test's patience."""


def test_it_writes_for_everybody_and_follows_its_settings(tmp_path: Path) -> None:
    first, second, settings = tmp_path / "first", tmp_path / "second", tmp_path / "metrics.json"
    settings.write_text(json.dumps({"textfile_directory": str(first)}), encoding="utf-8")
    rounds = 0

    def sleep(_seconds: float) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            assert ((first / metrics.FILE).stat().st_mode & 0o777) == 0o644
            settings.write_text(json.dumps({"textfile_directory": str(second)}), encoding="utf-8")
        elif rounds == 2:
            assert (second / metrics.FILE).exists()
            assert not (first / metrics.FILE).exists()
            raise SystemExit(0)

    with pytest.raises(SystemExit):
        metrics.serve(settings, Paths(instances=tmp_path / "none"), tmp_path, sleep)
    assert rounds == 2
    assert not (second / metrics.FILE).exists(), "nobody would look after it"


def test_a_folder_that_cannot_be_written_is_told_and_tried_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    settings = tmp_path / "metrics.json"
    settings.write_text(json.dumps({"textfile_directory": f"{tmp_path}/file/x"}), encoding="utf-8")

    def sleep(_seconds: float) -> None:
        raise EndError

    with pytest.raises(EndError):
        metrics.serve(settings, Paths(instances=tmp_path / "none"), tmp_path, sleep)
    assert "llmops.prom cannot be written: Not a directory" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"textfile_directory": null}'])
def test_settings_that_say_nothing_are_told_and_read_again(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    settings = tmp_path / "metrics.json"
    settings.write_text(text, encoding="utf-8")

    def sleep(_seconds: float) -> None:
        if (tmp_path / metrics.FILE).exists():
            raise EndError
        settings.write_text(json.dumps({"textfile_directory": str(tmp_path)}), encoding="utf-8")

    with pytest.raises(EndError):
        metrics.serve(settings, Paths(instances=tmp_path / "none"), tmp_path, sleep)
    assert "names no folder to write to" in capsys.readouterr().err


def test_it_makes_room_for_another_version(tmp_path: Path) -> None:
    folder, settings = tmp_path / "program", tmp_path / "metrics.json"
    folder.mkdir()
    settings.write_text(json.dumps({"textfile_directory": str(tmp_path)}), encoding="utf-8")

    def sleep(_seconds: float) -> None:
        (folder / "_new.py").write_text("", encoding="utf-8")

    metrics.serve(settings, Paths(instances=tmp_path / "none"), folder, sleep)
    assert (tmp_path / metrics.FILE).exists(), "the next one goes on with it"


def test_as_a_node_has_it(tmp_path: Path) -> None:
    """The files side by side, without Ansible, told to stop by systemd."""
    for name, text in program().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    start = "import _metrics, sys, pathlib; _metrics.SETTINGS = sys.argv[1]; _metrics.__file__ = sys.argv[2]; _metrics.main()"
    (tmp_path / "metrics.json").write_text(json.dumps({"textfile_directory": str(tmp_path / "out")}), encoding="utf-8")
    environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    argv = [sys.executable, "-c", start, str(tmp_path / "metrics.json"), str(tmp_path / "_metrics.py")]
    process = subprocess.Popen(argv, cwd=tmp_path, env=environment, stderr=subprocess.PIPE)
    file = tmp_path / "out" / metrics.FILE
    deadline = time.monotonic() + 20
    while not file.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    written = file.exists()
    process.send_signal(signal.SIGTERM)
    _out, said = process.communicate(timeout=20)
    assert (written, process.returncode, said) == (True, 0, b"")
    assert not file.exists()
