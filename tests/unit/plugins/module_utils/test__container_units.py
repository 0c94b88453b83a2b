# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import typing as t
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _proved as proved
from ansible_collections.llmops.gpu_inference.plugins.module_utils import _releases as releases
from ansible_collections.llmops.gpu_inference.plugins.module_utils._container_units import Reconciler
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import OWNER, FileLock, Instance, Paths, program_hash
from ansible_collections.llmops.gpu_inference.plugins.module_utils._ollama import Installed, OllamaError
from ansible_collections.llmops.gpu_inference.plugins.module_utils._ollama_api import UnreachableError
from ansible_collections.llmops.gpu_inference.plugins.module_utils._systemd import Systemd
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_decision import KEEP, RELOAD, RESTART, START, decide
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_errors import UnitsError
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_present import Container, Unit, parse_ps, present_units
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_releases import Prover
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_report import Report, told_of_failures
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_wanted import Wanted, want, want_all
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_work import Settings

STILL_SERVES = "The old container still serves with its old configuration; the next run tries again."
SECRET = "sk-a-canary-that-must-not-be-seen"
GROUP = {
    "rank": 0,
    "port": 18070,
    "digest": "abc",
    "key_variable": "VLLM_API_KEY",
    "members": [{"host": "a", "address": "10.0.0.1"}, {"host": "b", "address": "10.0.0.2"}],
}


def instance(name: str = "chat", kind: str = "vllm", **changes: t.Any) -> dict[str, t.Any]:
    """Parameters of an instance, as AnsibleModule hands them over."""
    return {
        "kind": kind,
        "name": name,
        "image": "vllm/vllm-openai:v0.32.0",
        "pull": "missing",
        "entrypoint": None,
        "command": ["--config", "/etc/vllm/config.yaml"],
        "docker_arguments": ["--init"],
        "networks": ["inference_engines"],
        "files": {"config.yaml": "model: x\n"},
        "environment": {"HF_HOME": "/hub", "DEBUG": True, "N": 3, "EMPTY": None},
        "secret_environment": {"VLLM_API_KEY": SECRET},
        "locks": ["GPU-a"],
        "probe": {"base_url": "http://127.0.0.1:8070/v1", "model": name, "api_key_variable": "VLLM_API_KEY", "dimension": None},
        "start_timeout": 900.0,
        "stop_timeout": 60.0,
        "watchdog": 0.0,
        "drop_page_cache": False,
        "pull_models": [],
        "download_entrypoint": None,
        "download_command": [],
        "restart_limit": 5,
        **changes,
    }


# -- hashes


@pytest.mark.parametrize(
    ("change", "container_differs", "launcher_differs"),
    [
        ({}, False, False),
        ({"environment": {"N": "3", "EMPTY": "", "DEBUG": "true", "HF_HOME": "/hub"}}, False, False),  # order and type do not matter
        ({"locks": ["GPU-a", "GPU-a"]}, False, False),
        ({"start_timeout": 1.0}, False, True),
        ({"watchdog": 60.0}, False, True),
        ({"pull": "always"}, False, True),
        ({"memory_limit_mib": None}, False, False),
        ({"memory_limit_mib": 8192}, False, True),
        ({"group": None}, False, False),
        ({"group": GROUP}, False, True),
        ({"image": "vllm/vllm-openai:v0.33.0"}, True, True),
        ({"command": []}, True, True),
        ({"docker_arguments": ["--init", "--shm-size=1g"]}, True, True),
        ({"networks": []}, True, True),
        ({"locks": ["GPU-b"]}, True, True),
        ({"files": {"config.yaml": "model: y\n"}}, True, True),
        ({"environment": {}}, True, True),
        ({"secret_environment": {"VLLM_API_KEY": SECRET + "2"}}, True, True),
        ({"pull_models": ["x"]}, True, True),
        ({"check": {"entrypoint": "python3", "command": [], "input": "config.yaml"}}, False, False),
    ],
)
def test_hashes(change: dict[str, t.Any], container_differs: bool, launcher_differs: bool) -> None:
    before, after = want(instance()), want(instance(**change))
    assert (before.config_hash != after.config_hash) is container_differs
    assert (before.spec_hash != after.spec_hash) is launcher_differs


def test_secrets_are_in_the_env_file_only() -> None:
    wanted = want(instance())
    assert wanted.files["env"] == f"DEBUG=true\nEMPTY=\nHF_HOME=/hub\nN=3\nVLLM_API_KEY={SECRET}\n"
    assert SECRET not in wanted.files["service.json"]
    assert SECRET not in repr(wanted)
    assert json.loads(wanted.files["service.json"])["secret_names"] == ["VLLM_API_KEY"]


@pytest.mark.parametrize(
    ("instances", "messages"),
    [
        ([instance(name="Chat")], ["name 'Chat'"]),
        ([instance(name="../x")], ["name '../x'"]),
        ([instance(name="chat\n")], ["name 'chat\n' may consist of"]),
        ([instance(files={"../x": ""})], ["'../x' is not a plain file name"]),
        ([instance(files={"env": ""})], ["'env'"]),
        ([instance(files={"live": ""})], ["'live'"]),
        ([instance(live_files={"../x": ""})], ["live_files: '../x' is not a plain file name"]),
        (
            [instance(live_files={"x": ""}, secret_live_files={"x": ""})],
            ["live_files: 'x' is not a plain file name, or is used already"],
        ),
        ([instance(live_owner="nobody")], ["live_owner 'nobody' must be numbers"]),
        ([instance(check={"input": "other"})], ["check.input: 'other' is not among files"]),
        ([instance(docker_arguments=["--init", "alpine"])], ["docker_arguments[1] 'alpine'", "would take it for the image"]),
        ([instance(docker_arguments=["--rm", "-lio.llmops.gpu-inference.owner=x"])], ["[0] '--rm' is not allowed", "use another label"]),
        ([instance(docker_arguments=["-e", "HF_HOME=/x"])], ["'--env HF_HOME' is not allowed: it is in environment or secret_environment"]),
        ([instance(environment={"A-B": "1"})], ["'A-B' is not the name of an environment variable"]),
        ([instance(environment={"A": "1\n2"})], ["A has a line break"]),
        ([instance(secret_environment={})], ["'VLLM_API_KEY' is not among"]),
        (
            [instance(group={**GROUP, "rank": 2, "key_variable": "OTHER"})],
            ["group.key_variable: 'OTHER' is not among environment", "group.rank: 2 is none of the 2 members"],
        ),
        ([instance(), instance()], ["is there twice"]),
        ([instance(kind="other")], ["its kind is not among 'kinds' (vllm)"]),
        ([instance(name="A"), instance(name="B")], ["name 'A'", "name 'B'"]),  # all errors at once
    ],
)
def test_bad_instances_are_refused(instances: list[dict[str, t.Any]], messages: list[str]) -> None:
    with pytest.raises(UnitsError) as caught:
        want_all(instances, ["vllm"])
    for message in messages:
        assert message in str(caught.value)


def test_a_bad_secret_is_not_repeated() -> None:
    with pytest.raises(UnitsError) as caught:
        want(instance(secret_environment={"VLLM_API_KEY": SECRET + "\n"}))
    assert SECRET not in str(caught.value)


# -- decisions

WANTED = want(instance())
RIGHT = Container("vllm-chat", "running", OWNER, "vllm/chat", WANTED.config_hash)
OLD = Container("vllm-chat", "running", OWNER, "vllm/chat", "old")
DEAD = Container("vllm-chat", "exited", OWNER, "vllm/chat", WANTED.config_hash)
KNOWS = {"config_hash": WANTED.config_hash, "spec_hash": WANTED.spec_hash}


@pytest.mark.parametrize(
    ("active", "container", "state", "action"),
    [
        ("active", RIGHT, KNOWS, KEEP),
        ("active", RIGHT, None, KEEP),
        ("active", RIGHT, {**KNOWS, "spec_hash": "old"}, RELOAD),
        ("active", OLD, KNOWS, RESTART),  # the container counts, not what a file says
        ("active", DEAD, KNOWS, RESTART),
        ("active", None, KNOWS, RESTART),
        ("activating", None, KNOWS, KEEP),  # pulls, or waits for its GPU
        ("activating", RIGHT, KNOWS, KEEP),
        ("activating", OLD, KNOWS, RESTART),
        ("activating", None, {"config_hash": "old"}, RESTART),
        ("activating", None, None, RESTART),
        ("deactivating", RIGHT, KNOWS, RESTART),
        ("failed", None, KNOWS, START),
        ("inactive", None, None, START),
        ("inactive", RIGHT, KNOWS, START),
    ],
)
def test_decide(active: str, container: Container | None, state: dict[str, str] | None, action: str) -> None:
    assert decide(WANTED, Unit("loaded", active), container, state).action == action


