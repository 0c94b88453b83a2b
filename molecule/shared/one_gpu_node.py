# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node whose engines share one start lock, as they would share a GPU: what scenarios do to it, and how they look at it.

The lock comes from one_gpu.yml, the services from the scenario's own molecule.yml. The scenario's conftest.py takes the fixtures; the
seconds that were measured stand at the end of the output.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import testinfra
import yaml

PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
INVENTORY = os.environ["MOLECULE_INVENTORY_FILE"]
BASE = yaml.safe_load((Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"]) / "molecule.yml").read_text())
NODE = BASE["platforms"][0]["name"]
VARIABLES = BASE["provisioner"]["inventory"]["group_vars"]["all"]
SERVICES = VARIABLES["inference_services"]
MODELS = VARIABLES["inference_models"]
ENGINES = [service.get("name", service["model"]) for service in SERVICES]
UNITS = [f"vllm@{name}.service" for name in ENGINES] + ["litellm@gateway.service"]
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


@dataclass(frozen=True)
class Play:
    rc: int
    output: str
    seconds: float
    ended: float


def playbook(*arguments: str, name: str = "site.yml", **variables: Any) -> list[str]:
    program = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", INVENTORY, "-e", f"@{PROJECT / 'molecule/shared/one_gpu.yml'}"]
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


def chat(base: str, headers: dict[str, str], patience: float = 120) -> requests.Response:
    body = {"model": "chat", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}
    return requests.post(f"{base}/v1/chat/completions", headers=headers, json=body, timeout=patience)


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
    return bool(node.run("flock --nonblock /run/gpu-inference/locks/gpu-GPU-played.lock true").rc == 0)


def now() -> float:
    return time.time()


def starts_since(moment: float) -> list[tuple[float, float, str]]:
    """From the journal: when each container was started, and when it stopped loading, as its launcher wrote it."""
    entries = []
    identifiers = " ".join(f"SYSLOG_IDENTIFIER=vllm-{name}" for name in ENGINES)
    for line in sh(f"journalctl --no-pager -o json --since=@{int(moment)} {identifiers}").splitlines():
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


def variant(number: int, **changes: Any) -> dict[str, Any]:
    return {"inference_services": [*SERVICES[:2], {**SERVICES[2], "env": {"PLAYED": str(number)}, **changes}, *SERVICES[3:]]}


def played(name: str) -> str:
    """With which number its container runs; empty while it does not."""
    for line in node.run(f"docker inspect -f '{{{{range .Config.Env}}}}{{{{println .}}}}{{{{end}}}}' vllm-{name}").stdout.splitlines():
        if line.startswith("PLAYED="):
            return str(line.partition("=")[2])
    return ""


def freeze(name: str) -> None:
    """Its container runs, and gets no further."""
    until(f"{name} is frozen", lambda: node.run(f"kill -STOP $(docker top {name} -eo pid | tail -n +2)").rc == 0)


@pytest.fixture(scope="session", autouse=True)
def told_at_the_end(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("\n" + "\n".join(f"MEASURED {line}" for line in MEASURED))


@pytest.fixture(autouse=True)
def journal_of_a_failure(request: pytest.FixtureRequest) -> Iterator[None]:
    failed_before = request.session.testsfailed
    yield
    if request.session.testsfailed > failed_before:
        print(node.run("journalctl --no-pager -n 20 -g launcher:; docker ps -a").stdout)


@pytest.fixture(autouse=True)
def sound_node() -> None:
    """A service too much is no reason to restore: it goes with the next play, as does a changed variable."""
    if not are_ready(*UNITS):
        restore()
