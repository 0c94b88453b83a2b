# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Where the members of an engine over several hosts reach each other: an address and an interface of each."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Union

from .findings import Report
from .model import Host
from .platform import Hardware

ADDRESS, INTERFACE = "inference_cluster_address", "inference_cluster_interface"
Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


@dataclass(frozen=True)
class Place:
    """C(address) is empty where it is not known, which is told."""

    address: str = ""
    interface: str | None = None


@dataclass(frozen=True)
class _Own:
    """One address of a host, as its facts have it."""

    interface: str
    address: Address
    network: Network


def places(where: str, members: Sequence[Host], hardware: Mapping[str, Hardware | None], report: Report) -> dict[str, Place]:
    """By host. C(where): the service, for messages. Every mistake goes to the report."""
    own = {host.name: _own_of(hardware.get(host.name)) for host in members}
    known = {host.name: _said(host, own[host.name]) for host in members}
    in_common = _in_common(own, known)
    found: dict[str, Place] = {}
    for host in members:
        address = known[host.name]
        if address is None and len(in_common) == 1:
            address = next(item.address for item in own[host.name] if item.network == in_common[0])
        if address is None:
            _tell_of_none(where, host, own[host.name], in_common, report)
            found[host.name] = Place()
            continue
        interface = next((item.interface for item in own[host.name] if item.address == address), None)
        _check(host, address, own[host.name], hardware.get(host.name), report)
        found[host.name] = Place(str(address), host.settings.cluster_interface or interface)
    _check_together(where, found, report)
    _tell_of_another(where, members, own, known, report)
    return found


def _tell_of_another(
    where: str, members: Sequence[Host], own: Mapping[str, Sequence[_Own]], known: Mapping[str, Address | None], report: Report
) -> None:
    """Where nobody has said which network is meant, and there is one beside that of Ansible's connections: perhaps the fast one."""
    if any(host.settings.cluster_address or host.settings.cluster_interface for host in members) or None in known.values():
        return
    others = [str(network) for network in _in_common(own, dict.fromkeys(own)) if not any(address in network for address in known.values())]
    if others:
        report.warn(
            f"{where}: its hosts meet at the addresses by which Ansible reaches them, and they have {', '.join(others)} in common too; "
            f"say by {ADDRESS} or {INTERFACE} of each which is meant"
        )


def _own_of(hardware: Hardware | None) -> list[_Own]:
    found = []
    for interface, text in hardware.networks if hardware is not None else ():
        try:
            item = ipaddress.ip_interface(text)
        except ValueError:
            continue
        if not (item.ip.is_loopback or (item.version == 6 and item.ip.is_link_local)):
            found.append(_Own(interface, item.ip, item.network))
    return found


def _said(host: Host, own: Sequence[_Own]) -> Address | None:
    """What the user says of a host: its address among members, or their interface; else the address by which all know it."""
    settings = host.settings
    if settings.cluster_address:
        return ipaddress.ip_address(settings.cluster_address)
    if settings.cluster_interface and own:
        on_it = sorted((item.address for item in own if item.interface == settings.cluster_interface), key=lambda address: address.version)
        return on_it[0] if on_it else None
    try:
        return ipaddress.ip_address(host.address.strip("[]"))
    except ValueError:
        return None


def _in_common(own: Mapping[str, Sequence[_Own]], known: Mapping[str, Address | None]) -> list[Network]:
    """The IPv4 networks that all members have, or those of what is known already. One in which two have the same address joins nobody."""
    shared: set[Network] | None = None
    for name, items in own.items():
        address = known[name]
        networks: set[Network] = {
            item.network for item in items if item.network.version == 4 and (address is None or address in item.network)
        }
        shared = networks if shared is None else shared & networks
    return sorted((network for network in shared or () if _joins(network, own)), key=str)


def _joins(network: Network, own: Mapping[str, Sequence[_Own]]) -> bool:
    addresses = [item.address for items in own.values() for item in items if item.network == network]
    return len(set(addresses)) == len(addresses)


def _tell_of_none(where: str, host: Host, own: Sequence[_Own], in_common: Sequence[Network], report: Report) -> None:
    interface = host.settings.cluster_interface
    if interface and own:
        names = ", ".join(dict.fromkeys(item.interface for item in own))
        report.add(INTERFACE, interface, f"has no address on this host, or is none; there are {names}", [host.name])
        return
    if len(in_common) > 1:
        reason = f"and its hosts have several networks in common ({', '.join(map(str, in_common))})"
    else:
        reason = f"which reach each other by IP addresses, and this host is known as {host.address!r}"
    message = f"is required: {where} runs on several hosts, {reason}; give its address in the network of the members"
    report.add(ADDRESS, None, message, [host.name])


def _check(host: Host, address: Address, own: Sequence[_Own], hardware: Hardware | None, report: Report) -> None:
    """One host's place by itself, also by its own facts where it has just been asked."""
    given = host.settings.cluster_address or (str(address) if not host.settings.cluster_interface else None)
    if address.is_loopback or address.is_unspecified or address.is_multicast:
        message = "is no address by which another host reaches this one; give that of the network of the members"
        report.add(ADDRESS, str(address), message, [host.name])
        return
    if not own or hardware is None or hardware.origin != "facts" or not host.in_play:
        return
    there = ", ".join(f"{item.address} ({item.interface})" for item in own)
    interface = host.settings.cluster_interface
    if given is not None and all(item.address != address for item in own):
        report.add(ADDRESS, given, f"is not an address of this host, which has {there}; the members of an engine listen there", [host.name])
    elif interface and all(item.interface != interface for item in own if item.address == address):
        report.add(INTERFACE, interface, f"has not the address {address}; this host has {there}", [host.name])


def _check_together(where: str, found: Mapping[str, Place], report: Report) -> None:
    owners: dict[str, str] = {}
    versions: dict[int, str] = {}
    for name, place in found.items():
        if not place.address:
            continue
        other = owners.setdefault(place.address, name)
        if other != name:
            report.add(ADDRESS, place.address, f"is the address of {other} too; give each member its own", [name])
        version = ipaddress.ip_address(place.address).version
        if versions.setdefault(version, name) == name and len(versions) > 1:
            first = next(iter(versions.values()))
            message = f"is IPv{version}, and that of {first} is not; all members of {where} need addresses of one kind"
            report.add(ADDRESS, place.address, message, [name])
