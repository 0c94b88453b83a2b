# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Which Docker networks to create, recreate, or remove, and what stands in the way."""

from __future__ import annotations

import ipaddress
import re
import socket
import struct
import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

IPNetwork = t.Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

OWNER_LABEL = "io.llmops.gpu-inference.owner"
OWNER = "llmops.gpu_inference"
PREDEFINED = frozenset({"bridge", "host", "none"})
#: Ranges whose addresses no container can use, or that would take something from the host; most of them Docker takes without a word.
RESERVED = tuple(
    (ipaddress.ip_network(network), reason)
    for network, reason in (
        ("127.0.0.0/8", "is of the host's own loopback"),
        ("0.0.0.0/8", "is of no network at all"),
        ("224.0.0.0/4", "is for multicast"),
        ("240.0.0.0/4", "is reserved"),
        ("169.254.0.0/16", "is for links without addresses, and where clouds answer with a host's own credentials"),
    )
)
#: Prefix lengths: the gateway and a few containers must find an address, and a whole /8 is more than anybody has.
LONGEST, SHORTEST = 29, 8
EXAMPLE = "10.89.16.0/24"


@dataclass(frozen=True)
class Route:
    """One line of the host's routing table."""

    destination: IPNetwork
    device: str


@dataclass(frozen=True)
class Existing:
    """A network as `docker network inspect` shows it."""

    name: str
    subnets: tuple[IPNetwork, ...]
    gateways: tuple[str, ...]
    internal: bool
    options: Mapping[str, str]
    labels: Mapping[str, str]
    containers: tuple[str, ...]
    devices: tuple[str, ...]

    @property
    def ours(self) -> bool:
        return self.labels.get(OWNER_LABEL) == OWNER


@dataclass(frozen=True)
class Wanted:
    """A network as the user described it."""

    name: str
    subnet: IPNetwork | None
    gateway: str | None
    internal: bool
    options: Mapping[str, str]
    labels: Mapping[str, str]

    def as_dict(self) -> dict[str, t.Any]:
        ipam = {"subnet": str(self.subnet), **({"gateway": self.gateway} if self.gateway else {})} if self.subnet else None
        return {
            "name": self.name,
            "ipam_config": [ipam] if ipam else [],
            "internal": self.internal,
            "driver_options": dict(self.options),
            "labels": {OWNER_LABEL: OWNER, **self.labels},
        }


@dataclass
class NetworkPlan:
    """What to do, in the form that the role loops over."""

    create: list[dict[str, t.Any]] = field(default_factory=list)
    recreate: list[dict[str, t.Any]] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, t.Any]:
        return {"create": self.create, "recreate": self.recreate, "remove": self.remove, "errors": self.errors}


def plan_networks(
    wanted: Sequence[Mapping[str, t.Any]],
    inspected: Sequence[Mapping[str, t.Any]],
    routes: str = "",
    *,
    recreate: bool = False,
    remove_unlisted: bool = False,
) -> NetworkPlan:
    """Compare the wanted networks with those of the engine and with the host's routes (as `parse_routes` reads them)."""
    plan = NetworkPlan()
    listed = [network for network in (_wanted(item, position, plan.errors) for position, item in enumerate(wanted)) if network]
    existing = {network.name: network for network in map(_existing, inspected)}
    _check_among_each_other(listed, plan.errors)

    names = {network.name for network in listed}
    if remove_unlisted:
        for present in existing.values():
            if present.ours and present.name not in names:
                _remove(present, plan)
    staying = [present for present in existing.values() if present.name not in plan.remove]

    for network in listed:
        found = existing.get(network.name)
        difference = _difference(network, found) if found else ""
        if found and not difference:
            continue
        if found and not recreate:
            plan.errors.append(
                f"The network {network.name} exists already, but {difference}. Changing it disconnects its containers"
                f"{_with_names(found.containers)}. Set network_recreate to true to do that, or adapt network_networks."
            )
            continue
        if network.subnet:
            _check_against_networks(network, staying, plan.errors)
            _check_against_routes(network, parse_routes(routes), existing.values(), plan.errors)
        (plan.recreate if found else plan.create).append(network.as_dict())
    return plan


