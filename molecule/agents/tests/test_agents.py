# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real Claude Code, Codex and opencode finish their task through each of two gateways, with a client's key and vLLM's own parser."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import testinfra
import yaml

PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
PLATFORMS = {item["name"]: item["ip"] for item in yaml.safe_load((PROJECT / "molecule/agents/molecule.yml").read_text())["platforms"]}
SERVER, DESK = PLATFORMS
#: Each program with the route that it speaks.
ROUTES = {"Claude Code": "/v1/messages", "Codex": "/v1/responses", "opencode": "/v1/chat/completions"}

desk = testinfra.get_host(f"docker://{DESK}")


def playbook(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["ansible-playbook", "--inventory", str(EPHEMERAL / "inventory"), str(PROJECT / name), *arguments],
        env={**os.environ, "ANSIBLE_CONFIG": str(EPHEMERAL / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"},
        capture_output=True,
        text=True,
        check=False,
    )


def asked(host: str) -> dict[str, int]:
    """How often each route was answered with 200 by the gateway of this host."""
    log = testinfra.get_host(f"docker://{host}").check_output("docker logs litellm-gateway 2>&1")
    return {route: sum(f"POST {route}" in line and "200" in line for line in log.splitlines()) for route in ROUTES.values()}


@pytest.fixture(scope="module", params=[SERVER, DESK])
def verified(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, int, dict[str, Any], dict[str, int]]:
    """A gateway, and what playbook verify says and makes of it once the programs' files lead there."""
    address = ("-e", f"agents_gateway=http://{PLATFORMS[request.param]}:8400")
    deployed = playbook("site.yml", "--tags", "clients", *address)
    assert deployed.returncode == 0, deployed.stdout[-4000:]
    report, before = tmp_path_factory.mktemp("report"), asked(request.param)
    done = playbook("playbooks/verify.yml", *address, "-e", f"verify_report_dir={report}")
    print(done.stdout[-6000:])
    after = asked(request.param)
    document = json.loads((report / "report.json").read_text())
    return request.param, done.returncode, document, {route: after[route] - before[route] for route in after}


def test_every_program_writes_the_file_it_was_asked_for(verified: tuple[str, int, dict[str, Any], dict[str, int]]) -> None:
    _gateway, status, report, _asked = verified
    rows = {row["model"]: row for view in report["views"] for row in view["rows"]}
    print(json.dumps(report, indent=1)[:3000], list(rows))
    assert (status, report["failed"]) == (0, 0)


def test_each_speaks_its_own_route_with_this_gateway(verified: tuple[str, int, dict[str, Any], dict[str, int]]) -> None:
    """A call of the tool, and an end: two requests at least. Verification itself asks for chat answers too."""
    gateway, _status, _report, requests = verified
    print(gateway, requests)
    assert all(count >= 2 for count in requests.values()), requests


def test_the_programs_leave_no_folder_behind() -> None:
    assert desk.check_output("ls /tmp | grep gpu-inference-verify || true") == ""
