# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The plan: from the variables and the hardware of all hosts to what each role is to do, or to every mistake at once.

Pure: mappings in, a mapping of plain values out, no Ansible. The order is: read (C(schema), C(schema_gateway)),
platform and hardware (C(platform)), per host (C(host)) engine (C(_engines)), image (C(images)) and memory
(C(memory)) of each service, gateway (C(gateway)). No secrets go in or out: whether a key is set matters, never which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._gateway.urls import gateway_url
from .._gateway.variables import EXTERNAL_KEY, key_variable
from . import gateway as gateway_part
from . import multinode
from . import tls as tls_part
from .adapters import adapter_names, as_model, check_names
from .advisories import LITELLM, vulnerable
from .findings import Finding, PlanError, Report, hint
from .host import HostPlan
from .images import (
    LITELLM_IMAGE,
    check_floating,
    version_in,
)
from .model import (
    External,
    Gateway,
    Host,
    Model,
)
from .platform import (
    Hardware,
    choose_hardware,
    resolve_platform,
)
from .schema import Shared, read_hosts
from .schema_clients import client_limits, warn_of_several, with_clients
from .schema_external import parse_externals
from .schema_gateway import parse_aliases, parse_gateway
from .schema_hardware import check_declared
from .schema_rollout import check_models
from .values import fit_hosts

__all__ = ["Finding", "PlanError", "build_plan"]


def build_plan(inventory: Mapping[str, Any]) -> dict[str, Any]:
    """The plan of an inventory; raises PlanError with every finding."""
    report = Report()
    raw_hosts = fit_hosts(inventory.get("hosts") or {}, report)
    declared = read_hosts({**inventory, "hosts": raw_hosts}, report)
    hardware = _read_hardware(declared, raw_hosts, report)
    hosts = multinode.with_members(declared, hardware, raw_hosts, report)
    platforms = {name: resolve_platform(host, hardware[name], report) for name, host in hosts.items()}
    externals, global_aliases, gateway = _read_shared(hosts, raw_hosts, report)

    results: dict[str, HostPlan] = {}
    for name, host in hosts.items():
        results[name] = HostPlan(host, platforms[name], hardware[name], report)
        if host.is_node:
            results[name].resolve(gateway.port if host.is_gateway else None)
    multinode.finish(results, gateway.port)
    backends = [backend for result in results.values() for backend in result.backends]

    models = [model for host in hosts.values() for model in host.models.values()]
    check_names(models, report)
    catalogue: dict[str, Model] = {}
    for item in (*models, *(as_model(model, adapter) for model in models for adapter in adapter_names(model))):
        catalogue.setdefault(item.name, item)
    check_models({name: host.settings.rollout for name, host in hosts.items()}, catalogue, report)
    entries = gateway_part.collect(hosts, backends, externals, report)
    aliases = gateway_part.resolve_aliases(entries, catalogue, global_aliases, report)
    fallbacks = gateway_part.check_fallbacks(entries, catalogue, aliases, report)
    serving = [name for name, result in results.items() if result.backends]
    gateways = gateway_part.gateway_hosts(hosts)
    clients = [host.name for host in hosts.values() if host.is_client]
    behind_proxies = [name for name, result in results.items() if result.open_here]
    gateway_part.check_addresses(hosts, serving, behind_proxies, report)
    gateway_part.check_clients(hosts, gateway, report)
    if clients and not gateways:
        report.add("gateways", [], f"the group is empty, but the clients {', '.join(clients[:3])} need a gateway; put a host into it")
    elif gateways and not entries and not gateway.settings.get("model_list") and report.is_good:
        remedy = "enable a service, name an external endpoint, or take the gateways out of the group"
        report.add("gateways", gateways, f"the gateway would have no model to serve; {remedy}")
    elif entries and not gateways:
        report.warn("no host is in the group gateways: the models can only be reached on the hosts that serve them")
    gateway_plan = None
    if gateways:
        gateway_plan = _gateway(hosts, gateways, gateway, platforms[gateways[0]].name, entries, aliases, fallbacks, catalogue, report)
    proxied = [name for name in serving if any(gateway_host != name for gateway_host in gateways)]
    tls_part.warn_of_clear_keys(hosts, gateway, gateways, proxied, externals, report)
    tls = tls_part.part(hosts, gateway, [name for name in serving if name in proxied or (gateways and name in behind_proxies)])
    client_entries = {name: _client_entries(hosts[name], raw_hosts[name].get("vars") or {}, gateway, report) for name in clients}
    findings = report.findings
    if findings:
        raise PlanError(findings)
    return {
        "warnings": report.warnings,
        "table": [row for result in results.values() for row in result.table],
        "hosts": {name: result.output(hosts) for name, result in results.items()},
        "gateway": gateway_plan,
        "clients": client_entries,
        **({"tls": tls} if tls else {}),
    }


