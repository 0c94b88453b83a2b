# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the files of client programs have in common: the marker, the environment syntax, lists of connections, and the manifest.

This module util is PRIVATE to the collection. It can have breaking changes at any time.

Pure functions over texts: no file is opened here. What is particular to a program is in
plugin_utils/_clients, writing in the module client_files.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: First line of every text file that is wholly ours. A file without it is somebody else's and is never removed.
MARKER = "# Written by llmops.gpu_inference; changes here are overwritten."

#: Characters that mean the same to `docker run --env-file`, to a shell that sources the file, and to python-dotenv.
#: A value with any other character reads differently in at least one of them, so it is refused and not quoted.
SAFE_VALUE_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@%+=:,./-")
#: Of JSON. Docker and python-dotenv leave them alone, a shell takes the quotes away.
JSON_CHARACTERS = frozenset('{}[]"')

MANIFEST_VERSION = 1


class ClientFileError(ValueError):
    """A client file cannot be written as asked; the message says why and what to do."""


@dataclass(frozen=True)
class Record:
    """What the manifest remembers of one file: enough to take our part out again, and nothing secret."""

    path: str
    merge: str  # "none": the whole file is ours; else only the entries or settings `ids` are
    ids: tuple[str, ...] = ()
    created: bool = False  # whether the file did not exist before us


# --- environment files -------------------------------------------------------------------------------------------


def unsafe_characters(value: str, *, as_json: bool = False) -> str:
    """The characters of `value` that an environment file cannot carry to every reader, each once, in order."""
    safe = SAFE_VALUE_CHARACTERS | JSON_CHARACTERS if as_json and value.startswith(("{", "[")) else SAFE_VALUE_CHARACTERS
    return "".join(dict.fromkeys(character for character in value if character not in safe))


def render_env(variables: Mapping[str, str], comments: Sequence[str] = (), as_json: Container[str] = ()) -> str:
    """An environment file, and proof that its readers get back exactly `variables`.

    `as_json` names those whose values may be JSON without spaces; what a shell makes of them is not asked.
    """
    for name, value in variables.items():
        bad = unsafe_characters(value, as_json=name in as_json)
        if bad:
            raise ClientFileError(
                f"{name}: the value contains {bad!r}, which docker, a shell and python-dotenv read differently; "
                "use letters, digits and _@%+=:,./- only"
            )
        if name in as_json and not _is_json(value):
            raise ClientFileError(f"{name}: the value is no JSON, which the program reads here")
    lines = [MARKER, *(f"# {comment}" for comment in comments)]
    lines += [f"{name}={value}" for name, value in variables.items()]
    text = "\n".join(lines) + "\n"
    documents = {name: value for name, value in variables.items() if name in as_json}
    for reader, parsed in (("docker --env-file", parse_env_as_docker(text)), ("a shell", {**parse_env_as_shell(text), **documents})):
        if parsed != dict(variables):
            raise ClientFileError(f"read back by {reader}, the rendered file gives other variables; this is a defect of the collection")
    return text


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def parse_env_as_docker(text: str) -> dict[str, str]:
    """The variables that `docker run --env-file` takes from `text`: no quoting, no expansion."""
    variables: dict[str, str] = {}
    for line in text.split("\n"):
        stripped = line.lstrip()
        if stripped and not stripped.startswith("#"):
            name, _separator, value = stripped.partition("=")
            variables[name] = value
    return variables


def parse_env_as_shell(text: str) -> dict[str, str]:
    """The variables that a shell gets by sourcing `text` (expansion apart, which the safe characters exclude)."""
    words = shlex.split(text, comments=True, posix=True)
    return {name: value for name, _separator, value in (word.partition("=") for word in words)}


# --- lists of connections (Chat Studio) --------------------------------------------------------------------------


def parse_connections(text: str, path: str) -> dict[str, Any]:
    """The document of an llm_connections.json; raise ClientFileError where it is not one."""
    if not text.strip():
        return {"connections": []}
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ClientFileError(
            f"{path} exists and is not JSON ({error}); entries of others could be lost, so nothing was written. Repair or move the file."
        ) from None
    if not isinstance(document, dict) or not isinstance(document.get("connections", []), list):
        raise ClientFileError(
            f'{path} exists and is not of the form {{"connections": [...]}}; entries of others could be lost, so nothing was written. '
            "Repair or move the file."
        )
    return document


def merge_connections(document: Mapping[str, Any], wanted: Sequence[Mapping[str, Any]], obsolete_ids: Sequence[str] = ()) -> dict[str, Any]:
    """`document` with the entries `wanted` (by id) in place, ours of earlier runs out, and everything else as it was.

    An entry keeps its place and the fields that we do not know; what is new comes last.
    """
    by_id = {entry["id"]: dict(entry) for entry in wanted}
    gone = set(obsolete_ids) - set(by_id)
    merged: list[Any] = []
    for entry in document.get("connections", []):
        identity = entry.get("id") if isinstance(entry, dict) else None
        if identity in gone:
            continue
        if identity in by_id:
            merged.append({**entry, **by_id.pop(identity)})
        else:
            merged.append(entry)
    merged.extend(by_id.values())
    return {**document, "connections": merged}


def dump_connections(document: Mapping[str, Any]) -> str:
    """The text of an llm_connections.json, in the form that Chat Studio's own editor writes."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


# --- the manifest ------------------------------------------------------------------------------------------------


def parse_manifest(text: str | None, path: str) -> dict[str, Record]:
    """The records of a manifest text, by file path. A missing manifest has none."""
    if text is None:
        return {}
    try:
        document = json.loads(text)
        if document["version"] != MANIFEST_VERSION:
            raise ValueError(f"version {document['version']!r}, expected {MANIFEST_VERSION}")
        return {
            name: Record(path=name, merge=entry["merge"], ids=tuple(entry["ids"]), created=entry["created"])
            for name, entry in document["files"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ClientFileError(
            f"{path} is not a manifest of this collection ({error}). It lists the client files written here; remove it to forget them."
        ) from None


def dump_manifest(records: Mapping[str, Record]) -> str:
    """The text of a manifest; sorted, so that equal contents are equal texts."""
    files = {
        name: {"merge": record.merge, "ids": sorted(record.ids), "created": record.created} for name, record in sorted(records.items())
    }
    return json.dumps({"version": MANIFEST_VERSION, "files": files}, indent=2) + "\n"


def is_ours(text: str) -> bool:
    """Whether a text file starts with our marker."""
    return text.startswith(MARKER)
