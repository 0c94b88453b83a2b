# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The gateway's part of the plan: one entry per model over all declared hosts, every alias, every way round."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from .._gateway.urls import server_url
from .._gateway.variables import ENGINE_KEY, EXTERNAL_KEY, OWN_VARIABLES, key_variable
from .adapters import adapter_names, as_model
from .findings import Report, hint
from .grammar import HOST_NAME, host_trouble
from .model import External, ExternalModel, Gateway, Host, Model

#: Where seed clients send embeddings of images: LiteLLM's own route refuses requests without "input".
DEFAULT_PASSTHROUGH = "/embeddings/v1/embeddings"
#: What a source may be to be a name at the gateway, which repeats it in headers.
_OWN_NAME = r"[A-Za-z0-9/][A-Za-z0-9._:/@+-]{0,254}"
LOOPBACK = re.compile(r"localhost|127\.\d+\.\d+\.\d+|::1|\[::1\]")


@dataclass(frozen=True)
class Backend:
    """One engine instance that answers for a model."""

    model: Model
    host: str
    service: str
    engine: str
    served_name: str
    container: str
    container_port: int
    port: int
    address: str
    order: int | None
    weight: int | None
    max_model_len: int | None
    source: str
    #: Whether gateways on other hosts reach it by https.
    tls: bool = False
    #: Whether the gateway on its own host asks its proxy too, because it is on the network of the host.
    by_proxy: bool = False
    #: The LoRA adapter of the model that it answers with here.
    adapter: str | None = None

    @property
    def identity(self) -> str:
        """What the gateway calls it in replies."""
        return f"{self.service}-{self.host}" if self.adapter is None else f"{self.adapter}-{self.service}-{self.host}"


@dataclass
class Entry:
    """A model at the gateway while it is put together."""

    name: str
    path: str
    capability: str
    modalities: tuple[str, ...]
    request_defaults: Mapping[str, Any]
    timeout: int | None
    stream_timeout: int | None
    fallbacks: tuple[str, ...]
    max_images: int | None
    dimension: int | None
    passthrough: str | None
    aliases: list[tuple[str, str]] = field(default_factory=list)  # alias, where it was written
    sources: list[str] = field(default_factory=list)
    backends: list[dict[str, Any]] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)


def entry_of(name: str, item: Any) -> Entry:
    """The gateway's side of a model of the catalogue, or of an external one."""
    own = isinstance(item, Model)
    return Entry(
        name=name,
        path=item.path,
        capability=item.capability,
        modalities=item.modalities,
        request_defaults=item.request_defaults,
        timeout=item.timeout,
        stream_timeout=item.stream_timeout,
        fallbacks=item.fallbacks,
        max_images=item.max_images,
        dimension=item.dimension if own else None,
        passthrough=item.passthrough if own else None,
    )


