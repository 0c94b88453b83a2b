# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What is there on a host: containers as Docker lists them, units as systemd shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_flags as docker_flags
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import Docker, reason
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import LABEL, OWNER
from ansible_collections.llmops.gpu_inference.plugins.module_utils._systemd import Systemd, SystemdError
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_errors import UnitsError


@dataclass(frozen=True)
class Container:
    name: str
    state: str
    owner: str
    instance: str
    config_hash: str
    ports: frozenset[docker_flags.Port] = frozenset()  # of the host

    @property
    def running(self) -> bool:
        return self.state in ("running", "paused", "restarting")

    @property
    def owned(self) -> bool:
        return self.owner == OWNER


PS_FORMAT = "\t".join(
    ["{{.Names}}", "{{.State}}"] + ['{{.Label "' + LABEL + key + '"}}' for key in ("owner", "instance", "config-hash")] + ["{{.Ports}}"]
)


def parse_ps(text: str) -> dict[str, Container]:
    containers = {}
    for line in text.split("\n"):
        parts = line.split("\t")
        if len(parts) == 6:
            name, state, owner, instance, config_hash, ports = parts
            containers[name] = Container(name, state, owner, instance, config_hash, docker_flags.shown_ports(ports))
    return containers


@dataclass(frozen=True)
class Unit:
    """A unit's state, as systemctl show tells it."""

    load: str = "not-found"
    active: str = "inactive"
    sub: str = "dead"

    @property
    def up(self) -> bool:
        return self.active in ("active", "activating", "reloading", "deactivating")


_PROPERTIES = {"LoadState": "load", "ActiveState": "active", "SubState": "sub"}


def present_containers(docker: Docker, *, forecast: bool) -> dict[str, Container]:
    """By name. C(forecast): nothing is going to be done, and Docker may be what an earlier task of the play would have installed."""
    ran = docker.call("ps", "--all", "--no-trunc", "--format", PS_FORMAT)
    if ran.rc != 0:
        if forecast:
            return {}
        raise UnitsError(f"Docker does not answer ({docker.program} ps): {reason(ran.err)}. See systemctl status docker.")
    return parse_ps(ran.out)


def present_units(systemd: Systemd, units: Sequence[str], *, forecast: bool) -> dict[str, Unit]:
    """By name, each of C(units)."""
    try:
        shown = systemd.show(units, tuple(_PROPERTIES))
    except SystemdError as error:
        if forecast:
            return {unit: Unit() for unit in units}
        raise UnitsError(f"systemd does not answer (systemctl show): {error}") from error
    return {unit: Unit(**{_PROPERTIES[name]: value for name, value in block.items()}) for unit, block in shown.items()}


def check_startable(units: Mapping[str, Unit]) -> None:
    """Raises UnitsError with all of these units that systemd would not start."""
    problems = [
        f"{name} is masked. 'systemctl unmask {name}' lets it start; for a service that is not to run, say enabled: false"
        for name, unit in units.items()
        if unit.load == "masked"
    ]
    problems += [
        f"systemd cannot use {name} ({unit.load}); 'systemctl status {name}' says why"
        for name, unit in units.items()
        if unit.load not in ("loaded", "masked", "not-found")
    ]
    missing = sorted({f"{name.partition('@')[0]}@.service" for name, unit in units.items() if unit.load == "not-found"})
    if missing:
        problems.append(f"the template units are not installed: {', '.join(missing)}. The role of that kind installs it")
    if problems:
        raise UnitsError("; ".join(problems) + ".")
