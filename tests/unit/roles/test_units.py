# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every systemd unit of the roles: as text, and as systemd itself reads it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from support.render import render
from support.repository import ROOT
from support.systemd import verify

from ansible_collections.llmops.gpu_inference.plugins.filter.units import unit_kinds
from ansible_collections.llmops.gpu_inference.plugins.modules import docker_daemon

GOLDEN = Path(__file__).resolve().parent / "golden"
KINDS = {unit["kind"]: unit for unit in unit_kinds(["engines", "gateway", "clients"], described=True)}
DROP_IN = "docker.service.d/gpu-inference.conf"

# Role, template and variables of each file.
UNITS: dict[str, tuple[str, str, dict[str, Any]]] = {
    **{f"{kind}@.service": ("launcher", "container_unit.service.j2", {"__launcher_unit": unit}) for kind, unit in KINDS.items()},
    "gpu-inference.target": ("launcher", "gpu-inference.target.j2", {}),
    "gpu-inference-boot.service": ("launcher", "gpu-inference-boot.service.j2", {}),
    "gpu-inference-metrics.service": ("launcher", "gpu-inference-metrics.service.j2", {}),
    "gpu-inference-network.service": (
        "network",
        "gpu-inference-network.service.j2",
        {"network_networks": [{"name": "inference", "subnet": "10.89.16.0/24"}, {"name": "own"}]},
    ),
    "gpu-inference-cluster.service": ("network", "gpu-inference-cluster.service.j2", {}),
    "gpu-inference-proxy.service": (
        "node_proxy",
        "gpu-inference-proxy.service.j2",
        {"node_proxy_listen_address": "192.0.2.20", "node_proxy_services": []},
    ),
}
# Programs that a unit starts and that not every machine has on which the tests run.
PROGRAMS = ("/usr/sbin/nginx", "/usr/sbin/iptables", "/usr/sbin/nft")
# The unit of the proxy has golden files of its own, and the other kinds differ in their description only.
WITHOUT_GOLDEN = {"gpu-inference-proxy.service", *(f"{kind}@.service" for kind in KINDS if kind != "vllm")}


@pytest.fixture(scope="module")
def rendered() -> dict[str, str]:
    texts = {DROP_IN: docker_daemon.DROP_IN_TEXT}
    for role in {role for role, _template, _variables in UNITS.values()}:
        names = [name for name, unit in UNITS.items() if unit[0] == role]
        texts.update(zip(names, render(role, [UNITS[name][1:] for name in names])))
    return texts


def test_no_unit_is_forgotten() -> None:
    templates = {
        f"{path.parents[1].name}/{path.name}"
        for path in ROOT.glob("roles/*/templates/*.j2")
        if "\n[Unit]\n" in path.read_text(encoding="utf-8") or "\n[Service]\n" in path.read_text(encoding="utf-8")
    }
    assert {f"{role}/{template}" for role, template, _variables in UNITS.values()} == templates


@pytest.mark.parametrize("name", [name for name in UNITS if name not in WITHOUT_GOLDEN])
def test_rendered_units(rendered: dict[str, str], name: str) -> None:
    """GOLDEN_UPDATE=1 writes what is rendered now; read the difference before committing it."""
    golden = GOLDEN / name.replace("/", "-")
    if os.environ.get("GOLDEN_UPDATE"):
        golden.write_text(rendered[name], encoding="utf-8")
    assert rendered[name].splitlines() == golden.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", [*UNITS, DROP_IN])
def test_systemd_understands_it(rendered: dict[str, str], name: str, tmp_path: Path) -> None:
    text = rendered[name]
    for program in PROGRAMS:
        text = text if Path(program).exists() else text.replace(program, "/bin/true")
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    if file.suffix == ".conf":
        file = tmp_path / file.parent.name.removesuffix(".d")
        file.write_text("[Service]\nExecStart=/bin/true\n", encoding="utf-8")
    done = verify(file, tmp_path)
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


def test_systemd_notices_a_misspelt_key(rendered: dict[str, str], tmp_path: Path) -> None:
    """Else the test above would prove nothing."""
    broken = {"vllm@.service": rendered["vllm@.service"].replace("\nRestart=", "\nRestartt=")}
    with pytest.raises(AssertionError, match="Restartt"):
        test_systemd_understands_it(broken, "vllm@.service", tmp_path)


def test_the_launcher_gets_each_of_its_units_by_name(rendered: dict[str, str]) -> None:
    """As the module launcher_program is handed them, in one text."""
    (text,) = render("launcher", [("units.json.j2", {})])
    assert json.loads(text) == {name: rendered[name] for name, unit in UNITS.items() if unit[0] == "launcher"}
