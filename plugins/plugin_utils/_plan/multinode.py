# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Engines over several hosts: each becomes a service of every member, so that memory, GPUs, names and ports are checked as of any other.

What only all members together can have wrong is checked here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .._engines.vllm_group import ALIKE, GROUP_PORT, MASTER_PORT, REPLICAS_PORT, digest
from .cluster import places
from .findings import Report, hint
from .host import HostPlan
from .model import INVALID_PORT, Host, Multinode, Part, Service
from .platform import Hardware
from .schema import Shared
from .schema_multinode import parse_multinodes

VARIABLE = "inference_multinode_services"
#: From where on Linux takes the ports of connections that it opens (net.ipv4.ip_local_port_range), where nobody has changed that.
_EPHEMERAL = 32768


def with_members(
    hosts: Mapping[str, Host], hardware: Mapping[str, Hardware | None], raw: Mapping[str, Any], report: Report
) -> dict[str, Host]:
    """The hosts with their parts of engines over several hosts among their services."""
    found = _read(hosts, raw, report)
    if not found:
        return dict(hosts)
    parts: dict[str, list[Service]] = {}
    for whole in found:
        if not whole.service.enabled or len(whole.hosts) < 2:
            continue  # one host is told already
        members = _members(whole, hosts, report)
        found_at = places(whole.service.path, members, hardware, report)
        addresses = tuple(found_at[name].address if name in found_at else "" for name in whole.hosts)
        rdma = _rdma(whole, members, hardware, report)
        for host in members:
            part = Part(whole, whole.hosts.index(host.name), addresses, found_at[host.name].interface, rdma)
            parts.setdefault(host.name, []).append(replace(whole.service, part=part))
        _check_ports(whole, report)
    _check_rollout(found, hosts, report)
    return {name: replace(host, services=(*host.services, *parts.get(name, ()))) for name, host in hosts.items()}


def _read(hosts: Mapping[str, Host], raw: Mapping[str, Any], report: Report) -> tuple[Multinode, ...]:
    """The variable, which has to be the same wherever it is set, and set for every member."""
    reader = Shared(parse_multinodes)
    given = {name: (data.get("vars") or {}).get(VARIABLE) for name, data in raw.items() if name in hosts}
    read = {name: reader.read(name, value) for name, value in given.items() if value is not None}
    reader.finish(report)
    if not read:
        return ()
    first, found = next(iter(read.items()))
    different = [name for name in read if given[name] != given[first]]
    if different:
        report.add(VARIABLE, None, f"differs from that of {first}; define it once for all hosts, such as in group_vars/all.yml", different)
    lacking = [name for whole in found for name in whole.hosts if name in hosts and name not in read]
    lacking = [name for name in lacking if VARIABLE not in hosts[name].unreadable]
    if lacking:
        message = f"is not set for this host, which {first} names as a member; define it once for all hosts, such as in group_vars/all.yml"
        report.add(VARIABLE, None, message, list(dict.fromkeys(lacking)))
    return found


def _members(whole: Multinode, hosts: Mapping[str, Host], report: Report) -> list[Host]:
    nodes = [host.name for host in hosts.values() if host.is_node]
    members = []
    for position, name in enumerate(whole.hosts):
        if name in nodes:
            members.append(hosts[name])
        else:
            message = f"is not in the group inference_nodes.{hint(name, nodes)}"
            report.add(f"{whole.service.path}.hosts[{position}]", name, message)
    return members


def _rdma(whole: Multinode, members: Sequence[Host], hardware: Mapping[str, Hardware | None], report: Report) -> bool:
    """NCCL takes it on all members or, with a member that has none, does not get to work at all."""
    known = {host.name: found for host in members if (found := hardware.get(host.name)) is not None}
    lacking = [name for name, found in known.items() if not found.rdma]
    if lacking and len(lacking) < len(known):
        report.warn(
            f"{whole.service.path}: {', '.join(lacking)} has no devices for RDMA (/dev/infiniband), which other members have; "
            "they are left out everywhere, and NCCL goes over TCP"
        )
    return not lacking and bool(known)


def own_ports(port: int, replicas: int = 1) -> dict[int, str]:
    """What a member listens on besides the port of the service, and what for."""
    return {
        port + GROUP_PORT: "its launchers",
        port + MASTER_PORT: "its ranks",
        **({port + REPLICAS_PORT: "its replicas"} if replicas > 1 else {}),
    }


