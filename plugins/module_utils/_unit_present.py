# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What is there on a host: containers as Docker lists them, units as systemd shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_flags as docker_flags
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import LABEL, OWNER


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


SHOW_PROPERTIES = ("LoadState", "ActiveState", "SubState")


def parse_show(units: Sequence[str], text: str) -> dict[str, Unit]:
    """systemctl show answers in the order of the question, blocks parted by empty lines."""
    found = {}
    for unit, block in zip(units, text.strip().split("\n\n")):
        values = dict(line.split("=", 1) for line in block.split("\n") if "=" in line)
        found[unit] = Unit(
            load=values.get("LoadState", "not-found"),
            active=values.get("ActiveState", "inactive"),
            sub=values.get("SubState", "dead"),
        )
    return found