def collect(hosts: Mapping[str, Host], backends: Sequence[Backend], externals: Sequence[External], report: Report) -> dict[str, Entry]:
    """All models that somebody serves, with their backends."""
    entries: dict[str, Entry] = {}
    lead = next((host for host in hosts.values() if host.is_gateway and host.models), None)
    names = {backend.model.name for backend in backends}
    for backend in backends:
        if backend.adapter in names:
            continue  # refused where names are compared
        # What clients see of a model is the gateway's view of it, where the gateway has one.
        own = backend.model
        model = (lead.models.get(own.name) if lead else None) or own
        if backend.adapter is not None:
            own = as_model(own, backend.adapter)
            model = as_model(model, backend.adapter) if backend.adapter in adapter_names(model) else own
        entry = entries.get(model.name)
        if entry is None:
            entry = entries[model.name] = entry_of(model.name, model)
            entry.aliases = [(alias, f"{model.path}.aliases") for alias in model.aliases]
        if own.capability != entry.capability:
            if backend.adapter is None:  # of an adapter's model it is told already
                message = f"another host has the same model with the capability {entry.capability}"
                report.add(
                    f"{own.path}.capability",
                    own.capability,
                    f"{message}; one name at the gateway can only be one of them",
                    [backend.host],
                )
            continue
        entry.aliases.extend((alias, f"{own.path}.aliases") for alias in own.aliases if alias not in dict(entry.aliases))
        entry.backends.append(
            {
                "id": backend.identity,
                "host": backend.host,
                "engine": backend.engine,
                "model": backend.served_name,
                "container": backend.container,
                "container_port": backend.container_port,
                "url": f"{server_url(backend.address, backend.port, tls=backend.tls)}/v1",
                "key_variable": key_variable(ENGINE_KEY, backend.host),
                "order": backend.order,
                "weight": backend.weight,
                "health": True,
                "max_input_tokens": backend.max_model_len,
                **({"by_proxy": True} if backend.by_proxy else {}),
            }
        )
        entry.hosts.append(backend.host)
        if backend.source and backend.source not in entry.sources:
            entry.sources.append(backend.source)
        if backend.max_model_len is not None:
            entry.lengths.append(backend.max_model_len)
    for external in externals:
        for external_model in external.models:
            _add_external(entries, external, external_model, report)
    _check_identities(entries.values(), report)
    return entries


def _check_identities(entries: Iterable[Entry], report: Report) -> None:
    """The gateway names the backend in each reply: C(x) on C(y-z) and C(x-y) on C(z) would both be C(x-y-z)."""
    known: set[str] = set()
    for entry in entries:
        for backend in entry.backends:
            if backend["id"] in known:
                report.add(
                    entry.path,
                    None,
                    f"two servers would both be called {backend['id']} (service and host, or model and external endpoint); "
                    "give one of the services or endpoints another name",
                )
            known.add(backend["id"])


def _add_external(entries: dict[str, Entry], external: External, model: ExternalModel, report: Report) -> None:
    entry = entries.get(model.name)
    if entry is None:
        entry = entries[model.name] = entry_of(model.name, model)
    elif entry.capability != model.capability:
        report.add(f"{model.path}.capability", model.capability, f"{entry.path} has the same name and the capability {entry.capability}")
        return
    if any(backend.get("external") == external.name for backend in entry.backends):
        report.add(f"{model.path}.name", model.name, f"is listed twice for the external endpoint {external.name}")
        return
    entry.aliases.extend((alias, f"{model.path}.aliases") for alias in model.aliases if alias not in dict(entry.aliases))
    entry.backends.append(
        {
            "id": f"{model.name}-{external.name}",
            "host": None,
            "engine": external.engine,
            "model": model.model,
            "container": None,
            "container_port": None,
            "url": external.base_url,
            "key_variable": key_variable(EXTERNAL_KEY, external.name) if external.has_key else None,
            "order": model.order,
            "weight": model.weight,
            "health": external.required,
            "max_input_tokens": model.max_model_len,
            "external": external.name,
        }
    )
    if model.model not in entry.sources:
        entry.sources.append(model.model)
    if model.max_model_len is not None:
        entry.lengths.append(model.max_model_len)


