# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Environment variables that an inventory gives to an engine's container."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .._engines.registry import ENGINES, INTERCHANGEABLE
from .findings import Fields
from .grammar import VARIABLE_NAME, VARIABLE_NAME_EXPECTED
from .keys import ANYTHING, mapping_of, with_reader

#: Environment variables that are ours whatever the engine, and why.
_OF_EVERY_ENGINE: Mapping[str, str] = {
    "NVIDIA_VISIBLE_DEVICES": "use gpus of the service",
    "CUDA_VISIBLE_DEVICES": "use gpus of the service",
}
#: All that are ours. A model's may go to any engine.
RESERVED_ENV: Mapping[str, str] = {
    **_OF_EVERY_ENGINE,
    **{name: why for engine in ENGINES.values() for name, why in engine.own_variables.items()},
}
#: Docker reads its env files with a bufio.Scanner.
_LONGEST_LINE = 65535


def read_environment(fields: Fields) -> dict[str, Any]:
    found: dict[str, Any] = {}
    own = str(fields.data.get("engine"))
    reserved = _OF_EVERY_ENGINE if own in ENGINES and own not in INTERCHANGEABLE else RESERVED_ENV
    for name, value in fields.mapping("env").items():
        where = f"env.{name}"
        if name in reserved:
            fields.add(where, None, f"is reserved: {reserved[name]}")
        elif not re.fullmatch(VARIABLE_NAME, name):
            fields.add(where, None, f"must be {VARIABLE_NAME_EXPECTED}")
        elif value is None:
            found[name] = None
        elif isinstance(value, bool):
            found[name] = "1" if value else "0"
        elif len(f"{name}={value}".encode()) > _LONGEST_LINE:
            fields.add(where, None, "is longer than a line of Docker's env file may be (65535 bytes); mount a file instead")
        elif isinstance(value, (int, float)) or (isinstance(value, str) and re.fullmatch(r"[^\x00\r\n]*", value)):
            found[name] = str(value)
        else:
            fields.add(where, None, "must be one line of text, or a number")
    return found


#: The key C(env) of whatever has one.
ENVIRONMENT = with_reader(mapping_of(ANYTHING, VARIABLE_NAME), read_environment)