def _read_hardware(hosts: Mapping[str, Host], raw: Mapping[str, Any], report: Report) -> dict[str, Hardware | None]:
    declared = Shared(check_declared, always_name_hosts=True)
    found: dict[str, Hardware | None] = {}
    for name in hosts:
        data = raw[name]
        own = (data.get("vars") or {}).get("inference_hardware")
        stated = declared.read(name, own) if own is not None else None
        found[name] = choose_hardware(data.get("hardware"), stated, data.get("known_hardware"))
    declared.finish(report)
    return found


def _read_shared(hosts: Mapping[str, Host], raw: Mapping[str, Any], report: Report) -> tuple[list[External], dict[str, str], Gateway]:
    """The variables that mean the whole deployment, wherever they were set."""
    readers = Shared(parse_externals), Shared(parse_aliases), Shared(parse_gateway)
    given = {name: raw[name].get("vars") or {} for name in hosts}
    externals = _read_externals(hosts, given, readers[0], report)
    aliases = _read_aliases(given, readers[1], report)
    gateway = _read_gateway(hosts, given, readers[2], report)
    for reader in readers:
        reader.finish(report)
    variables_by: dict[str, str] = {}
    for external in externals:
        variable = key_variable(EXTERNAL_KEY, external.name)
        other = variables_by.setdefault(variable, external.name)
        if other != external.name:
            report.add(f"{external.path}.name", external.name, f"gives the same variable {variable} as {other}; rename one of them")
    return externals, aliases, gateway


def _read_externals(
    hosts: Mapping[str, Host], given: Mapping[str, Mapping[str, Any]], reader: Shared[tuple[External, ...]], report: Report
) -> list[External]:
    """What the gateways have; other hosts may only say the same. Without a gateway all hosts count."""
    any_gateway = any(host.is_gateway for host in hosts.values())
    found: dict[str, External] = {}
    others: list[tuple[str, External]] = []
    for name, variables in given.items():
        if variables.get("inference_external_endpoints") is None:
            continue
        for external in reader.read(name, variables["inference_external_endpoints"]):
            if any_gateway and not hosts[name].is_gateway:
                others.append((name, external))
                continue
            before = found.setdefault(external.name, external)
            if before != external:
                message = "means different servers on different hosts; define it once for all"
                report.add(f"{external.path}.name", external.name, message, [name])
    for name, external in others:
        if found.get(external.name) != external:
            message = "is not what the gateways have under that name; define it for them too, or for all"
            report.add(f"{external.path}.name", external.name, message, [name])
    return list(found.values())


def _read_aliases(given: Mapping[str, Mapping[str, Any]], reader: Shared[dict[str, str]], report: Report) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, variables in given.items():
        if variables.get("inference_model_aliases") is None:
            continue
        for alias, target in reader.read(name, variables["inference_model_aliases"]).items():
            before = found.setdefault(alias, target)
            if before != target:
                report.add(f"inference_model_aliases.{alias}", target, f"means {before!r} on another host; define it once for all", [name])
    return found


def _read_gateway(hosts: Mapping[str, Host], given: Mapping[str, Mapping[str, Any]], reader: Shared[Gateway], report: Report) -> Gateway:
    """The gateways' own word. Hosts that are none may have it too, by a variable for all hosts, and are told if it differs."""
    parsed = {
        name: reader.read(name, variables["inference_gateway"])
        for name, variables in given.items()
        if variables.get("inference_gateway") is not None
    }
    gateways = [(name, gateway) for name, gateway in parsed.items() if hosts[name].is_gateway]
    for name, gateway in gateways[1:]:
        if gateway != gateways[0][1]:
            message = f"differs from that of {gateways[0][0]}; several gateways serve the same, define it once for the group"
            report.add("inference_gateway", None, message, [name])
    effective = gateways[0][1] if gateways else Gateway()
    any_gateway = any(host.is_gateway for host in hosts.values())
    for name, gateway in parsed.items():
        if any_gateway and not hosts[name].is_gateway and gateway != effective:
            report.warn("inference_gateway says something else than that of the gateways, and only theirs counts", [name])
    return effective


