# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The entries of C(inference_clients_config), each read with the keys of its program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._gateway.plain import plain
from .._plan.findings import Report
from .._plan.keys import Key
from .base import Client, Container, Mistake
from .keys import COMMON_KEYS, RUN_KEYS, TASK_KEYS, read, said
from .registry import CLIENTS


@dataclass(frozen=True)
class Entry:
    """An entry of a known type with its values in their types."""

    client: Client
    label: str
    values: Mapping[str, Any]

    @property
    def container(self) -> Container | None:
        """How its program is run; None where it is not to be run as a container."""
        return self.client.container if self.values.get("container") else None


def keys_of(client: Client) -> dict[str, Key[Any]]:
    """All keys that an entry for a program may have."""
    return {**COMMON_KEYS, **client.keys, **(RUN_KEYS if client.container else {}), **(TASK_KEYS if client.task else {})}


def read_entry(raw: Any, label: str, mistakes: list[Mistake]) -> Entry | None:
    """None where its type is not known, which is told."""
    entry = plain(raw)
    kind = entry.get("type") if isinstance(entry, Mapping) else None
    client = CLIENTS.get(kind) if isinstance(kind, str) else None
    if client is None:
        known = ", ".join(sorted(CLIENTS))
        mistakes.append(Mistake(f"{label}.type", f"{said(kind, 'type')} is not a known client program; known: {known}"))
        return None
    report = Report()
    values = read(entry, label, keys_of(client), report)
    # Without the value: it may be a key.
    mistakes.extend(Mistake(finding.variable, finding.message) for finding in report.findings)
    return Entry(client, label, values)


def read_entries(files: Sequence[Any], variable: str, mistakes: list[Mistake]) -> Iterator[Entry]:
    for number, raw in enumerate(files):
        entry = read_entry(raw, f"{variable}[{number}]", mistakes)
        if entry is not None:
            yield entry


def without_secrets(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What a plan sees of an entry. Keys of other programs are hidden too: they may be meant for one of another type."""
    own = CLIENTS.get(entry["type"]) if isinstance(entry.get("type"), str) else None
    clients = [*CLIENTS.values(), *([own] if own else [])]
    hiding = {name: key.hide for client in clients for name, key in keys_of(client).items() if key.hide is not None}
    return {name: hiding[name](value) if name in hiding else value for name, value in entry.items()}