@pytest.mark.parametrize(
    ("active", "sub", "container", "action"),
    [
        ("active", "running", RIGHT, RELOAD),
        ("active", "running", OLD, RESTART),
        ("activating", "start", RIGHT, RELOAD),  # it loads, and takes the program over when ready
        ("activating", "auto-restart", None, KEEP),  # there is no process that could
        ("inactive", "dead", None, START),
    ],
)
def test_an_upgraded_launcher_is_taken_over(active: str, sub: str, container: Container | None, action: str) -> None:
    assert decide(WANTED, Unit("loaded", active, sub), container, KNOWS, outdated=True).action == action


def test_ps_and_show_are_read() -> None:
    text = f"vllm-chat\trunning\t{OWNER}\tvllm/chat\tabc\t127.0.0.1:8070->8000/tcp\nother\texited\t\t\t\t\n"
    assert parse_ps(text) == {
        "vllm-chat": Container("vllm-chat", "running", OWNER, "vllm/chat", "abc", frozenset({("tcp", 8070)})),
        "other": Container("other", "exited", "", "", ""),
    }
    show = "LoadState=loaded\nActiveState=active\nSubState=running\n\nLoadState=not-found\nActiveState=inactive\nSubState=dead\n"
    systemd = Systemd(lambda _argv, _seconds, _text="", /: Ran(0, show))
    assert present_units(systemd, ["a", "b"], forecast=False) == {"a": Unit("loaded", "active", "running"), "b": Unit()}


# -- a host that only remembers


def trial_of(argv: Sequence[str]) -> str:
    """The container that a trial is made for; empty for any other command."""
    return next((word[: -len("-trial")] for word in argv if word.endswith("-trial")), "")


@dataclass
class Host:
    """Docker and systemd as far as a run asks them, and a list of all commands."""

    containers: dict[str, Container] = field(default_factory=dict)
    active: dict[str, str] = field(default_factory=dict)
    images: set[str] = field(default_factory=lambda: {"vllm/vllm-openai:v0.32.0"})
    calls: list[list[str]] = field(default_factory=list)
    missing: bool = False
    load: str = "loaded"
    refused: str = ""
    checks: dict[str, Ran] = field(default_factory=dict)  # by what they read
    read: list[str] = field(default_factory=list)
    trials: dict[tuple[str, str], Ran] = field(default_factory=dict)  # by command and container: what Docker refuses

    def run(self, argv: Sequence[str], _timeout: float, text: str = "", /) -> Ran:
        self.calls.append(list(argv))
        if argv[:2] == ["docker", "run"]:
            self.read.append(text)
            return self.checks.get(text, Ran(0))
        if self.missing:
            return Ran(127, "", f"{argv[0]}: not found")
        if argv[:2] == ["docker", "ps"]:
            rows = [
                "\t".join([c.name, c.state, c.owner, c.instance, c.config_hash, ", ".join(f"0.0.0.0:{n}->1/{p}" for p, n in c.ports)])
                for c in self.containers.values()
            ]
            return Ran(0, "\n".join(rows) + "\n")
        if trial_of(argv):
            return self.trials.get((argv[1], trial_of(argv)), Ran(0))
        if argv[:3] == ["docker", "image", "inspect"]:
            return Ran(0 if argv[-1] in self.images else 1)
        if argv[:2] == ["docker", "pull"]:
            return Ran(1, "", "manifest unknown")
        if argv[:2] == ["systemctl", "show"]:
            names = argv[argv.index("--") + 1 :]
            return Ran(
                0, "\n\n".join(f"LoadState={self.load}\nActiveState={self.active.get(n, 'inactive')}\nSubState=x" for n in names) + "\n"
            )
        if argv[1] == self.refused:
            return Ran(1, "", "No main process to kill")
        if argv[:2] == ["systemctl", "stop"]:
            for name in argv[argv.index("--") + 1 :]:
                self.active[name] = "inactive"
        return Ran(0)

    @property
    def effects(self) -> list[list[str]]:
        return [call for call in self.calls if call[1] not in ("ps", "show", "image") and not trial_of(call)]

    def tried(self, command: str) -> list[str]:
        return [trial_of(call) for call in self.calls if call[:2] == ["docker", command] and trial_of(call)]

    def serve(self, wanted: Wanted, *ports: int) -> None:
        self.active[wanted.unit] = "active"
        self.containers[wanted.container] = Container(
            wanted.container, "running", OWNER, wanted.instance, wanted.config_hash, frozenset(("tcp", port) for port in ports)
        )


@pytest.fixture
def host() -> Host:
    return Host()


def reconcile(tmp_path: Path, host: Host, instances: list[dict[str, t.Any]], prover: Prover | None = None, **changes: t.Any) -> Report:
    settings = {
        "paths": Paths(tmp_path / "instances", tmp_path / "run", lasting=tmp_path / "lasting"),
        "kinds": ("vllm",),
        "wants_dir": tmp_path / "wants",
        "lock_timeout": 0.0,
        "gpu_lock_timeout": 0.0,
        **changes,
    }
    reconciler = Reconciler(Settings(**settings), host.run, sleep=lambda _s: None, prover=prover)
    return reconciler.apply(want_all(instances, ["vllm"]), "tester")


def test_first_run_then_nothing(tmp_path: Path, host: Host) -> None:
    report = reconcile(tmp_path, host, [instance()])
    assert (report.changed, report.started, report.unchanged) == (True, ["vllm/chat"], [])
    assert host.effects == [
        ["systemctl", "reset-failed", "--", "vllm@chat.service"],
        ["systemctl", "start", "--no-block", "--", "vllm@chat.service"],
    ]
    folder = tmp_path / "instances/vllm/chat"
    assert sorted(os.listdir(folder)) == ["config.yaml", "env", "service.json"]
    assert [oct((folder / name).stat().st_mode & 0o777) for name in (".", "env", "config.yaml")] == ["0o700", "0o600", "0o644"]
    assert os.readlink(tmp_path / "wants/vllm@chat.service") == "../vllm@.service"

    host.serve(want(instance()))
    host.calls.clear()
    report = reconcile(tmp_path, host, [instance()])
    assert (report.changed, report.unchanged, report.diff) == (False, ["vllm/chat"], [])
    assert len(host.calls) == 2


def test_a_file_that_changes_keeps_its_label(tmp_path: Path, host: Host) -> None:
    """SELinux keeps labels, and the kernel ACLs, in extended attributes; without its label no container reads the file."""
    reconcile(tmp_path, host, [instance()])
    file = tmp_path / "instances/vllm/chat/config.yaml"
    os.setxattr(file, "user.label", b"container_file_t")
    reconcile(tmp_path, host, [instance(files={"config.yaml": "model: another\n"})])
    assert (file.read_text(), os.getxattr(file, "user.label")) == ("model: another\n", b"container_file_t")


def test_cost_of_no_change_does_not_grow(tmp_path: Path, host: Host) -> None:
    instances = [instance(name=f"chat{number}") for number in range(32)]
    reconcile(tmp_path, host, instances)
    for parameters in instances:
        host.serve(want(parameters))
    host.calls.clear()
    assert not reconcile(tmp_path, host, instances).changed
    assert [call[:2] for call in host.calls] == [["docker", "ps"], ["systemctl", "show"]]


def test_all_that_changes_stops_before_anything_starts(tmp_path: Path, host: Host) -> None:
    names = ("a", "b", "c", "gone")
    reconcile(tmp_path, host, [instance(name=name) for name in names])
    for name in names:
        host.serve(want(instance(name=name)))
    host.calls.clear()
    report = reconcile(tmp_path, host, [instance(name="a"), instance(name="b", command=["new"]), instance(name="c", command=["new"])])
    assert (report.unchanged, report.restarted, report.removed) == (["vllm/a"], ["vllm/b", "vllm/c"], ["vllm/gone"])
    assert report.stopped == ["vllm/b", "vllm/c", "vllm/gone"]
    assert host.effects == [
        ["systemctl", "stop", "--", "vllm@b.service", "vllm@c.service", "vllm@gone.service"],
        ["systemctl", "reset-failed", "--", "vllm@gone.service"],
        ["docker", "rm", "--force", "vllm-gone"],
        ["systemctl", "reset-failed", "--", "vllm@b.service", "vllm@c.service"],
        ["systemctl", "start", "--no-block", "--", "vllm@b.service", "vllm@c.service"],
    ]
    assert not (tmp_path / "instances/vllm/gone").exists()
    assert not (tmp_path / "wants/vllm@gone.service").is_symlink()


