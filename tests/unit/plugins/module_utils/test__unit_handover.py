# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A container that is replaced beside the old one, on a host of which only Docker and systemd are played."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _handover as handover
from ansible_collections.llmops.gpu_inference.plugins.module_utils import _unit_handover as unit_handover
from ansible_collections.llmops.gpu_inference.plugins.module_utils._container_units import Reconciler
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import TIMED_OUT, Ran
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import LABEL, Paths
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_report import Report
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_wanted import want_all
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_work import Settings

SOCKET = "/tmp/handover.sock"
UNIT = "litellm@gateway.service"
NAME, NEXT, PORT, BEFORE = (f"litellm-gateway{suffix}" for suffix in ("", "-next", "-port", "-before"))
NO_HANDOVER = ["stop", "reset-failed", "start"]


@dataclass
class Host:
    folder: Path
    containers: dict[str, dict[str, Any]] = field(default_factory=dict)
    listening: dict[int, bool] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    systemd: list[str] = field(default_factory=list)
    active: str = "active"
    created: list[list[str]] = field(default_factory=list)
    #: The command that fails, and the words that it fails with.
    refused: tuple[str, str] = ("", "")
    #: The container that Docker says nothing of.
    silent_about: str = ""
    comes_up: bool = True
    ends: bool = False
    adopts: bool = True
    available: int = 4000
    now: float = 0.0
    calls: list[list[str]] = field(default_factory=list)
    #: What the new container reads when it starts.
    rotation_at_start: str = ""
    _last: int = 100

    @property
    def rotation(self) -> str:
        return (self.folder / "instances/litellm/gateway/live/rotation").read_text()

    def run(self, argv: Sequence[str], _timeout: float, _text: str = "", /) -> Ran:
        words = list(argv)
        self.calls.append(words)
        if words[0] == "systemctl":
            return self._systemctl(words[1:])
        if "-trial" in " ".join(words):
            return Ran(0)
        name = words[-1]
        if words[1:2] == [self.refused[0]]:
            return Ran(1, "", self.refused[1])
        answer = getattr(self, "_" + words[1], None)
        return answer(words, name) if answer else Ran(0)

    def _systemctl(self, words: list[str]) -> Ran:
        if words[0] == "show":
            return Ran(0, f"LoadState=loaded\nActiveState={self.active}\nSubState=running\n")
        self.systemd.append(words[0])
        if words[0] == "kill" and self.adopts:
            state = self.folder / "run/state/litellm@gateway.json"
            state.parent.mkdir(parents=True, exist_ok=True)
            state.write_text(json.dumps({"container_id": self.containers[NAME]["Id"]}))
        return Ran(0)

    def _ps(self, _words: list[str], _name: str) -> Ran:
        rows = []
        for name, one in self.containers.items():
            labels = one["Config"]["Labels"]
            state = "running" if one["State"]["Running"] else "exited"
            rows.append(
                "\t".join([name, state, *(labels.get(LABEL + key, "") for key in ("owner", "instance", "config-hash")), one["ports"]])
            )
        return Ran(0, "\n".join(rows) + "\n")

    def _container(self, _words: list[str], name: str) -> Ran:
        if name == self.silent_about:
            return Ran(TIMED_OUT, "", "no answer within 60 s")
        found = self.containers.get(name)
        return Ran(0 if found else 1, json.dumps([{**found, "Name": name}] if found else []))

    def _create(self, words: list[str], _name: str) -> Ran:
        self.created.append(words)
        labels = dict(words[number + 1].split("=", 1) for number, word in enumerate(words) if word == "--label")
        self.add(words[words.index("--name") + 1], labels, running=False)
        return Ran(0)

    def add(self, name: str, labels: dict[str, str], *, running: bool = True, ports: str = "") -> None:
        self._last += 1
        state = {"Running": running, "Pid": self._last if running else 0}
        self.containers[name] = {"Id": f"id{self._last}", "Config": {"Labels": labels}, "State": state, "ports": ports}
        self.listening[self._last] = running

    def _start(self, _words: list[str], name: str) -> Ran:
        self.rotation_at_start = self.rotation
        state = self.containers[name]["State"]
        state.update(Running=not self.ends, Pid=int(self.containers[name]["Id"][2:]), ExitCode=3 if self.ends else 0)
        self.listening[state["Pid"]] = self.comes_up
        return Ran(0)

    def _rename(self, words: list[str], name: str) -> Ran:
        self.containers[name] = self.containers.pop(words[-2])
        return Ran(0)

    def _rm(self, _words: list[str], name: str) -> Ran:
        self.containers.pop(name, None)
        return Ran(0)

    def _stop(self, _words: list[str], name: str) -> Ran:
        self.told.append(f"stop {name}")
        return Ran(0)

    def _logs(self, _words: list[str], _name: str) -> Ran:
        return Ran(0, "", "ERROR: [Errno 98] error while attempting to bind on address: address already in use\nsecret-of-a-server")

    def ask(self, pid: int, path: str, words: str, descriptors: Sequence[int] = ()) -> list[int]:
        assert path == SOCKET
        if not self.listening.get(pid):
            raise handover.HandoverError("Connection refused")
        if words == "give":
            return [os.dup(0)]
        self.told.append(f"{pid} {words}{' one' if len(descriptors) == 1 else ''}")
        return []

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def pid(self, name: str) -> int:
        found: int = self.containers[name]["State"]["Pid"]
        return found


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host(tmp_path)
    monkeypatch.setattr(handover, "ask", host.ask)
    monkeypatch.setattr(unit_handover, "available_mib", lambda: host.available)
    return host


