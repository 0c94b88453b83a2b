# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removal takes what is ours and nothing else; a whole deployment at the highest verbosity shows no key anywhere."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

SECRETS = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "secrets"
OURS = {"vllm-chat", "vllm-embedding", "litellm-gateway"}


def succeed(done: tuple[int, str]) -> str:
    """Output of a playbook; fails with it when the playbook failed."""
    code, output = done
    assert code == 0, output[-6000:]
    return output


def containers(host: Any) -> set[str]:
    return set(host.check_output("docker ps --all --format '{{.Names}}'").split())


@pytest.fixture(scope="module")
def keys() -> dict[str, str]:
    found = {"master": (SECRETS / "master_key").read_text().strip()}
    found.update({file.name: file.read_text().strip() for file in (SECRETS / "engine_keys").iterdir()})
    assert len(found) == 2
    return found


def test_removal_insists_on_a_confirmation(host: Any, play: Any) -> None:
    with pytest.raises(AssertionError, match="remove_confirmed=true"):
        succeed(play("playbooks/remove.yml"))
    assert containers(host) >= OURS


def test_removal_takes_what_is_ours_and_nothing_else(host: Any, play: Any) -> None:
    image = host.check_output("docker inspect --format '{{.Image}}' vllm-chat")
    host.check_output(f"docker create --name vllm-foreign --label owner=somebody {image} sleep 1")
    host.check_output("printf '[Service]\\nExecStart=/bin/sleep infinity\\n' > /etc/systemd/system/vllm-foreign.service")
    host.check_output("systemctl daemon-reload && systemctl start vllm-foreign.service && docker network create foreign")
    succeed(play("playbooks/remove.yml", "--extra-vars", "remove_confirmed=true"))
    assert containers(host) == {"vllm-foreign"}
    assert set(host.check_output("docker network ls --format '{{.Name}}'").split()) == {"bridge", "host", "none", "foreign"}
    assert host.service("vllm-foreign.service").is_running
    ours = "/etc/gpu-inference /usr/local/lib/gpu-inference /run/gpu-inference /etc/systemd/system/gpu-inference*"
    assert host.check_output(f"ls -d {ours} 2>/dev/null || true") == ""
    assert host.check_output("systemctl list-units --all --plain --no-legend 'vllm@*' 'litellm@*' 'gpu-inference*'") == ""
    assert host.file("/var/lib/gpu-inference").is_directory, "models and caches stay unless asked"
    host.check_output("systemctl stop vllm-foreign.service && docker rm vllm-foreign && docker network rm foreign")


def test_no_key_shows_up_in_a_deployment_at_the_highest_verbosity(host: Any, play: Any, keys: dict[str, str]) -> None:
    output = succeed(play("site.yml", "--diff", "-vvv"))
    assert containers(host) == OURS
    places = {
        "Ansible's output": output,
        "arguments of processes": host.check_output("cat /proc/[0-9]*/cmdline | tr '\\0' '\\n'"),
        "units": host.check_output("systemctl cat --no-pager 'vllm@*' 'litellm@*' gpu-inference.target"),
        "the journal": host.check_output("journalctl --no-pager --all"),
        "state files": host.check_output("cat /run/gpu-inference/state/*"),
    }
    for name, key in keys.items():
        for place, text in places.items():
            assert key not in text, f"the key {name} is in {place}"
        files = set(host.check_output(f"grep -r -a -l -F -e {key} /etc /run /usr/local /var/lib/gpu-inference 2>/dev/null || true").split())
        # The container runtime's own record of a container's environment lies below /run, closed to all but root.
        files = {file for file in files if not file.startswith(("/run/containerd/", "/run/docker/"))}
        # Of those who call it the gateway knows the SHA-256 alone.
        instances = "/etc/gpu-inference/instances"
        engines = {f"{instances}/vllm/chat/env", f"{instances}/vllm/embedding/env", f"{instances}/litellm/gateway/live/keys.json"}
        assert files == (set() if name == "master" else engines), f"the key {name} is in {sorted(files)}"


def test_a_key_is_only_in_the_container_that_needs_it(host: Any, keys: dict[str, str]) -> None:
    engine = next(key for name, key in keys.items() if name != "master")
    for container, expected in {
        "vllm-chat": {engine},
        "vllm-embedding": {engine},
        "litellm-gateway": set(),
    }.items():
        description = json.loads(host.check_output(f"docker inspect {container}"))[0]
        environment = "\n".join(description["Config"].pop("Env"))
        assert {key for key in keys.values() if key in environment} == expected
        rest = json.dumps(description)
        assert not [name for name, key in keys.items() if key in rest], f"a key is outside the environment of {container}"