@pytest.mark.parametrize("before", ["activating", "failed", "active"])
def test_a_unit_that_leaves_is_not_left_as_failed(tmp_path: Path, host: Host, before: str) -> None:
    """It may become that only by being stopped: while it starts, a stop is a failed start."""
    reconcile(tmp_path, host, [instance()])
    host.serve(want(instance()))
    host.active["vllm@chat.service"] = before
    host.calls.clear()
    assert reconcile(tmp_path, host, []).removed == ["vllm/chat"]
    words = [call[1] for call in host.effects if call[0] == "systemctl"]
    assert words[-1] == "reset-failed"
    assert words[:-1] == (["stop"] if before != "failed" else [])


def test_the_record_of_what_has_served_goes_with_its_instance(tmp_path: Path, host: Host) -> None:
    reconcile(tmp_path, host, [instance(), instance(name="gone")])
    records = {name: tmp_path / f"lasting/served/vllm@{name}.json" for name in ("chat", "gone")}
    for record in records.values():
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text("{}")
    reconcile(tmp_path, host, [instance(command=["new"])])
    assert records["chat"].exists()
    assert not records["gone"].exists()


def test_new_settings_of_the_launcher_do_not_touch_the_container(tmp_path: Path, host: Host) -> None:
    reconcile(tmp_path, host, [instance()])
    host.serve(want(instance()))
    host.calls.clear()
    report = reconcile(tmp_path, host, [instance(watchdog=60.0)])
    assert report.reloaded == ["vllm/chat"]
    assert host.effects == [["systemctl", "kill", "--kill-who=main", "--signal=SIGHUP", "--", "vllm@chat.service"]]


def test_a_new_bound_on_memory_is_named_and_touches_no_container(tmp_path: Path, host: Host) -> None:
    reconcile(tmp_path, host, [instance()])
    host.serve(want(instance()))
    for mib, words in ((8192, "from none to 8192 MiB, without a restart"), (4096, "from 8192 MiB to 4096 MiB, without a restart")):
        host.calls.clear()
        report = reconcile(tmp_path, host, [instance(memory_limit_mib=mib)])
        assert (report.reloaded, report.restarted) == (["vllm/chat"], [])
        assert words in report.units["vllm/chat"]["reason"]
        assert host.effects == [["systemctl", "kill", "--kill-who=main", "--signal=SIGHUP", "--", "vllm@chat.service"]]
        host.serve(want(instance(memory_limit_mib=mib)))


def test_a_missed_upgrade_of_the_launcher_is_made_up_for(tmp_path: Path, host: Host) -> None:
    """Its program is compared with what is installed, so a run that was cut short after the installation leaves nothing behind."""
    reconcile(tmp_path, host, [instance()])
    wanted = want(instance())
    host.serve(wanted)
    program = tmp_path / "program"
    program.mkdir()
    (program / "_launcher.py").write_text("old")
    (program / "notes.txt").write_text("not of the program")

    def running() -> None:
        known = {"pid": 5, "config_hash": wanted.config_hash, "spec_hash": wanted.spec_hash, "program_dir": str(program)}
        state = tmp_path / "run/state/vllm@chat.json"
        state.parent.mkdir(parents=True, exist_ok=True)
        state.write_text(json.dumps({**known, "program_hash": program_hash(program)}))

    running()
    assert not reconcile(tmp_path, host, [instance()]).changed
    (program / "_launcher.py").write_text("new")
    host.calls.clear()
    assert reconcile(tmp_path, host, [instance()]).reloaded == ["vllm/chat"]
    assert host.effects == [["systemctl", "kill", "--kill-who=main", "--signal=SIGHUP", "--", "vllm@chat.service"]]
    running()
    assert not reconcile(tmp_path, host, [instance()]).changed
    # One from before launchers told which program they run.
    (tmp_path / "run/state/vllm@chat.json").write_text(json.dumps({**KNOWS, "pid": 5}))
    assert reconcile(tmp_path, host, [instance()]).reloaded == ["vllm/chat"]


def test_a_unit_that_was_masked_while_it_runs_is_reloaded_all_the_same(tmp_path: Path, host: Host) -> None:
    reconcile(tmp_path, host, [instance()])
    host.serve(want(instance()))
    host.load = "masked"
    assert reconcile(tmp_path, host, [instance(watchdog=60.0)]).reloaded == ["vllm/chat"]


def test_a_launcher_that_ends_before_it_is_reloaded_holds_up_nobody(tmp_path: Path, host: Host) -> None:
    reconcile(tmp_path, host, [instance(), instance(name="other")])
    for name in ("chat", "other"):
        host.serve(want(instance(name=name)))
    host.refused = "kill"
    host.calls.clear()
    report = reconcile(tmp_path, host, [instance(watchdog=60.0), instance(name="other", command=["new"])])
    assert ["systemctl", "start", "--no-block", "--", "vllm@other.service"] in host.effects
    assert report.warnings == ["could not reload vllm@chat.service: No main process to kill. The next run tries again."]


@pytest.mark.parametrize(
    ("load", "message"),
    [
        ("masked", "vllm@chat.service is masked. 'systemctl unmask vllm@chat.service' lets it start"),
        ("bad-setting", "systemd cannot use vllm@chat.service (bad-setting)"),
        ("not-found", "the template units are not installed: vllm@.service"),
    ],
)
def test_a_unit_that_systemd_cannot_start_is_told_before_anything_changes(tmp_path: Path, host: Host, load: str, message: str) -> None:
    host.load = load
    with pytest.raises(UnitsError, match=re.escape(message)):
        reconcile(tmp_path, host, [instance()])
    assert host.effects == []
    assert not (tmp_path / "instances").exists()


def test_a_killed_run_is_repaired(tmp_path: Path, host: Host) -> None:
    """The files are new already, the container is the old one."""
    reconcile(tmp_path, host, [instance(command=["new"])])
    host.serve(want(instance()))
    report = reconcile(tmp_path, host, [instance(command=["new"])])
    assert report.restarted == ["vllm/chat"]


def test_files_left_by_a_killed_run_go(tmp_path: Path, host: Host) -> None:
    reconcile(tmp_path, host, [instance(files={"config.yaml": "a", "old.txt": "b"})])
    folder = tmp_path / "instances/vllm/chat"
    (folder / ".env.new").write_text("half")
    (folder / "notes.txt").write_text("somebody's")
    reconcile(tmp_path, host, [instance()])
    assert sorted(os.listdir(folder)) == ["config.yaml", "env", "notes.txt", "service.json"]


def test_foreign_folders_and_containers_stay(tmp_path: Path, host: Host) -> None:
    foreign = tmp_path / "instances/vllm/mine"
    foreign.mkdir(parents=True)
    (foreign / "service.json").write_text(json.dumps({"owner": "me"}))
    (tmp_path / "instances/vllm/empty").mkdir()
    host.containers = {
        "vllm-mine": Container("vllm-mine", "running", "", "", ""),
        "vllm-other": Container("vllm-other", "running", "me", "vllm/other", "x"),
        "ollama-x": Container("ollama-x", "running", OWNER, "ollama/x", "x"),  # of a kind that this call does not own
    }
    report = reconcile(tmp_path, host, [])
    assert report.removed == []
    assert not report.changed
    assert host.effects == []
    with pytest.raises(UnitsError, match="exists and is not ours"):
        reconcile(tmp_path, host, [instance(name="mine")])
    host.containers["vllm-chat"] = Container("vllm-chat", "exited", "", "", "")
    with pytest.raises(UnitsError, match="a container named vllm-chat exists and is not ours"):
        reconcile(tmp_path, host, [instance()])
    assert host.effects == []


def test_a_container_without_folder_goes(tmp_path: Path, host: Host) -> None:
    host.serve(want(instance()))
    report = reconcile(tmp_path, host, [])
    assert report.removed == ["vllm/chat"]
    assert host.effects[-1] == ["docker", "rm", "--force", "vllm-chat"]
    assert reconcile(tmp_path, host, [], purge=False).removed == []