def _check_ports(whole: Multinode, report: Report) -> None:
    service = whole.service
    if service.port in (None, INVALID_PORT):
        return
    where, port = f"{service.path}.port", int(service.port or 0)
    last = max(own_ports(port))
    if last >= _EPHEMERAL:
        report.warn(
            f"{where} = {port}: the members take port {last} too, which Linux may have given to a connection of another program; "
            f"below {_EPHEMERAL - MASTER_PORT} that cannot happen"
        )


def _check_rollout(found: Sequence[Multinode], hosts: Mapping[str, Host], report: Report) -> None:
    enabled = [whole.service.path for whole in found if whole.service.enabled]
    for host in hosts.values():
        if enabled and host.is_node and "batch" in host.settings.rollout:
            message = f"changes hosts one after another, and all hosts of {enabled[0]} have to change together; leave batch out"
            report.add("inference_rollout.batch", host.settings.rollout["batch"], message, [host.name])


# --- what the members have together ----------------------------------------------------------------------------------


def finish(results: Mapping[str, HostPlan], gateway_port: int) -> None:
    """Compares the members of each engine, and gives them the digest by which they know each other."""
    engines: dict[str, list[tuple[HostPlan, Part, dict[str, Any]]]] = {}
    for result in results.values():
        own_gateway = gateway_port if result.host.is_gateway else None
        _check_own_ports(result, own_gateway)
        result.cluster = _cluster(result, own_gateway)
        for part, instance in _parts(result):
            instance["group"]["digest"] = digest(instance)
            engines.setdefault(part.whole.service.path, []).append((result, part, instance))
    for path, members in engines.items():
        _check_alike(path, [(result, instance) for result, _part, instance in sorted(members, key=lambda member: member[1].rank)])


def _parts(result: HostPlan) -> Iterator[tuple[Part, dict[str, Any]]]:
    by_port = {instance["port"]: instance for instances in result.instances.values() for instance in instances if "group" in instance}
    for service in result.host.services:
        if service.part is not None and service.port in by_port:
            yield service.part, by_port[service.port]


def _cluster(result: HostPlan, gateway_port: int | None) -> dict[str, Any]:
    """Who may open connections to the ports at which members meet. Most of those change with every start, so they are a whole range."""
    parts = [part for part, _instance in _parts(result)]
    if not parts:
        return {}
    ports = {port for part, instance in _parts(result) for port in own_ports(instance["port"], _replicas(part))}
    return {
        "address": parts[0].addresses[parts[0].rank],
        "members": sorted({address for part in parts for address in part.addresses}),
        "ports": sorted(ports),
        # What others reach at the same address.
        "open_ports": sorted({item["port"] for item in result.proxied} | ({gateway_port} if gateway_port is not None else set())),
    }


def _replicas(part: Part) -> int:
    return part.whole.sizes.get("data_parallel_size", 1)


def _check_own_ports(result: HostPlan, gateway_port: int | None) -> None:
    """Ports that members take besides that of the service, on a host with others."""
    services = [service for service in result.host.services if service.enabled and service.port not in (None, INVALID_PORT)]
    taken = {int(service.port or 0): f"the port of {service.path} ({service.name})" for service in services}
    if gateway_port is not None:
        taken.setdefault(gateway_port, "the port of the gateway on this host (inference_gateway.port)")
    for service in services:
        if service.part is None:
            continue
        for port, what in own_ports(int(service.port or 0), _replicas(service.part)).items():
            other = taken.setdefault(port, f"taken by {service.path} ({service.name}) too")
            if service.path not in other:
                result.told.add(f"{service.path}.port", service.port, f"{what} take port {port}, which is {other}; use another port")


def _check_alike(path: str, members: Sequence[tuple[HostPlan, Mapping[str, Any]]]) -> None:
    first, reference = members[0]
    for other, instance in members[1:]:
        mine, theirs = (result.hardware.architecture if result.hardware is not None else None for result in (first, other))
        if mine and theirs and mine != theirs:
            message = f"is {theirs}, and {first.host.name} is {mine}; an engine runs on hosts of one architecture"
            other.told.judge(f"{path}.hosts", other.host.name, message)
        elif first.platform.name != other.platform.name:
            message = (
                f"has the platform {other.platform.name}, and {first.host.name} has {first.platform.name}; an engine runs on hosts of one"
            )
            other.told.judge(f"{path}.hosts", other.host.name, message)
        else:
            for name in ALIKE:
                if instance.get(name) != reference.get(name):
                    message = (
                        f"differs from that of {first.host.name}; all members of an engine need the same {name}: define it once for all"
                    )
                    value = instance.get(name) if name in ("image", "model", "revision") else None
                    other.told.add(f"{path}.{name}", value, message)
