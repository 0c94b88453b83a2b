# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Flags of C(vllm serve) as a user writes them, and as its C(--config) file has to say them.

vLLM turns the file into words of a command line: C(--KEY), then the value as text, a mapping as JSON, each item of a list as a word
of its own, nothing for true (C(FlexibleArgumentParser.load_config_file), vLLM 0.32). A dotted key (C(speculative-config.method)) takes
exactly one word, which is read as JSON, else as a number such as 80g, else as text. C(_) means C(-) before the first dot only:
behind it stand the names of a configuration's fields. Read in vllm/utils/argparse_utils.py and tried with that parser (tests/real).
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: The short forms of vLLM 0.32's parser. They have no place in a file, where each key gets two dashes.
SHORT_FORMS: Mapping[str, str] = {
    "ac": "attention-config",
    "asc": "api-server-count",
    "cc": "compilation-config",
    "dc": "diffusion-config",
    "dcp": "decode-context-parallel-size",
    "dp": "data-parallel-size",
    "dpa": "data-parallel-address",
    "dpb": "data-parallel-backend",
    "dpe": "data-parallel-external-lb",
    "dph": "data-parallel-hybrid-lb",
    "dpl": "data-parallel-size-local",
    "dpm": "data-parallel-multi-port-external-lb",
    "dpn": "data-parallel-rank",
    "dpp": "data-parallel-rpc-port",
    "dpr": "data-parallel-start-rank",
    "ep": "enable-expert-parallel",
    "n": "nnodes",
    "O": "optimization-level",
    "pcp": "prefill-context-parallel-size",
    "pp": "pipeline-parallel-size",
    "q": "quantization",
    "r": "node-rank",
    "sc": "speculative-config",
    "tp": "tensor-parallel-size",
}
#: Flags that know no C(--no-FLAG): false is the same as leaving them out.
WITHOUT_NEGATION = frozenset({"aggregate-engine-logging", "data-parallel-multi-port-external-lb", "disable-log-stats", "grpc", "headless"})
#: Before it a mapping in the file became Python's text for it, which no flag takes (vllm#33193).
MAPPINGS_SINCE = (0, 16)
#: Flags whose one value is a JSON list, and one whose value is a list with commas.
JSON_LISTS = frozenset({"allowed-headers", "allowed-methods", "allowed-origins"})
COMMA_LISTS = frozenset({"disable-access-log-for-endpoints"})

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{2,}")
_FIELD = re.compile(r"[^.\s=+]+")
_LEVEL = re.compile(r"O=?([0-9])")
_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kKmMgGtT])")
_QUOTED_OR_AMOUNT = re.compile(r'"(?:[^"\\]|\\.)*"|\b[0-9]+(?:\.[0-9]+)?[kKmMgGtT]\b')
_FACTORS = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


class FlagError(ValueError):
    """This is no flag that can stand in a file; the message says what to write."""


@dataclass(frozen=True)
class Flag:
    """A key of C(engine_args): the flag itself, and the field of its value that a dotted key means."""

    name: str
    fields: tuple[str, ...] = ()
    appends: bool = False  # KEY+ adds to a list
    value: Any = None  # what the key says itself: -O3

    @property
    def key(self) -> str:
        return ".".join((self.name, *self.fields)) + ("+" if self.appends else "")


def read_flag(written: str) -> Flag:
    """The flag that a key means. Raises FlagError."""
    text = written.strip()
    bare = text.lstrip("-")
    head, dot, rest = bare.partition(".")
    level = _LEVEL.fullmatch(bare)
    if level:
        return Flag(SHORT_FORMS["O"], value=int(level[1]))
    if head == "O" and dot:
        raise FlagError(f"-O is the optimization level and has no fields; write compilation-config.{rest}")
    name = SHORT_FORMS.get(head) or head.replace("_", "-")
    fields = tuple(rest.removesuffix("+").split(".")) if dot else ()
    if not _NAME.fullmatch(name) or not all(_FIELD.fullmatch(field) for field in fields):
        raise FlagError("must be the full name of an engine flag, such as max-num-seqs, or a field of its value: speculative-config.method")
    return Flag(name, fields, bool(dot) and rest.endswith("+"))


