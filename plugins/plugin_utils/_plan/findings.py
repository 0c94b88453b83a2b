# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Findings of the plan, and the reader that turns raw inventory values into typed ones while it collects them.

Nothing here stops at the first mistake: a reader notes a finding, returns the default and goes on, so that one run of the
plan shows every mistake of an inventory.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .._secrets.secrecy import shown, shown_path, without_credentials

_TRUE = ("true", "yes", "on")
_FALSE = ("false", "no", "off")


@dataclass(frozen=True)
class Finding:
    """One mistake: where it is, what stands there, and what would be right."""

    variable: str
    value: Any
    message: str

    def __str__(self) -> str:
        value = shown(self.value, self.variable)
        place = shown_path(self.variable)
        return without_credentials(f"{place}: {self.message}" if value is None else f"{place} = {value}: {self.message}")


class PlanError(Exception):
    """The inventory cannot be deployed; all reasons at once."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings: tuple[Finding, ...] = tuple(findings)
        super().__init__(str(self))

    def __str__(self) -> str:
        count = len(self.findings)
        lines = [f"The inventory has {count} mistake{'' if count == 1 else 's'}; no host was changed."]
        lines += [f"  {number}. {finding}" for number, finding in enumerate(self.findings, 1)]
        return "\n".join(lines)


def hint(word: str, known: Iterable[str]) -> str:
    """A did-you-mean, with the leading blank, or nothing."""
    close = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


class Report:
    """Collects findings and warnings, each once, with the hosts they apply to."""

    def __init__(self) -> None:
        self._findings: dict[tuple[str, str, str], tuple[Any, list[str]]] = {}
        self._warnings: dict[str, list[str]] = {}

    def add(self, variable: str, value: Any, message: str, hosts: Sequence[str] = ()) -> None:
        key = (variable, shown(value, variable) or "", message)
        _value, known = self._findings.setdefault(key, (value, []))
        known.extend(host for host in hosts if host not in known)

    def warn(self, message: str, hosts: Sequence[str] = ()) -> None:
        known = self._warnings.setdefault(message, [])
        known.extend(host for host in hosts if host not in known)

    @property
    def is_good(self) -> bool:
        return not self._findings

    @property
    def findings(self) -> list[Finding]:
        return [
            Finding(variable + host_suffix(hosts), value, message) for (variable, _shown, message), (value, hosts) in self._findings.items()
        ]

    @property
    def warnings(self) -> list[str]:
        return [message + host_suffix(hosts) for message, hosts in self._warnings.items()]


def host_suffix(hosts: Sequence[str]) -> str:
    if not hosts:
        return ""
    shown = ", ".join(hosts[:3]) + (f" and {len(hosts) - 3} more" if len(hosts) > 3 else "")
    return f" (host{'' if len(hosts) == 1 else 's'} {shown})"


@dataclass(frozen=True)
class Size:
    """An amount of memory: absolute, or a fraction of what there is."""

    text: str
    mib: float | None = None
    fraction: float | None = None


_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(GiB|MiB)")
SIZE_HINT = "write a size such as 12GiB or 4096MiB, or a fraction between 0 and 1 such as 0.38"


def parse_size(value: Any) -> Size | None:
    """A size, or None where the value is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return Size(f"{value:g}", fraction=float(value)) if 0 < value <= 1 else None
    if not isinstance(value, str):
        return None
    match = _SIZE.fullmatch(value.strip())
    if match:
        mib = float(match[1]) * (1024 if match[2] == "GiB" else 1)
        return Size(value.strip(), mib=mib) if 0 < mib < 2**40 else None
    number = exact_number(value)
    return parse_size(number) if number is not None else None


def exact_number(value: str) -> float | None:
    """A number written as a string, if nothing but a plain decimal number stands there."""
    text = value.strip()
    return float(text) if re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,15})?", text) else None


#: An address without user, password and query, in the characters that an address consists of (RFC 3986).
ADDRESS = r"https?://[A-Za-z0-9._~:%\[\]-]+(/[A-Za-z0-9._~:/%!$&()*+,;=-]*)?"