def parameters(host: Host, **changes: Any) -> dict[str, Any]:
    folder = host.folder / "instances/litellm/gateway"
    return {
        "kind": "litellm",
        "name": "gateway",
        "image": "litellm:1",
        "command": ["--config", "/etc/litellm/config.yaml"],
        "docker_arguments": [
            *("--init", "--publish", "0.0.0.0:8400:4000", "--ip", "10.0.0.5"),
            *("--mount", f"type=bind,source={folder}/config.yaml,target=/etc/litellm/config.yaml,readonly"),
            *("--volume", f"{folder}/policy.json:/etc/litellm/policy.json"),
        ],
        "networks": ["inference", "inference_engines"],
        "files": {"config.yaml": "a", "policy.json": "{}"},
        "secret_environment": {"KEY": "secret-of-a-server"},
        "live_files": {"rotation": "x"},
        "locks": [],
        "probe": None,
        "start_timeout": 180.0,
        "stop_timeout": 60.0,
        "handover_socket": SOCKET,
        **dict.fromkeys(("pull", "entrypoint", "watchdog", "drop_page_cache", "pull_models", "download_entrypoint")),
        **dict.fromkeys(("download_command", "restart_limit", "silence_timeout")),
        "environment": {},
        **changes,
    }


def reconcile(host: Host, given: dict[str, Any] | None) -> Report:
    settings = Settings(Paths(host.folder / "instances", host.folder / "run", lasting=host.folder / "lasting"), ("litellm",))
    settings = Settings(settings.paths, settings.kinds, wants_dir=host.folder / "wants", gpu_lock_timeout=0.0)
    reconciler = Reconciler(settings, host.run, clock=lambda: host.now, sleep=host.sleep)
    host.told.clear()
    host.systemd.clear()
    host.created.clear()
    return reconciler.apply(want_all([given] if given else [], ["litellm"]))


@pytest.fixture
def serving(host: Host) -> Host:
    """A gateway that was started from the beginning."""
    given = parameters(host)
    host.active = "inactive"
    reconcile(host, given)
    host.active = "active"
    wanted = want_all([given], ["litellm"])[0]
    host.add(NAME, labels(wanted.config_hash), ports="0.0.0.0:8400->4000/tcp")
    return host


def labels(config_hash: str) -> dict[str, str]:
    return {LABEL + "owner": "llmops.gpu_inference", LABEL + "instance": "litellm/gateway", LABEL + "config-hash": config_hash}


def changed(host: Host, text: str = "b", **changes: Any) -> dict[str, Any]:
    return parameters(host, files={"config.yaml": text, "policy.json": "{}"}, **changes)