def keyed(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments under the keys by which all else knows them; what is no flag stays as it is, for vLLM to judge."""
    found: dict[str, Any] = {}
    for written, value in arguments.items():
        try:
            flag = read_flag(str(written))
        except FlagError:
            flag = Flag(str(written).lstrip("-"))
        found[flag.key] = flag.value if flag.value is not None and value is True else value
    return found


def split_key(key: str) -> Flag:
    """A key that C(keyed) gave."""
    name, dot, rest = key.partition(".")
    return Flag(name, tuple(rest.removesuffix("+").split(".")) if dot else (), bool(dot) and rest.endswith("+"))


# --- values ------------------------------------------------------------------------------------------------------


def amount(text: str) -> int | None:
    """A whole number as vLLM reads it: C(32K) is 32768, C(32k) is 32000."""
    match = _AMOUNT.fullmatch(text.strip())
    if match:
        return int(float(match[1]) * _FACTORS[match[2]])
    return int(text) if re.fullmatch(r"\s*-?[0-9]{1,18}\s*", text) else None


def field_value(value: Any) -> Any:
    """What a dotted key's value means: JSON, else a number, else the text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        number = amount(value)
        return value if number is None else number


def whole_value(value: Any) -> dict[str, Any] | None:
    """The mapping that a flag's value is, given as such or as JSON, which may have amounts such as 80g; None where it is none."""
    if isinstance(value, str):
        try:
            value = json.loads(_QUOTED_OR_AMOUNT.sub(lambda found: found[0] if found[0][0] == '"' else str(amount(found[0])), value))
        except ValueError:
            return None
    return copy.deepcopy(dict(value)) if isinstance(value, Mapping) else None


def set_field(target: dict[str, Any], flag: Flag, value: Any) -> None:
    """Put the value of a dotted key where it belongs."""
    for name in flag.fields[:-1]:
        inner = target.get(name)
        if not isinstance(inner, dict):
            inner = target[name] = {}
        target = inner
    last, new = flag.fields[-1], field_value(value)
    if flag.appends:
        items = new if isinstance(new, list) else str(value).split(",")
        before = target.get(last)
        new = [*before, *items] if isinstance(before, list) else items
    target[last] = new


def settings(arguments: Mapping[str, Any], name: str) -> dict[str, Any]:
    """All that is said of one flag whose value is a mapping, as one mapping; empty where nothing is."""
    found = whole_value(arguments.get(name)) or {}
    for key, value in arguments.items():
        flag = split_key(key)
        if flag.name == name and flag.fields and value is not None:
            set_field(found, flag, value)
    return found


def number(arguments: Mapping[str, Any], name: str) -> int | None:
    """The whole number that a flag has, also where it is written as a text; None where it has none."""
    value = arguments.get(name)
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return amount(value)
    return int(value) if isinstance(value, int) else None


def switched_on(arguments: Mapping[str, Any], name: str) -> bool:
    value = arguments.get(name)
    return value is True or (isinstance(value, str) and value.lower() == "true")


def overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments laid over others, flag by flag: a whole flag replaces what was said of it, a field lays itself over it, null takes out.

    What is not touched keeps its place, so that the engine's file stays the same.
    """
    replaced = {key for key in above if not split_key(key).fields}
    result = {key: value for key, value in below.items() if not (split_key(key).fields and split_key(key).name in replaced)}
    for key, value in above.items():
        flag = split_key(key)
        whole = whole_value(result.get(flag.name)) if flag.fields and value is None else None
        if whole is not None:
            _remove_field(whole, flag.fields)
            result[flag.name] = whole
        result[key] = value
    return {key: value for key, value in result.items() if value is not None}


def _remove_field(target: dict[str, Any], fields: tuple[str, ...]) -> None:
    node: Any = target
    for name in fields[:-1]:
        node = node.get(name) if isinstance(node, dict) else None
    if isinstance(node, dict):
        node.pop(fields[-1], None)


# --- the file ----------------------------------------------------------------------------------------------------


def file_entries(arguments: Mapping[str, Any], version: tuple[int, ...] | None = None) -> dict[str, Any]:
    """The arguments as the file of a vLLM of that version has to say them; null where a key of the file is to go.

    A version that is not known is taken for a current one. What vLLM reads right as it is stays as it is, since an engine is restarted
    when its file changes.
    """
    arguments = keyed(arguments)
    entries: dict[str, Any] = {}
    for key, value in arguments.items():
        flag = split_key(key)
        if flag.fields:
            if whole_value(arguments.get(flag.name)) is None:
                _field_entry(entries, flag, value)
            continue
        whole = whole_value(value)
        if whole is not None and any(split_key(other).name == flag.name and split_key(other).fields for other in arguments):
            # Of a whole value and of fields vLLM takes the fields alone.
            value = settings(arguments, flag.name)
        _entry(entries, flag.name, value)
    if version is not None and version < MAPPINGS_SINCE:
        return {key: json.dumps(value) if isinstance(value, Mapping) else value for key, value in entries.items()}
    return entries


def _field_entry(entries: dict[str, Any], flag: Flag, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, (bool, list, tuple)):
        # A bare true would take the next word for its value; of a list the first item alone would be read.
        entries[Flag(flag.name, flag.fields).key if isinstance(value, (list, tuple)) else flag.key] = json.dumps(value)
    else:
        entries[flag.key] = value


def _entry(entries: dict[str, Any], name: str, value: Any) -> None:
    positive = name[len("no-") :] if name.startswith("no-") else None
    if value is None:
        entries[name] = None
    elif value is False and positive:
        entries[name], entries[positive] = None, True
    elif value is False:
        # `key: false` is silently dropped (vllm#51401); the parser knows --no-KEY for what is on by default.
        entries[name] = None
        if name not in WITHOUT_NEGATION:
            entries[f"no-{name}"] = True
    elif isinstance(value, (list, tuple)) and name in JSON_LISTS:
        entries[name] = json.dumps(list(value))
    elif isinstance(value, (list, tuple)) and name in COMMA_LISTS:
        entries[name] = ",".join(map(str, value))
    elif isinstance(value, (list, tuple)):
        entries[name] = [json.dumps(item) if isinstance(item, (Mapping, list)) else item for item in value]
    else:
        entries[name] = value
