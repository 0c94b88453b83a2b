# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The node, and what is done to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import testinfra

NODE = "gpuinf-host"
PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
ENVIRONMENT = {
    **os.environ,
    "ANSIBLE_CONFIG": str(Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "ansible.cfg"),
    "ANSIBLE_COLLECTIONS_PATH": str(PROJECT / "collections"),
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_FORCE_COLOR": "0",
    "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
}
DAEMON_JSON = "/etc/docker/daemon.json"


class Node:
    """A node with Docker Engine, and Ansible's ways to it."""

    def __init__(self) -> None:
        self.host = testinfra.get_host(f"docker://{NODE}")

    def sh(self, command: str) -> str:
        return str(self.host.check_output(command))

    def write(self, text: str, path: str = DAEMON_JSON) -> None:
        argv = ["docker", "exec", "-i", NODE, "sh", "-c", f"cat > {path}"]
        subprocess.run(argv, input=text, text=True, check=True)

    def start(self, module: str, options: dict[str, Any]) -> subprocess.Popen[str]:
        program = str(Path(sys.executable).parent / "ansible")
        argv = [
            program,
            NODE,
            "-i",
            os.environ["MOLECULE_INVENTORY_FILE"],
            "-m",
            f"llmops.gpu_inference.{module}",
            "-a",
            json.dumps(options),
        ]
        return subprocess.Popen(
            argv, cwd=PROJECT, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def module(self, module: str, **options: Any) -> dict[str, Any]:
        said = self.start(module, options).communicate(timeout=600)[0]
        assert "=> {" in said, said
        result: dict[str, Any] = json.loads("{" + said.split("=> {", 1)[1].split("\n}", 1)[0] + "\n}")
        result["failed"] = "| FAILED! =>" in said
        return result

    def role(self, name: str, **variables: Any) -> tuple[int, str]:
        """Its exit code, and what it said with every blank and line break as one blank."""
        playbook = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "role.yml"
        playbook.write_text(json.dumps([{"hosts": NODE, "gather_facts": False, "roles": [f"llmops.gpu_inference.{name}"]}]))
        program = str(Path(sys.executable).parent / "ansible-playbook")
        argv = [program, "-i", os.environ["MOLECULE_INVENTORY_FILE"], "-e", json.dumps(variables), str(playbook)]
        done = subprocess.run(argv, cwd=PROJECT, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=600)
        return done.returncode, " ".join((done.stdout + done.stderr).split())

    def docker_runs(self) -> bool:
        return bool(self.host.run("docker info --format '{{.ServerVersion}}'").stdout.strip())


@pytest.fixture(name="node", scope="session")
def _node() -> Node:
    return Node()


@pytest.fixture(name="good")
def _good(node: Node) -> Any:
    """The daemon.json of the node, which each test finds again as it was."""
    text = node.host.file(DAEMON_JSON).content_string
    yield text
    node.host.run("umount /etc/docker")
    node.sh(f"rm -rf {DAEMON_JSON}; rm -f {DAEMON_JSON}.*~ /etc/gpu-inference/docker-change.json")
    node.write(text)
    node.sh(f"chmod 644 {DAEMON_JSON}; systemctl reset-failed docker.service docker.socket; systemctl restart docker.service")