def test_the_new_one_takes_over_before_the_old_one_leaves(serving: Host) -> None:
    host, old = serving, serving.pid(NAME)
    report = reconcile(host, changed(host))
    assert (report.restarted, report.failures, report.warnings) == (["litellm/gateway"], [], [])
    assert "the new one has taken the port over" in report.units["litellm/gateway"]["reason"]
    new = host.pid(NAME)
    assert host.told == [f"{new} take one", f"{old} hold 60"]
    assert host.systemd == ["kill"]  # the launcher reads its instance again; nothing stops
    assert set(host.containers) == {NAME, PORT}
    assert host.pid(PORT) == old


def test_it_is_made_as_it_will_be_but_for_ports_and_addresses(serving: Host) -> None:
    reconcile(serving, changed(serving))
    ((_docker, *words),) = serving.created
    folder = serving.folder / "instances/litellm/gateway"
    assert not [word for word in words if "publish" in word or "--ip" in word]
    # Files that changed are not in their places yet; those that did not are.
    assert f"--mount=type=bind,source={folder}/.config.yaml.new,target=/etc/litellm/config.yaml,readonly" in words
    assert f"--volume={folder}/policy.json:/etc/litellm/policy.json" in words
    assert (folder / "config.yaml").read_text() == "b"


def test_those_after_the_first_go_when_they_have_left(serving: Host) -> None:
    reconcile(serving, changed(serving))
    holder, second = serving.pid(PORT), serving.pid(NAME)
    serving.listening[holder] = False  # nothing but a process that waits
    report = reconcile(serving, changed(serving, "c"))
    assert report.failures == []
    third = serving.pid(NAME)
    assert serving.told == [f"{third} take one", f"{second} leave 60"]
    assert set(serving.containers) == {NAME, PORT}
    assert serving.pid(PORT) == holder
    assert not reconcile(serving, changed(serving, "c")).changed


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"comes_up": False}, "timeout: "),
        ({"ends": True}, "port_in_use: "),
        ({"refused": ("start", "Error: no CDI")}, "no CDI"),
        ({"silent_about": NEXT}, "Docker does not answer: no answer within 60 s"),
    ],
)
def test_one_that_does_not_come_up_never_replaces_the_old_one(serving: Host, how: dict[str, Any], told: str) -> None:
    for name, value in how.items():
        setattr(serving, name, value)
    old = serving.pid(NAME)
    report = reconcile(serving, changed(serving, live_files={"rotation": "y"}))
    (failure,) = report.failures
    assert told in failure
    assert "the new container, started beside the old one, does not serve" in failure
    assert "The old container still serves with its old configuration" in failure
    assert "secret-of-a-server" not in failure
    assert (report.restarted, serving.told, serving.systemd) == ([], [], [])
    assert (set(serving.containers), serving.pid(NAME)) == ({NAME}, old)
    # So also a reboot brings back what served.
    assert (serving.folder / "instances/litellm/gateway/config.yaml").read_text() == "a"
    assert serving.rotation == "x"


def test_it_starts_with_the_live_files_that_it_will_have(serving: Host) -> None:
    report = reconcile(serving, changed(serving, live_files={"rotation": "y"}))
    assert (report.failures, serving.rotation_at_start, serving.rotation) == ([], "y", "y")


@pytest.mark.parametrize(
    ("host_changes", "unit_changes", "why"),
    [
        ({}, {"docker_arguments": ["--publish", "0.0.0.0:8500:4000"]}, "ports, networks or addresses change"),
        ({}, {"networks": ["inference"]}, "ports, networks or addresses change"),
        ({}, {"live_files": {"rotation": "x", "tls.pem": "y"}}, "files that it reads when it starts come or go"),
        ({"listening": {}}, {}, "the program that runs cannot hand it over"),
        ({"available": 700}, {}, "less than 768 MiB"),
    ],
)
def test_what_cannot_be_handed_over_is_stopped_and_started(
    serving: Host, host_changes: dict[str, Any], unit_changes: dict[str, Any], why: str
) -> None:
    for name, value in host_changes.items():
        setattr(serving, name, value)
    report = reconcile(serving, changed(serving, **unit_changes))
    assert why in report.units["litellm/gateway"]["reason"]
    assert (report.restarted, serving.systemd, serving.created) == (["litellm/gateway"], NO_HANDOVER, [])


