# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""A daemon.json as Docker reads it, and what it would not start with."""

from __future__ import annotations

import codecs
import ipaddress
import json
import re
import typing as t
from collections.abc import Mapping
from urllib.parse import urlsplit

#: The JSON type of the keys that are likely to be met; dockerd refuses any other.
TYPES: Mapping[str, type] = {
    "allow-nondistributable-artifacts": list,
    "authorization-plugins": list,
    "bip": str,
    "bridge": str,
    "builder": dict,
    "cdi-spec-dirs": list,
    "data-root": str,
    "debug": bool,
    "default-address-pools": list,
    "default-network-opts": dict,
    "default-runtime": str,
    "default-ulimits": dict,
    "dns": list,
    "dns-opts": list,
    "dns-search": list,
    "exec-opts": list,
    "features": dict,
    "hosts": list,
    "insecure-registries": list,
    "ip6tables": bool,
    "iptables": bool,
    "ipv6": bool,
    "labels": list,
    "live-restore": bool,
    "log-driver": str,
    "log-level": str,
    "log-opts": dict,
    "max-concurrent-downloads": int,
    "max-concurrent-uploads": int,
    "max-download-attempts": int,
    "mtu": int,
    "node-generic-resources": list,
    "proxies": dict,
    "registry-mirrors": list,
    "runtimes": dict,
    "shutdown-timeout": int,
    "storage-driver": str,
    "storage-opts": list,
    "userland-proxy": bool,
}

JSON_NAMES: Mapping[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    float: "a number with a fraction",
}


class BadDocumentError(ValueError):
    pass


def decode(content: bytes) -> str | None:
    """The text of the file as Docker reads it, with a byte order mark or without; None where it is no text."""
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def parse(text: str) -> dict[str, t.Any]:
    if not text.strip():
        return {}
    try:
        document = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise BadDocumentError(f"is not valid JSON: {error.msg} in line {error.lineno}, column {error.colno}.") from None
    except RecursionError:
        raise BadDocumentError("is nested too deeply.") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise BadDocumentError(f"holds {json_name(document)} where Docker wants an object.")
    return document


def _unique_keys(pairs: list[tuple[str, t.Any]]) -> dict[str, t.Any]:
    document: dict[str, t.Any] = {}
    for key, value in pairs:
        if key in document:
            raise BadDocumentError(f"has the key {key!r} twice: only the last one counts for Docker, the other would be lost.")
        document[key] = value
    return document


def _no_constant(name: str) -> t.NoReturn:
    raise BadDocumentError(f"is not valid JSON: {name} is not a JSON value.")


def json_name(value: object) -> str:
    return "null" if value is None else JSON_NAMES.get(type(value), type(value).__name__)


def type_errors(document: Mapping[str, t.Any]) -> list[str]:
    problems: list[str] = []
    for key, value in document.items():
        expected = TYPES.get(key)
        if expected is not None and not (isinstance(value, expected) and not (expected is int and isinstance(value, bool))):
            whole = isinstance(value, float) and value.is_integer()
            remedy = f": write {int(value)}" if expected is int and whole else ""
            problems.append(f"{key} is {json_name(value)} ({short(value)}), Docker wants {JSON_NAMES[expected]}{remedy}.")
            continue
        inner = {"runtimes": dict, "default-ulimits": dict, "features": bool}.get(key)
        if inner is not None:
            for name, entry in value.items():
                if not isinstance(entry, inner):
                    problems.append(f"{key}.{name} is {json_name(entry)} ({short(entry)}), Docker wants {JSON_NAMES[inner]}.")
        if key == "log-opts":
            for name, entry in value.items():
                if isinstance(entry, (dict, list)) or entry is None:
                    problems.append(f"{key}.{name} is {json_name(entry)} ({short(entry)}), Docker wants a string.")
    return problems


def value_errors(document: Mapping[str, t.Any]) -> list[str]:
    """Values that `dockerd --validate` takes and that dockerd then does not start with (moby: daemon/pkg/registry/config.go)."""
    problems: list[str] = []
    for key, check in (("registry-mirrors", _mirror_problem), ("insecure-registries", _registry_problem), ("dns", _address_problem)):
        entries = document.get(key)
        for entry in entries if isinstance(entries, list) else ():
            reason = check(entry)
            if reason:
                problems.append(f"{key} has {short(_without_password(entry))}, {reason}.")
    return problems


def _mirror_problem(entry: t.Any) -> str:
    if not isinstance(entry, str):
        return "which is not a string"
    try:
        parts = urlsplit(entry)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return "which is not an address"
    if parts.scheme not in ("http", "https") or not host or re.search(r"\s", entry):
        return "which is not an address such as https://mirror.example"
    if parts.username is not None or parts.password is not None:
        return "with a user or password, which Docker refuses; log in to the mirror on the host, or let it know the host by its address"
    return "with a query or fragment, which Docker refuses" if parts.query or parts.fragment else ""


def _registry_problem(entry: t.Any) -> str:
    if not isinstance(entry, str):
        return "which is not a string"
    bare = re.sub(r"^https?://", "", entry)
    if "/" in bare:
        try:
            ipaddress.ip_network(bare, strict=False)
        except ValueError:
            return "which is neither HOST, HOST:PORT nor a network such as 10.0.0.0/8"
    elif not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?", bare):
        return "which is neither HOST, HOST:PORT nor a network such as 10.0.0.0/8"
    return ""


def _address_problem(entry: t.Any) -> str:
    try:
        ipaddress.ip_address(str(entry))
    except ValueError:
        return "which is not an IP address"
    return ""


def _without_password(entry: t.Any) -> t.Any:
    return re.sub(r"//[^/]*@", "//***@", entry) if isinstance(entry, str) else entry


def short(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