def parse_routes(text: str) -> list[Route]:
    """The lines of /proc/net/route and of `ip route show table all`, without default routes.

    The first is there on every host; only the second knows the tables besides the main one, where VPNs have their routes.
    """
    found: list[Route] = []
    for line in text.split("\n"):
        fields = line.split()
        by_ip = re.match(
            r"(?:(?:local|unicast|unreachable|blackhole|prohibit) )?(\d+\.\d+\.\d+\.\d+(?:/\d+)?) .*?(?:\bdev (\S+)|$)", f"{line} "
        )
        if by_ip:
            found.append(Route(ipaddress.ip_network(by_ip.group(1), strict=False), by_ip.group(2) or "no device"))
            continue
        if len(fields) < 8 or not all(re.fullmatch(r"[0-9A-Fa-f]{8}", fields[position]) for position in (1, 7)):
            continue
        address, mask = (socket.inet_ntoa(struct.pack("<L", int(fields[position], 16))) for position in (1, 7))
        try:
            destination = ipaddress.ip_network(f"{address}/{mask}")
        except ValueError:
            continue
        found.append(Route(destination, fields[0]))
    return list(dict.fromkeys(route for route in found if route.destination.prefixlen))


def _wanted(item: Mapping[str, t.Any], position: int, errors: list[str]) -> Wanted | None:
    name = str(item.get("name") or "")
    where = f"network_networks[{position}]"
    if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", name):
        errors.append(f"{where}.name is {name!r}; a network's name has letters, digits, and _.- after the first character.")
        return None
    if name in PREDEFINED:
        errors.append(f"{where}.name is {name!r}, one of Docker's own networks; choose another name.")
        return None
    subnet: IPNetwork | None = None
    if item.get("subnet"):
        problem = subnet_problem(item["subnet"])
        if problem:
            errors.append(f"{where}.subnet of {name} is {item['subnet']!r}, which {problem}.")
            return None
        subnet = ipaddress.ip_network(str(item["subnet"]))
    gateway = str(item["gateway"]) if item.get("gateway") else None
    if gateway and not _usable(gateway, subnet):
        errors.append(f"{where}.gateway of {name} is {gateway!r}, which is not a host address inside the subnet {subnet}.")
        return None
    return Wanted(
        name=name,
        subnet=subnet,
        gateway=gateway,
        internal=bool(item.get("internal")),
        options={str(key): _option(value) for key, value in (item.get("driver_options") or {}).items()},
        labels={str(key): str(value) for key, value in (item.get("labels") or {}).items()},
    )


def subnet_problem(value: t.Any) -> str:
    """Why this can be no subnet of a Docker network, with what would be right; empty where it can."""
    text = str(value).strip()
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return f"is not a network; write it as {EXAMPLE}"
    if isinstance(network, ipaddress.IPv6Network):
        return f"is of IPv6: these networks have IPv4 addresses, so that Docker would pass over it and pick some. Write it as {EXAMPLE}"
    if "/" not in text:
        return f"has no prefix length; write it as {network.network_address}/24"
    for reserved, reason in RESERVED:
        if network.prefixlen and network.overlaps(reserved):
            return f"{reason}; take one of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16, such as {EXAMPLE}"
    if network.prefixlen > LONGEST:
        return f"has room for {max(network.num_addresses - 3, 0)} containers; take a /24, such as {network.network_address}/24"
    if network.prefixlen < SHORTEST:
        return f"covers so many addresses that the host could not reach anything else; take a /24, such as {EXAMPLE}"
    if text != str(network):
        return f"has host bits set or is written in another way; write {network}"
    return ""


