# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""TLS of the gateway and of the proxies in front of engines: how it is said, whom certificates are for, and which keys go in clear."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from .findings import Fields, Report
from .grammar import host_trouble
from .keys import Keys, any_of, text, with_reader
from .model import External, Gateway, Host

INTERNAL = "internal"
#: By what programs on the gateway's own host reach it: over loopback, and by its container's name.
LOCAL_NAMES = ("localhost", "litellm-gateway", "127.0.0.1", "::1")
#: A path, or what Ansible makes of one; no text of a certificate.
_FILE = r"[^\x00-\x1f\x7f]+"
_EXPECTED = "the path of a file on the controller"


class TlsKeys(Keys):
    certificate_file = text(required=True, pattern=_FILE, expected=_EXPECTED)
    key_file = text(required=True, pattern=_FILE, expected=_EXPECTED)
    ca_file = text(pattern=_FILE, expected=_EXPECTED)


def _read_gateway(fields: Fields) -> dict[str, str] | None:
    """Empty for an authority of our own."""
    raw = fields.data.get("tls")
    if raw is None or raw is False:
        return None
    if raw == INTERNAL:
        return {}
    if not isinstance(raw, Mapping):
        fields.add("tls", raw, f"must be {INTERNAL}, or a mapping with {', '.join(TlsKeys.names())}")
        return None
    inner = TlsKeys.fields(raw, fields.where("tls"), fields.report)
    read = {name: key.read(inner) for name, key in TlsKeys.all().items()}
    whole = read["certificate_file"] and read["key_file"]
    return {name: value for name, value in read.items() if value} if whole else None


#: Of the gateways.
GATEWAY_TLS = with_reader(any_of({"enum": [INTERNAL, False]}, TlsKeys.schema()), _read_gateway)


def _read_proxy(fields: Fields) -> bool:
    raw = fields.data.get("inference_node_proxy_tls")
    if raw is None or raw is False or raw == INTERNAL:
        return raw == INTERNAL
    message = f"must be {INTERNAL}: nobody but the gateways asks the proxy of a node, and they know the collection's own authority"
    fields.add("inference_node_proxy_tls", raw, message)
    return False


#: Of the proxies of nodes.
PROXY_TLS = with_reader({"enum": [INTERNAL, False]}, _read_proxy)


def _names(host: Host) -> list[str]:
    """Where others reach a host: its address, and its own name where that is one of the network."""
    found = [host.address.strip("[]")]
    if re.search("[A-Za-z]", host.name) and not re.search("[_:@]", host.name) and host_trouble(host.name) is None:
        found.append(host.name.lower())
    return found


def part(hosts: Mapping[str, Host], gateway: Gateway, proxied: Sequence[str]) -> dict[str, Any]:
    """What the controller makes or reads: C(hosts) with the names that their certificates are for. Empty where all is plain http.

    C(proxied): hosts whose engines gateways elsewhere ask.
    """
    gateways = [host.name for host in hosts.values() if host.is_gateway and gateway.tls is not None]
    proxies = [name for name in proxied if hosts[name].settings.node_proxy_tls]
    if not gateways and not proxies:
        return {}
    public = urlsplit(gateway.public_url).hostname if gateway.public_url else None
    names = {}
    for name in dict.fromkeys([*gateways, *proxies]):
        local = [*LOCAL_NAMES, *([public] if public else []), *_bound(gateway)] if name in gateways else []
        names[name] = list(dict.fromkeys([*_names(hosts[name]), *local]))
    return {"hosts": names, "gateways": gateways, "proxies": proxies, "files": dict(gateway.tls or {}) if gateways else {}}


def _bound(gateway: Gateway) -> list[str]:
    """The one address that the gateway answers on."""
    bare = gateway.bind.strip("[]")
    return [] if ipaddress.ip_address(bare).is_unspecified else [bare]


def url_name(url: str) -> str:
    return urlsplit(url).hostname or ""


def check(gateway: Gateway, url: str, report: Report) -> None:
    """What contradicts TLS of the gateway."""
    if gateway.tls is None:
        return
    if gateway.public_url and not gateway.public_url.lower().startswith("https://"):
        message = "is plain http, and inference_gateway.tls has the gateway speak https alone; write https://"
        report.add("inference_gateway.public_url", gateway.public_url, message)
    if gateway.tls and host_trouble(url_name(url)) is None and not re.search("[A-Za-z]", url_name(url).rpartition(".")[2]):
        report.add(
            "inference_gateway.tls.certificate_file",
            gateway.tls["certificate_file"],
            f"is for a name, and clients reach the gateway at {url}; say it in inference_gateway.public_url, such as https://llm.example:8400",
        )


def warn_of_clear_keys(
    hosts: Mapping[str, Host],
    gateway: Gateway,
    gateways: Sequence[str],
    proxied: Sequence[str],
    externals: Sequence[External],
    report: Report,
) -> None:
    """One warning that names every key which leaves a host readable to whoever is on the way.

    Of a gateway those that clients are given. Where it has no client that the inventory knows of, nobody can say that one leaves.
    """
    found: list[str] = []
    if gateways and gateway.tls is None and not _is_loopback(gateway.bind) and not (gateway.public_url or "").startswith("https://"):
        elsewhere = any(host.is_client and not host.is_gateway for host in hosts.values())
        given = [f"client_keys.{name}" for name in gateway.client_names] or (["master_key"] if elsewhere else [])
        if given:
            found.append(f"{', '.join(given)} (clients of the gateway on {', '.join(gateways)}; inference_gateway.tls)")
    nodes = sorted(name for name in proxied if not hosts[name].settings.node_proxy_tls)
    if nodes:
        found.append(f"{', '.join(f'engine_keys/{name}' for name in nodes)} (gateways on other hosts; inference_node_proxy_tls)")
    for external in externals:
        parts = urlsplit(external.base_url)
        if external.has_key and parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
            found.append(f"the key of {external.name} ({external.base_url}; an https address)")
    if found:
        report.warn(f"keys leave their host in clear, readable to whoever is on the way: {'; '.join(found)}")


def _is_loopback(address: str) -> bool:
    bare = address.strip("[]")
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return bare == "localhost"