def test_check_mode_predicts_on_a_bare_host(tmp_path: Path, host: Host) -> None:
    host.missing = True
    report = reconcile(tmp_path, host, [instance()], check_mode=True)
    assert (report.changed, report.started) == (True, ["vllm/chat"])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UnitsError, match="Docker does not answer"):
        reconcile(tmp_path, host, [instance()])


def test_without_restart_only_files_change(tmp_path: Path, host: Host) -> None:
    reconcile(tmp_path, host, [instance()])
    host.serve(want(instance()))
    host.calls.clear()
    report = reconcile(tmp_path, host, [instance(command=["new"])], restart=False)
    assert (report.changed, report.pending, host.effects) == (True, ["vllm/chat"], [])
    assert reconcile(tmp_path, host, [instance(command=["new"])]).restarted == ["vllm/chat"]


def test_what_is_left_for_a_later_call_goes_on_as_it_runs(tmp_path: Path, host: Host) -> None:
    names = ("a", "b")
    serving(tmp_path, host, *names)
    before = (tmp_path / "instances/vllm/b/service.json").read_text()
    host.calls.clear()
    changed = [instance(name=name, locks=[f"GPU-{name}"], command=["new"]) for name in names]
    first = reconcile(tmp_path, host, changed, later=frozenset({"vllm/b"}), proof=None)
    assert (first.restarted, first.pending, first.units["vllm/b"]["action"]) == (["vllm/a"], ["vllm/b"], "held")
    assert not any("vllm@b.service" in call for call in host.effects)
    assert (tmp_path / "instances/vllm/b/service.json").read_text() == before
    host.serve(want(changed[0]))
    host.calls.clear()
    again = reconcile(tmp_path, host, changed, later=frozenset({"vllm/b"}))
    assert (again.changed, again.pending, host.effects) == (False, ["vllm/b"], [])
    second = reconcile(tmp_path, host, changed)
    assert (second.restarted, second.pending, second.unchanged) == (["vllm/b"], [], ["vllm/a"])


def test_what_takes_from_another_is_joined_to_it(tmp_path: Path, host: Host) -> None:
    before = [instance(name="a", locks=["GPU-a"]), instance(name="b", locks=["GPU-b"])]
    reconcile(tmp_path, host, before)
    for parameters in before:
        host.serve(want(parameters))
    moved = [instance(name="a", locks=["GPU-b"]), instance(name="b", locks=["GPU-c"])]
    assert reconcile(tmp_path, host, moved, check_mode=True).joined == [("vllm/a", "vllm/b")]


@pytest.mark.parametrize(
    ("changes", "hosts"),
    [
        ({"group": {**GROUP, "digest": "another"}, "command": ["new"]}, ["a", "b"]),
        # The others need not change for what is this host's alone, and nothing waits for a part that is no part any more.
        ({"group": GROUP, "command": ["new"]}, None),
        ({"command": ["new"]}, None),
    ],
)
def test_a_part_tells_who_has_to_change_with_it(tmp_path: Path, host: Host, changes: dict[str, t.Any], hosts: list[str] | None) -> None:
    before = instance(group=GROUP)
    reconcile(tmp_path, host, [before])
    host.serve(want(before))
    report = reconcile(tmp_path, host, [instance(**changes)], check_mode=True)
    assert report.restarted == ["vllm/chat"]
    assert report.regrouped == ({"vllm/chat": hosts} if hosts else {})


def test_an_image_that_cannot_be_had_leaves_the_old_container(tmp_path: Path, host: Host) -> None:
    reconcile(tmp_path, host, [instance()])
    host.serve(want(instance()))
    host.calls.clear()
    before = (tmp_path / "instances/vllm/chat/service.json").read_text()
    report = reconcile(tmp_path, host, [instance(image="none:1"), instance(name="two")])
    told = f"vllm/chat: image_missing: cannot pull none:1: manifest unknown. {STILL_SERVES}"
    assert report.failures[0].split("\n")[0] == told
    assert "Remedy: " in report.failures[0]
    assert (report.restarted, report.stopped, report.started) == ([], [], [])
    assert report.pending == ["vllm/two"]  # on the same GPU
    assert not any("vllm@chat.service" in call for call in host.effects)
    assert (tmp_path / "instances/vllm/chat/service.json").read_text() == before


def test_one_refused_instance_does_not_hide_what_became_of_the_others(tmp_path: Path, host: Host) -> None:
    serving(tmp_path, host, "chat", "two", "three")
    paths = Paths(tmp_path / "instances", tmp_path / "run")
    for name, phase in (("two", "ready"), ("three", "failed")):
        state = {"phase": phase, "cause": "out_of_memory" if phase == "failed" else None}
        paths.state("vllm", name).parent.mkdir(parents=True, exist_ok=True)
        paths.state("vllm", name).write_text(json.dumps(state))
    report = Report(
        units={
            "vllm/chat": {"action": "refused"},
            "vllm/two": {"action": "keep"},
            "vllm/three": {"action": "keep"},
            "vllm/four": {"action": "start"},
        },
        failures=["vllm/chat: bad_flag: x"],
    )
    assert told_of_failures(report, paths).split("\n") == [
        "vllm/chat: bad_flag: x",
        "The other instances of this host, which continue by themselves:",
        "  vllm/four: started",
        "  vllm/three: unchanged, failed: out_of_memory",
        "  vllm/two: unchanged, ready",
    ]
    assert told_of_failures(Report(failures=["x"]), paths) == "x"


CHECK: dict[str, t.Any] = {"entrypoint": "python3", "command": ["-c", "read()"], "input": "config.yaml"}
TWO = instance(name="two", locks=["GPU-b"])
BAD: dict[str, t.Any] = {"files": {"config.yaml": "no-such-flag: 1\n"}, "check": CHECK}


def serving(tmp_path: Path, host: Host, *names: str) -> None:
    reconcile(tmp_path, host, [instance(name=name) for name in names])
    for name in names:
        host.serve(want(instance(name=name)))
    host.calls.clear()


def test_what_the_image_refuses_goes_on_as_it_was(tmp_path: Path, host: Host) -> None:
    reconcile(tmp_path, host, [instance(), TWO])
    for parameters in (instance(), TWO):
        host.serve(want(parameters))
    host.checks["no-such-flag: 1\n"] = Ran(2, "", f"vllm: error: unrecognized arguments: --no-such-flag {SECRET}\n")
    before = (tmp_path / "instances/vllm/chat/service.json").read_text()
    report = reconcile(tmp_path, host, [instance(**BAD), instance(name="new", **BAD), {**TWO, "command": ["new"], "check": CHECK}])
    assert [failure.splitlines()[0].replace(SECRET, "SECRET") for failure in report.failures] == [
        "vllm/chat: bad_flag: vllm/vllm-openai:v0.32.0 refuses the new configuration: vllm: error: unrecognized arguments: "
        f"--no-such-flag ********. {STILL_SERVES}",
        "vllm/new: bad_flag: vllm/vllm-openai:v0.32.0 refuses the new configuration: vllm: error: unrecognized arguments: "
        "--no-such-flag ********. Nothing was started.",
    ]
    assert "    vllm: error: unrecognized arguments" in report.failures[0]
    assert (report.started, report.restarted, report.stopped) == ([], ["vllm/two"], ["vllm/two"])
    assert (tmp_path / "instances/vllm/chat/service.json").read_text() == before
    assert not (tmp_path / "instances/vllm/new").exists()
    assert not (tmp_path / "wants/vllm@new.service").is_symlink()
    assert sorted(host.read) == ["model: x\n", "no-such-flag: 1\n", "no-such-flag: 1\n"]


REFUSED = Ran(1, "", "Error response from daemon: unknown or invalid runtime name: nvidia\n")


@pytest.mark.parametrize("command", ["create", "network", "start"])
def test_what_docker_refuses_leaves_everything_as_it_was(tmp_path: Path, host: Host, command: str) -> None:
    serving(tmp_path, host, "chat")
    folder = tmp_path / "instances/vllm/chat"
    before = {path.name: path.read_text() for path in folder.iterdir()}
    host.trials[command, "vllm-chat"] = REFUSED
    report = reconcile(tmp_path, host, [instance(networks=["a", "b"])])
    assert report.failures[0].startswith(
        "vllm/chat: runtime_missing: Docker refuses the new configuration: Error response from daemon: unknown or invalid runtime name: "
        f"nvidia. {STILL_SERVES}\n  Remedy: "
    )
    assert report.units["vllm/chat"]["action"] == "refused"
    assert (report.restarted, report.stopped) == ([], [])
    assert host.effects == []
    assert {path.name: path.read_text() for path in folder.iterdir()} == before
    assert host.tried("rm")[-1] == "vllm-chat"
    host.trials.clear()
    assert reconcile(tmp_path, host, [instance(networks=["a", "b"])]).restarted == ["vllm/chat"]  # the next run tries again


