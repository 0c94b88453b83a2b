# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Which keys all hosts that have to do with them serve with, from what a run has reached."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Reached:
    """Hosts on which this run has proved the keys, by what they are."""

    engines: frozenset[str]
    gateways: frozenset[str]
    clients: frozenset[str]


def missing_hosts(name: str, groups: Mapping[str, Collection[str]], reached: Reached) -> list[str]:
    """Hosts that have to serve with a key before the old one can go, and that this run has not reached.

    A key of a client is also in the files of client hosts: it goes when each of them has the new one.
    """
    kind, _slash, owner = name.partition("/")
    missing = set(groups.get("gateways") or ()) - reached.gateways
    if kind == "engine_keys":
        missing |= {owner} - reached.engines
    elif kind == "client_keys":
        missing |= set(groups.get("inference_clients") or ()) - reached.clients
    return sorted(missing)
