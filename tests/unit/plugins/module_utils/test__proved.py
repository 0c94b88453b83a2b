# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What served before a change comes back with a boot, and with nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _proved as proved
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import Instance, Paths

CHAT = Instance("vllm", "chat")


class Host:
    def __init__(self, root: Path) -> None:
        self.paths = Paths(root / "instances", root / "run", lasting=root / "lasting")
        self.folder = self.paths.folder("vllm", "chat")
        self.folder.mkdir(parents=True)

    def place(self, config_hash: str, **files: str) -> None:
        names = sorted(file for file in files if file != "env")
        service = json.dumps({"config_hash": config_hash, "files": names})
        for name, text in {**files, "service.json": service}.items():
            (self.folder / name).write_text(text)
        if "env" in files:
            (self.folder / "env").chmod(0o600)

    def keep(self) -> None:
        proved.keep(self.paths, CHAT, [file.name for file in self.folder.iterdir() if file.is_file()])

    def boot(self) -> bool:
        shutil.rmtree(self.paths.runtime, ignore_errors=True)
        return proved.put_back(self.paths, CHAT)

    def found(self) -> Mapping[str, str]:
        return {file.name: file.read_text() for file in self.folder.iterdir()}


@pytest.fixture(name="host")
def _host(tmp_path: Path) -> Host:
    host = Host(tmp_path)
    host.place("old", **{"config.yaml": "old", "env": "KEY=1\n"})
    return host


def test_a_boot_puts_back_what_was_kept(host: Host) -> None:
    before = host.found()
    host.keep()
    host.place("new", **{"config.yaml": "new", "more.yaml": "x", "env": "KEY=2\n"})
    assert host.boot()
    assert host.found() == before  # what the change brought along has gone
    assert (host.folder / "env").stat().st_mode & 0o777 == 0o600
    assert not host.boot()


def test_without_a_boot_it_stays_where_it_is(host: Host) -> None:
    """An engine that dies while it is proved is started again as it is: the run that changed it decides."""
    host.keep()
    host.place("new", **{"config.yaml": "new"})
    assert not proved.put_back(host.paths, CHAT)
    assert (host.folder / "config.yaml").read_text() == "new"
    assert (host.folder / ".proved").stat().st_mode & 0o777 == 0o700


def test_what_is_forgotten_does_not_come_back(host: Host) -> None:
    host.keep()
    host.place("new", **{"config.yaml": "new"})
    proved.forget(host.paths, CHAT)
    proved.forget(host.paths, CHAT)
    assert not host.boot()
    assert (host.folder / "config.yaml").read_text() == "new"
    assert not list(host.folder.glob(".proved*"))


def test_the_last_one_counts(host: Host) -> None:
    host.keep()
    host.place("second", **{"config.yaml": "second"})
    host.keep()
    host.place("third", **{"config.yaml": "third"})
    assert host.boot()
    assert (host.folder / "config.yaml").read_text() == "second"


def test_a_boot_during_the_change_or_while_it_is_put_back_leaves_a_whole_folder(host: Host) -> None:
    before = host.found()
    host.keep()
    assert host.boot()  # nothing was replaced yet
    assert host.found() == before
    host.keep()
    host.place("new", **{"config.yaml": "new", "env": "KEY=2\n"})
    (host.folder / ".proved/config.yaml").replace(host.folder / "config.yaml")  # so far it came
    assert host.boot()
    assert host.found() == before


def test_half_of_what_was_to_be_kept_is_nothing(host: Host) -> None:
    (host.folder / ".proved.tmp").mkdir()
    (host.folder / ".proved.tmp/service.json").write_text("{}")
    assert not host.boot()
    host.keep()
    assert not (host.folder / ".proved.tmp").exists()
