# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One model over two hosts: ranks that die, hang or are cut off, and hosts that go. Whatever happens, it answers again without a human.

The smaller model, which each of the two hosts serves by itself, answers all the time meanwhile, through the gateway on a third.

In CI a few faults; all of them, in any order and at random moments, with LLMOPS_ALL_FAULTS=1. The tests run in the order in which they
stand.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from group_nodes import (
    CLUSTER,
    GATEWAY,
    MODELS,
    NETWORK,
    ONE,
    REPLY,
    TWO,
    UNIT,
    ask,
    container,
    docker,
    generations,
    hosts,
    playbook,
    serves,
    sh,
    state,
    wait,
)
from support.steady_clients import all_the_time

ALL = os.environ.get("LLMOPS_ALL_FAULTS") == "1"


def pids(host: str) -> str:
    return sh(host, "docker top vllm-big -eo pid").replace("PID", "").replace("\n", " ")


def config_hash(host: str) -> str:
    return sh(host, "docker inspect -f '{{index .Config.Labels \"io.llmops.gpu-inference.config-hash\"}}' vllm-big").strip()


def small_answers() -> str:
    """What a client of the smaller model gets."""
    status, text, _backend = ask("small")
    return "right" if (status, text) == (200, REPLY) else f"{status} {text[:200]}"


