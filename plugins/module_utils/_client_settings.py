# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of ours in a file that its user and its program write too: a JSON object, or the keys before the first table of a TOML file.

This module util is PRIVATE to the collection. It can have breaking changes at any time.

Pure functions over texts. What is ours is known by its place: a JSON pointer, or a dotted key. All else stays as it is.
"""

from __future__ import annotations

import copy
import importlib
import importlib.util
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.llmops.gpu_inference.plugins.module_utils._clients import ClientFileError

# --- JSON --------------------------------------------------------------------------------------------------------


def _object(text: str | None, path: str) -> dict[str, Any]:
    if text is None or not text.strip():
        return {}
    try:
        document = json.loads(text)
    except ValueError as error:
        message = f"{path} exists and is not JSON ({error}); settings of others could be lost, so nothing was written"
        raise ClientFileError(f"{message}. Repair it, take comments out, or move the file.") from None
    if not isinstance(document, dict):
        raise ClientFileError(f"{path} exists and is no JSON object, so nothing was written. Repair or move the file.")
    return document


def _dumped(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _leaves(node: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict) and (node or not place):
        for key, value in node.items():
            yield from _leaves(value, f"{place}/{key.replace('~', '~0').replace('/', '~1')}")
    else:
        yield place, node


def _steps(pointer: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _take_out(document: dict[str, Any], steps: Sequence[str]) -> None:
    """Without this leaf, and without the objects that hold nothing else."""
    first, rest = steps[0], steps[1:]
    if first not in document:
        return
    if not rest:
        del document[first]
    elif isinstance(document[first], dict):
        _take_out(document[first], rest)
        if not document[first]:
            del document[first]


def merge_json(present: str | None, content: str, known: Collection[str], path: str) -> tuple[str, tuple[str, ...], bool]:
    """The file with our leaves in place and our earlier ones out; what is ours now; whether a setting of somebody else gave way."""
    before = _object(present, path)
    wanted = dict(_leaves(json.loads(content)))
    document = copy.deepcopy(before)
    for pointer in set(known) - set(wanted):
        _take_out(document, _steps(pointer))
    others = dict(_leaves(before))
    for pointer, value in wanted.items():
        node = document
        steps = _steps(pointer)
        for number, step in enumerate(steps[:-1], 1):
            node = node.setdefault(step, {})
            if not isinstance(node, dict):
                where = ".".join(steps[:number])
                raise ClientFileError(f"{path} has {where}, which is no JSON object, so nothing was written. Repair or move the file.")
        node[steps[-1]] = value
    gave_way = any(others.get(pointer, value) != value for pointer, value in wanted.items() if pointer not in known)
    if present is not None and present.strip() and document == before:
        return present, tuple(wanted), gave_way  # same content: keep the spacing that its editor gave it
    return _dumped(document), tuple(wanted), gave_way


def without_json(present: str, ours: Collection[str], path: str) -> str | None:
    """The file without our leaves; None where nothing else is in it."""
    before = _object(present, path)
    document = copy.deepcopy(before)
    for pointer in ours:
        _take_out(document, _steps(pointer))
    if document == before:
        return present
    return _dumped(document) if document else None


# --- TOML --------------------------------------------------------------------------------------------------------

_TABLE = re.compile(r"\s*\[")
_SETTING = re.compile(r"""\s*(["']?)([A-Za-z0-9_.-]+)\1\s*=""")
#: What may be replaced line by line: one text, number or truth value, and a comment.
_ONE_LINE = re.compile(r"""("([^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_+.:-]+)\s*(#.*)?""")
#: With its end. In a text that goes over several lines, a line feed ends nothing.
_LINE = re.compile(r'''(?:"""(?:\\.|[^\\])*?"""|'{3}.*?'{3}|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|\#[^\n]*|[^\n])+\n?|\n''', re.DOTALL)


def _before_tables(lines: Sequence[str]) -> int:
    return next((number for number, line in enumerate(lines) if _TABLE.match(line)), len(lines))


def _key_of(line: str) -> str | None:
    found = _SETTING.match(line)
    return found[2] if found else None


def _check_toml(text: str, path: str, what: str) -> None:
    """By the parser of Python 3.11 and newer; hosts with an older one go without."""
    if importlib.util.find_spec("tomllib") is None:
        return
    parser = importlib.import_module("tomllib")
    try:
        parser.loads(text)
    except parser.TOMLDecodeError as error:
        raise ClientFileError(f"{path} {what} ({error}), so nothing was written. Repair or move the file.") from None


def _check_tables(lines: Sequence[str], keys: Collection[str], path: str) -> None:
    """Tables that TOML forbids beside our dotted keys: the ones that these are in."""
    parts = [key.split(".") for key in keys]
    ours = {".".join(steps[:number]) for steps in parts for number in range(1, len(steps))}
    for line in lines:
        found = re.match(r"""\s*\[\s*([A-Za-z0-9_."' -]+?)\s*\]""", line)
        table = re.sub(r"""["' ]""", "", found[1]) if found else None
        if table in ours:
            raise ClientFileError(
                f"{path} has a table [{table}], beside which the settings of this collection cannot stand, so nothing was written. "
                f"Take it out, or write its entries as tables of their own such as [{table}.name]."
            )


def merge_toml(present: str | None, content: str, known: Collection[str], path: str) -> tuple[str, tuple[str, ...], bool]:
    """As C(merge_json), line by line, so that comments stay. Our settings are one line each and come before all tables."""
    wanted = {key: line for line in content.split("\n") for key in (_key_of(line),) if key is not None}
    text = present or ""
    _check_toml(text, path, "exists and is not TOML")
    lines = _LINE.findall(text)
    head = _before_tables(lines)
    _check_tables(lines[head:], wanted, path)
    missing, kept, gave_way = dict(wanted), [], False
    for line in lines[:head]:
        key = _key_of(line)
        if key is not None and key in wanted:
            value = line.partition("=")[2].strip()
            if not _ONE_LINE.fullmatch(value):
                raise ClientFileError(f"{path} sets {key} over several lines, so nothing was written. Take that out or move the file.")
            gave_way = gave_way or (key not in known and line.strip() != wanted[key])
            kept.append(f"{missing.pop(key)}\n" if key in missing else "")
        elif key not in known:
            kept.append(line)
    rest = "".join([*kept, *lines[head:]])
    first = "".join(f"{line}\n" for line in missing.values())
    merged = f"{first}\n{rest}" if missing and rest else f"{first}{rest}"
    _check_toml(merged, path, "would be no TOML with the settings of this collection in it")
    return merged, tuple(wanted), gave_way


def without_toml(present: str, ours: Collection[str], path: str) -> str | None:
    lines = _LINE.findall(present)
    head = _before_tables(lines)
    kept = [line for line in lines[:head] if _key_of(line) not in ours]
    if len(kept) == head:
        return present
    if kept and head and _key_of(lines[0]) in ours and not kept[0].strip():
        kept = kept[1:]  # the empty line that was put below ours
    rest = "".join([*kept, *lines[head:]])
    _check_toml(rest, path, "would be no TOML without the settings of this collection")
    return rest if rest.strip() else None