def _client_entries(host: Host, variables: Mapping[str, Any], gateway: Gateway, report: Report) -> list[Any]:
    """The client files that are wanted; what they say is the business of the role that writes them, save keys and images."""
    entries = variables.get("inference_clients_config")
    if entries is None:
        return []
    if isinstance(entries, (str, Mapping)) or not isinstance(entries, (list, tuple)):
        report.add("inference_clients_config", entries, "must be a list of client files", [host.name])
        return []
    for position, entry in enumerate(entries):
        where = f"inference_clients_config[{position}]"
        if not isinstance(entry, Mapping):
            report.add(where, entry, "must be a mapping such as {type: openai, path: /etc/openai.env}", [host.name])
            continue
        container = entry.get("container")
        image = container.get("image") if isinstance(container, Mapping) else None
        if isinstance(image, str):
            check_floating(image, f"{where}.container.image", host.settings.allow_floating_tags, report, [host.name])
        if isinstance(entry.get("key"), str) and entry["key"] not in gateway.client_names:
            known = ", ".join(gateway.client_names) or "none"
            message = f"is not defined in inference_gateway.client_keys ({known}); add it there (null has a key generated)"
            report.add(f"{where}.key", None, message, [host.name])
    return [dict(entry) for entry in entries if isinstance(entry, Mapping)]


def _gateway(
    hosts: Mapping[str, Host],
    gateways: Sequence[str],
    gateway: Gateway,
    platform: str,
    entries: Mapping[str, gateway_part.Entry],
    aliases: Mapping[str, str],
    fallbacks: Mapping[str, Sequence[str]],
    known: Mapping[str, Model],
    report: Report,
) -> dict[str, Any]:
    for position, fallback in enumerate(gateway.default_fallbacks):
        # A model that is served but for another mistake needs no second one.
        if aliases.get(fallback, fallback) not in entries and (report.is_good or fallback not in known):
            report.add(f"inference_gateway.default_fallbacks[{position}]", fallback, f"is not a served model.{hint(fallback, entries)}")
    settings = hosts[gateways[0]].settings
    configured = settings.images.get("litellm", {})
    image = configured.get(platform) or configured.get("") or LITELLM_IMAGE
    check_floating(image, "inference_images.litellm", settings.allow_floating_tags, report, [])
    warn_of_several(gateway, len(gateways), report)
    trouble = vulnerable(LITELLM, version_in(image)) if image != LITELLM_IMAGE else None
    if trouble:
        report.warn(f"inference_images.litellm = {image}: {trouble}")
    tls = gateway.tls is not None
    url = gateway.public_url or gateway_url(gateway.bind, gateway.port, hosts[gateways[0]].address, tls=tls)
    tls_part.check(gateway, url, report)
    part = {
        "hosts": list(gateways),
        "port": gateway.port,
        "bind": gateway.bind,
        # As clients reach it, and as its own host does.
        "url": url,
        "local_url": gateway_url(gateway.bind, gateway.port, tls=tls),
        # internal: whether its certificate is also for the name of its container.
        **({"tls": {"internal": not gateway.tls}} if tls else {}),
        "image": image,
        "models": gateway_part.build(entries, aliases, fallbacks),
        "passthrough": gateway_part.passthroughs(list(entries.values()), gateway, aliases, known, report),
        "settings": dict(gateway.settings),
        "redis": dict(gateway.redis) if gateway.redis else None,
        "default_fallbacks": [aliases.get(name, name) for name in gateway.default_fallbacks],
        "cache": gateway.cache,
        "media": dict(gateway.media),
        "health_check_interval": gateway.health_check_interval,
        "request_limit": gateway.request_limit,
        "work_limit": gateway.work_limit,
        "sticky_sessions": gateway.sticky_sessions,
        "client_names": list(gateway.client_names),
        "client_limits": client_limits(gateway, aliases, entries, known, report),
        "aliases": dict(aliases),
        "networks": [settings.network.name, settings.engines_network.name],
    }
    return {**part, "models": with_clients(part["models"], gateway.client_names, part["client_limits"])}