def _option(value: t.Any) -> str:
    """Docker's options are texts; YAML makes `true` and `1400.0` something else of them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _usable(address: str, subnet: IPNetwork | None) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return subnet is not None and parsed in subnet and parsed not in (subnet.network_address, subnet.broadcast_address)


def _existing(item: Mapping[str, t.Any]) -> Existing:
    configs = [config for config in (item.get("IPAM") or {}).get("Config") or () if config.get("Subnet")]
    name, options = str(item.get("Name")), item.get("Options") or {}
    bridge = options.get("com.docker.network.bridge.name") or f"br-{str(item.get('Id', ''))[:12]}"
    return Existing(
        name=name,
        subnets=tuple(ipaddress.ip_network(config["Subnet"], strict=False) for config in configs),
        gateways=tuple(config["Gateway"] for config in configs if config.get("Gateway")),
        internal=bool(item.get("Internal")),
        options=options,
        labels=item.get("Labels") or {},
        containers=tuple(sorted(container.get("Name", "?") for container in (item.get("Containers") or {}).values())),
        devices=(bridge,),
    )


def _check_among_each_other(listed: Sequence[Wanted], errors: list[str]) -> None:
    for position, network in enumerate(listed):
        for other in listed[:position]:
            if network.name == other.name:
                errors.append(f"network_networks names {network.name} twice.")
            elif network.subnet and other.subnet and network.subnet.overlaps(other.subnet):
                errors.append(
                    f"The subnets of {other.name} ({other.subnet}) and {network.name} ({network.subnet}) in network_networks overlap."
                )


def _difference(network: Wanted, present: Existing) -> str:
    differences = []
    if network.subnet and network.subnet not in present.subnets:
        differences.append(f"its subnet is {_joined(present.subnets)}, wanted {network.subnet}")
    if network.gateway and network.gateway not in present.gateways:
        differences.append(f"its gateway is {_joined(present.gateways)}, wanted {network.gateway}")
    if network.internal != present.internal:
        differences.append("it is internal, wanted not internal" if present.internal else "it is not internal, wanted internal")
    for key, value in network.options.items():
        if present.options.get(key) != value:
            differences.append(f"its option {key} is {present.options.get(key, 'not set')}, wanted {value}")
    return ", ".join(differences)


def _joined(items: t.Iterable[object]) -> str:
    return " and ".join(str(item) for item in items) or "not set"


def _with_names(containers: Sequence[str]) -> str:
    return f" ({', '.join(containers)})" if containers else ""


def _check_against_networks(network: Wanted, others: t.Iterable[Existing], errors: list[str]) -> None:
    for other in others:
        for subnet in other.subnets:
            if other.name != network.name and network.subnet and network.subnet.overlaps(subnet):
                errors.append(
                    f"The subnet {network.subnet} of the network {network.name} overlaps {subnet} of Docker's network {other.name}. "
                    f"Choose another subnet for {network.name} in network_networks, or remove {other.name}."
                )


def _check_against_routes(network: Wanted, routes: t.Iterable[Route], existing: t.Iterable[Existing], errors: list[str]) -> None:
    bridges = {"docker0", *(device for other in existing for device in other.devices)}
    for route in routes:
        if route.device not in bridges and network.subnet and network.subnet.overlaps(route.destination):
            errors.append(
                f"The subnet {network.subnet} of the network {network.name} overlaps the host's route to {route.destination} "
                f"on {route.device}: containers could not reach what lies behind it. "
                f"Choose another subnet for {network.name} in network_networks."
            )


def _remove(network: Existing, plan: NetworkPlan) -> None:
    if network.containers:
        plan.errors.append(
            f"The network {network.name} is no longer in network_networks, but containers still use it{_with_names(network.containers)}. "
            f"Stop them first, or set network_remove_unlisted to false."
        )
    else:
        plan.remove.append(network.name)
