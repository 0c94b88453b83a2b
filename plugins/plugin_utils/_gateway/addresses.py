# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable

Resolver = Callable[[str], Iterable[str]]


class AddressError(Exception):
    """A name without an address, in words for the user."""


def _sort_key(address: str) -> tuple[int, int, int]:
    network = ipaddress.ip_network(address, strict=False)
    return network.version, int(network.network_address), network.prefixlen


def resolved(addresses: Iterable[str], look_up: Resolver) -> list[str]:
    found: set[str] = set()
    for address in addresses:
        text = str(address).strip().removeprefix("[").removesuffix("]")
        try:
            network = ipaddress.ip_network(text, strict=False)
            found.add(str(network) if "/" in text else str(network.network_address))
            continue
        except ValueError:
            pass
        try:
            found.update(entry.partition("%")[0] for entry in look_up(text))
        except OSError as error:
            raise AddressError(
                f"{address!r} is not an IP address or network, and its name could not be looked up on the controller ({error}). "
                "Give the address itself, for example by inference_address of that host."
            ) from error
    return sorted(found, key=_sort_key)