def test_nothing_is_handed_over_on_the_network_of_the_host(host: Host) -> None:
    given = parameters(host, networks=["host"])
    host.active = "inactive"
    reconcile(host, given)
    host.active = "active"
    host.add(NAME, labels(want_all([given], ["litellm"])[0].config_hash))
    report = reconcile(host, changed(host, networks=["host"]))
    assert "it has no network of its own" in report.units["litellm/gateway"]["reason"]
    assert host.systemd == NO_HANDOVER


def test_files_that_are_newer_than_the_container_say_nothing_of_its_ports(serving: Host) -> None:
    """A run was killed between writing them and the swap."""
    service = serving.folder / "instances/litellm/gateway/service.json"
    service.write_text(service.read_text().replace(json.loads(service.read_text())["config_hash"], "of-another"))
    report = reconcile(serving, changed(serving))
    assert "a run before this one was cut short" in report.units["litellm/gateway"]["reason"]
    assert serving.systemd == NO_HANDOVER


@pytest.mark.parametrize("how", [{"refused": ("rename", "Error: Docker is away")}, {"silent_about": PORT}, {"adopts": False}])
def test_what_goes_wrong_on_the_way_ends_in_a_restart(serving: Host, how: dict[str, Any]) -> None:
    for name, value in how.items():
        setattr(serving, name, value)
    report = reconcile(serving, changed(serving))
    (warning,) = report.warnings
    assert "litellm/gateway: the port could not be handed over, so the unit restarts" in warning
    assert serving.systemd[-3:] == NO_HANDOVER
    assert report.restarted == ["litellm/gateway"]
    assert NEXT not in serving.containers


def test_an_old_one_that_is_not_told_to_leave_is_told_of(serving: Host) -> None:
    """The new one has the port by then, so nothing restarts for it."""
    serving.silent_about = BEFORE
    report = reconcile(serving, changed(serving))
    (warning,) = report.warnings
    assert "was not told to leave, since Docker does not answer: no answer within 60 s" in warning
    assert (report.failures, "stop" in serving.systemd, set(serving.containers)) == ([], False, {NAME, PORT})
    serving.silent_about = ""
    assert not reconcile(serving, changed(serving)).changed
    assert serving.told[-1] == f"{serving.pid(PORT)} hold 60"


def test_what_a_run_that_was_killed_left_goes(serving: Host) -> None:
    """One that nobody looks after, one that was to be removed, and one that was never told to leave."""
    reconcile(serving, changed(serving))
    again = changed(serving)
    config_hash = want_all([again], ["litellm"])[0].config_hash
    for name in (NEXT, BEFORE):
        serving.add(name, labels(config_hash))
    holder = serving.pid(PORT)
    assert not reconcile(serving, again).changed
    assert sorted(serving.told) == [f"{holder} hold 60", f"stop {BEFORE}", f"stop {NEXT}"]
    assert set(serving.containers) == {NAME, PORT}


def test_what_leaves_the_host_leaves_with_all_its_containers(serving: Host) -> None:
    reconcile(serving, changed(serving))
    report = reconcile(serving, None)
    assert report.removed == ["litellm/gateway"]
    assert set(serving.containers) == set()


def test_the_port_of_a_container_that_has_handed_it_over_is_not_taken_for_anothers(serving: Host) -> None:
    """A change for which it stops publishes the port again: its trial is told that the port is held by what goes."""
    reconcile(serving, changed(serving))
    serving.calls.clear()
    reconcile(serving, changed(serving, "c", networks=["inference"]))
    trials = [
        word for call in serving.calls if "litellm-gateway-trial" in call and call[1] == "create" for word in call if "publish" in word
    ]
    assert trials[-1] == "--publish=0.0.0.0::4000/tcp"


def test_memory_that_is_free_is_read(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 8 kB\nMemAvailable:   1048576 kB\n")
    assert unit_handover.available_mib(str(tmp_path / "meminfo")) == 1024
    (tmp_path / "meminfo").write_text("MemTotal: 8 kB\n")
    assert unit_handover.available_mib(str(tmp_path / "meminfo")) == 0
