# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can go wrong on a node, done to real vLLM engines and a real LiteLLM, and what must follow.

Four engines share one start lock, as they would share a GPU. Each test leaves the node as it found it; the last one takes all away.
The seconds that were measured stand at the end of the output.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import testinfra
import yaml

PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
SCENARIO = PROJECT / "molecule/faults"
EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
INVENTORY = os.environ["MOLECULE_INVENTORY_FILE"]
BASE = yaml.safe_load((SCENARIO / "molecule.yml").read_text())
NODE = BASE["platforms"][0]["name"]
VARIABLES = BASE["provisioner"]["inventory"]["group_vars"]["all"]
SERVICES = VARIABLES["inference_services"]
MODELS = VARIABLES["inference_models"]
ENGINES = [service.get("name", service["model"]) for service in SERVICES]
UNITS = [f"vllm@{name}.service" for name in ENGINES] + ["litellm@gateway.service"]
IMAGE = "registry.testbed:5000/vllm/vllm-openai:v0.32.0-cpu"
INSTANCES = "/etc/gpu-inference/instances"
ENVIRONMENT = {
    **os.environ,
    "ANSIBLE_CONFIG": str(EPHEMERAL / "ansible.cfg"),
    "ANSIBLE_COLLECTIONS_PATH": str(PROJECT / "collections"),
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_FORCE_COLOR": "0",
}
READY = 600.0  # patience with a busy machine; the tests measure what matters

node = testinfra.get_host(f"docker://{NODE}")

pytestmark = pytest.mark.filterwarnings("ignore")


# ---------------------------------------------------------------- to do something to the node


@dataclass(frozen=True)
class Play:
    rc: int
    output: str
    seconds: float
    ended: float


def playbook(*arguments: str, name: str = "site.yml", **variables: Any) -> list[str]:
    program = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", INVENTORY, "-e", f"@{SCENARIO / 'one_gpu.yml'}"]
    path = PROJECT / "playbooks" / name
    return [*program, "-e", json.dumps(variables), *arguments, str(path)]


def run(argv: list[str], limit: float = 900) -> Play:
    began = time.monotonic()
    done = subprocess.run(
        argv, cwd=PROJECT, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit, check=False
    )
    return Play(done.returncode, done.stdout + done.stderr, time.monotonic() - began, time.time())


def site(*arguments: str, **variables: Any) -> Play:
    """The engines' part of site.yml with other variables."""
    return run(playbook(*(arguments or ("--tags", "engines")), **variables))


def restore() -> None:
    done = site("--tags", "engines,litellm")
    assert done.rc == 0, done.output


def module(name: str, **options: Any) -> tuple[dict[str, Any], float]:
    program = str(Path(sys.executable).parent / "ansible")
    argv = [program, NODE, "-i", INVENTORY, "-m", f"llmops.gpu_inference.{name}", "-a", json.dumps(options)]
    done = subprocess.run(
        argv, cwd=PROJECT, env={**ENVIRONMENT, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}, capture_output=True, text=True, check=False
    )
    assert "=> {" in done.stdout, done.stdout + done.stderr
    result = json.loads("{" + done.stdout.split("=> {", 1)[1])
    result["failed"] = "| FAILED! =>" in done.stdout
    return result, float(result.get("waited", 0))


def sh(command: str) -> str:
    return str(node.check_output(command))


def docker(*arguments: str) -> str:
    """On the machine that the node runs on."""
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout


def write(path: str, text: str) -> None:
    subprocess.run(["docker", "exec", "-i", NODE, "sh", "-c", f"cat > {path}"], input=text, text=True, check=True)


# ---------------------------------------------------------------- to look at it


def state(name: str, kind: str = "vllm") -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(node.run(f"cat /run/gpu-inference/state/{kind}@{name}.json").stdout)
    except ValueError:
        return {}
    return found


def pid(unit: str) -> int:
    return int(sh(f"systemctl show -P MainPID {unit}"))


def container(name: str) -> str:
    return str(node.run(f"docker inspect -f '{{{{.Id}}}} {{{{.State.Running}}}}' {name}").stdout.strip())


def has_another_container(name: str, old: str) -> bool:
    """Whether it runs in another container than then; the dead one may still be there for a moment."""
    found = container(name)
    return found.endswith(" true") and found != old


def key() -> dict[str, str]:
    return {"Authorization": f"Bearer {(EPHEMERAL / 'secrets/master_key').read_text().strip()}"}


def engine_key() -> str:
    return str((EPHEMERAL / "secrets/engine_keys" / NODE).read_text().strip())


def url() -> str:
    address = docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", NODE).strip()
    return f"http://{address}:8400"


def chat(base: str, headers: dict[str, str]) -> requests.Response:
    body = {"model": "chat", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}
    return requests.post(f"{base}/v1/chat/completions", headers=headers, json=body, timeout=120)