def all_is_well() -> bool:
    """The group, and the smaller model on either host, so that it can do without the other."""
    units = [state(host, name).get("phase") for host in (ONE, TWO) for name in ("big", "small")]
    return set(units) == {"ready"} and serves()


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong. C(do) returns when the fault is over: the link is back, the host is told to boot."""

    do: Callable[[], object]
    same: bool = False  # the containers live on
    both: bool = False  # no host is left that could serve anything
    ci: bool = False


def kill(host: str) -> object:
    return sh(host, "docker kill vllm-big")


def kill_process(host: str) -> object:
    return sh(host, f"kill -9 {random.choice(pids(host).split())}")


def freeze(host: str) -> object:
    """For good: only a new generation helps. Something is asked, so that it shows."""
    return sh(host, f"kill -STOP {pids(host)}")


def stop_for(seconds: float) -> object:
    """As a prefill that takes so long: nothing answers, and no counter moves."""
    found = {host: pids(host) for host in (ONE, TWO)}
    for host, numbers in found.items():
        sh(host, f"kill -STOP {numbers}")
    time.sleep(seconds)
    return [sh(host, f"kill -CONT {numbers}") for host, numbers in found.items()]


def link_down(host: str, seconds: float) -> object:
    interface = sh(host, f"ip -o -4 addr show to {CLUSTER[host]}").split()[1]
    sh(host, f"ip link set {interface} down")
    time.sleep(seconds)
    return sh(host, f"ip link set {interface} up")


def reboot(*names: str) -> None:
    """Power off, and on again in that order."""
    docker("kill", *names)
    for name in names:
        docker("start", name)


def kill_launcher(host: str) -> object:
    return sh(host, f"systemctl kill --kill-whom=main -s KILL {UNIT}")


def fill_disk(host: str, seconds: float) -> object:
    sh(host, "fallocate -l $(df --output=avail -B1 /run/gpu-inference | tail -1) /run/gpu-inference/full")
    kill(host)
    time.sleep(seconds)
    return sh(host, "rm -f /run/gpu-inference/full")


FAULTS = {
    "rank 1 killed": Fault(lambda: kill(TWO), ci=True),
    "link cut for 40 s": Fault(lambda: link_down(TWO, 40), same=True, ci=True),
    "host of rank 1 off and on": Fault(lambda: reboot(TWO), ci=True),
    "rank 0 killed": Fault(lambda: kill(ONE), ci=True),
    "a process of rank 0 killed": Fault(lambda: kill_process(ONE)),
    "a process of rank 1 killed": Fault(lambda: kill_process(TWO)),
    "rank 0 frozen": Fault(lambda: freeze(ONE)),
    "rank 1 frozen": Fault(lambda: freeze(TWO)),
    "nothing moves for 60 s": Fault(lambda: stop_for(60), same=True),
    "link cut for 60 s, at the other end": Fault(lambda: link_down(ONE, 60), same=True),
    "host of rank 0 off and on": Fault(lambda: reboot(ONE)),
    "both off, and on: one, two": Fault(lambda: reboot(ONE, TWO), both=True),
    "both off, and on: two, one": Fault(lambda: reboot(TWO, ONE), both=True),
    "launcher of rank 0 killed": Fault(lambda: kill_launcher(ONE), same=True),
    "launcher of rank 1 killed": Fault(lambda: kill_launcher(TWO), same=True),
    "Docker restarted on one": Fault(lambda: sh(ONE, "systemctl restart docker"), same=True),
    "Docker restarted on two": Fault(lambda: sh(TWO, "systemctl restart docker"), same=True),
    "disk full on one while its rank dies": Fault(lambda: fill_disk(ONE, 20)),
    "disk full on two while its rank dies": Fault(lambda: fill_disk(TWO, 20)),
    "rank 1 killed while it starts": Fault(lambda: (kill(ONE), wait("start", lambda: container(TWO), 120), kill(TWO))),
    "unit of rank 1 restarted by hand": Fault(lambda: sh(TWO, f"systemctl restart --no-block {UNIT}")),
}

MEASURED: dict[str, float] = {}


@pytest.fixture(scope="session", autouse=True)
def told_at_the_end(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("\nMEASURED seconds from the end of the fault to the first right answer:")
        for what, seconds in MEASURED.items():
            print(f"MEASURED   {what:40} {seconds:6.1f}")


def test_it_serves_through_the_gateway() -> None:
    assert ask() == (200, REPLY, f"big-{ONE}")
    assert len(set(generations())) == 1
    for host in (ONE, TWO):
        assert state(host)["phase"] == "ready"
        assert sh(host, f"systemctl is-active {UNIT}").strip() == "active"
    assert hosts[TWO].run("ss -Hltn 'sport = :8070'").stdout.strip() == ""


def test_the_ranks_are_heard_by_members_only() -> None:
    for host in (ONE, TWO):
        listening = [line.split()[3] for line in sh(host, "ss -Hltnp").splitlines() if "vllm" in line.lower()]
        open_to_all = [address for address in listening if address.startswith(("0.0.0.0:", "*:", "[::]:"))]
        assert open_to_all == [], listening
    # A stranger that is put on their network.
    docker("network", "connect", NETWORK, GATEWAY)
    try:
        ports = [line.split()[3].rsplit(":", 1)[1] for line in sh(TWO, f"ss -Hltn 'src {CLUSTER[TWO]}'").splitlines()]
        assert len(ports) > 2
        for port in ports:
            probe = f"import socket;s=socket.socket();s.settimeout(2);print(s.connect_ex(('{CLUSTER[TWO]}',{port})))"
            assert sh(GATEWAY, f'python3 -c "{probe}"').strip() == "11", f"port {port} answers a stranger"
            assert sh(ONE, f'python3 -c "{probe}"').strip() == "0", f"port {port} does not answer a member"
    finally:
        docker("network", "disconnect", NETWORK, GATEWAY)


def test_a_cold_start_is_measured() -> None:
    for host in (ONE, TWO):
        sh(host, f"systemctl stop {UNIT}")
        assert container(host) == ""
    # The smaller model answers meanwhile.
    assert ask()[:2] == (200, REPLY)
    began = time.monotonic()
    for host in (TWO, ONE):
        sh(host, f"systemctl start --no-block {UNIT}")
    wait("an answer", serves)
    MEASURED["cold start"] = time.monotonic() - began


CHOSEN = random.sample(list(FAULTS), len(FAULTS)) if ALL else [name for name, fault in FAULTS.items() if fault.ci]


@pytest.mark.parametrize("name", CHOSEN)
def test_it_serves_again_without_a_human(name: str) -> None:
    fault = FAULTS[name]
    wait("all is well", all_is_well)
    before = [container(ONE), container(TWO)]
    if ALL:
        time.sleep(random.uniform(0, 5))
    with all_the_time(small_answers, small_answers, pause=0.5) as told:
        fault.do()
        began = time.monotonic()
        wait("another group answers, or the same one", lambda: serves() and (fault.same or container(TWO) not in ("", before[1])))
        MEASURED[name] = time.monotonic() - began
    if not fault.both:
        assert set(told) == {"right"}, "the smaller model has a backend on either host, and did not answer all the time"
    after = [container(ONE), container(TWO)]
    if fault.same:
        assert after == before, "nothing was to be started again"
    else:
        assert len(set(generations())) == 1
        assert after[0] != before[0]
        assert after[1] != before[1]


def test_two_generations_were_never_there_at_once() -> None:
    """From what Docker has recorded on both hosts."""
    spans: dict[str, list[tuple[float, float, int]]] = {}
    for host in (ONE, TWO):
        since = sh(host, "stat -c %Y /etc/gpu-inference").strip()
        lines = sh(
            host, f"timeout 10 docker events --since {since} --until $(date +%s) --filter container=vllm-big --format '{{{{json .}}}}'"
        )
        started: dict[str, tuple[float, int]] = {}
        for event in map(json.loads, lines.splitlines()):
            moment, number = event["timeNano"] / 1e9, int(event["Actor"]["Attributes"].get("io.llmops.gpu-inference.generation") or 0)
            if event["Action"] == "start":
                started[event["Actor"]["ID"]] = (moment, number)
            elif event["Action"] == "die" and event["Actor"]["ID"] in started:
                begun, number = started.pop(event["Actor"]["ID"])
                spans.setdefault(host, []).append((begun, moment, number))
    found = sorted((*span, host) for host, of_host in spans.items() for span in of_host)
    assert found, "Docker has forgotten all"
    for begin, _end, number, host in found:
        others = [other for other in found if other[2] != number and other[0] < begin < other[1]]
        assert others == [], f"generation {number} began on {host} beside {others}"


def test_a_run_for_one_host_removes_nothing() -> None:
    before = [container(ONE), container(TWO)]
    done = playbook("--limit", TWO)
    assert done.returncode == 0, done.stdout
    assert "Try whether the hosts of each engine reach each other" in done.stdout
    assert [container(ONE), container(TWO)] == before
    assert serves()


@dataclass(frozen=True)
class Bad:
    """A change of the engine that does not hold, and what is told of it."""

    said: str
    engine_args: dict[str, object]
    ci: bool = False


BAD = {
    # The first host finds it, and the other one alone would find nothing.
    "proof refuses it": Bad("a context of 512 tokens, 2048 before", {"hf-overrides": {"max_position_embeddings": 512}}, ci=True),
    "does not start": Bad("divisible", {"hf-overrides": {"num_attention_heads": 3, "num_key_value_heads": 3}}),
}


@pytest.mark.parametrize("name", [name for name, bad in BAD.items() if bad.ci or ALL])
def test_a_change_that_does_not_hold_is_taken_back_on_all_hosts(name: str) -> None:
    bad = BAD[name]
    wait("all is well", all_is_well)
    ran = [config_hash(host) for host in (ONE, TWO)]
    big = {"source": "/srv/models/tiny-chat", "fallbacks": ["small"], "timeout": 20, "engine_args": bad.engine_args}
    done = playbook(inference_models={**MODELS, "big": big})
    told = done.stdout + done.stderr
    assert done.returncode != 0
    assert bad.said in told, told[-6000:]
    assert "Taken back, and serving again as before: vllm/big as release" in told, told[-6000:]
    assert [f"fatal: [{host}]" in told for host in (ONE, TWO)] == [True, True], told[-6000:]
    wait("it serves", serves, 120)
    assert [config_hash(host) for host in (ONE, TWO)] == ran
    again = playbook()
    assert again.returncode == 0, again.stdout[-6000:]
    assert again.stdout.count("changed=0") == 3, again.stdout[-6000:]


def test_no_part_changes_without_the_others() -> None:
    ran = [container(ONE), container(TWO)]
    big = {"source": "/srv/models/tiny-chat", "fallbacks": ["small"], "timeout": 20, "engine_args": {"max-num-seqs": 8}}
    for host, other in ((TWO, ONE), (ONE, TWO)):
        done = playbook("--limit", host, inference_models={**MODELS, "big": big})
        told = " ".join((done.stdout + done.stderr).split())
        assert done.returncode != 0
        assert "vllm/big: nothing was changed here. It changes on all of its hosts together" in told, told[-6000:]
        assert f"and {other} is not in this run" in told, told[-6000:]
        assert [container(ONE), container(TWO)] == ran
    assert serves()


def test_what_is_removed_from_the_inventory_is_gone_everywhere() -> None:
    variables = {
        "inference_multinode_services": [],
        "inference_models": {"small": {"source": "/srv/models/tiny-chat", "max_model_len": 2048}},
    }
    done = playbook(**variables)
    assert done.returncode == 0, done.stdout
    for host in (ONE, TWO):
        assert hosts[host].run("docker inspect vllm-big").rc != 0
        assert not hosts[host].file("/etc/gpu-inference/instances/vllm/big").exists
        assert "gpu_inference_cluster" not in hosts[host].run("nft list tables").stdout
        assert hosts[host].run("systemctl is-active gpu-inference-cluster.service").stdout.strip() == "inactive"
    assert ask("small")[:2] == (200, REPLY)
    again = playbook(**variables)
    assert again.returncode == 0, again.stdout
    assert again.stdout.count("changed=0") == 3, again.stdout
