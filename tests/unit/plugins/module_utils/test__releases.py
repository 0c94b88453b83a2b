# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Releases on a host that is a folder: recorded without secrets, kept, chosen, gone back to, and forgotten with their instance."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from support.repository import ROOT

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _proof_interview as interview
from ansible_collections.llmops.gpu_inference.plugins.module_utils import _proved as proved
from ansible_collections.llmops.gpu_inference.plugins.module_utils import _releases as releases
from ansible_collections.llmops.gpu_inference.plugins.module_utils import _unit_releases as unit_releases
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import Docker
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import Instance, Paths
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_errors import UnitsError
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_releases import Proof, Prover
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_wanted import want

KEY, TOKEN = "sk-a-canary-that-must-not-be-seen", "hf_another-canary"
PASSWORD = "http://me:" + "secret-word@proxy.example:3128"
CHAT = Instance("vllm", "chat")
NEW, OLD = "sha256:new", "sha256:old"


def instance(**changes: t.Any) -> dict[str, t.Any]:
    return {
        "kind": "vllm",
        "name": "chat",
        "image": "vllm/vllm-openai:v0.32.0",
        "pull": "missing",
        "entrypoint": None,
        "command": ["--config", "/etc/vllm/config.yaml"],
        "docker_arguments": ["--init"],
        "networks": ["inference_engines"],
        "files": {"config.yaml": "model: x\nmax-model-len: 4096\n"},
        "environment": {"HF_HOME": "/hub", "HTTPS_PROXY": PASSWORD},
        "secret_environment": {"VLLM_API_KEY": KEY, "HF_TOKEN": TOKEN},
        "locks": ["GPU-a"],
        "probe": {"base_url": "http://127.0.0.1:8070/v1", "model": "chat", "api_key_variable": "VLLM_API_KEY"},
        "start_timeout": 900.0,
        "stop_timeout": 60.0,
        "watchdog": 0.0,
        "restart_limit": 5,
        **changes,
    }


GROUP = {"rank": 0, "port": 18070, "digest": "abc", "key_variable": "VLLM_API_KEY", "members": [{"host": "a", "address": "10.0.0.1"}]}


class Host:
    """A folder, and Docker as far as releases ask it."""

    def __init__(self, root: Path) -> None:
        self.paths = Paths(root / "instances", root / "run", lasting=root / "lasting")
        self.images = {"vllm/vllm-openai:v0.32.0": NEW, NEW: NEW}
        self.running = NEW
        self.keeps: str | None = None
        self.answers: list[interview.Measured] = []
        self.asked: list[str | None] = []
        self.calls: list[list[str]] = []

    def run(self, argv: Sequence[str], _timeout: float, _text: str = "", /) -> Ran:
        self.calls.append(list(argv))
        if argv[:3] == ["docker", "image", "inspect"]:
            if "RepoDigests" in argv[4]:
                return Ran(0, json.dumps([f"vllm/vllm-openai@{argv[-1]}"]))
            found = self.images.get(argv[-1])
            return Ran(0, found) if found else Ran(1, "", "No such image")
        if argv[:2] == ["docker", "inspect"]:
            found = self.keeps if argv[-1].endswith("keeps-release") else self.running
            return Ran(0, found) if found else Ran(1, "", "No such container")
        if argv[:2] == ["docker", "create"]:
            self.keeps = argv[-1]
        if argv[:2] == ["docker", "rm"]:
            self.keeps = None
        return Ran(0)

    def place(self, **changes: t.Any) -> str:
        """Writes the folder of an instance that is ready; returns its hash."""
        wanted = want(instance(**changes))
        folder = self.paths.folder("vllm", "chat")
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in wanted.files.items():
            (folder / name).write_text(text)
        self.tell(config_hash=wanted.config_hash)
        return wanted.config_hash

    def tell(self, **state: t.Any) -> None:
        file = self.paths.state("vllm", "chat")
        file.parent.mkdir(parents=True, exist_ok=True)
        known = {"phase": "ready", "monotonic": {"started": 1.0, "ready_at": 43.5}, "program_hash": "abc"}
        file.write_text(json.dumps({**known, **state}))

    def ask(self, endpoint: t.Any, *_more: t.Any) -> interview.Measured:
        self.asked.append(endpoint.api_key)
        return self.answers.pop(0)

    def prover(self, **options: t.Any) -> Prover:
        return Prover(self.paths, Proof.of(options), self.run, self.ask, lambda: 1e9)

    def prove(self, went_back: dict[str, int] | None = None, **options: t.Any) -> unit_releases.Verdict:
        return self.prover(**options).prove([CHAT], went_back)[0]

    def known(self) -> list[releases.Release]:
        return releases.releases(self.paths, CHAT)