def test_a_container_that_has_never_answered_is_not_said_to_serve(tmp_path: Path, host: Host) -> None:
    serving(tmp_path, host, "chat")
    host.active["vllm@chat.service"] = "activating"  # it loads, or fails again and again
    host.trials["create", "vllm-chat"] = REFUSED
    (told,) = reconcile(tmp_path, host, [instance(networks=["a", "b"])]).failures
    assert "still serves" not in told
    assert (
        "nvidia. The old container stays, with its old configuration, by which it does not serve so far; the next run tries again.\n"
        in told
    )


def test_what_docker_refuses_in_words_that_nobody_knows(tmp_path: Path, host: Host) -> None:
    serving(tmp_path, host, "chat")
    host.trials["create", "vllm-chat"] = Ran(1, "", "Error response from daemon: the zork is bent\n")
    (told,) = reconcile(tmp_path, host, [instance(networks=["a", "b"])]).failures
    assert told.startswith(
        f"vllm/chat: Docker refuses the new configuration: Error response from daemon: the zork is bent. {STILL_SERVES}\n"
        "  Remedy: Docker's message says"
    )
    assert "unknown" not in told


def test_a_change_is_tried_before_its_files_are_in_place_and_before_anything_stops(tmp_path: Path, host: Host) -> None:
    serving(tmp_path, host, "chat", "two")
    folder = tmp_path / "instances/vllm/chat"
    seen = []

    def run(argv: Sequence[str], timeout: float, text: str = "", /) -> Ran:
        if argv[:2] == ["docker", "create"] and trial_of(argv) == "vllm-chat":
            env = Path(argv[argv.index("--env-file") + 1])
            seen.append(((folder / "env").read_text(), env.read_text(), oct(env.stat().st_mode & 0o777)))
        return host.run(argv, timeout, text)

    settings = Settings(Paths(tmp_path / "instances", tmp_path / "run"), ("vllm",), wants_dir=tmp_path / "wants")
    wanted = want_all([instance(environment={"NEW": "1", "HF_HOME": ""}), instance(name="two", watchdog=60.0)], ["vllm"])
    Reconciler(settings, run, sleep=lambda _s: None).apply(wanted)
    old, new = want(instance()).files["env"], wanted[0].files["env"]
    assert seen == [(old, new, "0o600"), (old, new, "0o600")]
    assert [call[1] for call in host.calls if call[1] in ("create", "stop")] == ["create", "create", "stop"]
    assert set(host.tried("create")) == {"vllm-chat"}  # settings of the launcher make no other container


HUB: dict[str, t.Any] = {"download_entrypoint": "python3", "download_command": ["-c", "get", "org/model"]}


def test_another_model_is_fetched_while_the_old_one_serves(tmp_path: Path, host: Host) -> None:
    serving(tmp_path, host, "chat")
    changed = instance(**HUB, files={"config.yaml": "model: org/model\n"})
    host.checks[""] = Ran(1, "", "huggingface_hub.errors.RepositoryNotFoundError: 404 Client Error. Repository Not Found for url: x\n")
    report = reconcile(tmp_path, host, [changed])
    assert report.failures[0].startswith("vllm/chat: bad_model: its model cannot be fetched: ")
    assert STILL_SERVES in report.failures[0]
    assert [call[1] for call in host.effects] == ["rm", "run"]
    assert not host.tried("create")
    host.checks.clear()
    host.calls.clear()
    assert reconcile(tmp_path, host, [changed]).restarted == ["vllm/chat"]
    assert [call[1] for call in host.effects][:3] == ["rm", "run", "stop"]
    # The same model with other arguments is there already.
    host.serve(want(changed))
    host.calls.clear()
    assert reconcile(tmp_path, host, [{**changed, "command": ["new"]}]).restarted == ["vllm/chat"]
    assert not any(call[1] == "run" for call in host.calls)


class Models:
    """An Ollama server that serves the old models, and what its registry has."""

    def __init__(self, present: Sequence[str], refusals: dict[str, str], reachable: bool = True) -> None:
        self.present, self.refusals, self.reachable = list(present), refusals, reachable
        self.asked: list[str] = []

    def __call__(self, url: str) -> Models:
        assert url == "http://127.0.0.1:11434"
        return self

    def tags(self) -> list[Installed]:
        if not self.reachable:
            raise UnreachableError("no answer")
        return [Installed(tag, "d") for tag in self.present]

    def pull(self, tag: str) -> None:
        self.asked.append(tag)
        if tag in self.refusals:
            raise OllamaError(self.refusals[tag])


GONE, NEWER = "pull model manifest: file does not exist", "pull model manifest: 412: this model requires a newer version of Ollama"


@pytest.mark.parametrize(
    ("server", "changes", "asked", "cause"),
    [
        pytest.param(Models(["old:1"], {}), {}, ["new:1"], None, id="pulled-by-the-old-server"),
        pytest.param(Models(["old:1", "new:1"], {}), {}, [], None, id="there-already"),
        pytest.param(Models(["old:1"], {"new:1": GONE}), {}, ["new:1"], "bad_model", id="no-such-model"),
        pytest.param(Models(["old:1"], {"new:1": "dial tcp: lookup"}), {}, ["new:1"], "download_failed", id="no-registry"),
        pytest.param(Models(["old:1"], {"new:1": NEWER}), {"image": "ollama:2"}, ["new:1"], None, id="the-new-server-may-know-it"),
        pytest.param(Models([], {}, reachable=False), {}, [], None, id="the-old-server-does-not-answer"),
    ],
)
def test_models_of_ollama_are_pulled_while_the_old_ones_serve(
    tmp_path: Path, host: Host, server: Models, changes: dict[str, t.Any], asked: list[str], cause: str | None
) -> None:
    host.images |= {"ollama:1", "ollama:2"}
    old = instance(image="ollama:1", pull_models=["old:1"], probe={"base_url": "http://127.0.0.1:11434/v1"})
    reconcile(tmp_path, host, [old])
    host.serve(want(old))
    settings = Settings(Paths(tmp_path / "instances", tmp_path / "run", lasting=tmp_path / "l"), ("vllm",), wants_dir=tmp_path / "wants")
    wanted = want_all([{**old, "pull_models": ["old:1", "new:1"], **changes}], ["vllm"])
    report = Reconciler(settings, host.run, sleep=lambda _s: None, server=server).apply(wanted)
    assert server.asked == asked
    assert report.restarted == ([] if cause else ["vllm/chat"])
    assert [failure.split(": ")[1] for failure in report.failures] == ([cause] if cause else [])


def test_what_a_killed_trial_left_goes(tmp_path: Path, host: Host) -> None:
    serving(tmp_path, host, "chat")
    host.containers["vllm-gone-trial"] = Container("vllm-gone-trial", "created", OWNER, "", "")
    host.containers["mine-trial"] = Container("mine-trial", "created", "", "", "")
    assert not reconcile(tmp_path, host, [instance()]).changed
    assert [call for call in host.calls if call[1] == "rm"] == [["docker", "rm", "--force", "--volumes", "vllm-gone-trial"]]


def test_what_leaves_stays_until_all_that_comes_can_start(tmp_path: Path, host: Host) -> None:
    """A service that was renamed: its old name leaves, its new one is refused."""
    serving(tmp_path, host, "old")
    host.trials["start", "vllm-new"] = Ran(1, "", "Error response from daemon: driver failed: port is already allocated\n")
    report = reconcile(tmp_path, host, [instance(name="new")])
    assert "port_in_use" in report.failures[0]
    assert "Nothing was started." in report.failures[0]
    assert "vllm/old (it goes when the others have come)" in report.failures[1]
    assert (report.removed, report.started, report.stopped, report.pending) == ([], [], [], ["vllm/old"])
    assert host.effects == []
    assert (tmp_path / "instances/vllm/old/service.json").exists()
    assert not (tmp_path / "instances/vllm/new").exists()
    assert not (tmp_path / "wants/vllm@new.service").is_symlink()
    report = reconcile(tmp_path, host, [instance(name="new", image="none:1")])
    assert "cannot pull none:1" in report.failures[0]
    assert host.effects == [["docker", "pull", "--quiet", "none:1"]]
    host.trials.clear()
    report = reconcile(tmp_path, host, [instance(name="new")])
    assert (report.failures, report.removed, report.started) == ([], ["vllm/old"], ["vllm/new"])


