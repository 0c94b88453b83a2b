# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Client programs that read environment variables, from a file that C(docker --env-file), a shell and python-dotenv read alike."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from ...module_utils._clients import ClientFileError, render_env
from .._plan.findings import Fields
from .._plan.grammar import VARIABLE_NAME, VARIABLE_NAME_EXPECTED
from .._plan.keys import ANYTHING, Key, mapping_of, texts
from .base import Client, Context


def _variables(fields: Fields, key: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in fields.mapping(key).items():
        if not re.fullmatch(VARIABLE_NAME, name):
            fields.add(f"{key}.{name}", None, f"must be {VARIABLE_NAME_EXPECTED}")
        elif isinstance(value, (str, int, float)):
            found[name] = str(value)
        elif value is not None:
            fields.add(f"{key}.{name}", None, "must be one line of text, or a number")
    return found


def _hidden_variables(value: Any) -> Any:
    """Any of them may be a secret, or a number. A list keeps its type, to be refused."""
    if not isinstance(value, dict):
        return value
    return {name: [] if isinstance(item, (list, dict)) else None if item is None else True for name, item in value.items()}


ENVIRONMENT_KEYS: Mapping[str, Key[Any]] = {
    "variables": Key(_variables, mapping_of(ANYTHING, VARIABLE_NAME), hide=_hidden_variables),
    "key_names": texts(pattern=VARIABLE_NAME, expected=VARIABLE_NAME_EXPECTED),
}


class EnvironmentClient(Client):
    """A program that gets all it needs to know as environment variables."""

    keys: ClassVar[Mapping[str, Key[Any]]] = ENVIRONMENT_KEYS
    #: Variables whose values are JSON; a program with such ones is one that no shell starts.
    as_json: ClassVar[frozenset[str]] = frozenset()
    #: Python's ssl, httpx and aiohttp read the first, requests the second.
    ca_variables: ClassVar[Mapping[str, str]] = {"SSL_CERT_FILE": "bundle", "REQUESTS_CA_BUNDLE": "bundle"}

    @abstractmethod
    def environment(self, context: Context) -> Mapping[str, str] | None:
        """Its variables, before those that its entry adds; None where a model is missing, which is told already."""

    def render(self, context: Context) -> str | None:
        variables = self.environment(context)
        if variables is None:
            return None
        keys, own = dict.fromkeys(context.entry.get("key_names", ()), context.api_key), context.entry.get("variables", {})
        for name in keys:
            if name in own:
                context.refuse(f"variables.{name}", "is one of key_names too, and a variable has one value; leave it out of one of the two")
        try:
            return render_env({**variables, **context.ca_variables, **keys, **own}, as_json=self.as_json)
        except ClientFileError as error:
            context.refuse("variables", str(error))
            return None