def resolve_aliases(
    entries: Mapping[str, Entry], catalogue: Mapping[str, Any], global_aliases: Mapping[str, str], report: Report
) -> dict[str, str]:
    """Both alias layers and the models' own names as one map alias -> model.

    C(catalogue) holds every model that is declared anywhere: an alias of a model that nobody serves is left out with a warning,
    one of a model that does not exist is a finding.
    """
    names = {name.lower(): name for name in {**dict.fromkeys(catalogue), **dict.fromkeys(entries)}}
    pairs: list[tuple[str, str, str]] = []
    for name, item in catalogue.items():
        if name not in entries:
            pairs.extend((alias, name, f"{item.path}.aliases") for alias in item.aliases)
    for entry in entries.values():
        pairs.extend((alias, entry.name, where) for alias, where in entry.aliases)
    local = {alias: target for alias, target, _where in pairs}
    pairs.extend((alias, target, f"inference_model_aliases.{alias}") for alias, target in global_aliases.items())
    own_names, shared = _own_names(entries, names)
    spelt, wanted = _resolve(pairs, {**own_names, **local, **global_aliases}, names, report)
    served = {alias: target for alias, target in spelt.items() if target in entries}
    for alias, target in spelt.items():
        if target not in entries:
            report.warn(f"the alias {alias} of the model {target} is left out: no enabled service serves {target}")
    served.update({alias: target for alias, target in own_names.items() if alias.lower() not in {*wanted, *names}})
    for name, models in shared.items():
        if name.lower() not in wanted:
            report.warn(
                f"{name} is the source of the models {' and '.join(models)}, so at the gateway it is the name of neither; to keep it for "
                f"one of them, write inference_model_aliases: {{{name}: {models[0]}}}"
            )
    return dict(sorted(served.items()))


def _resolve(
    pairs: Iterable[tuple[str, str, str]], edges: Mapping[str, str], names: Mapping[str, str], report: Report
) -> tuple[dict[str, str], set[str]]:
    """The aliases of all pairs (alias, target, where it is given) as written, each with its model; and all that are taken, case folded."""
    wanted: dict[str, tuple[str, str]] = {}
    spelt: dict[str, str] = {}
    for alias, target, where in pairs:
        final = _follow(alias, target, edges, names, where, report)
        if final is None:
            continue
        taken = names.get(alias.lower())
        if taken is not None and taken != final:
            message = f"is also the name of the model {taken!r}; requests for it would never reach {final!r}. Choose another alias"
            report.add(where, alias, message)
            continue
        before = wanted.get(alias.lower())
        if before is not None and before[0] != final:
            same = "is given twice" if alias in spelt else "differs only in case from an alias that is given already"
            report.add(where, alias, f"{same}: it would mean both {before[0]!r} ({before[1]}) and {final!r}. Choose another alias")
            continue
        wanted[alias.lower()] = (final, where)
        if alias != final:
            spelt[alias] = final
    return spelt, set(wanted)


