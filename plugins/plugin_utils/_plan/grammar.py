# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What a text of an inventory may be, by the programs that read it: Docker, the resolver, HTTP, and the file system."""

from __future__ import annotations

import ipaddress
import posixpath
import re
from typing import Any

from .findings import parse_size

#: Names at the gateway. Hub ids and Ollama tags are such names too.
MODEL_NAME = r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}"
MODEL_NAME_EXPECTED = "letters, digits and . _ : / @ + - (128 at most, beginning with a letter or digit)"
#: The longest part of a name between dots that can be asked of DNS (RFC 1035).
LONGEST_LABEL = 63
#: Of a service's name: its container is vllm-NAME at the shortest, and the gateway asks for that.
LABEL = LONGEST_LABEL - len("vllm-")
#: Names on a node: part of a unit's, a container's and a folder's name.
UNIT_NAME = rf"(?=.{{1,63}}\Z)[a-z0-9][a-z0-9_-]{{0,{LABEL - 1}}}(?:\.[a-z0-9_-]{{1,{LABEL}}})*"
UNIT_NAME_EXPECTED = (
    f"lower-case letters, digits and . _ - (63 at most, {LABEL} between dots, beginning with a letter or digit, no dot at the end)"
)
#: Names of servers that are not ours: part of a variable's name and of an id.
SERVER_NAME = r"[a-z0-9][a-z0-9._-]{0,62}"
SERVER_NAME_EXPECTED = "lower-case letters, digits and . _ - (63 at most, beginning with a letter or digit)"
#: Docker's networks that are always there cannot be made, nor joined beside others.
NETWORK_NAME = r"(?!(?:bridge|default|host|ingress|none)\Z)[A-Za-z0-9][A-Za-z0-9_.-]{0,62}"
NETWORK_EXPECTED = "the name of a Docker network that you may make (letters, digits and _ . -; not bridge, default, host, ingress or none)"
#: Names of hosts in the inventory: part of ids that LiteLLM answers in a header, and of variables' names.
HOST_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.:@-]{0,252}"
#: Names of network interfaces: the kernel takes 15 characters without blanks and slashes (dev_valid_name).
INTERFACE = r"(?!\.{1,2}\Z)[A-Za-z0-9][A-Za-z0-9._-]{0,14}"
INTERFACE_EXPECTED = "the name of a network interface, such as enp1s0f0np0 (ip -brief address shows them)"
_HOST_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
PATH = r"/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+)*/?"
DURATION = "a number of seconds"
#: Only a text, whatever is in it: what it may be is judged by more than a pattern.
ANY_TEXT = r"(?s).+"
NO_CONTROL = r"[^\x00-\x1f\x7f]+"
#: A branch, tag or commit. vLLM's parser would take one with a dash for a flag.
VARIABLE_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
VARIABLE_NAME_EXPECTED = "the name of an environment variable (letters, digits and _)"
REVISION = r"[A-Za-z0-9][A-Za-z0-9._/-]*"

_DOMAIN_PART = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_DOMAIN = rf"(?:{_DOMAIN_PART}(?:\.{_DOMAIN_PART})+(?::[0-9]+)?|{_DOMAIN_PART}:[0-9]+|localhost)"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
#: References to images as Docker reads them (distribution/reference). Sixty-four hexadecimal digits alone would be an image's id.
IMAGE = (
    rf"(?=[^@]{{1,250}}(?:@|\Z))(?![0-9a-f]{{64}}(?:[:@]|\Z))(?:{_DOMAIN}/)?{_COMPONENT}(?:/{_COMPONENT})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
IMAGE_EXPECTED = "an image such as vllm/vllm-openai:v0.32.0 (lower-case letters; a digest is sha256: and 64 digits)"

#: Of a source that is no path: a hub id, an Ollama tag, an address of a bucket.
_SOURCE = r"(?!-)[!-~]+"

_MIB = 1024 * 1024
_UNITS = "bkmgtp"
_DOCKER_SIZE = re.compile(r"\+?([0-9]+\.?[0-9]*|\.[0-9]+)(e[0-9]{1,3})? ?(?:([kmgtp])(?:i?b)?|b)?", re.IGNORECASE)


def path_trouble(path: str) -> str | None:
    """Why a text is no path of a file or folder that our programs can be given, or None."""
    if not path.startswith("/"):
        return "must be an absolute path"
    if not path.isprintable() or path != path.strip():
        return "must be a path without control characters, other line breaks and blanks at its end"
    if len(path.encode()) > 1024 or any(len(part.encode()) > 255 for part in path.split("/")):
        return "is longer than a path (1024 bytes) or a name in it (255 bytes) may be"
    return None


def volume_trouble(path: str) -> str | None:
    """The same for one that is written between colons."""
    return path_trouble(path) or ("has a colon, at which Docker would divide it" if ":" in path else None)


def target_trouble(path: str) -> str | None:
    """Why nothing can be mounted there in a container, or None."""
    place = normal_path(path)
    if volume_trouble(path):
        return volume_trouble(path)
    if place in ("/", "/proc") or place.startswith("/proc/"):
        return "is a place in the container where Docker mounts nothing"
    return None


def normal_path(path: str) -> str:
    """A path as Docker compares it with others."""
    return posixpath.normpath("/" + path.lstrip("/"))


def source_trouble(source: str) -> str | None:
    """Why a text names no model in any way, or None."""
    if source.startswith("/"):
        return path_trouble(source)
    return (
        None if re.fullmatch(_SOURCE, source) and not {"'", '"'} & set(source) else "must be a hub id, an absolute path, or an Ollama tag"
    )


def address_trouble(text: str) -> str | None:
    """Why a text is no IP address that Docker takes, or None."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "must be an IP address"
    return "must be an IP address without the name of an interface" if getattr(address, "scope_id", None) else None


def host_trouble(text: str) -> str | None:
    """Why a text is neither an address nor a name by which one computer reaches another, or None. IPv6 may be in brackets."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if ":" in bare or re.fullmatch(r"[0-9.]+", bare):
        return address_trouble(bare)
    if len(bare) > 253 or not re.fullmatch(rf"{_HOST_LABEL}(?:\.{_HOST_LABEL})*\.?", bare):
        return "must be an address or a host name, without a scheme or a port"
    return None


def docker_size(value: Any) -> str | None:
    """A size of C(--shm-size) from any spelling that Docker takes, or one of ours such as 16GiB; None where it is none.

    Docker's K, M and G are powers of 1024 with and without B (docker/go-units, RAMInBytes), and a number alone is bytes. Less than
    1 MiB is a mistake: Docker takes 0 for its 64 MiB, and 4 for 4 bytes.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    text = str(value).strip()
    if isinstance(value, str):
        size = parse_size(text) if text.endswith(("GiB", "MiB")) else None
        if size is not None and size.mib is not None:
            return f"{int(size.mib)}m" if size.mib >= 1 else None
    match = _DOCKER_SIZE.fullmatch(text)
    if match is None:
        return None
    unit = (match[3] or "b").lower()
    amount = float(match[1] + (match[2] or "")) * 1024 ** _UNITS.index(unit)
    if not _MIB <= amount < 2**50:
        return None
    if re.fullmatch(r"[0-9]+[bkmg]", text.lower()):
        return text.lower()
    return f"{int(amount) // _MIB}m" if amount % _MIB == 0 else f"{int(amount)}b"
