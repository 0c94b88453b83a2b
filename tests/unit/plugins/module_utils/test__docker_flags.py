# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from support.docker_help import flags_of

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_flags as docker_flags

RECORDED = sorted((Path(__file__).parent / "recorded").glob("docker-create-*.txt"))
OWNER = "io.llmops.gpu-inference.owner=x"


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda path: path.stem)
def test_the_table_knows_what_docker_lists(recorded: Path) -> None:
    """The lists are recorded; tests/real compares with the Docker that is installed."""
    listed = flags_of(recorded.read_text(encoding="utf-8"))
    assert len(listed) > 90
    assert {flag.name for flag in listed if flag.takes_value} <= docker_flags.VALUES
    assert {flag.name for flag in listed if not flag.takes_value} <= docker_flags.SWITCHES
    assert {flag.short: flag.name for flag in listed if flag.short} == docker_flags.SHORT


def test_the_table_has_every_flag_once() -> None:
    assert not docker_flags.VALUES & docker_flags.SWITCHES
    assert set(docker_flags.SHORT.values()) <= docker_flags.VALUES | docker_flags.SWITCHES


@pytest.mark.parametrize(
    ("arguments", "read"),
    [
        pytest.param(["--memory=2g"], [("memory", "2g")], id="with-equals"),
        pytest.param(["--memory", "2g"], [("memory", "2g")], id="two-words"),
        pytest.param(["-m", "2g"], [("memory", "2g")], id="short-two-words"),
        pytest.param(["-m2g"], [("memory", "2g")], id="short-joined"),
        pytest.param(["-m=2g"], [("memory", "2g")], id="short-with-equals"),
        pytest.param(["-m="], [("memory", "=")], id="short-with-a-lone-equals"),
        pytest.param(["--label=a=b=c"], [("label", "a=b=c")], id="value-with-equals"),
        pytest.param(["--label="], [("label", "")], id="empty-value"),
        pytest.param(["--init"], [("init", "true")], id="switch"),
        pytest.param(["--init=F"], [("init", "false")], id="switch-off"),
        pytest.param(["-t=0"], [("tty", "false")], id="short-switch-off"),
        pytest.param(["-it"], [("interactive", "true"), ("tty", "true")], id="switches-in-one-word"),
        pytest.param(["-itla=b"], [("interactive", "true"), ("tty", "true"), ("label", "a=b")], id="switches-and-a-value"),
        pytest.param(["-itl", "a=b"], [("interactive", "true"), ("tty", "true"), ("label", "a=b")], id="switches-and-the-next-word"),
        pytest.param(["-e", "--rm"], [("env", "--rm")], id="a-value-that-looks-like-a-flag"),
        pytest.param(["--ulimit", "memlock=-1:-1", "--init"], [("ulimit", "memlock=-1:-1"), ("init", "true")], id="several"),
        pytest.param(["--net", "x", "--net-alias=y"], [("network", "x"), ("network-alias", "y")], id="other-names"),
        pytest.param(["--dns-opt", "z"], [("dns-option", "z")], id="another-name"),
    ],
)  # fmt: skip
def test_arguments_are_read_as_docker_reads_them(arguments: list[str], read: list[tuple[str, str]]) -> None:
    flags, mistakes = docker_flags.read(arguments)
    assert [(flag.name, flag.value) for flag in flags] == read
    assert mistakes == []


@pytest.mark.parametrize(
    ("arguments", "position", "shown", "message"),
    [
        pytest.param(["--ulimit memlock=-1"], 0, "--ulimit memlock", "write it as two entries, or as --ulimit=VALUE", id="one-string"),
        pytest.param(["-e A=1"], None, "", "", id="short-with-a-blank-is-a-value"),
        pytest.param(["--init", "false"], 1, "false", "would take it for the image", id="value-of-a-switch"),
        pytest.param(["alpine"], 0, "alpine", "would take it for the image", id="image"),
        pytest.param(["--init", ""], 1, "", "would take it for the image", id="empty"),
        pytest.param(["-"], 0, "-", "would take it for the image", id="dash"),
        pytest.param(["--", "alpine"], 0, "--", "take alpine for the image", id="end-of-flags"),
        pytest.param(["--"], 0, "--", "take what follows for the image", id="end-of-flags-last"),
        pytest.param(["-e"], 0, "-e", "takes a value, and none follows", id="short-without-value"),
        pytest.param(["--init", "--label"], 1, "--label", "takes a value, and none follows", id="long-without-value"),
        pytest.param(["-itl"], 0, "-itl", "'-l' and its value", id="joined-without-value"),
        pytest.param(["-d"], 0, "-d", "is not a flag of docker create", id="flag-of-docker-run"),
        pytest.param(["--detach"], 0, "--detach", "is not a flag of docker create", id="long-flag-of-docker-run"),
        pytest.param(["--memroy=2g"], 0, "--memroy", "did you mean --memory?", id="misspelt"),
        pytest.param(["--init=maybe"], 0, "--init", "takes true or false only", id="switch-with-text"),
        pytest.param(["---init"], 0, "---init", "is not a flag", id="three-dashes"),
        pytest.param(["--=x"], 0, "--=x", "is not a flag", id="no-name"),
        pytest.param(["-i=no"], 0, "--interactive", "takes true or false only", id="short-switch-with-text"),
    ],
)
def test_what_docker_would_not_take_as_meant_is_refused(arguments: list[str], position: int | None, shown: str, message: str) -> None:
    mistakes = docker_flags.refused(arguments)
    if position is None:
        assert mistakes == []
        return
    assert [(mistake.position, mistake.shown) for mistake in mistakes] == [(position, shown)]
    assert message in mistakes[0].message


