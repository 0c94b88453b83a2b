# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules in the test's own process, on a host that is a folder of programs."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from support.module_arguments import patch_module_args
from support.openpgp import ED25519, ED25519_FINGERPRINT
from support.played_server import Play, Server
from support.repository import ROOT

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _benchmark_run
from ansible_collections.llmops.gpu_inference.plugins.module_utils._clients import MARKER
from ansible_collections.llmops.gpu_inference.plugins.module_utils._cluster_reachability import Check
from ansible_collections.llmops.gpu_inference.plugins.module_utils._engine_idle import Engine, Found
from ansible_collections.llmops.gpu_inference.plugins.module_utils._facts_observe import TRACES
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_system import package_manager
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import OWNER, Paths
from ansible_collections.llmops.gpu_inference.plugins.module_utils._rotation import Rotation
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_wanted import want
from ansible_collections.llmops.gpu_inference.plugins.modules import (
    benchmark,
    benchmark_results,
    client_files,
    client_run,
    cluster_reachability,
    container_units,
    container_units_info,
    docker_engine_info,
    endpoint_ready,
    engine_idle,
    gpu_facts,
    package_repository,
    repository_key,
    unit_records_info,
    unit_releases,
    verify_gateway,
)

Run = Callable[..., dict[str, Any]]


@pytest.fixture(name="run")
def _run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run_module(module: ModuleType, check_mode: bool = False, **options: Any) -> dict[str, Any]:
        with patch_module_args({"_ansible_check_mode": check_mode, **options}), pytest.raises(SystemExit):
            module.main()
        said = capsys.readouterr()
        found: dict[str, Any] = json.loads(said.out)
        # Where Ansible's own display is loaded too, warnings go there.
        return {**found, "said": said.err}

    return run_module


@pytest.fixture(name="program")
def _program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Puts a script first on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def put(name: str, script: str) -> Path:
        file = folder / name
        file.write_text("#!/bin/sh\n" + script, encoding="utf-8")
        file.chmod(0o755)
        return file

    return put


def test_a_host_without_a_gpu(run: Run, tmp_path: Path, program: Callable[[str, str], Path]) -> None:
    program("docker", 'case "$1" in info) echo \'{"Runtimes": {"runc": {}}, "CgroupDriver": "systemd"}\';; *) exit 1;; esac\n')
    (tmp_path / "root/proc").mkdir(parents=True)
    (tmp_path / "root/proc/meminfo").write_text("MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n")
    (tmp_path / "root/etc").mkdir()
    (tmp_path / "root/etc/nv_tegra_release").write_text("nonsense")
    found = run(gpu_facts, root=str(tmp_path / "root"))
    facts = found["ansible_facts"]["gpu_inference"]
    assert (facts["platform"], facts["memory_mib"], facts["memory_available_mib"]) == ("cpu", 8192, 4096)
    assert (facts["docker"]["runtimes"], facts["docker"]["cgroup_driver"]) == (["runc"], "systemd")
    assert "The L4T release is unknown" in json.dumps(found)
    assert (facts["package_manager"], facts["roles"]) == (None, [])