def _own_names(entries: Mapping[str, Entry], names: Mapping[str, str]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """The name that a model has at its source (hub id, tag, last part of a path), where it means one model only; and where it does not.

    Names that only differ in case mean nothing.
    """
    spelt: dict[str, set[str]] = {}
    found: dict[str, set[str]] = {}
    for entry in entries.values():
        for source in entry.sources:
            for name in {source, source.rstrip("/").rsplit("/", 1)[-1]} if source.startswith("/") else {source}:
                if re.fullmatch(_OWN_NAME, name) and name.lower() not in names:
                    spelt.setdefault(name.lower(), set()).add(name)
                    found.setdefault(name.lower(), set()).add(entry.name)
    own = {min(spelt[name]): min(models) for name, models in found.items() if len(models) == 1 and len(spelt[name]) == 1}
    shared = {min(spelt[name]): sorted(models) for name, models in found.items() if len(models) > 1}
    return dict(sorted(own.items())), dict(sorted(shared.items()))


def _follow(alias: str, target: str, edges: Mapping[str, str], names: Mapping[str, str], where: str, report: Report) -> str | None:
    """The model at the end of a chain of aliases."""
    seen = [alias]
    while True:
        if names.get(target.lower()) == target:
            return target
        if target in seen:
            report.add(where, target, f"the aliases {' -> '.join([*seen, target])} lead in a circle; let one of them name a model")
            return None
        if target not in edges:
            report.add(where, target, f"is not defined in inference_models.{hint(target, names.values())}")
            return None
        seen.append(target)
        target = edges[target]


def check_fallbacks(
    entries: Mapping[str, Entry], catalogue: Mapping[str, Any], aliases: Mapping[str, str], report: Report
) -> dict[str, list[str]]:
    """Per model the fallbacks that exist; unknown ones are findings, unserved ones warnings."""
    result: dict[str, list[str]] = {}
    items = {**catalogue, **entries}
    for name, item in items.items():
        found: list[str] = []
        for position, fallback in enumerate(item.fallbacks):
            where = f"{item.path}.fallbacks[{position}]"
            target = aliases.get(fallback, fallback)
            if target == name:
                report.add(where, fallback, "is the model itself")
            elif target not in items:
                report.add(where, fallback, f"is not defined in inference_models.{hint(fallback, items)}")
            elif items[target].capability != item.capability:
                report.add(
                    where,
                    fallback,
                    f"has the capability {items[target].capability}, {name} has {item.capability}; a request of one fails at the other",
                )
            elif target not in entries:
                report.warn(f"the fallback {fallback} of {name} is left out: no enabled service serves it")
            elif target not in found:
                found.append(target)
        result[name] = found
    return result


def passthroughs(
    entries: Sequence[Entry], gateway: Gateway, aliases: Mapping[str, str], known: Collection[str], report: Report
) -> list[dict[str, Any]]:
    """Raw routes: the user's own, and one per model that embeds more than text."""
    found: list[dict[str, Any]] = []
    paths: dict[str, str] = {}
    names = {entry.name for entry in entries}
    for position, item in enumerate(gateway.passthrough):
        where = f"inference_gateway.passthrough[{position}]"
        model = item.get("model")
        if model is not None and aliases.get(str(model), str(model)) not in names:
            if not report.is_good and model in known:
                continue  # it would be served but for another mistake
            report.add(f"{where}.model", model, f"is not a served model.{hint(str(model), names)}")
        elif item["path"] in paths:
            report.add(f"{where}.path", item["path"], f"is given twice ({paths[item['path']]})")
        else:
            trouble = _key_goes_astray(item, entries, aliases)
            if trouble:
                report.add(f"{where}.key_variable", item["key_variable"], trouble)
            paths[str(item["path"])] = where
            found.append(dict(item))
    for entry in entries:
        path = entry.passthrough
        multimodal = entry.capability == "embedding" and set(entry.modalities) - {"text"}
        if path == "" or (path is None and (not multimodal or any(item.get("model") == entry.name for item in gateway.passthrough))):
            continue
        if path is None:
            path = (
                DEFAULT_PASSTHROUGH
                if DEFAULT_PASSTHROUGH not in paths
                else f"/embeddings/{re.sub(r'[^A-Za-z0-9._~-]+', '-', entry.name)}/v1/embeddings"
            )
        if path in paths:
            report.add(f"{entry.path}.passthrough", path, f"is given twice ({paths[path]})")
            continue
        paths[path] = f"{entry.path}.passthrough"
        target_path = {"rerank": "/rerank", "chat": "/chat/completions", "transcription": "/audio/transcriptions"}.get(
            entry.capability, "/embeddings"
        )
        found.append({"path": path, "model": entry.name, "target_path": target_path, "methods": ["POST"]})
    return found


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parsed = urlsplit(url)
    return parsed.scheme, parsed.hostname, parsed.port or {"http": 80, "https": 443}.get(parsed.scheme)


def _key_goes_astray(item: Mapping[str, Any], entries: Sequence[Entry], aliases: Mapping[str, str]) -> str | None:
    """Why the key that a raw route sends is none of its target's, or None. A variable of the user's own goes wherever they say."""
    variable = item.get("key_variable")
    if not variable:
        return None
    if variable in OWN_VARIABLES:
        return "is a secret of the gateway itself, and no other server's; leave it out, or name a variable of litellm_secret_environment"
    if not variable.startswith((f"{ENGINE_KEY}_", f"{EXTERNAL_KEY}_")):
        return None
    owners: dict[str, set[tuple[str, str | None, int | None]]] = {}
    for entry in entries:
        for backend in entry.backends:
            places = owners.setdefault(str(backend["key_variable"]), set())
            places.add(_origin(backend["url"]))
            if backend["container"] and not backend.get("by_proxy"):
                places.add(("http", backend["container"], backend["container_port"]))
    if variable not in owners:
        return f"is not the key of any server behind the gateway.{hint(variable, owners)}"
    if item.get("target"):
        goes_right = _origin(item["target"]) in owners[variable]
    else:
        name = aliases.get(str(item["model"]), str(item["model"]))
        goes_right = any(backend["key_variable"] == variable for entry in entries if entry.name == name for backend in entry.backends)
    return None if goes_right else "is not the key of the server that this route leads to; leave it out, or name the key of that server"


def gateway_hosts(hosts: Mapping[str, Host]) -> list[str]:
    return [host.name for host in hosts.values() if host.is_gateway]


def check_addresses(hosts: Mapping[str, Host], serving: Sequence[str], behind_proxies: Collection[str], report: Report) -> None:
    """An engine's host must have an address that gateways elsewhere can use.

    C(behind_proxies): hosts with engines that the container of a gateway on the same host, too, reaches by that address.
    """
    gateways = gateway_hosts(hosts)
    for name in hosts:
        if not re.fullmatch(HOST_NAME, name):
            report.add("inventory_hostname", name, "must be letters, digits and . _ : @ - (it is part of what the gateway answers)")
    for name in serving:
        host = hosts[name]
        trouble = host_trouble(host.address)
        if trouble and gateways:
            report.add("inference_address", host.address, f"{trouble}; without it, ansible_host and the name of the host count", [name])
        asking = [gateway for gateway in gateways if gateway != name or name in behind_proxies]
        if asking and LOOPBACK.fullmatch(host.address):
            others = ", ".join(asking)
            report.add(
                "inference_address",
                host.address,
                f"the gateway on {others} cannot reach this host there; set inference_address to an address in their common network",
                [name],
            )
    keys: dict[str, str] = {}
    addresses: dict[str, str] = {}
    for name in serving:
        other = addresses.setdefault(hosts[name].address, name)
        if gateways and other != name:
            report.add(
                "inference_address",
                hosts[name].address,
                f"is the address of {other} too, and requests for one of them would reach the other; set inference_address of each",
                [name],
            )
        variable = key_variable(ENGINE_KEY, name)
        other = keys.setdefault(variable, name)
        if other != name:
            report.add("inventory_hostname", name, f"gives the same variable {variable} as the host {other}; rename one of them")


def check_clients(hosts: Mapping[str, Host], gateway: Gateway, report: Report) -> None:
    """Programs on other hosts must be able to reach the gateway."""
    others = [host.name for host in hosts.values() if host.is_client and not host.is_gateway]
    if others and gateway.public_url is None and LOOPBACK.fullmatch(gateway.bind):
        report.add(
            "inference_gateway.bind",
            gateway.bind,
            f"the clients on {', '.join(others[:3])} cannot reach the gateway there; bind an address of its network, "
            "or give the address of a proxy in front of it as public_url",
        )


def build(entries: Mapping[str, Entry], aliases: Mapping[str, str], fallbacks: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """The models in the form that the gateway role takes."""
    models = []
    for entry in entries.values():
        models.append(
            {
                "name": entry.name,
                "capability": entry.capability,
                "modalities": list(entry.modalities),
                "aliases": [alias for alias, target in aliases.items() if target == entry.name],
                "request_defaults": dict(entry.request_defaults),
                "timeout": entry.timeout,
                "stream_timeout": entry.stream_timeout,
                "fallbacks": list(fallbacks.get(entry.name, ())),
                "max_images": entry.max_images,
                # Several backends may differ: a request must fit the one that gets it, so the largest decides what is offered.
                "max_input_tokens": max(entry.lengths) if entry.lengths else None,
                "dimension": entry.dimension,
                "sources": list(entry.sources),
                "backends": entry.backends,
            }
        )
    return models
