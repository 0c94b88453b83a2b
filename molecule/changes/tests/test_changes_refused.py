# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes of what serves that cannot work: the play fails, and what serves goes on with its old configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from one_gpu_node import INSTANCES, SERVICES, UNITS, are_ready, chat, container, key, measured, node, pid, sh, site, url


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
    assert "routing_strategie is not a setting of this LiteLLM" in done.output, done.output
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
