# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Readers for the keys of an entry: those of every program, and those that several have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...module_utils import _docker_flags as docker_flags
from .._plan.findings import Fields, Report
from .._plan.grammar import IMAGE, NETWORK_EXPECTED, NETWORK_NAME, NO_CONTROL, path_trouble
from .._plan.keys import (
    BOOLEAN,
    SECRET,
    Key,
    any_of,
    boolean,
    choice,
    integer,
    list_of,
    mapping_with,
    maybe_text,
    number,
    texts,
    with_reader,
)
from .._plan.keys import TEXT as ANY_TEXT
from .._plan.model import PULL
from .._plan.schema_gateway import read_bind
from .._plan.schema_services import shm_size
from .._secrets.secrecy import present, shown


def read(data: Any, path: str, keys: Mapping[str, Key[Any]], report: Report) -> dict[str, Any]:
    """The given values in their types; what is null or wrong is left out."""
    fields = Fields(data, path, report, sorted(keys))
    values = {name: key.read_at(fields, name) for name, key in keys.items() if fields.has(name)}
    return {name: value for name, value in values.items() if value is not None}


def said(value: Any, field: str) -> str:
    """A value for a sentence; its kind where it may be a secret."""
    line = str(shown(value, f"inference_clients_config.{field}"))
    return line if line.startswith("(") else repr(value)


_OWNER = maybe_text(pattern=r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?", expected="the name of a user or group, in quotes")
_MODE = maybe_text(pattern="0?[0-7]{3}", expected='four octal digits in quotes, such as "0640"')


def _path(fields: Fields, key: str) -> str | None:
    """A path, also one that is not absolute: on the controller there are such."""
    text = fields.text(key)
    trouble = path_trouble("/" + text) if text else None
    if trouble or text.endswith("/"):
        fields.add(key, None, trouble or "is the path of a folder; give that of the file to write")
        return None
    return text or None


def _arguments(fields: Fields, key: str) -> tuple[str, ...]:
    arguments = fields.texts(key, pattern=NO_CONTROL, expected="one argument of docker create")
    for mistake in docker_flags.refused(arguments):
        fields.add(f"{key}[{mistake.position}]", None, mistake.message)
    return arguments


def _token(fields: Fields, key: str) -> str | None:
    """A plan knows only whether there is one: true."""
    value = fields.data[key]
    return str(value) if fields.secret(key) and (value is True or isinstance(value, str)) else None


def _container(fields: Fields, key: str) -> bool | dict[str, Any]:
    if not isinstance(fields.data[key], Mapping):
        return fields.boolean(key, False)
    return read(fields.data[key], fields.where(key), CONTAINER_KEYS, fields.report)


TEXT = maybe_text()
NUMBER = number()
COUNT = integer(1, 2**31)
TOKEN = Key(_token, SECRET, hide=present)
#: Of every entry.
COMMON_KEYS: Mapping[str, Key[Any]] = {
    **dict.fromkeys(("type", "location", "base_url", "key"), TEXT),
    **dict.fromkeys(("owner", "group"), _OWNER),
    "path": Key(_path, ANY_TEXT),
    **dict.fromkeys(("mode", "directory_mode"), _MODE),
    "network": boolean(False),
}
CONTAINER_KEYS: Mapping[str, Key[Any]] = {
    "image": maybe_text(pattern=IMAGE, expected="an image such as unclecode/crawl4ai:0.9.5"),
    "bind": with_reader({"type": "string"}, lambda fields: read_bind(fields, "127.0.0.1")),
    "shm_size": shm_size(),
    "pull": choice(PULL, "missing"),
    "port": integer(1, 65535),
    "start_timeout": COUNT,
    "networks": texts(pattern=NETWORK_NAME, expected=NETWORK_EXPECTED),
    "arguments": Key(_arguments, list_of({"type": "string"})),
}
#: Of the entries of programs that can do a piece of work by themselves.
TASK_KEYS: Mapping[str, Key[Any]] = {
    "verify": choice(("models", "run"), "models"),
    "program": maybe_text(pattern=r"/[^\x00-\x1f\x7f]*[^/\x00-\x1f\x7f]", expected="the absolute path of the program"),
}
#: Of the entries of programs that can run as containers.
RUN_KEYS: Mapping[str, Key[Any]] = {"container": Key(_container, any_of(BOOLEAN, mapping_with(CONTAINER_KEYS)))}