def test_changes_of_one_gpu_go_together(tmp_path: Path, host: Host) -> None:
    """The refused one keeps its memory, so what was to get it would stop and not start."""
    instances = [instance(name="a"), instance(name="b"), instance(name="far", locks=["GPU-b"])]
    reconcile(tmp_path, host, instances)
    for parameters in instances:
        host.serve(want(parameters))
    host.calls.clear()
    host.trials["create", "vllm-a"] = Ran(125, "", "unknown flag: --x\nSee 'docker create --help'.\n")
    changed = [{**parameters, "command": ["new"]} for parameters in instances]
    report = reconcile(tmp_path, host, [*changed, instance(name="c")])
    assert (report.restarted, report.started, sorted(report.pending)) == (["vllm/far"], [], ["vllm/b", "vllm/c"])
    assert report.units["vllm/b"] | {"config_hash": ""} == {
        "unit": "vllm@b.service",
        "container": "vllm-b",
        "config_hash": "",
        "action": "held",
        "reason": "vllm/a goes on serving with GPU GPU-a",
    }
    assert report.failures[1] == (
        "Left as they are until the next run, because of what was refused: vllm/b (vllm/a goes on serving with GPU GPU-a); "
        "vllm/c (vllm/a goes on serving with GPU GPU-a)."
    )
    assert not (tmp_path / "instances/vllm/c").exists()


def test_ports_of_what_stops_are_no_hindrance(tmp_path: Path, host: Host) -> None:
    reconcile(tmp_path, host, [instance()])
    host.serve(want(instance()), 8070)
    reconcile(tmp_path, host, [instance(docker_arguments=["-p", "127.0.0.1:8070:8000", "-p", "9000:9000"])])
    exact, startable = (call for call in host.calls if call[:2] == ["docker", "create"])
    assert [word for word in exact if word.startswith("--publish")] == ["--publish=127.0.0.1:8070:8000", "--publish=9000:9000"]
    assert [word for word in startable if word.startswith("--publish")] == ["--publish=127.0.0.1::8000/tcp", "--publish=9000:9000"]


def test_a_restart_says_what_differs(tmp_path: Path, host: Host) -> None:
    serving(tmp_path, host, "chat")
    new = instance(image="vllm/vllm-openai:v0.33.0", docker_arguments=["--init", "--shm-size", "1g"], environment={"HF_HOME": "/new"})
    host.images.add(new["image"])
    reason = reconcile(tmp_path, host, [new], check_mode=True).units["vllm/chat"]["reason"]
    assert reason == (
        "the running container has another configuration: image vllm/vllm-openai:v0.32.0 -> vllm/vllm-openai:v0.33.0, "
        "with --shm-size 1g, variable DEBUG, variable EMPTY, variable HF_HOME, variable N"
    )


def test_a_check_sees_no_network_no_secrets_and_no_files_of_the_instance(tmp_path: Path, host: Host) -> None:
    arguments = ["--init", "--volume", "/x/instances/vllm/chat/config.yaml:/c:ro", "-v", "/models:/models", "--env=A=1", "--publish", "1:1"]
    reconcile(tmp_path, host, [instance(docker_arguments=arguments, environment={"B": 2}, check=CHECK)])
    (argv,) = [call for call in host.calls if call[:2] == ["docker", "run"]]
    assert argv[argv.index("--network") + 1] == "none"
    tail = ["--volume=/models:/models", "--env=A=1", "--env", "B=2", "--entrypoint", "python3", "vllm/vllm-openai:v0.32.0", "-c", "read()"]
    assert argv[-len(tail) :] == tail
    assert SECRET not in " ".join(argv)
    assert not any("config.yaml" in argument or "1:1" in argument for argument in argv)


@pytest.mark.parametrize(
    ("changes", "checked"),
    [
        pytest.param({}, False, id="unchanged"),
        pytest.param({"watchdog": 60.0}, False, id="launcher-only"),
        pytest.param({"command": ["new"]}, True, id="changed"),
        pytest.param({"command": ["new"], "check": None}, False, id="without-check"),
    ],
)
def test_only_what_changes_is_checked(tmp_path: Path, host: Host, changes: dict[str, t.Any], checked: bool) -> None:
    serving(tmp_path, host, "chat")
    reconcile(tmp_path, host, [instance(**{"check": CHECK, **changes})])
    assert bool(host.read) is checked


def test_what_is_left_for_a_later_call_is_checked_before_it_and_once(tmp_path: Path, host: Host) -> None:
    serving(tmp_path, host, "chat")
    changed = [instance(check=CHECK, command=["new"])]
    ahead = reconcile(tmp_path, host, changed, later=frozenset({"vllm/chat"}))
    assert (ahead.checked, len(host.read)) == ({"vllm/chat": want(changed[0]).config_hash}, 1)
    host.calls.clear()
    assert reconcile(tmp_path, host, changed, checked=ahead.checked).restarted == ["vllm/chat"]
    assert len(host.read) == 1
    assert not any("vllm-chat-trial" in call for call in host.calls)
    # Another configuration than the one that was read.
    reconcile(tmp_path, host, [instance(check=CHECK, command=["newer"])], checked=ahead.checked)
    assert len(host.read) == 2


def test_what_comes_for_what_leaves_is_tried_by_the_call_that_knows_of_it(tmp_path: Path, host: Host) -> None:
    """A service that was renamed, beside one that changes: the call ahead does not see what leaves."""
    serving(tmp_path, host, "old", "other")
    changed = [instance(name="new", image="none:1"), instance(name="other", command=["new"], locks=["GPU-other"])]
    ahead = reconcile(tmp_path, host, changed, later=frozenset({"vllm/new", "vllm/other"}), purge=False)
    assert list(ahead.checked) == ["vllm/other"]
    report = reconcile(tmp_path, host, changed, checked=ahead.checked)
    assert "cannot pull none:1" in report.failures[0]
    assert (report.removed, report.started) == ([], [])


def test_what_an_image_refuses_is_refused_before_the_later_call(tmp_path: Path, host: Host) -> None:
    serving(tmp_path, host, "chat")
    host.checks["no-such-flag: 1\n"] = Ran(2, "", "vllm: error: unrecognized arguments: --no-such-flag\n")
    ahead = reconcile(tmp_path, host, [instance(**BAD)], later=frozenset({"vllm/chat"}))
    assert "refuses the new configuration" in ahead.failures[0]
    assert (ahead.checked, ahead.units["vllm/chat"]["action"]) == ({}, "refused")
    assert not any("vllm@chat.service" in call or "vllm-chat-trial" in call for call in host.effects)


def test_a_start_without_the_image_or_of_the_same_is_not_checked(tmp_path: Path, host: Host) -> None:
    reconcile(tmp_path, host, [instance(image="not:here", check=CHECK)])
    reconcile(tmp_path, host, [instance()])
    host.read.clear()
    assert reconcile(tmp_path, host, [instance(check=CHECK)]).started == ["vllm/chat"]
    assert host.read == []


def test_a_check_that_cannot_run_is_a_warning(tmp_path: Path, host: Host) -> None:
    serving(tmp_path, host, "chat")
    host.checks["no-such-flag: 1\n"] = Ran(127, "", "exec: python3: not found\n")
    report = reconcile(tmp_path, host, [instance(**BAD)])
    assert (report.restarted, report.failures) == (["vllm/chat"], [])
    assert report.warnings == [
        "vllm/chat: its new configuration could not be checked with vllm/vllm-openai:v0.32.0: exec: python3: not found"
    ]