def until(what: str, condition: Callable[[], bool], limit: float = READY) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < limit, f"not within {limit:.0f} s: {what}"
        time.sleep(0.5)
    return time.monotonic() - began


def are_ready(*units: str) -> bool:
    """In one look, as many of them are taken."""
    told = sh(
        f"for unit in {' '.join(units)}; do "
        "echo $(systemctl show -P MainPID $unit) $(cat /run/gpu-inference/state/${unit%.service}.json 2>/dev/null || echo {}); done"
    )
    for line in told.splitlines():
        process, _space, document = line.partition(" ")
        try:
            found = json.loads(document)
        except ValueError:
            return False
        if found.get("phase") != "ready" or found.get("pid") != int(process):
            return False
    return True


def all_ready(limit: float = READY) -> float:
    return until("all units ready", lambda: are_ready(*UNITS), limit)


def one_copy(name: str) -> bool:
    return len(sh(f"docker ps -q --filter name=^{name}$").split()) == 1


def lock_is_free() -> bool:
    return node.run("flock --nonblock /run/gpu-inference/locks/gpu-GPU-played.lock true").rc == 0


def now() -> float:
    return time.time()


def starts_since(moment: float) -> list[tuple[float, float, str]]:
    """From the journal: when each container was started, and when it stopped loading, as its launcher wrote it."""
    entries = []
    for line in sh(
        f"journalctl --no-pager -o json --since=@{int(moment)} 'SYSLOG_IDENTIFIER=vllm-chat-a' "
        "SYSLOG_IDENTIFIER=vllm-chat-b SYSLOG_IDENTIFIER=vllm-embedding SYSLOG_IDENTIFIER=vllm-rerank"
    ).splitlines():
        entry = json.loads(line)
        if isinstance(entry.get("MESSAGE"), str):
            entries.append((int(entry["__REALTIME_TIMESTAMP"]) / 1e6, entry["SYSLOG_IDENTIFIER"], entry["MESSAGE"]))
    spans: list[tuple[float, float, str]] = []
    loading: dict[str, float] = {}
    for at, name, message in sorted(entries):
        if at < moment:
            continue
        if message.startswith("launcher: container ") and message.endswith(" started"):
            loading[name] = at
        elif message in ("launcher: ready", "launcher: failed") and name in loading:
            spans.append((loading.pop(name), at, name))
    return sorted(spans)


def do_not_overlap(spans: list[tuple[float, float, str]]) -> bool:
    return all(earlier[1] <= later[0] for earlier, later in zip(spans, spans[1:], strict=False))


MEASURED: list[str] = []


def measured(row: str, **values: Any) -> None:
    MEASURED.append(
        f"{row}: " + ", ".join(f"{name} {value:.1f} s" if isinstance(value, float) else f"{name} {value}" for name, value in values.items())
    )