@pytest.fixture(name="host")
def _host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def said(text: str = "Paris", speed: float = 50.0) -> interview.Measured:
    answers = {question: {"text": text, "tool": None, "tokens": 1} for question in interview.QUESTIONS}
    return {
        "capability": "chat",
        "answers": answers,
        "speed": {"tokens_per_second": speed, "tokens": 96, "seconds": 96 / speed, "first_token": 0.1},
        "context": 4096,
    }


def go_back(host: Host, which: str, today: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
    found, _numbers = releases.go_back([today or instance()], {"vllm/chat": which}, host.paths, Docker("docker", host.run))
    return dict(found[0])


def test_the_first_release_is_recorded_and_not_compared(host: Host) -> None:
    config_hash = host.place()
    verdict = host.prove()
    assert (verdict.release, verdict.problems, host.asked) == (1, (), [])
    (release,) = host.known()
    assert release["config_hash"] == config_hash
    assert (release["image_id"], release["image_digests"]) == (NEW, [f"vllm/vllm-openai@{NEW}"])
    assert (release["ready_after"], release["launcher_program"], release["version"]) == (42.5, "abc", unit_releases.VERSION)
    assert release["files"]["config.yaml"].startswith("model: x")


def test_a_release_holds_no_secret(host: Host) -> None:
    host.place()
    host.prove()
    file = host.paths.releases("vllm", "chat") / "0001.json"
    assert file.stat().st_mode & 0o777 == 0o600
    text = file.read_text()
    assert KEY not in text
    assert TOKEN not in text
    assert "secret-word" not in text
    assert json.loads(text)["secret_names"] == ["HF_TOKEN", "HTTPS_PROXY", "VLLM_API_KEY"]


def test_the_version_is_that_of_the_collection() -> None:
    assert yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"] == unit_releases.VERSION


def test_a_change_that_holds_is_kept_and_one_that_does_not_is_no_release(host: Host) -> None:
    host.place()
    host.prove()
    host.answers = [said(), said(), said(), said("!!!!!!!!")]
    host.prover().measure_before([CHAT])
    proved.keep(host.paths, CHAT, ["service.json", "env", "config.yaml"])
    kept = host.paths.folder("vllm", "chat") / ".proved"
    host.place(command=["new"])
    assert host.prove().release == 2
    assert not (host.paths.releases("vllm", "chat") / "before.json").exists()
    assert not kept.exists()
    host.prover().measure_before([CHAT])
    proved.keep(host.paths, CHAT, ["service.json", "env", "config.yaml"])
    host.place(command=["newer"])
    verdict = host.prove()
    assert verdict.release is None
    assert "'!!!!!!!!'" in verdict.problems[0]
    assert kept.exists()
    assert verdict.columns
    assert [release["number"] for release in host.known()] == [1, 2]
    assert set(host.asked) == {KEY}


def test_what_serves_since_before_there_were_releases_becomes_one(host: Host) -> None:
    """So that the first change after an upgrade of the collection can be taken back too."""
    old = host.place()
    host.answers = [said(), said("!!!!!!!!")]
    host.prover().measure_before([CHAT])
    assert [release["config_hash"] for release in host.known()] == [old]
    host.place(command=["new"])
    assert host.prove().problems


@pytest.mark.parametrize("state", [{"phase": "loading"}, {"config_hash": "of another container"}])
def test_what_does_not_serve_becomes_none(host: Host, state: dict[str, str]) -> None:
    host.tell(config_hash=host.place(), **{key: value for key, value in state.items() if key == "phase"})
    if "config_hash" in state:
        host.tell(**state)
    host.prover().measure_before([CHAT])
    assert (host.known(), host.asked) == ([], [])


def test_what_was_never_proved_is_no_measure(host: Host) -> None:
    host.place()
    host.prove()
    host.answers = [said()]
    host.prover().measure_before([CHAT])
    host.place(command=["killed on its way"])
    host.prover().measure_before([CHAT])  # asks nobody: there is no second answer
    host.place(command=["newer"])
    host.answers = [said(speed=1.0)]
    assert "1.0 tokens per second, 50.0 before" in host.prove().problems[0]


def test_without_numbers_of_just_before_those_of_the_release_count(host: Host) -> None:
    host.place()
    host.prove()
    host.answers = [said(), said(), said(speed=1.0)]
    host.prover().measure_before([CHAT])
    host.place(command=["new"])
    assert host.prove().release == 2
    host.place(command=["newer"])
    assert "tokens per second" in host.prove().problems[0]


def test_one_that_dies_while_it_is_asked_is_refused(host: Host) -> None:
    host.place()
    host.tell(phase="failed", cause="out_of_memory", message="killed")
    assert host.prove().problems == ("it is failed after it was asked, and not ready any more: out_of_memory: killed",)
    assert host.known() == []


def test_another_model_is_not_held_against_the_one_before(host: Host) -> None:
    host.place()
    host.prove()
    host.answers = [said(), said("Something else altogether", speed=5.0)]
    host.prover().measure_before([CHAT])
    host.place(files={"config.yaml": "model: y\nmax-model-len: 4096\n"})
    assert host.prove().release == 2


def test_a_smaller_context_is_seen_unless_it_is_declared(host: Host) -> None:
    host.place()
    host.prove()
    smaller = {**said(), "context": 2048}
    host.answers = [said(), smaller, smaller]
    host.prover().measure_before([CHAT])
    host.place(command=["new"])
    assert "2048 tokens, 4096 before" in host.prove().problems[0]
    host.place(files={"config.yaml": "model: x\nmax-model-len: 2048\n"})
    assert host.prove().release == 2


def test_prompts_of_the_user_must_hold_at_once(host: Host) -> None:
    host.place()
    wrong = {**said(), "answers": {"own 1": {"text": "red", "tool": None}}}
    host.answers = [wrong]
    verdict = host.prove(answers={"chat": [{"prompt": "Say blue.", "contains": "blue"}]})
    assert "does not contain 'blue'" in verdict.problems[0]


def test_no_secret_is_told(host: Host) -> None:
    host.place()
    host.answers = [{**said(), "answers": {"own 1": {"text": f"The key is {KEY}", "tool": None}}}]
    verdict = host.prove(answers={"chat": [{"prompt": "Say blue.", "contains": "blue"}]})
    assert KEY not in repr(verdict)


def test_the_last_ten_are_kept(host: Host) -> None:
    for number in range(12):
        host.place(command=[str(number)])
        host.answers = [said()]
        assert host.prove(answers={"chat": [{"prompt": "x"}]}).release == number + 1
    assert [release["number"] for release in host.known()] == list(range(3, 13))


def test_the_image_of_the_release_before_is_kept(host: Host) -> None:
    host.place()
    host.prove()
    assert host.keeps is None
    host.place(command=["same image"])
    host.prove()
    assert host.keeps is None
    host.running = "sha256:newer"
    host.place(image="vllm/vllm-openai:v0.33.0")
    host.prove()
    assert host.keeps == NEW
    created = next(call for call in host.calls if call[:2] == ["docker", "create"])
    assert "io.llmops.gpu-inference.owner=llmops.gpu_inference" in created
    host.calls.clear()
    host.place(image="vllm/vllm-openai:v0.33.0", command=["again"])
    host.prove()
    assert host.keeps == NEW
    assert not [call for call in host.calls if call[1] in ("create", "rm")]


@pytest.mark.parametrize(("stops", "group"), [(True, None), (False, None), (True, GROUP)])
def test_what_is_refused_answers_nobody_any_more(host: Host, stops: bool, group: dict[str, t.Any] | None) -> None:
    def prover() -> Prover:
        return Prover(host.paths, Proof.of({"answers": {"chat": [{"prompt": "x", "contains": "Paris"}]}}), host.run, host.ask, stops=stops)

    own = {"own 1": {"text": "London", "tool": None}}
    host.answers = [{**said(), "answers": own}, said(), said(), said("!!!!!!!!")]
    host.place(group=group)
    assert prover().prove([CHAT])[0].problems
    assert not [call for call in host.calls if call[0] == "systemctl"]  # there is nothing to go back to
    prover().prove([CHAT])
    prover().measure_before([CHAT])
    host.place(command=["new"], group=group)
    assert prover().prove([CHAT])[0].problems
    stopped = [["systemctl", "stop", "--", "vllm@chat.service"]] if stops else []
    assert [call for call in host.calls if call[0] == "systemctl"] == stopped


class Watched:
    """In place of a probation: what was watched, and what came of it."""

    trouble = ""
    seen: t.ClassVar[list[tuple[str, float]]] = []

    def __init__(self, base_url: str, state: t.Callable[[], t.Any], seconds: float) -> None:
        assert state()["phase"] == "ready"
        self.seen.append((base_url, seconds))

    def watch(self) -> str:
        return self.trouble


def test_what_replaced_another_one_is_on_probation(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watched, "seen", [])
    prover = Prover(host.paths, Proof(), host.run, host.ask, lambda: 1e9, t.cast(t.Any, Watched))
    host.place()
    assert prover.prove([CHAT], {}, 300.0)[0].release == 1
    assert Watched.seen == []
    host.place(command=["new"])
    assert prover.prove([CHAT], {}, 300.0)[0].release == 2
    assert Watched.seen == [("http://127.0.0.1:8070/v1", 300.0)]
    monkeypatch.setattr(Watched, "trouble", "it died")
    host.place(command=["newer"])
    assert prover.prove([CHAT], {}, 300.0)[0].problems == ("it died",)
    assert prover.prove([CHAT])[0].release == 3  # not asked for
    assert len(Watched.seen) == 2


def test_a_proof_in_two_stages(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients come in between, so it is not asked again."""
    monkeypatch.setattr(Watched, "seen", [])
    prover = Prover(host.paths, Proof(), host.run, host.ask, lambda: 1e9, t.cast(t.Any, Watched))
    host.place()
    prover.prove([CHAT])
    host.answers = [said(), said(speed=48.0)]
    prover.measure_before([CHAT])
    host.place(command=["new"])
    first = prover.prove([CHAT], {}, 300.0, "first")[0]
    assert (first.release, first.problems, Watched.seen) == (None, (), [])
    assert len(host.known()) == 1
    assert prover.prove([CHAT], {}, 300.0, "last")[0].release == 2
    assert len(Watched.seen) == 1
    assert host.known()[-1]["proof"]["speed"]["tokens_per_second"] == 48.0
    assert sorted(file.name for file in host.paths.releases("vllm", "chat").iterdir()) == ["0001.json", "0002.json"]
    # A last stage without a first one of this configuration asks by itself.
    host.answers = [said(), said("!!!!!!!!")]
    prover.measure_before([CHAT])
    host.place(command=["newer"])
    assert prover.prove([CHAT], {}, 300.0, "last")[0].problems


# -- going back


def test_going_back_takes_the_secrets_of_today(host: Host) -> None:
    host.place()
    host.prove()
    today = instance(command=["new"], secret_environment={"VLLM_API_KEY": "sk-a-new-key-of-today", "HF_TOKEN": TOKEN, "MORE": "x"})
    gone = go_back(host, "latest", today)
    assert gone["command"] == ["--config", "/etc/vllm/config.yaml"]
    assert gone["secret_environment"] == {"VLLM_API_KEY": "sk-a-new-key-of-today", "HF_TOKEN": TOKEN, "HTTPS_PROXY": PASSWORD}
    assert want(gone).files["config.yaml"] == "model: x\nmax-model-len: 4096\n"


def test_what_goes_back_with_the_same_secrets_is_what_it_was(host: Host) -> None:
    config_hash = host.place()
    host.prove()
    assert want(go_back(host, "latest", instance(command=["new"]))).config_hash == config_hash


def test_a_secret_that_is_gone_is_named(host: Host) -> None:
    host.place()
    host.prove()
    with pytest.raises(UnitsError, match=r"release 1 wants the secret variables HF_TOKEN, which the inventory"):
        go_back(host, "latest", instance(secret_environment={"VLLM_API_KEY": KEY}))


def test_the_image_is_had_by_its_name_then_its_id_then_its_digest(host: Host) -> None:
    host.place()
    host.prove()
    assert go_back(host, "latest")["image"] == "vllm/vllm-openai:v0.32.0"
    host.images["vllm/vllm-openai:v0.32.0"] = "sha256:moved"
    gone = go_back(host, "latest")
    assert (gone["image"], gone["pull"]) == (NEW, "never")
    del host.images[NEW]
    assert go_back(host, "latest")["image"] == f"vllm/vllm-openai@{NEW}"


def test_a_release_of_other_hosts_is_not_gone_back_to(host: Host) -> None:
    host.place(group=GROUP)
    host.prove()
    moved = {**GROUP, "members": [{"host": "a", "address": "10.0.0.1"}, {"host": "b", "address": "10.0.0.2"}]}
    assert go_back(host, "latest", instance(group={**GROUP, "digest": "def"}))["group"] == GROUP
    for today in (instance(group=moved), instance()):
        with pytest.raises(UnitsError, match=r"release 1 ran on a \(10\.0\.0\.1\), which is not so any more"):
            go_back(host, "latest", today)


def test_a_release_of_one_host_is_not_gone_back_to_by_several(host: Host) -> None:
    host.place()
    host.prove()
    with pytest.raises(UnitsError, match="release 1 ran on this host alone"):
        go_back(host, "latest", instance(group=GROUP))


def test_which_release_is_meant(host: Host) -> None:
    with pytest.raises(UnitsError, match="no release of it is recorded"):
        go_back(host, "previous")
    host.place()
    host.prove()
    with pytest.raises(UnitsError, match="release 1 is the only one"):
        go_back(host, "previous")
    host.place(command=["second"])
    host.prove()
    host.place(command=["third"])
    host.prove()
    assert go_back(host, "latest")["command"] == ["third"]
    assert go_back(host, "previous")["command"] == ["second"]
    assert go_back(host, "1")["command"] == ["--config", "/etc/vllm/config.yaml"]
    with pytest.raises(UnitsError, match=r"release '7' is not recorded on this host; there are: 1, 2, 3"):
        go_back(host, "7")
    with pytest.raises(UnitsError, match="vllm/other: there is no such instance"):
        releases.go_back([instance()], {"vllm/other": "1"}, host.paths, Docker("docker", host.run))


def test_one_that_was_meddled_with_is_none(host: Host) -> None:
    host.place()
    host.prove()
    file = host.paths.releases("vllm", "chat") / "0001.json"
    file.write_text(file.read_text().replace("--init", "--privileged"))
    assert host.known() == []
    file.write_text("{")
    assert host.known() == []


def test_what_was_gone_back_to_is_proved_and_recorded_again(host: Host) -> None:
    host.place()
    host.prove()
    host.place(command=["second"])
    host.prove()
    host.place()
    assert host.prove({"vllm/chat": 1}).release == 3
    assert host.known()[-1]["went_back_to"] == 1
    # And one that a change was taken back to is what it was.
    assert host.prove({"vllm/chat": 3}).release == 3


def test_it_is_held_against_what_it_was_and_not_against_what_it_replaces(host: Host) -> None:
    answers = {"chat": [{"prompt": "x"}]}
    host.place()
    host.answers = [said(speed=10.0)]
    host.prove(answers=answers)
    host.place(command=["second"])
    host.answers = [said(speed=100.0)]
    host.prove(answers=answers)
    host.answers = [said(speed=100.0), said(speed=10.0)]
    host.prover().measure_before([CHAT])
    host.place()
    assert host.prove({"vllm/chat": 1}).release == 3


def test_releases_go_with_their_instance(host: Host) -> None:
    host.place()
    host.prove()
    host.running = "sha256:newer"
    host.place(image="vllm/vllm-openai:v0.33.0")
    host.prove()
    releases.forget(host.paths, CHAT, Docker("docker", host.run))
    assert not (host.paths.lasting / "releases").exists()
    assert host.keeps is None
    releases.forget(host.paths, CHAT, Docker("docker", host.run))  # nothing is there to forget


@pytest.mark.parametrize(
    ("service", "files", "named"),
    [
        ({}, {"config.yaml": "model: a/b\nrevision: c\nmax-model-len: 1\n"}, ("a/b", "c")),
        ({"command": ["--model", "/srv/x.gguf", "--port", "1"]}, {}, ("/srv/x.gguf",)),
        ({"command": [], "pull_models": ["qwen3:4b"]}, {}, ("qwen3:4b",)),
    ],
)
def test_what_an_instance_serves(service: dict[str, t.Any], files: dict[str, str], named: tuple[str, ...]) -> None:
    assert unit_releases.model_of(service, files) == named


def test_a_folder_that_cannot_be_read_is_no_release(host: Host) -> None:
    assert "its folder cannot be read" in host.prove().problems[0]
    host.place()
    host.running = ""
    assert "Docker does not tell the image" in host.prove().problems[0]


def test_the_driver(tmp_path: Path) -> None:
    file = tmp_path / "version"
    file.write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build\n")
    assert unit_releases._driver(str(file)) == "580.95.05"
    assert unit_releases._driver(str(tmp_path / "none")) is None


def test_a_recording_is_with_the_prompt_that_names_it() -> None:
    answers = {"speech": [{"audio": "a.wav", "says": "x"}, {"audio": "b.wav", "says": "y"}], "chat": [{"prompt": "x"}]}
    own = Proof.of({"answers": answers, "audio": {"a.wav": "UklGRg=="}}).own
    assert [one["content"] for one in own["speech"]] == ["UklGRg==", None]
    assert own["chat"] == [{"prompt": "x"}]
    assert Proof.of({"answers": None, "audio": None}).own == {}