def test_a_full_disk_leaves_the_old_files_whole(tmp_path: Path, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    reconcile(tmp_path, host, [instance(name="a"), instance(name="b")])
    files = {path: path.read_bytes() for path in tmp_path.glob("instances/vllm/*/*")}
    real, count = os.fsync, [0]

    def fsync(descriptor: int) -> None:
        count[0] += 1
        if count[0] > 3:  # in the middle of the second instance
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    host.calls.clear()
    changed: dict[str, t.Any] = {"command": ["new"], "files": {"config.yaml": "new"}}
    with pytest.raises(UnitsError, match="no space left"):
        reconcile(tmp_path, host, [instance(name="a", **changed), instance(name="b", **changed), instance(name="c")])
    assert {path: path.read_bytes() for path in tmp_path.glob("instances/vllm/*/*")} == files
    assert host.effects == []
    assert not (tmp_path / "instances/vllm/c").exists()


def test_the_diff_hides_secrets(tmp_path: Path, host: Host) -> None:
    report = reconcile(tmp_path, host, [instance()])
    reconcile(tmp_path, host, [instance()])
    after = reconcile(tmp_path, host, [instance(secret_environment={"VLLM_API_KEY": SECRET + "2"}, environment={"HF_HOME": "/new"})])
    env = next(part for part in after.diff if part["after_header"].endswith("/env"))
    assert "VLLM_API_KEY=<hidden>\n" in env["before"]
    assert env["after"] == "HF_HOME=/new\nVLLM_API_KEY=<hidden> (changed)\n"
    assert "HF_HOME=/hub\n" in report.diff[1]["after"]
    assert SECRET not in json.dumps([report.diff, after.diff, after.units])


def test_the_diff_hides_a_secret_that_holds_an_odd_line_separator(tmp_path: Path, host: Host) -> None:
    report = reconcile(tmp_path, host, [instance(secret_environment={"VLLM_API_KEY": f"abcd\u2028X={SECRET}"})])
    assert SECRET not in json.dumps(report.diff)


ME = f"{os.getuid()}:{os.getgid()}"


def live_only(tmp_path: Path, host: Host, instances: list[dict[str, t.Any]], check_mode: bool = False) -> Report:
    paths = Paths(tmp_path / "instances", tmp_path / "run", lasting=tmp_path / "lasting")
    reconciler = Reconciler(Settings(paths, ("vllm",), check_mode=check_mode), host.run, sleep=lambda _s: None)
    return reconciler.place_live(want_all(instances, ["vllm"]), "tester")


def test_live_files_are_no_part_of_a_hash() -> None:
    plain, live = (
        want(instance()),
        want(instance(secret_live_files={"keys.json": SECRET}, live_files={"a": "b"}, live_owner=ME)),
    )
    assert (plain.config_hash, plain.spec_hash, plain.files) == (live.config_hash, live.spec_hash, live.files)


def test_a_new_live_file_restarts_nothing(tmp_path: Path, host: Host) -> None:
    first = instance(secret_live_files={"keys.json": SECRET}, live_owner=ME)
    reconcile(tmp_path, host, [first])
    assert (tmp_path / "instances/vllm/chat/live/keys.json").read_text() == SECRET
    host.serve(want(first))
    host.calls.clear()
    second = {**first, "secret_live_files": {"keys.json": SECRET + "2"}}
    predicted = reconcile(tmp_path, host, [second], check_mode=True)
    assert (predicted.changed, predicted.replaced) == (True, ["vllm/chat"])
    assert (tmp_path / "instances/vllm/chat/live/keys.json").read_text() == SECRET
    report = reconcile(tmp_path, host, [second])
    assert (report.changed, report.replaced, report.restarted, report.reloaded) == (True, ["vllm/chat"], [], [])
    assert (tmp_path / "instances/vllm/chat/live/keys.json").read_text() == SECRET + "2"
    assert host.effects == []
    assert SECRET not in json.dumps([predicted.diff, report.diff])
    assert not reconcile(tmp_path, host, [second]).changed


def test_live_files_alone_leave_all_else_as_it_is(tmp_path: Path, host: Host) -> None:
    first = instance(secret_live_files={"keys.json": SECRET}, live_owner=ME)
    reconcile(tmp_path, host, [first, TWO])
    service = (tmp_path / "instances/vllm/chat/service.json").read_text()
    host.calls.clear()
    changed = {**first, "command": ["new"], "secret_live_files": {"keys.json": "new"}}
    new = instance(name="new", secret_live_files={"keys.json": SECRET}, live_owner=ME)
    assert live_only(tmp_path, host, [changed, new], check_mode=True).replaced == ["vllm/chat"]
    report = live_only(tmp_path, host, [changed, new])
    assert (report.changed, report.replaced) == (True, ["vllm/chat"])
    assert (tmp_path / "instances/vllm/chat/live/keys.json").read_text() == "new"
    assert (tmp_path / "instances/vllm/chat/service.json").read_text() == service
    assert not (tmp_path / "instances/vllm/new").exists(), "it has no container that could read them"
    assert host.calls == []


def test_live_files_go_with_their_instance(tmp_path: Path, host: Host) -> None:
    first = instance(secret_live_files={"keys.json": SECRET}, live_owner=ME)
    reconcile(tmp_path, host, [first])
    host.serve(want(first))
    reconcile(tmp_path, host, [])
    assert not (tmp_path / "instances/vllm").exists()


def test_two_runs_do_not_interleave(tmp_path: Path, host: Host) -> None:
    other = FileLock(tmp_path / "run/reconcile.lock")
    assert other.try_lock(json.dumps({"pid": 4711, "by": "ansible-playbook of alice", "since": "2026-11-20 10:00:00 UTC"}))
    told = r"ansible-playbook of alice, since 2026-11-20 10:00:00 UTC, process 4711 on this host[.] It holds .*/run/reconcile[.]lock[.]"
    with pytest.raises(UnitsError, match=told):
        reconcile(tmp_path, host, [instance()])
    assert host.calls == []
    other.release()
    assert reconcile(tmp_path, host, [instance()]).changed


def test_serving_engines_stop_while_nobody_loads(tmp_path: Path, host: Host) -> None:
    """A neighbour that measures the GPU while memory is freed fails. An engine that is loading itself stops at once."""
    for name in ("serving", "loading"):
        reconcile(tmp_path, host, [instance(name=name)], purge=False)
        host.serve(want(instance(name=name)))
        state = tmp_path / f"run/state/vllm@{name}.json"
        state.parent.mkdir(parents=True, exist_ok=True)
        state.write_text(json.dumps({"phase": "ready" if name == "serving" else "compiling"}))
    neighbour = FileLock(tmp_path / "run/locks/gpu-GPU-a.lock")
    assert neighbour.try_lock()
    host.calls.clear()
    report = reconcile(tmp_path, host, [])
    assert [call[3:] for call in host.effects if call[1] == "stop"] == [["vllm@loading.service"], ["vllm@serving.service"]]
    assert report.warnings == ["an engine still loads on GPU GPU-a; stopped its neighbours all the same"]
    neighbour.release()


def test_template_units_must_be_there(tmp_path: Path, host: Host) -> None:
    def run(argv: Sequence[str], timeout: float, text: str = "", /) -> Ran:
        done = host.run(argv, timeout)
        return Ran(0, done.out.replace("loaded", "not-found")) if argv[1] == "show" else done

    reconciler = Reconciler(Settings(Paths(tmp_path / "i", tmp_path / "r"), ("vllm",)), run)
    with pytest.raises(UnitsError, match=r"template units are not installed: vllm@[.]service"):
        reconciler.apply(want_all([instance()], ["vllm"]))


class Killed(BaseException):
    """What kill -9 is for a process: nothing of it is caught."""


@dataclass
class LivelyHost(Host):
    """A host whose launchers do their work: a started unit runs what its folder says at that moment."""

    folder: Path = Path()
    kill_at: int = -1

    def run(self, argv: Sequence[str], timeout: float, text: str = "", /) -> Ran:
        if len(self.calls) == self.kill_at:
            raise Killed
        ran = super().run(argv, timeout, text)
        words = list(argv)
        for name in words[words.index("--") + 1 :] if "--" in words else []:
            kind, _at, rest = name.partition("@")
            instance_name = rest[: -len(".service")]
            if words[1] == "stop":
                self.containers.pop(f"{kind}-{instance_name}", None)
            elif words[1] == "start":
                document = json.loads((self.folder / kind / instance_name / "service.json").read_text())
                self.containers[f"{kind}-{instance_name}"] = Container(
                    f"{kind}-{instance_name}", "running", OWNER, f"{kind}/{instance_name}", document["config_hash"]
                )
                self.active[name] = "active"
        return ran


@pytest.mark.parametrize("point", range(24))
@pytest.mark.parametrize("where", ["command", "rename"])
def test_the_next_run_repairs_what_a_killed_one_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, point: int) -> None:
    host = LivelyHost(folder=tmp_path / "instances")
    old = [instance(name=name, files={"config.yaml": "old"}) for name in ("a", "b", "gone")]
    new = [instance(name=name, files={"config.yaml": "new"}) for name in ("a", "b", "added")]
    reconcile(tmp_path, host, old)
    host.calls.clear()
    count = [0]
    real = os.replace

    def replace(source: t.Any, target: t.Any) -> None:
        if count[0] == point:
            raise Killed
        count[0] += 1
        real(source, target)

    if where == "command":
        host.kill_at = point
    else:
        monkeypatch.setattr(os, "replace", replace)
    try:
        reconcile(tmp_path, host, new)
        killed = False
    except Killed:
        killed = True
    assert killed or point > 6

    host.kill_at = -1
    monkeypatch.setattr(os, "replace", real)
    reconcile(tmp_path, host, new)
    wanted = {item.container: item for item in want_all(new, ["vllm"])}
    assert {name: container.config_hash for name, container in host.containers.items()} == {
        name: item.config_hash for name, item in wanted.items()
    }
    for item in wanted.values():
        assert host.active[item.unit] == "active"
        folder = tmp_path / "instances/vllm" / item.name
        assert {entry.name: entry.read_text() for entry in folder.iterdir()} == dict(item.files)
        assert (tmp_path / "wants" / item.unit).is_symlink()
    assert not (tmp_path / "instances/vllm/gone").exists()
    host.calls.clear()
    assert not reconcile(tmp_path, host, new).changed