def is_http_address(text: str) -> bool:
    """Whether a text is an http or https address with a host, and with a port that can be one where there is one."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


class Fields:
    """Typed access to one mapping of the inventory; every mistake goes to the report under its own path."""

    def __init__(self, data: Any, path: str, report: Report, known: Sequence[str], hosts: Sequence[str] = ()) -> None:
        self.path = path
        self.report = report
        self.hosts = hosts
        self.valid = isinstance(data, Mapping)
        self.data: Mapping[Any, Any] = data if isinstance(data, Mapping) else {}
        if not self.valid:
            self.add("", data, f"must be a mapping with the keys {', '.join(known)}")
        for key in self.data:
            if key not in known:
                self.add(str(key), self.data[key], f"unknown key.{hint(str(key), known) or ' Known are: ' + ', '.join(known) + '.'}")

    def where(self, key: str) -> str:
        return f"{self.path}.{key}" if key and self.path else key or self.path

    def add(self, key: str, value: Any, message: str) -> None:
        self.report.add(self.where(key), value, message, self.hosts)

    def has(self, key: str) -> bool:
        return self.data.get(key) is not None

    def text(self, key: str, default: str = "", *, required: bool = False, pattern: str = "", expected: str = "") -> str:
        value = self.data.get(key)
        if value is None:
            if required and self.valid:
                self.add(key, None, f"is required{': ' + expected if expected else ''}")
            return default
        if isinstance(value, (int, float)) and not isinstance(value, bool) and not pattern:
            value = str(value)
        if not isinstance(value, str) or (not value.strip() and required):
            self.add(key, value, f"must be {expected or 'a non-empty text'}")
            return default
        if pattern and not re.fullmatch(pattern, value):
            self.add(key, value, f"must be {expected or 'text matching ' + pattern}")
            return default
        return value

    def maybe_text(self, key: str, *, pattern: str = "", expected: str = "") -> str | None:
        return self.text(key, pattern=pattern, expected=expected) or None

    def secret(self, key: str) -> bool:
        """Whether a secret is given; a plan's inventory has true in its place, and false where it is no text."""
        value = self.data.get(key)
        if value is None or value == "":
            return False
        if value is not True and not isinstance(value, str):
            self.add(key, None, "must be a text; write it in quotes")
        return True

    def address(self, key: str, *, required: bool = False, expected: str = "") -> str | None:
        """An http or https address without user, password and query, which may be a key."""
        value = self.text(key, required=required, pattern=ADDRESS, expected=expected)
        if value and not is_http_address(value):
            self.add(key, value, f"must be {expected}")
            return None
        return value or None

    def choice(self, key: str, choices: Sequence[str], default: str) -> str:
        value = self.data.get(key)
        if value is None:
            return default
        if not isinstance(value, str) or value not in choices:
            suggestion = hint(value, choices) if isinstance(value, str) else ""
            self.add(key, value, f"must be one of {', '.join(choices)}.{suggestion}")
            return default
        return value

    def integer(self, key: str, minimum: int, maximum: int = 2**53, *, required: bool = False, what: str = "a whole number") -> int | None:
        value = self.data.get(key)
        if value is None:
            if required and self.valid:
                self.add(key, None, f"is required: {what} from {minimum} to {maximum}")
            return None
        number = exact_number(value) if isinstance(value, str) else value
        if isinstance(number, bool) or not isinstance(number, (int, float)) or (isinstance(number, float) and not math.isfinite(number)):
            number = None
        if number is None or number != int(number) or not minimum <= number <= maximum:
            upper = f" to {maximum}" if maximum < 2**53 else " up"
            self.add(key, value, f"must be {what} from {minimum}{upper}")
            return None
        return int(number)

    def number(self, key: str) -> float | None:
        value = self.data.get(key)
        if value is None:
            return None
        number = exact_number(value) if isinstance(value, str) else value
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number):
            self.add(key, value, "must be a number")
            return None
        return number

    def boolean(self, key: str, default: bool) -> bool:
        value = self.data.get(key)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.strip().lower() in _TRUE + _FALSE:
            return value.strip().lower() in _TRUE
        self.add(key, value, "must be true or false")
        return default

    def size(self, key: str) -> Size | None:
        value = self.data.get(key)
        if value is None:
            return None
        size = parse_size(value)
        if size is None:
            self.add(key, value, SIZE_HINT[0].upper() + SIZE_HINT[1:])
        return size

    def mapping(self, key: str) -> dict[str, Any]:
        value = self.data.get(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.add(key, value, "must be a mapping")
            return {}
        return {str(name): item for name, item in value.items()}

    def items(self, key: str) -> list[Any]:
        value = self.data.get(key)
        if value is None:
            return []
        if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Sequence):
            self.add(key, value, "must be a list")
            return []
        return list(value)

    def texts(self, key: str, *, pattern: str = "", expected: str = "text", choices: Sequence[str] = ()) -> tuple[str, ...]:
        found: list[str] = []
        for position, item in enumerate(self.items(key)):
            if not isinstance(item, str) or not item.strip() or (pattern and not re.fullmatch(pattern, item)):
                self.add(f"{key}[{position}]", item, f"must be {expected}")
            elif choices and item not in choices:
                self.add(f"{key}[{position}]", item, f"must be one of {', '.join(choices)}.{hint(item, choices)}")
            else:
                found.append(item)
        return tuple(found)