SPELLINGS = {
    "label": [["-l", OWNER], [f"-l{OWNER}"], [f"-l={OWNER}"], ["--label", OWNER], [f"--label={OWNER}"], ["-itl", OWNER], [f"-il{OWNER}"]],
    "bare label": [["--label", "io.llmops.gpu-inference.owner"]],
    "name": [["--name=x"], ["--name", "x"]],
    "network": [["--network=host"], ["--net", "host"], ["--net=host"]],
    "env-file": [["--env-file=/x"], ["--env-file", "/x"]],
    "label-file": [["--label-file=/x"], ["--label-file", "/x"]],
    "rm": [["--rm"], ["--rm=true"], ["--rm=1"]],
    "restart": [["--restart=always"], ["--restart", "on-failure:3"]],
    "entrypoint": [["--entrypoint=sh"], ["--entrypoint", "sh"]],
    "pull": [["--pull=always"], ["--pull", "missing"]],
    "cidfile": [["--cidfile=/x"]],
    "help": [["--help"]],
    "log-driver": [["--log-driver=none"], ["--log-driver", "none"]],
    "env": [["-e", "VLLM_API_KEY=sk-x"], ["-eVLLM_API_KEY=sk-x"], ["--env=VLLM_API_KEY"]],
    "gpus": [["--gpus=all"], ["--gpus", "all"], ["--runtime=nvidia"], ["--device", "nvidia.com/gpu=all"], ["--device=nvidia.com/gpu=0"]],
}


@pytest.mark.parametrize("arguments", [spelling for spellings in SPELLINGS.values() for spelling in spellings], ids=" ".join)
def test_what_belongs_to_the_collection_is_refused_however_it_is_spelt(arguments: list[str]) -> None:
    given = ["--init", *arguments, "--shm-size", "1g"]
    mistakes = docker_flags.refused(given, {"gpus": "use gpus", "runtime": "use gpus"}, {"VLLM_API_KEY": "use the key"})
    assert [mistake.position for mistake in mistakes] == [1]
    assert "is not allowed: " in mistakes[0].message
    assert "sk-x" not in mistakes[0].shown + mistakes[0].message


@pytest.mark.parametrize(
    "arguments",
    [
        ["--ulimit", "memlock=-1:-1", "--ulimit=nofile=65536"],
        ["-l", "traefik.enable=true", "--label=io.llmops=x"],
        ["-p", "127.0.0.1:9000:9000", "--ip=10.89.17.9", "--network-alias", "chat"],
        ["-e", "A=1", "--env=B"],
        ["--device", "/dev/fuse", "--log-driver=journald", "--security-opt", "seccomp=unconfined", "--rm=false", "--restart=no"],
        ["--runtime=nvidia", "--gpus", "all", "--device", "nvidia.com/gpu=all"],  # unless the caller says that they are its own
        [],
    ],
)
def test_what_is_fine_passes(arguments: list[str]) -> None:
    assert docker_flags.refused(arguments, variables={"VLLM_API_KEY": "x"}) == []


def test_a_second_container_has_no_address_alias_or_port_of_its_own() -> None:
    arguments = ["-itp", "80:80", "--publish=81:81", "-P", "--ip", "10.0.0.9", "--network-alias=x", "--mac-address", "92:d0:c6:0a:29:33"]
    assert docker_flags.words(docker_flags.beside([*arguments, "-m1g", "--init"])) == [
        *("--interactive=true", "--tty=true", "--memory=1g", "--init=true")
    ]


def test_values() -> None:
    assert docker_flags.values(["-p", "80:80", "--publish=81:81", "-P"], "publish") == ["80:80", "81:81"]


def test_ports_as_docker_shows_them() -> None:
    shown = "127.0.0.1:8070->8000/tcp, 0.0.0.0:9000-9001->9000-9001/udp, :::80->80/tcp, 7000/tcp"
    assert docker_flags.shown_ports(shown) == {("tcp", 8070), ("udp", 9000), ("udp", 9001), ("tcp", 80)}
    assert docker_flags.shown_ports("") == frozenset()
