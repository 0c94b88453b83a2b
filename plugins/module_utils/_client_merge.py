# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The forms of files that hold more than what is ours, and what becomes of a file that left the inventory.

This module util is PRIVATE to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from ansible_collections.llmops.gpu_inference.plugins.module_utils._client_settings import (
    merge_json,
    merge_toml,
    without_json,
    without_toml,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._clients import (
    ClientFileError,
    Record,
    dump_connections,
    is_ours,
    merge_connections,
    parse_connections,
)


@dataclass(frozen=True)
class Form:
    """How files of one form are merged: the present text, ours, what was ours, the path -> the text, what is ours, who gave way."""

    merge: Callable[[str | None, str, Collection[str], str], tuple[str, tuple[str, ...], bool]]
    #: The text without ours; None where nothing else is in it.
    without: Callable[[str, Collection[str], str], str | None]


@dataclass(frozen=True)
class Removal:
    """What is to be done with a file that left the inventory."""

    action: str  # "delete", "rewrite", "keep" or "forget"
    text: str | None = None
    reason: str | None = None


def _merge_connections(present: str | None, content: str, known: Collection[str], path: str) -> tuple[str, tuple[str, ...], bool]:
    ours = parse_connections(content, path)["connections"]
    ids = tuple(connection["id"] for connection in ours)
    document = parse_connections(present or "", path)
    merged = merge_connections(document, ours, tuple(known))
    if present is not None and present.strip() and merged == document:
        return present, ids, False  # same content: keep the spacing that the program's own editor gave it
    return dump_connections(merged), ids, False


def _without_connections(present: str, ours: Collection[str], path: str) -> str | None:
    document = parse_connections(present, path)
    rest = merge_connections(document, [], tuple(ours))
    if rest == document:
        return present
    return dump_connections(rest) if rest["connections"] or set(rest) != {"connections"} else None


def _merge_whole(present: str | None, content: str, known: Collection[str], _path: str) -> tuple[str, tuple[str, ...], bool]:
    return content, (_digest(content),), present is not None and present != content and _digest(present) not in known


def _without_whole(present: str, ours: Collection[str], _path: str) -> str | None:
    return None if _digest(present) in ours else present


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


#: By the value of C(merge); C(none) is not among them, as such a file is wholly ours.
FORMS: Mapping[str, Form] = {
    "connections": Form(_merge_connections, _without_connections),
    "json": Form(merge_json, without_json),
    "toml": Form(merge_toml, without_toml),
    #: Wholly ours without a word that says so: known by the digest of what was written.
    "whole": Form(_merge_whole, _without_whole),
}
#: The text of a file in which nothing is left, but that was there before us.
_EMPTY = {"connections": dump_connections({"connections": []}), "json": "{}\n", "toml": ""}


def plan_removal(record: Record, text: str | None) -> Removal:
    """What becomes of a file of ours that left the inventory, given its present `text` (None: it is gone)."""
    if text is None:
        return Removal("forget")
    if record.merge == "none":
        if is_ours(text):
            return Removal("delete")
        return Removal("keep", reason=f"{record.path} left the inventory but no longer starts with this collection's marker, so it stays")
    try:
        rest = FORMS[record.merge].without(text, record.ids, record.path)
    except ClientFileError as error:
        return Removal("keep", reason=str(error))
    if rest == text:
        return Removal("forget")
    if rest is None:
        # One that is wholly ours took the place of what was there before, which was kept beside it.
        empty = None if record.created else _EMPTY.get(record.merge)
        return Removal("delete") if empty is None else Removal("rewrite", text=empty)
    return Removal("rewrite", text=rest)