@pytest.fixture(scope="module", autouse=True)
def _table(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    (EPHEMERAL / "faults.txt").write_text("\n".join(MEASURED) + "\n")
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("\n" + "\n".join(f"MEASURED {line}" for line in MEASURED))


@pytest.fixture(autouse=True)
def _sound_node(request: pytest.FixtureRequest) -> Iterator[None]:
    """A service too much is no reason to restore: it goes with the next play, as does a changed variable."""
    if not are_ready(*UNITS):
        restore()
    failed_before = request.session.testsfailed
    yield
    if request.session.testsfailed > failed_before:
        print(node.run("journalctl --no-pager -n 20 -g launcher:; docker ps -a").stdout)


# ---------------------------------------------------------------- wrong addresses, from the module that says why


@pytest.mark.parametrize(
    ("cause", "remedy", "changes"),
    [
        pytest.param("tls_mismatch", "Change the scheme", {"base_url": "https://127.0.0.1:8070/v1"}, id="https-to-http"),
        pytest.param("auth", "not the key of this server", {"api_key": "sk-wrong-key-wrong-key"}, id="wrong-key"),
        pytest.param("not_openai", "in /v1", {"base_url": "http://127.0.0.1:8070"}, id="without-v1"),
        pytest.param("dns", "Correct the host name", {"base_url": "http://no-such-host.invalid:8070/v1"}, id="unresolvable"),
        pytest.param("wrong_model", "Correct the model name", {"model": "other"}, id="wrong-model"),
    ],
)
def test_a_wrong_address_is_told_with_its_cause(cause: str, remedy: str, changes: dict[str, str]) -> None:
    endpoint = {"name": "engine", "base_url": "http://127.0.0.1:8070/v1", "model": "chat", "api_key": engine_key(), **changes}
    result, waited = module("endpoint_ready", endpoints=[endpoint], timeout=300, progress=False)
    assert result["failed"], result
    assert f": {cause}\n" in result["msg"], result["msg"]
    assert remedy in result["msg"]
    assert engine_key() not in result["msg"]
    assert waited < 15
    measured(f"{cause}", until_the_module_failed=waited)


# ---------------------------------------------------------------- services that cannot start


@dataclass(frozen=True)
class Broken:
    cause: str
    line: str  # of the engine's or Docker's own words
    service: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    limit: float = 15.0  # seconds from the cause to the end of the play
    permanent: bool = False


BROKEN = {
    "missing-image": Broken(
        "image_missing",
        "not found",
        model={"image": "registry.testbed:5000/vllm/vllm-openai:v0.0.1", "engine_version": "0.32.0"},
        permanent=True,
    ),
    "registry-down": Broken(
        "registry_down", "refused", model={"image": "127.0.0.1:5999/vllm/vllm-openai:v0.32.0", "engine_version": "0.32.0"}
    ),
    "unknown-path": Broken("bad_model", "/srv/models/nothing", model={"source": "/srv/models/nothing"}, permanent=True),
    "kv-cache": Broken("kv_cache_too_small", "KV cache", service={"env": {"TINY_KV": "8K"}}, permanent=True),
    "context": Broken("context_too_long", "max_model_len", service={"max_model_len": 1000000}, permanent=True),
    # With worker processes of its own, as for tensor parallelism: a single worker shares no memory.
    "shared-memory": Broken(
        "shared_memory",
        "Insufficient space in /dev/shm",
        service={"shm_size": "1m", "engine_args": {"distributed-executor-backend": "mp"}},
        permanent=True,
    ),
    # Docker finds it when it starts the container, and its last line does not say so.
    "mount": Broken(
        "bad_flag",
        "docker start failed: Error response from daemon: error while creating mount source path '/proc/nothing'",
        service={"container_extra_arguments": ["--volume", "/proc/nothing:/nothing"]},
        permanent=True,
    ),
    "memory-kill": Broken("out_of_memory", "", service={"container_extra_arguments": ["--memory", "200m", "--memory-swap", "200m"]}),
}


def with_broken(case: Broken) -> dict[str, Any]:
    return {
        "inference_models": {**MODELS, "broken": {"source": "/srv/models/tiny-chat", "max_model_len": 2048, **case.model}},
        "inference_services": [*SERVICES, {"model": "broken", "port": 8099, "memory": "2GiB", **case.service}],
    }


@pytest.mark.parametrize("name", list(BROKEN))
def test_a_service_that_cannot_start_fails_the_play_with_its_cause(name: str) -> None:
    case = BROKEN[name]
    before = {engine: pid(f"vllm@{engine}.service") for engine in ENGINES}
    done = site(**with_broken(case))
    after = state("broken").get("last_failure") or {}
    assert done.rc != 0, done.output
    assert f"): {case.cause}\n" in done.output, done.output
    assert "Remedy:" in done.output
    assert case.line in done.output
    assert after.get("cause") == case.cause, after
    assert case.line in after["message"] or name != "mount", after
    assert done.ended - after["at"] < case.limit

    def shown() -> dict[str, str]:
        properties = sh("systemctl show -p ActiveState,NRestarts,StatusText vllm@broken")
        return dict(line.split("=", 1) for line in properties.splitlines())

    # systemd forgets the text for the moment in which it starts a unit again.
    until("systemctl status tells the cause", lambda: case.cause in shown()["StatusText"], 30)
    assert node.run(f"journalctl --no-pager -t vllm-broken | grep -F {shlex.quote('launcher: ' + case.cause)}").rc == 0
    if case.permanent:
        until("given up", lambda: shown()["ActiveState"] == "failed", 30)
        assert shown()["NRestarts"] == "0"
    else:
        assert shown()["ActiveState"] != "failed", "it was to be tried again"
    assert before == {engine: pid(f"vllm@{engine}.service") for engine in ENGINES}, "a neighbour was touched"
    assert chat(url(), key()).status_code == 200
    until("lock free", lock_is_free)  # one that is tried again may hold it just now
    measured(f"{name} ({case.cause})", from_the_cause_to_the_end_of_the_play=done.ended - after["at"], play=done.seconds)


def test_an_old_process_on_the_port_is_never_taken_for_the_service() -> None:
    """It answers like the service: health, model list, chat. The service's own container cannot get the port."""
    program = """
import http.server, json
class Old(http.server.BaseHTTPRequestHandler):
    def answer(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        message = {"role": "assistant", "content": "I am old."}
        body = json.dumps({"object": "list", "data": [{"id": "broken", "object": "model"}], "choices": [{"message": message}]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = answer
http.server.ThreadingHTTPServer(("127.0.0.1", 8099), Old).serve_forever()
"""
    write("/tmp/old.py", program)
    sh("systemd-run --quiet --unit=played-old python3 /tmp/old.py")
    try:
        endpoint = {"name": "old", "base_url": "http://127.0.0.1:8099/v1", "model": "broken"}
        until("the old process answers", lambda: not module("endpoint_ready", endpoints=[endpoint], timeout=5)[0]["failed"], 60)
        done = site(**with_broken(Broken("port_in_use", "")))
        failure = state("broken").get("last_failure") or {}
        assert done.rc != 0, done.output
        assert "): port_in_use\n" in done.output, done.output
        assert "older or foreign process" in done.output or "8099" in done.output
        measured("port-taken, old process answers (port_in_use)", from_the_cause_to_the_end_of_the_play=done.ended - failure["at"])
        result, waited = module("endpoint_ready", endpoints=[{**endpoint, "unit": "vllm@nobody.service"}], timeout=60, progress=False)
        assert result["failed"], result
        assert ": stale_server\n" in result["msg"], result["msg"]
        measured("stale process (stale_server)", until_the_module_failed=waited)
    finally:
        sh("systemctl stop played-old")


def test_a_wrong_flag_is_refused_before_the_swap() -> None:
    services = [{**SERVICES[0], "engine_args": {"no-such-flag": 1}}, *SERVICES[1:]]
    before = (pid("vllm@chat-a.service"), container("vllm-chat-a"), sh(f"cat {INSTANCES}/vllm/chat-a/config.yaml"))
    done = site(inference_services=services)
    assert done.rc != 0, done.output
    assert "vllm/chat-a: bad_flag" in done.output, done.output
    assert "unrecognized arguments: --no-such-flag" in done.output
    assert "The old container still serves" in done.output
    assert before == (pid("vllm@chat-a.service"), container("vllm-chat-a"), sh(f"cat {INSTANCES}/vllm/chat-a/config.yaml"))
    measured("wrong-flag (bad_flag), refused before the swap", play=done.seconds)


@dataclass(frozen=True)
class Refused:
    """A change of what serves that Docker does not take."""

    said: str  # by Docker
    unit: str = "vllm@chat-a.service"
    service: dict[str, Any] = field(default_factory=dict)
    gateway: dict[str, Any] = field(default_factory=dict)
    tag: str = "engines"
    beside: bool = False  # whether another service of the GPU changes too

    @property
    def instance(self) -> str:
        kind, _at, name = self.unit[: -len(".service")].partition("@")
        return f"{kind}/{name}"


REFUSED = {
    # The kernel's word, by runc, when the container starts.
    "limit": Refused("error setting rlimit", service={"container_extra_arguments": ["--ulimit", "memlock=-1:-1"]}, beside=True),
    "mount": Refused("error while creating mount source path", service={"container_extra_arguments": ["-v/proc/nothing:/nothing"]}),
    "device": Refused("no such file or directory", service={"container_extra_arguments": ["--device=/dev/nothing"]}),
    "argument": Refused('invalid argument "much"', service={"container_extra_arguments": ["--memory", "much"]}),
    # An address that is right and not this host's.
    "address": Refused("cannot assign requested address", "litellm@gateway.service", gateway={"bind": "192.0.2.1"}, tag="litellm"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_docker_refuses_leaves_what_serves(name: str) -> None:
    case = REFUSED[name]
    # Of what is declared: a service that an earlier test has left goes with this run.
    folders = " ".join(unit[: -len(".service")].replace("@", "/") for unit in UNITS)
    files = f"cd {INSTANCES} && find {folders} -type f | sort | xargs sha256sum"
    services = [{**SERVICES[0], **case.service}, {**SERVICES[1], **({"env": {"PLAYED": "1"}} if case.beside else {})}, *SERVICES[2:]]

    def now_running() -> list[tuple[int, str]]:
        return [(pid(unit), container(unit[: -len(".service")].replace("@", "-"))) for unit in UNITS]

    before = (now_running(), sh(files))
    done = site("--tags", case.tag, inference_services=services, inference_gateway={"port": 8400, **case.gateway})
    assert done.rc != 0, done.output
    assert f"{case.instance}: " in done.output
    assert "Docker refuses the new configuration" in done.output, done.output
    assert case.said in done.output, done.output
    assert "The old container still serves with its old configuration" in done.output
    if case.beside:
        assert "vllm/chat-b (vllm/chat-a goes on serving with GPU GPU-played)" in done.output, done.output
    assert (now_running(), sh(files)) == before
    assert "-trial" not in sh("docker ps --all --format '{{.Names}}'")
    assert are_ready(*UNITS)
    assert chat(url(), key()).status_code == 200
    measured(f"{name}, refused by Docker before the swap", play=done.seconds)


def test_a_broken_gateway_configuration_leaves_the_old_gateway() -> None:
    before = (pid("litellm@gateway.service"), container("litellm-gateway"))
    gateway = {"port": 8400, "settings": {"router_settings": {"routing_strategie": "simple-shuffle"}}}
    done = site("--tags", "litellm", inference_gateway=gateway)
    assert done.rc != 0, done.output
    assert "routing_strategie is no setting of this LiteLLM" in done.output, done.output
    assert before == (pid("litellm@gateway.service"), container("litellm-gateway"))
    assert chat(url(), key()).status_code == 200
    measured("broken gateway configuration", play=done.seconds)


def test_a_full_disk_leaves_the_files_whole() -> None:
    sums = f"cd {INSTANCES} && find . -type f ! -name full | sort | xargs sha256sum"
    before = sh(sums)
    # A file system with room for what is there and little more.
    size = int(sh(f"du -sk {INSTANCES}").split()[0]) + 256
    sh(f"cp -a {INSTANCES} /tmp/instances && mount -t tmpfs -o size={size}k,mode=0755 tmpfs {INSTANCES}")
    try:
        sh(f"cp -a /tmp/instances/. {INSTANCES}/")
        node.run(f"dd if=/dev/zero of={INSTANCES}/full bs=1k")
        changed = [{**service, "env": {"PLAYED": "1"}} for service in SERVICES]
        done = site(inference_services=changed)
        assert done.rc != 0, done.output
        assert "no space left" in done.output, done.output
        assert "the old files are whole" in done.output
        assert sh(sums) == before
        assert are_ready(*UNITS)
        measured("full disk", play=done.seconds)
    finally:
        sh(f"umount {INSTANCES}; rm -rf /tmp/instances")
    assert sh(sums) == before


def test_an_image_that_is_there_needs_no_registry() -> None:
    hosts = sh("cat /etc/hosts")
    write("/etc/hosts", hosts + "\n127.0.0.1 registry.testbed\n")
    try:
        began = time.monotonic()
        done = site(**variant(2, pull="always"))
        assert done.rc == 0, done.output
        assert "cannot pull" in sh("journalctl --no-pager -t vllm-embedding -g 'launcher: cannot pull'")
        measured("registry down, image present: starts", play=time.monotonic() - began)
    finally:
        write("/etc/hosts", hosts + "\n")


# ---------------------------------------------------------------- two runs, and runs that are killed


def variant(number: int, **changes: Any) -> dict[str, Any]:
    return {"inference_services": [*SERVICES[:2], {**SERVICES[2], "env": {"PLAYED": str(number)}, **changes}, SERVICES[3]]}


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


def played(name: str) -> str:
    """With which number its container runs; empty while it does not."""
    for line in node.run(f"docker inspect -f '{{{{range .Config.Env}}}}{{{{println .}}}}{{{{end}}}}' vllm-{name}").stdout.splitlines():
        if line.startswith("PLAYED="):
            return str(line.partition("=")[2])
    return ""


def freeze(name: str) -> None:
    """Its container runs, and gets no further."""
    until(f"{name} is frozen", lambda: node.run(f"kill -STOP $(docker top {name} -eo pid | tail -n +2)").rc == 0)


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


# ---------------------------------------------------------------- engines and launchers that die


def test_an_engine_killed_comes_back_and_no_client_notices() -> None:
    """One of two replicas under load."""
    base, headers = url(), key()
    stop = threading.Event()
    answers: list[int | str] = []

    def client() -> None:
        while not stop.is_set():
            try:
                reply = chat(base, headers)
                answers.append(200 if reply.status_code == 200 else f"{reply.status_code} {reply.text[:300]}")
            except requests.RequestException as error:
                answers.append(str(error))

    clients = [threading.Thread(target=client) for _ in range(4)]
    for one in clients:
        one.start()
    time.sleep(4)
    before = len(answers)
    old = container("vllm-chat-a")
    sh("docker kill --signal KILL vllm-chat-a")
    seconds = until("chat-a is back", lambda: has_another_container("vllm-chat-a", old) and are_ready("vllm@chat-a.service"))
    stop.set()
    for one in clients:
        one.join()
    failed = [answer for answer in answers if answer != 200]
    assert before > 0
    assert failed == [], f"{len(failed)} of {len(answers)}: {failed[:5]}"
    measured("one of two replicas killed under load", requests=len(answers), failed=len(failed), back_after=seconds)


KILLS = {
    "engine-killed": "kill -9 $(docker top vllm-chat-b -eo pid,args | grep -v docker-init | awk '/vllm|spawn_main/ {print $1}')",
    "container-removed": "docker rm --force vllm-chat-b",
}


@pytest.mark.parametrize("name", list(KILLS))
def test_an_engine_that_dies_is_back_by_itself(name: str) -> None:
    old = container("vllm-chat-b")
    began = now()
    sh(KILLS[name])
    seconds = until("chat-b is back", lambda: has_another_container("vllm-chat-b", old) and are_ready("vllm@chat-b.service"))
    assert one_copy("vllm-chat-b")
    assert do_not_overlap(starts_since(began))
    until("lock free", lock_is_free, 30)
    measured(name, ready_again_after=seconds)


def test_what_has_served_is_tried_again_whatever_the_cause() -> None:
    """Its model is gone when it comes back, which would be permanent for a configuration that is new here."""
    old, began = container("vllm-embedding"), now()

    def failure() -> dict[str, Any]:
        found: dict[str, Any] = state("embedding").get("last_failure") or {}
        return found if found.get("at", 0) > began and found["message"] else {}

    sh("mount -t tmpfs tmpfs /srv/models/tiny-embed")
    try:
        sh("docker kill vllm-embedding")
        until("it ends for want of its model", lambda: failure().get("cause") in ("bad_model", "bad_flag"))
        until("systemctl status says so", lambda: "has served before, trying again in" in sh("systemctl status vllm@embedding || true"), 60)
        assert state("embedding")["permanent"] is False
        assert sh("systemctl show -P ActiveState vllm@embedding").strip() != "failed"
        shown = run(playbook(name="status.yml", only_service="embedding"))
        assert "has served before, trying again in" in shown.output, shown.output
    finally:
        sh("umount /srv/models/tiny-embed")
    seconds = until(
        "embedding is back by itself", lambda: has_another_container("vllm-embedding", old) and are_ready("vllm@embedding.service")
    )
    measured("model away at a restart, then there again", ready_again_after=seconds)


def test_a_launcher_that_hangs_is_noticed_in_every_phase() -> None:
    """One serves, one loads. Both are killed by systemd within two minutes, and adopted."""
    began = now()
    sh("systemctl restart --no-block vllm@chat-b.service")
    until("chat-b loads", lambda: state("chat-b").get("loading") is True and state("chat-b").get("pid") == pid("vllm@chat-b.service") != 0)
    freeze("vllm-chat-b")
    units = ("vllm@chat-a.service", "vllm@chat-b.service")
    before = {unit: (pid(unit), container(unit[: -len(".service")].replace("@", "-"))) for unit in units}
    sh("kill -STOP " + " ".join(str(process) for process, _container in before.values()))
    noticed = {
        unit: until(f"{unit} has another process", lambda unit=unit, process=process: pid(unit) not in (0, process))  # type: ignore[misc]
        for unit, (process, _container) in before.items()
    }
    sh("kill -CONT $(docker top vllm-chat-b -eo pid | tail -n +2)")
    all_ready()
    assert {unit: container(unit[: -len(".service")].replace("@", "-")) for unit in units} == {
        unit: kept for unit, (_process, kept) in before.items()
    }
    assert max(noticed.values()) < 120, noticed
    assert "_engine_watch.py" in sh(f"journalctl --no-pager --since=@{int(began)} -t vllm-chat-a -g 'in serve'"), (
        "it does not say where it hung"
    )
    assert lock_is_free()
    measured("launchers hung (SIGSTOP), one serves, one loads", serving=noticed[units[0]], loading=noticed[units[0]] + noticed[units[1]])


def test_a_launcher_killed_while_serving_adopts_its_container() -> None:
    old, process = container("vllm-chat-b"), pid("vllm@chat-b.service")
    sh(f"kill -9 {process}")
    seconds = until("a new launcher", lambda: pid("vllm@chat-b.service") not in (0, process) and are_ready("vllm@chat-b.service"))
    assert container("vllm-chat-b") == old
    assert lock_is_free()
    measured("launcher killed while serving", ready_again_after=seconds)


def test_an_upgraded_launcher_adopts_its_container() -> None:
    """Played backwards: one launcher runs an older program, and site.yml installs the one that the others run."""
    restore()  # what the tests before have left differs from what site.yml declares
    before = [(container(f"vllm-{name}"), pid(f"vllm@{name}.service")) for name in ENGINES]

    def programs() -> dict[str, str]:
        return {name: state(name).get("program_hash", "") for name in ENGINES}

    installed = programs()["chat-a"]
    sh("echo '# older' >> /usr/local/lib/gpu-inference/_progress.py && systemctl reload vllm@chat-b.service")
    until("chat-b runs the older program", lambda: programs()["chat-b"] not in ("", installed), 60)
    began = now()
    done = run(playbook())
    assert done.rc == 0, done.output
    until("all run the installed program", lambda: set(programs().values()) == {installed}, 60)
    adopted = sh(f"journalctl --no-pager --since=@{int(began)} -o json -g 'launcher: adopts' --output-fields=SYSLOG_IDENTIFIER")
    assert {json.loads(line)["SYSLOG_IDENTIFIER"] for line in adopted.splitlines()} == {"vllm-chat-b"}
    assert [(container(f"vllm-{name}"), pid(f"vllm@{name}.service")) for name in ENGINES] == before
    assert are_ready(*UNITS)
    assert "changed=0" in site().output
    measured("launcher upgraded by site.yml", play=done.seconds, restarts=0)


def test_a_launcher_killed_while_loading_adopts_its_container() -> None:
    began = now()
    sh("systemctl restart --no-block vllm@chat-b.service vllm@rerank.service")

    def loading() -> bool:
        return state("chat-b").get("loading") is True and state("chat-b").get("pid") == pid("vllm@chat-b.service") != 0

    until("chat-b loads", loading)
    time.sleep(1)
    process, old = pid("vllm@chat-b.service"), container("vllm-chat-b")
    sh(f"kill -9 {process}")
    seconds = all_ready()
    assert container("vllm-chat-b") == old, "the loading container was not adopted"
    assert one_copy("vllm-chat-b")
    spans = starts_since(began)
    assert len(spans) == 2, spans
    assert do_not_overlap(spans), spans
    assert lock_is_free()
    measured("launcher killed while loading, a neighbour waits", all_ready_after=seconds)


def test_a_hung_engine_is_noticed_and_restarted() -> None:
    old = container("vllm-chat-b")
    sh("kill -STOP $(docker top vllm-chat-b -eo pid | tail -n +2)")
    seconds = until("chat-b is back", lambda: has_another_container("vllm-chat-b", old) and are_ready("vllm@chat-b.service"))
    failure = state("chat-b")["last_failure"]
    assert "hung: no sign of life for 30 s" in failure["message"], failure
    measured("engine hung (SIGSTOP), watchdog 30 s", ready_again_after=seconds)


def test_a_restart_of_docker_costs_nothing() -> None:
    before = [(container(f"vllm-{name}"), pid(f"vllm@{name}.service")) for name in ENGINES]
    asked, failed, done = [0], [], threading.Event()
    address = url()

    def ask() -> None:
        while not done.is_set():
            asked[0] += 1
            try:
                status = str(chat(address, key()).status_code)
            except requests.RequestException as error:
                status = type(error).__name__
            if status != "200":
                failed.append((time.monotonic(), status))

    client = threading.Thread(target=ask)
    client.start()
    time.sleep(2)
    sh("systemctl restart docker")
    seconds = all_ready()
    time.sleep(5)
    done.set()
    client.join()
    assert [(container(f"vllm-{name}"), pid(f"vllm@{name}.service")) for name in ENGINES] == before
    assert chat(url(), key()).status_code == 200
    lasted = failed[-1][0] - failed[0][0] if failed else 0.0
    assert lasted < 30, failed
    kinds = ", ".join(sorted({status for _at, status in failed})) or "none"
    measured(
        "Docker daemon restarted", all_ready_after=seconds, restarts=0, requests=asked[0], failed=len(failed), of_kind=kinds, within=lasted
    )


def test_a_rebooted_node_comes_back_in_order() -> None:
    began = now()
    docker("restart", "--time", "60", NODE)
    until("systemd answers", lambda: node.run("systemctl is-system-running").stdout.strip() in ("running", "degraded"), 120)
    booted = now() - began
    assert not are_ready(*UNITS), "the boot waited for the models"
    seconds = booted + all_ready()
    spans = [span for span in starts_since(began) if span[0] >= began]
    assert sorted(span[2] for span in spans) == sorted(f"vllm-{name}" for name in ENGINES), spans
    assert do_not_overlap(spans), spans
    assert lock_is_free()
    until("the gateway serves", lambda: chat(url(), key()).status_code == 200, 120)
    measured("reboot, four engines on one lock", system_up=booted, all_ready_after=seconds, starts=len(spans), overlaps=0)


# ---------------------------------------------------------------- what leaves


def foreign() -> None:
    """Somebody else's container, unit and folder with names like ours."""
    if container("vllm-mine") == "":
        sh(f"docker run --detach --name vllm-mine --entrypoint sleep {IMAGE} infinity")
    write("/etc/systemd/system/vllm-mine.service", "[Service]\nExecStart=/bin/sleep infinity\n")
    sh(f"mkdir -p {INSTANCES}/vllm/mine && echo mine > {INSTANCES}/vllm/mine/notes && systemctl daemon-reload && systemctl start vllm-mine")


def foreign_is_whole() -> bool:
    return (
        container("vllm-mine").endswith(" true")
        and node.service("vllm-mine").is_running
        and bool(node.file("/etc/systemd/system/vllm-mine.service").exists)
    )


def test_status_stop_and_start() -> None:
    table = run(playbook(name="status.yml"))
    assert table.rc == 0, table.output
    for engine in ENGINES:  # state, uptime, restarts, memory used, GPU memory, budget, image digest
        row = rf"vllm@{engine} +ready +\d.*? [smhd] +\d+ +\d+ MiB +- +2(\.0)? GiB +[0-9a-f]{{12}} "
        assert re.search(row, table.output), table.output
    assert "litellm@gateway" in table.output
    assert "changed=0" in table.output
    done = run(playbook(name="stop.yml", only_service="rerank"))
    assert done.rc == 0, done.output
    assert node.run("systemctl is-active vllm@rerank").stdout.strip() == "inactive"
    assert container("vllm-rerank") == ""
    assert are_ready(*(unit for unit in UNITS if "rerank" not in unit))
    stopped = run(playbook(name="status.yml", only_service="rerank"))
    assert "stopped" in stopped.output, stopped.output
    begun = run(playbook(name="start.yml", only_service="rerank"))
    assert begun.rc == 0, begun.output
    assert are_ready("vllm@rerank.service")
    measured("status.yml, stop.yml, start.yml of one service", status=table.seconds, stop=done.seconds, start=begun.seconds)


def test_start_tells_why_an_engine_does_not_start_and_starts_the_gateway() -> None:
    sh("systemctl stop litellm@gateway.service vllm@rerank.service vllm@embedding.service")
    sh("systemctl mask --runtime vllm@embedding.service")
    sh("systemd-run --quiet --unit=played-other python3 -m http.server --bind 127.0.0.1 8091")
    try:
        begun = run(playbook(name="start.yml"))
        assert begun.rc != 0, begun.output
        assert "vllm@embedding.service is masked" in begun.output, begun.output
        assert "vllm@rerank.service: port_in_use (" in begun.output, begun.output
        assert "Remedy:" in begun.output
        assert are_ready("vllm@chat-a.service", "vllm@chat-b.service", "litellm@gateway.service")
        measured("start.yml with two engines that cannot start", play=begun.seconds)
    finally:
        sh("systemctl stop played-other; systemctl unmask --runtime vllm@embedding.service")
    begun = run(playbook(name="start.yml"))
    assert begun.rc == 0, begun.output
    assert are_ready(*UNITS)


def test_what_left_the_inventory_goes_and_nothing_else() -> None:
    foreign()
    gone = SERVICES[3]["model"]
    done = site(
        "--tags", "engines,litellm", inference_services=SERVICES[:3], inference_models={k: v for k, v in MODELS.items() if k != gone}
    )
    assert done.rc == 0, done.output
    assert container(f"vllm-{gone}") == ""
    assert node.run(f"systemctl is-active vllm@{gone}").stdout.strip() == "inactive"
    assert not node.file(f"{INSTANCES}/vllm/{gone}").exists
    assert not node.file(f"/etc/systemd/system/gpu-inference.target.wants/vllm@{gone}.service").exists
    served = {model["id"] for model in requests.get(f"{url()}/v1/models", headers=key(), timeout=30).json()["data"]}
    assert gone not in served
    assert "chat" in served
    assert foreign_is_whole()
    assert node.file(f"{INSTANCES}/vllm/mine/notes").exists
    measured("service left the inventory: stopped, removed, not routed", play=done.seconds)


def test_remove_takes_all_that_is_ours_and_nothing_else() -> None:
    foreign()
    refused = run(playbook(name="remove.yml"))
    assert refused.rc != 0
    assert "remove_confirmed=true" in refused.output
    done = run(playbook(name="remove.yml", remove_confirmed=True))
    assert done.rc == 0, done.output
    assert sh("docker ps -aq --filter label=io.llmops.gpu-inference.owner") == ""
    assert node.run("systemctl list-units --all --plain --no-legend 'vllm@*' 'litellm@*' gpu-inference.target").stdout == ""
    for path in ("/usr/local/lib/gpu-inference", "/etc/systemd/system/vllm@.service", "/run/gpu-inference"):
        assert not node.file(path).exists, path
    assert node.file("/var/lib/gpu-inference/vllm").exists, "models were not to be removed"
    assert foreign_is_whole()
    measured("remove.yml", play=done.seconds)
    sh("echo mine > /var/lib/gpu-inference/notes")
    done = run(playbook(name="remove.yml", remove_confirmed=True, remove_data=True))
    assert done.rc == 0, done.output
    assert node.file("/var/lib/gpu-inference").listdir() == ["notes"]
    assert foreign_is_whole()
    sh("rm /var/lib/gpu-inference/notes")
    done = run(playbook(name="remove.yml", remove_confirmed=True, remove_data=True))
    assert done.rc == 0, done.output
    assert not node.file("/var/lib/gpu-inference").exists