# -- releases


class Asked:
    """Whom a run has measured before it replaced them, and which files they had then."""

    def __init__(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "instances/vllm"
        self.seen: dict[str, str] = {}

    def measure_before(self, items: Sequence[Wanted]) -> None:
        self.seen.update({item.name: (self.folder / item.name / "config.yaml").read_text() for item in items})


def with_prover(tmp_path: Path, host: Host, instances: list[dict[str, t.Any]], **changes: t.Any) -> tuple[Report, Asked]:
    asked = Asked(tmp_path)
    return reconcile(tmp_path, host, instances, t.cast(Prover, asked), **changes), asked


def test_a_part_of_an_engine_is_measured_while_it_is_held_and_others_just_before_they_stop(tmp_path: Path, host: Host) -> None:
    group = {"rank": 0, "port": 18070, "digest": "abc", "key_variable": "VLLM_API_KEY", "members": [{"host": "a", "address": "10.0.0.1"}]}
    before = [instance(name="a", locks=["GPU-a"]), instance(name="b", locks=["GPU-b"], group=group)]
    reconcile(tmp_path, host, before)
    for parameters in before:
        host.serve(want(parameters))
    changed = [{**one, "command": ["new"]} for one in before]
    _report, held = with_prover(tmp_path, host, changed, later=frozenset({"vllm/a", "vllm/b"}))
    assert list(held.seen) == ["b"]
    report, swapped = with_prover(tmp_path, host, changed)
    assert report.restarted == ["vllm/a", "vllm/b"]
    assert list(swapped.seen) == ["a"]


def test_what_is_replaced_is_measured_before_its_files_change(tmp_path: Path, host: Host) -> None:
    instances = [instance("a"), instance("b"), instance("c")]
    _report, asked = with_prover(tmp_path, host, instances)
    assert asked.seen == {}
    for one in instances[:2]:
        host.serve(want(one))
    changed = [instance(name, files={"config.yaml": "model: y\n"}) for name in "abc"]
    _report, asked = with_prover(tmp_path, host, [changed[0], instances[1], changed[2]])
    assert asked.seen == {"a": "model: x\n"}  # c does not serve, and b stays


def test_what_has_no_release_is_named(tmp_path: Path, host: Host) -> None:
    report, _asked = with_prover(tmp_path, host, [instance("a"), instance("b")])
    assert report.unproved == {"vllm/a": None, "vllm/b": None}
    wanted = want(instance("a"))
    document = {"config_hash": wanted.config_hash, "image_id": "sha256:1"}
    paths = Paths(tmp_path / "instances", tmp_path / "run", lasting=tmp_path / "lasting")
    releases.record(paths, Instance("vllm", "a"), document)
    report, _asked = with_prover(tmp_path, host, [instance("a"), instance("b")])
    assert report.unproved == {"vllm/b": None}
    report, _asked = with_prover(tmp_path, host, [instance("a", command=["new"]), instance("b")])
    assert report.unproved == {"vllm/a": 1, "vllm/b": None}
    assert reconcile(tmp_path, host, [instance("a", command=["new"])]).unproved == {}


def test_what_was_refused_has_nothing_to_prove(tmp_path: Path, host: Host) -> None:
    with_prover(tmp_path, host, [instance("a")])
    host.serve(want(instance("a")))
    report, asked = with_prover(tmp_path, host, [instance("a", image="registry/missing:1")])
    assert report.failures
    assert (report.unproved, asked.seen) == ({}, {})


class Changes:
    """One instance that changes again and again, and what a boot finds then."""

    def __init__(self, tmp_path: Path, host: Host) -> None:
        self._tmp_path, self._host = tmp_path, host
        self.paths = Paths(tmp_path / "instances", tmp_path / "run", lasting=tmp_path / "lasting")

    def run(self, model: str, *, boots_proved: bool = True, **changed: t.Any) -> None:
        parameters = instance(files={"config.yaml": f"model: {model}\n"}, **changed)
        with_prover(self._tmp_path, self._host, [parameters], boots_proved=boots_proved)
        self._host.serve(want(parameters))

    def prove(self, model: str) -> None:
        document = {"config_hash": want(instance(files={"config.yaml": f"model: {model}\n"})).config_hash, "image_id": "sha256:1"}
        releases.record(self.paths, Instance("vllm", "chat"), document)

    def boot(self) -> str:
        shutil.rmtree(self.paths.runtime / "unproved", ignore_errors=True)
        proved.put_back(self.paths, Instance("vllm", "chat"))
        return (self.paths.folder("vllm", "chat") / "config.yaml").read_text().split()[1]


@pytest.fixture(name="changes")
def _changes(tmp_path: Path, host: Host) -> Changes:
    changes = Changes(tmp_path, host)
    changes.run("one")
    return changes


def test_a_boot_finds_what_has_proved_itself(changes: Changes) -> None:
    changes.prove("one")
    changes.run("two")
    folder = changes.paths.folder("vllm", "chat")
    assert SECRET in (folder / ".proved/env").read_text()
    assert (folder / ".proved/env").stat().st_mode & 0o777 == 0o600
    changes.run("three")  # a run that was killed, and the next one
    assert changes.boot() == "one"
    newest = releases.newest(changes.paths, Instance("vllm", "chat")) or {}
    assert json.loads((folder / "service.json").read_text())["config_hash"] == newest["config_hash"]


def test_a_run_right_after_the_boot_does_not_take_the_change_for_what_serves(changes: Changes, host: Host) -> None:
    changes.prove("one")
    changes.run("two")
    shutil.rmtree(changes.paths.runtime / "unproved")
    host.active["vllm@chat.service"] = "activating"  # its launcher has not come so far
    host.containers.clear()
    report, _asked = with_prover(changes.paths.instances.parent, host, [instance(files={"config.yaml": "model: two\n"})], boots_proved=True)
    assert report.units["vllm/chat"]["action"] == RESTART
    assert changes.boot() == "one"


@pytest.mark.parametrize("proved_before", [True, False])
def test_what_nobody_takes_back_is_what_a_boot_finds(changes: Changes, proved_before: bool) -> None:
    if proved_before:
        changes.prove("one")
    changes.run("two", boots_proved=not proved_before)
    assert changes.boot() == "two"


def test_a_part_of_an_engine_over_several_hosts_boots_as_its_other_parts_do(changes: Changes) -> None:
    changes.prove("one")
    changes.run("two", group=GROUP)
    assert changes.boot() == "two"


def test_the_way_back_is_no_change_that_a_boot_takes_back(changes: Changes) -> None:
    changes.prove("one")
    changes.run("two")
    changes.run("one")
    assert changes.boot() == "one"
    changes.prove("one")
    assert not (changes.paths.folder("vllm", "chat") / ".proved").exists()


def test_what_goes_leaves_nothing_of_it(tmp_path: Path, host: Host, changes: Changes) -> None:
    changes.prove("one")
    changes.run("two")
    with_prover(tmp_path, host, [])
    assert not changes.paths.folder("vllm", "chat").exists()