def test_what_roles_have_left_on_a_host(run: Run, tmp_path: Path) -> None:
    """By it site.yml knows, without a task of theirs, that they have something to take back."""
    for file in (
        "etc/systemd/system/gpu-inference-proxy.service",
        "etc/gpu-inference/clients/manifest.json",
        "etc/gpu-inference/nvidia_container_toolkit.json",
        "etc/gpu-inference/instances/vllm/chat/service.json",
        "etc/gpu-inference/instances/vllm/code/service.json",
        "etc/gpu-inference/instances/litellm/gateway/service.json",
        "etc/gpu-inference/instances/ollama/of-somebody-else",
        "usr/bin/apt-get",
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    facts = run(gpu_facts, root=str(tmp_path))["ansible_facts"]["gpu_inference"]
    assert (facts["package_manager"], facts["roles"]) == ("apt", ["clients", "node_proxy", "nvidia_container_toolkit"])
    assert facts["units"] == ["litellm", "vllm"]
    assert {f"/{path}" for path in TRACES.values()} == {
        yaml.safe_load((ROOT / "roles/clients/defaults/main.yml").read_text())["clients_state_dir"] + "/manifest.json",
        yaml.safe_load((ROOT / "roles/nvidia_container_toolkit/vars/main.yml").read_text())["__nvidia_container_toolkit_record"],
        "/etc/systemd/system/" + yaml.safe_load((ROOT / "roles/node_proxy/vars/main.yml").read_text())["__node_proxy_unit"],
    }


@pytest.fixture(name="repository")
def _repository(run: Run, tmp_path: Path, program: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch) -> Run:
    """An apt whose sources lie in the test's folder. It says what stands in the files C(unread), C(unfetched)."""
    (tmp_path / "parts").mkdir()
    monkeypatch.setattr(package_repository, "JOURNAL", str(tmp_path / "journal-{name}.json"))
    program("apt-config", f"echo \"LIST='{tmp_path}/sources.list'\"; echo \"PARTS='{tmp_path}/parts/'\"\n")
    program("dpkg", "echo amd64\n")
    program(
        "apt-get",
        f'grep -q broken {tmp_path}/parts/* {tmp_path}/sources.list 2>/dev/null && {{ echo "E: Malformed entry" >&2; exit 100; }}\n'
        f'case "$*" in *update) [ ! -e {tmp_path}/away ] || {{ echo "E: Failed to fetch it" >&2; exit 100; }};; esac\n',
    )
    options = {"name": "toolkit", "manager": "apt", "url": "https://pkg.example", "key": str(tmp_path / "toolkit.asc")}
    return lambda **more: run(package_repository, **{**options, **more})


def test_a_package_repository_comes_and_goes(repository: Run, tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("# mine\ndeb https://pkg.example stable main\n")
    foreseen = repository(check_mode=True, suite="stable", components=["main"])
    assert (foreseen["changed"], list((tmp_path / "parts").iterdir())) == (True, [])
    done = repository(suite="stable", components=["main"])
    source = tmp_path / "parts/toolkit.sources"
    assert (done["diff"], done["files"]) == (foreseen["diff"], [str(source), str(tmp_path / "sources.list")])
    assert "URIs: https://pkg.example" in source.read_text()
    assert "Suites: stable\nComponents: main\n" in source.read_text()
    # Another's line for it went, and a copy of their file is kept.
    assert (tmp_path / "sources.list").read_text() == "# mine\n"
    assert [Path(copy).read_text() for copy in done["backups"]] == ["# mine\ndeb https://pkg.example stable main\n"]
    again = repository(suite="stable", components=["main"])
    assert (again["changed"], again["files"]) == (False, [])
    (tmp_path / "toolkit.asc").write_text("key")
    assert repository(state="absent")["changed"]
    assert (source.exists(), (tmp_path / "toolkit.asc").exists()) == (False, False)
    assert repository(url="https://x\nTrusted: yes")["msg"].startswith("The repository toolkit: ")


def test_a_package_repository_that_is_no_use_is_taken_out_again(repository: Run, tmp_path: Path) -> None:
    key, source = tmp_path / "toolkit.asc", tmp_path / "parts/toolkit.sources"
    key.write_text("key")
    (tmp_path / "away").touch()
    told = repository()["msg"]
    assert "apt cannot fetch the repository toolkit (https://pkg.example): Failed to fetch it. All files are as they were." in told
    assert (source.exists(), key.exists()) == (False, False)
    (tmp_path / "away").unlink()
    told = repository(url="https://broken.example")["msg"]
    assert "apt could not read the sources of this host with the repository toolkit in them: Malformed entry." in told
    (tmp_path / "sources.list").write_text("deb broken\n")
    told = repository()["msg"]
    assert "apt could not read the sources of this host before this run, so it cannot install: Malformed entry." in told
    going_on = repository(required=False)
    assert (going_on["changed"], source.exists()) == (False, False)
    # What was in the way goes with this run.
    (tmp_path / "sources.list").write_text("deb [signed-by=/broken.gpg] https://pkg.example /\n")
    assert "It can now." in str(repository())
    assert source.exists()


def test_a_package_repository_whose_file_cannot_be_written(repository: Run, tmp_path: Path) -> None:
    (tmp_path / "journal-toolkit.json").mkdir()
    done = repository()
    assert done["failed"]
    assert "journal-toolkit.json" in done["msg"]
    assert list((tmp_path / "parts").iterdir()) == []


SHOWN = "LoadState=loaded\nActiveState=active\nSubState=running\nExecStart={ path=$DOCKERD ; argv[]=$DOCKERD -H fd:// ; }\n"


def test_which_docker_a_host_has(run: Run, program: Callable[[str, str], Path]) -> None:
    dockerd = program("dockerd", "echo Docker version 26.1.5, build x\n")
    program("systemctl", f"cat <<'END'\n{SHOWN.replace('$DOCKERD', str(dockerd))}END\n")
    program("docker", 'case "$1" in info) echo \'{"ServerVersion": "26.1.5"}\';; *) echo Docker version 26.1.5, build x;; esac\n')
    program("dpkg-query", f'case "$*" in *--search*) echo "docker.io: {dockerd}";; *) printf installed;; esac\n')
    found = run(docker_engine_info, minimum_version="23.0")
    assert (found["version"], found["enough"], found["runs"], found["client"]) == ("26.1.5", True, True, True)
    assert (found["client_package"], found["requests"], found["l4t"], found["iptable_raw"]) == ("docker-cli", True, "", True)
    program("dpkg-query", "exit 1\n")
    program("rpm", "exit 1\n")
    by_dnf = run(docker_engine_info, package_manager="dnf", packages=["moby"])
    assert (by_dnf["requests"], by_dnf["package_manager"]) == (False, "dnf")
    assert found["package_manager"] == (package_manager(Path("/etc/os-release").read_text(encoding="utf-8")) or "unknown")
    assert found["service_manager"]


def test_a_host_without_docker(run: Run, program: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(program("systemctl", "echo LoadState=not-found\n").parent))
    found = run(docker_engine_info)
    assert (found["version"], found["enough"], found["runs"]) == ("", False, False)
    assert found["install"]["packages"]


def test_a_key_is_installed_once_and_only_with_its_fingerprint(run: Run, tmp_path: Path) -> None:
    dest = tmp_path / "keyrings/key.asc"
    wrong = run(repository_key, dest=str(dest), content=ED25519, fingerprints=["0" * 40])
    assert f"has the fingerprint {ED25519_FINGERPRINT}, expected {'0' * 40}" in wrong["msg"]
    assert "is not a usable key" in run(repository_key, dest=str(dest), content="<html>", fingerprints=[ED25519_FINGERPRINT])["msg"]
    assert run(repository_key, dest=str(dest), content=ED25519, fingerprints=["short"])["msg"].startswith("fingerprints: ")
    assert run(repository_key, check_mode=True, dest=str(dest), content=ED25519, fingerprints=[ED25519_FINGERPRINT])["changed"]
    assert not dest.exists()
    assert run(repository_key, dest=str(dest), content=ED25519, fingerprints=[ED25519_FINGERPRINT])["fingerprints"] == [ED25519_FINGERPRINT]
    assert (dest.read_text(), oct(dest.stat().st_mode)[-3:]) == (ED25519, "644")
    assert not run(repository_key, dest=str(dest), content=ED25519, fingerprints=[ED25519_FINGERPRINT])["changed"]


def test_a_key_from_an_address(run: Run, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(ED25519)
    options = {"dest": str(tmp_path / "key.asc"), "fingerprints": [ED25519_FINGERPRINT]}
    assert run(repository_key, check_mode=True, url=f"file://{tmp_path}/key", **options)["diff"]["after"] == "(to be fetched)\n"
    assert run(repository_key, url=f"file://{tmp_path}/key", **options)["changed"]
    (tmp_path / "key.asc").unlink()
    assert "Cannot fetch the repository key from" in run(repository_key, url=f"file://{tmp_path}/none", **options)["msg"]


@pytest.fixture(name="units")
def _units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """One instance of ours, and one of somebody else."""
    paths = Paths(tmp_path / "instances", tmp_path / "run", lasting=tmp_path / "lasting")
    for name, owner in (("chat", OWNER), ("theirs", "somebody")):
        paths.folder("vllm", name).mkdir(parents=True)
        (paths.folder("vllm", name) / "service.json").write_text(json.dumps({"owner": owner, "image": "vllm/vllm-openai:v1"}))
    (tmp_path / "run/state").mkdir(parents=True)
    paths.state("vllm", "chat").write_text(json.dumps({"phase": "loading", "percent": 40}))
    monkeypatch.setattr(container_units_info, "Paths", lambda: paths)
    return paths


def test_the_units_of_a_host(run: Run, units: Paths, program: Callable[[str, str], Path]) -> None:
    assert units.instances.is_dir()
    identity = "a" * 64
    program(
        "docker",
        f'case "$1 $2" in "inspect --type") printf "/vllm-chat\\t{identity}\\tsha256:b\\n";; '
        'image*) printf "sha256:b\\t[\\"vllm/vllm-openai@sha256:c\\"]\\n";; stats*) printf "vllm-chat\\t1.5GiB / 4GiB\\n";; esac\n',
    )
    program("systemctl", "printf 'ActiveState=activating\\nNRestarts=3\\n'\n")
    program("nvidia-smi", "echo '999999999, 100'; echo '1, [N/A]'\n")
    live = units.folder("litellm", "gateway") / "live"
    live.mkdir(parents=True)
    (live.parent / "service.json").write_text(json.dumps({"owner": OWNER}))
    (live / "rotation.json").write_text(Rotation({"chat-a": "chat"}, {"chat-a": {"by": "alice"}}).text)
    (live.parents[2] / "vllm/theirs/live").mkdir()
    (live.parents[2] / "vllm/theirs/live/rotation.json").write_text('{"out": {"theirs": {}}}')
    assert run(container_units_info)["out_of_rotation"] == [{"backend": "chat-a", "model": "chat", "by": "alice"}]
    (live / "rotation.json").write_text("{")
    assert run(container_units_info, names=["chat"])["out_of_rotation"] == []
    shutil.rmtree(live.parent)
    (row,) = run(container_units_info)["units"]
    assert (row["unit"], row["active"], row["restarts"], row["memory_mib"]) == ("vllm@chat.service", "activating", 3, 1536)
    assert (row["image_digest"], row["phase"], row["percent"]) == ("sha256:c", "loading", 40)
    assert run(container_units_info, names=["nobody"])["units"] == []


def test_a_host_whose_programs_fail_has_its_units_all_the_same(run: Run, units: Paths, program: Callable[[str, str], Path]) -> None:
    assert units.runtime.is_dir()
    for name in ("docker", "systemctl", "nvidia-smi"):
        program(name, "exit 1\n")
    (row,) = run(container_units_info)["units"]
    assert (row["unit"], row["memory_mib"], row["phase"]) == ("vllm@chat.service", None, "loading")


def test_an_engine_that_is_busy_and_one_that_is_gone(run: Run, units: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of others, and those that are not there, are left out."""
    asked: list[Any] = []

    def wait(engines: Any, **options: Any) -> list[Found]:
        asked.append((list(engines), options["timeout"]))
        return [Found(one.unit, "busy", 2) for one in engines]

    monkeypatch.setattr(engine_idle, "Paths", lambda: units)
    monkeypatch.setattr(engine_idle, "wait_idle", wait)
    names = ["vllm@chat.service", "vllm@theirs.service", "vllm@gone.service"]
    probed = {"base_url": "http://127.0.0.1:8000/v1", "api_key_variable": "KEY"}
    folder = units.folder("vllm", "chat")
    (folder / "service.json").write_text(json.dumps({"owner": OWNER, "probe": probed}))
    failed = run(engine_idle, units=names, timeout=7)
    assert "vllm@chat.service has 2 requests in work after 0 s" in failed["msg"]
    assert failed["engines"] == [{"unit": "vllm@chat.service", "state": "busy", "requests": 2}]
    (folder / "env").write_text("KEY=engine-key\n")
    looked = run(engine_idle, units=names, timeout=7, check_mode=True)
    assert (looked["changed"], looked["engines"][0]["state"]) == (False, "busy")
    one = Engine("vllm@chat.service", "vllm", "http://127.0.0.1:8000/v1")
    assert asked == [([one], 7), ([replace(one, key="engine-key")], 0)]


@pytest.fixture(name="server")
def _server() -> Any:
    played = Server(Play(models=("chat",))).start()
    yield played
    played.stop()


def test_readiness(run: Run, server: Server) -> None:
    endpoints = [{"name": "chat", "base_url": server.base_url, "model": "chat"}]
    would = run(endpoint_ready, check_mode=True, endpoints=endpoints)["would_poll"]
    assert [one["name"] for one in would] == ["chat"]
    done = run(endpoint_ready, endpoints=endpoints, timeout=30)
    assert (done["endpoints"][0]["ready"], done["changed"]) == (True, False)
    other = run(endpoint_ready, endpoints=[{**endpoints[0], "model": "other"}], timeout=1, interval=1)
    assert "wrong_model" in other["msg"]
    soft = run(endpoint_ready, endpoints=[{**endpoints[0], "model": "other", "required": False}], timeout=1, interval=1)
    assert not soft.get("failed")
    assert "base_url" in run(endpoint_ready, endpoints=[{"name": "x", "base_url": "x"}])["msg"]


@pytest.mark.parametrize(
    ("endpoints", "options", "told"),
    [
        ([{"name": "x", "base_url": "http://h/v1"}] * 2, {}, "endpoints[1] (x): the name is given twice"),
        ([{"name": "x", "base_url": "http://h/v1", "unit": "-x"}], {}, "unit is -x, which is not a unit name"),
        ([{"name": "x", "base_url": "http://h:0/v1"}], {}, "base_url is http://h:0/v1, expected something like"),
        ([{"name": "x", "base_url": "http://[h/v1"}], {}, "base_url is http://[h/v1, expected something like"),
        ([{"name": "x", "base_url": "http://h/v1"}], {"interval": 0}, "interval is 0.0, expected a number above 0"),
    ],
)
def test_readiness_of_what_cannot_be_asked(run: Run, endpoints: list[dict[str, Any]], options: dict[str, Any], told: str) -> None:
    assert told in run(endpoint_ready, endpoints=endpoints, **options)["msg"]


def test_readiness_needs_requests(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_ready, "HAS_REQUESTS", False)
    told = run(endpoint_ready, endpoints=[{"name": "x", "base_url": "http://127.0.0.1:1/v1"}])
    assert "python3-requests" in told["msg"]


def test_a_verification_here_and_in_a_container(run: Run, server: Server, program: Callable[[str, str], Path]) -> None:
    base_url = server.base_url.removesuffix("/v1")
    options = {"base_url": base_url, "models": [{"name": "chat"}], "timeout": 10}
    here = run(verify_gateway, **options)
    assert [row["name"] for row in here["rows"]] == ["chat"] * len(here["rows"])
    program("docker", 'for word; do last=$before; before=$word; done; exec python3 -I -c "$word"\n')
    container = {"image": "litellm", "network": "inference"}
    inside = run(verify_gateway, container=container, **options)
    assert [(row["check"], row["ok"]) for row in inside["rows"]] == [(row["check"], row["ok"]) for row in here["rows"]]
    program("docker", "echo no such image >&2; exit 125\n")
    refused = run(verify_gateway, container=container, **options)
    assert "in a container of litellm on the network inference (exit code 125): no such image" in refused["msg"]


@pytest.fixture(name="host")
def _host(tmp_path: Path) -> dict[str, str]:
    return {name: str(tmp_path / name) for name in ("state_dir", "runtime_dir", "units_dir")}


def test_members_that_reach_each_other(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    members = [{"host": "spark1", "address": "127.0.0.2"}, {"host": "spark2", "address": "127.0.0.3"}]
    groups = [{"name": "big", "group": {"rank": 0, "port": port, "digest": "d", "key_variable": "KEY", "members": members}}]
    spec = cluster_reachability.group_spec({**groups[0]["group"], "rank": 1})  # type: ignore[dict-item]
    other = Check(spec, ["spark1"], lambda _argv, _timeout, _text="": Ran(1))
    thread = threading.Thread(target=lambda: asyncio.run(other.watch()))
    thread.start()
    done = run(cluster_reachability, check_mode=True, groups=groups, hosts=["spark1", "spark2"], forks=2)
    thread.join()
    assert (done["changed"], sorted(done["interfaces"]["big"])) == (False, ["spark1", "spark2"])

    async def at_once(_check: object) -> None:
        pass

    monkeypatch.setattr(Check, "watch", at_once)
    failed = run(cluster_reachability, groups=groups, hosts=["spark1", "spark2"], forks=2)
    assert failed["msg"].startswith(f"big: spark1 (127.0.0.2) does not reach spark2 (127.0.0.3) at port {port}: ")
    monkeypatch.setattr(Check, "verdict", lambda _check, enough: ([], [f"enough: {enough}"]))
    assert "big: enough: False" in str(run(cluster_reachability, groups=groups, hosts=["spark1", "spark2"], forks=1))
    monkeypatch.setattr(cluster_reachability, "has_its_unit", lambda *_given: True)
    assert run(cluster_reachability, groups=groups, hosts=["spark1", "spark2"], forks=2)["interfaces"] == {}


def test_units_of_a_host_where_nothing_is_to_be_done(run: Run, host: dict[str, str], program: Callable[[str, str], Path]) -> None:
    program("docker", "exit 0\n")
    program("systemctl", "exit 0\n")
    done = run(container_units, kinds=["vllm"], instances=[], **host)
    assert (done["changed"], done["started"], done["units"]) == (False, [], {})
    assert run(container_units, kinds=["vllm"], instances=[], live_only=True, **host)["changed"] is False


def test_a_host_without_docker_and_units_that_cannot_be(run: Run, host: dict[str, str], program: Callable[[str, str], Path]) -> None:
    program("docker", "echo Cannot connect to the Docker daemon >&2; exit 1\n")
    wanted = [{"kind": "vllm", "name": "chat", "image": "example/vllm:1"}]
    assert "Docker does not answer" in run(container_units, kinds=["vllm"], instances=wanted, **host)["msg"]
    assert "kind" in run(container_units, kinds=["ollama"], instances=wanted, **host)["msg"]
    told = run(container_units, kinds=["vllm"], instances=wanted, prefetch=True, **host)
    assert (told["failed"], told["images"]) == (True, [])
    assert run(container_units, check_mode=True, kinds=["vllm"], instances=wanted, prefetch=True, **host)["images"] == ["example/vllm:1"]


def test_releases_of_a_host(
    run: Run, host: dict[str, str], server: Server, tmp_path: Path, program: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = Paths(Path(host["state_dir"]), Path(host["runtime_dir"]), lasting=tmp_path / "lasting")
    monkeypatch.setattr(unit_releases, "Paths", lambda *_given: paths)
    monkeypatch.setattr(container_units, "Paths", lambda *_given: paths)
    program("docker", 'case "$*" in *RepoDigests*) echo "[]";; *inspect*) echo sha256:b;; esac\n')
    program("systemctl", "exit 0\n")
    units = [{"kind": "vllm", "name": "chat", "image": "example/vllm:1", "probe": {"base_url": server.base_url, "model": "chat"}}]
    would = run(container_units, check_mode=True, kinds=["vllm"], instances=units, proof={}, **host)
    assert would["unproved"] == {"vllm/chat": None}
    assert "no release of it is recorded" in run(container_units, kinds=["vllm"], instances=units, releases={"vllm/chat": 1}, **host)["msg"]
    folder, files = paths.folder("vllm", "chat"), want(units[0]).files
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    state = paths.state("vllm", "chat")
    state.parent.mkdir(parents=True, exist_ok=True)
    state.write_text(json.dumps({"phase": "ready", "config_hash": json.loads(files["service.json"])["config_hash"]}))
    assert run(unit_releases, check_mode=True, units=["vllm/chat"])["releases"] == {}
    answers = {"chat": [{"prompt": "x", "contains": "what nobody says"}]}
    refused = run(unit_releases, units=["vllm/chat"], proof={"answers": answers})
    assert "vllm/chat answers, and does not prove itself: the answer to 'x'" in refused["msg"]
    assert list(refused["refused"]) == ["vllm/chat"]
    given = {"answers": {"speech": [{"audio": "a.wav"}]}, "audio": {"a.wav": "UklGRiBub3Qgc2hvd24="}}
    assert "UklGRiBub3Qgc2hvd24=" not in str(run(unit_releases, units=[], proof=given))
    assert run(unit_releases, units=["vllm/chat"])["releases"] == {"vllm/chat": 1}
    back = run(container_units, check_mode=True, kinds=["vllm"], instances=units, releases={"vllm/chat": "latest"}, **host)
    assert (back["went_back"], back["probes"]["vllm/chat"]["base_url"]) == ({"vllm/chat": 1}, server.base_url)


def test_client_run_tells_of_each_program(run: Run, tmp_path: Path) -> None:
    key = "sk-client-0123456789abcdef"
    given = {
        "name": "codex",
        "model": "coder",
        "path": "/nowhere",
        "file": ".codex/config.toml",
        "elsewhere": {"CODEX_HOME": "{folder}"},
        "secrets": [key],
    }
    writes = {**given, "title": "Codex", "command": ["sh", "-c", 'echo "$1" > hello.txt', "sh", "{task}"]}
    fails = {**given, "title": "Other", "command": ["sh", "-c", f"echo {key}; exit 2"]}
    done = run(client_run, programs=[writes, fails], timeout=20)
    assert [(row["name"], row["ok"], row["cause"]) for row in done["rows"]] == [("Codex", True, None), ("Other", False, "program_failed")]
    assert done["table"][2].startswith("FAILED  coder  Other")
    assert key not in str(done["rows"])
    assert done["changed"] is False


def test_files_of_clients(run: Run, tmp_path: Path) -> None:
    wanted = {"path": str(tmp_path / "app/.env"), "content": f"{MARKER}\nA=1\n"}
    options = {"files": [wanted], "manifest": str(tmp_path / "state/clients.json")}
    nobody = run(client_files, **{**options, "files": [{**wanted, "owner": "no-such-user"}]})
    assert "no-such-user" in nobody["msg"]
    assert "create the user or group, or give another owner or group" in nobody["msg"]
    # An earlier task of a real run may make the user.
    assert run(client_files, check_mode=True, **{**options, "files": [{**wanted, "owner": "no-such-user"}]})["changed"]
    assert run(client_files, **options)["changed"]
    assert (tmp_path / "app/.env").read_text() == wanted["content"]
    assert not run(client_files, **options)["changed"]
    (tmp_path / "app/.env").write_bytes(b"\xff\xfe")
    assert "a client file could not be written: " in run(client_files, **options)["msg"]
    (tmp_path / "app/.env").unlink()
    (tmp_path / "app/.env").mkdir()
    assert "/app/.env" in run(client_files, **options)["msg"]


def test_results_of_benchmarks(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark_results, "Paths", lambda: Paths(lasting=tmp_path))
    one = {"unit": "vllm@chat", "date": "2026-11-28T10:00:00Z", "steps": []}
    foreseen = run(benchmark_results, check_mode=True, documents=[one])
    assert (foreseen["changed"], foreseen["documents"], foreseen["files"]) == (True, [], [])
    done = run(benchmark_results, documents=[one])
    (file,) = done["files"]
    assert (done["changed"], done["documents"], json.loads(Path(file).read_text())) == (True, [one], one)
    again = run(benchmark_results)
    assert (again["changed"], again["documents"]) == (False, [one])
    (tmp_path / "benchmarks/ollama@1").touch()
    assert "The results cannot be kept" in run(benchmark_results, documents=[{**one, "unit": "ollama@1"}])["msg"]


def test_what_is_recorded(run: Run, tmp_path: Path, program: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit_records_info, "Paths", lambda: Paths(lasting=tmp_path))
    program("nvidia-smi", "echo 'GPU-1, 1000, 10'\n")
    found = run(unit_records_info)
    assert (found["releases"], found["benchmarks"]) == ({}, [])
    assert found["gpus"] == {"GPU-1": {"total_mib": 1000, "used_mib": 10}}


def measured(run: Run, url: str, **changes: Any) -> dict[str, Any]:
    step = {"concurrency": 2, "requests": 4, "command": ["bench"]}
    target = {
        "name": "chat",
        "watch": [{"url": url, "gauges": ["engine:running"]}],
        "image": "engine:1",
        "entrypoint": "tool",
        "network": "engines",
        "key_variable": "KEY",
        "figures": {"completed": "done"},
        "steps": [step, {**step, "concurrency": 4}],
        **changes,
    }
    return run(benchmark, target=target, api_key="a-key-0123456789", ca="AUTHORITY")


def test_a_benchmark(run: Run, tmp_path: Path, program: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_benchmark_run, "PAUSE", 0.0)
    seen = [0.0]
    monkeypatch.setattr(benchmark, "look_at", lambda _watch, _key: seen[0])
    url = "http://127.0.0.1:1/metrics"
    finds = 'for word; do case "$word" in *:/benchmark) place="${word%:/benchmark}";; esac; done\n'
    program(
        "docker", finds + f'[ -z "$place" ] || {{ cp "$place/ca.pem" {tmp_path}/ca; echo \'{{"done": 3}}\' > "$place/result.json"; }}\n'
    )
    found = measured(run, url)
    assert [(step["concurrency"], step["completed"], step["failed"]) for step in found["steps"]] == [(2, 3, 1), (4, 3, 1)]
    assert (found["used"], found["gave_way"], found["failure"], found["changed"]) == (False, False, None, False)
    assert (tmp_path / "ca").read_text() == "AUTHORITY"
    program("docker", "echo 'no such image' >&2; exit 125\n")
    assert measured(run, url)["failure"] == "engine:1 ended with exit code 125: no such image"
    program("docker", f"touch {tmp_path}/begun\n")
    assert measured(run, url, steps=[])["used"] is False
    seen[0] = 9.0
    assert measured(run, url, steps=[])["used"] is True
    assert measured(run, url)["used"] is True
    assert not (tmp_path / "begun").exists()


def test_a_benchmark_that_gives_way_and_one_that_does_not(
    run: Run, program: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_benchmark_run, "INTERVAL", 0.0)
    monkeypatch.setattr(benchmark, "is_used", lambda _look: False)
    monkeypatch.setattr(benchmark, "look_at", lambda _watch, _key: 9.0)
    program("docker", '[ "$1" = rm ] || exec sleep 60\n')
    found = measured(run, "http://127.0.0.1:1/metrics")
    assert (found["gave_way"], found["steps"], found["failure"]) == (True, [], None)
    found = measured(run, "http://127.0.0.1:1/metrics", under_load=True, timeout=1)
    assert (found["gave_way"], found["failure"]) == (False, "it had not ended after 1 s")
