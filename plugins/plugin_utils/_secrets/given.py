# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The secrets that users set in their inventory, read from the variables of the hosts. No message has one in it.

They are read here and not by the arguments of a task: where a template of theirs fails, Ansible quotes it, and with it what it holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._plan.inventory import plain, reason
from .secrecy import WITH_ENV, secret_env


class GivenSecrets:
    """Secrets of the inventory; what is wrong with them goes to C(problems)."""

    def __init__(self, hostvars: Mapping[str, Any]) -> None:
        self._hostvars = hostvars
        self.problems: list[str] = []

    def value(self, host: str, variable: str) -> Any:
        """A variable of a host, resolved; None where there is none or it cannot be read."""
        try:
            source = self._hostvars[host]
            return plain(source[variable]) if variable in source else None
        except Exception as error:
            self.problems.append(f"{variable} (host {host}): cannot be evaluated: {reason(error)}")
            return None

    def text(self, where: str, value: Any) -> str | None:
        """A secret as it is used; None where none is given."""
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            self.problems.append(f"{where}: must be a text; write it in quotes")
        elif "{{" in value or "{%" in value:  # ansible-core 2.17 hands such a template on as it is
            self.problems.append(f"{where}: cannot be evaluated: something in its template is not defined")
        elif any(character in value for character in "\0\r\n"):
            self.problems.append(f"{where}: has a line break, which neither an environment file nor a request can hold")
        else:
            return value
        return None

    def of_host(self, host: str, variable: str) -> str | None:
        return self.text(f"{variable} (host {host})", self.value(host, variable))

    def environment(self, host: str) -> dict[str, str]:
        """Secret variables of the engines of a host, by the references that the plan has in their place."""
        found: dict[str, str] = {}
        for variable in WITH_ENV:
            found.update((reference, env[name]) for reference, name, env in secret_env(variable, self.value(host, variable)))
        return found

    def client_keys(self, host: str) -> dict[str, str | None]:
        keys = _mapping(_mapping(self.value(host, "inference_gateway")).get("client_keys"))
        return {name: self._client_key(f"inference_gateway.client_keys.{name}", value) for name, value in keys.items()}

    def _client_key(self, where: str, value: Any) -> str | None:
        return self.text(f"{where}.key", value.get("key")) if isinstance(value, dict) else self.text(where, value)

    def redis_password(self, host: str) -> str | None:
        redis = _mapping(_mapping(self.value(host, "inference_gateway")).get("redis"))
        return self.text("inference_gateway.redis.password", redis.get("password"))

    def external_keys(self, host: str) -> dict[str, str]:
        found = {}
        endpoints = self.value(host, "inference_external_endpoints")
        for position, item in enumerate(endpoints if isinstance(endpoints, list) else ()):
            key = self.text(f"inference_external_endpoints[{position}].api_key", _mapping(item).get("api_key"))
            if key is not None:
                found[str(_mapping(item).get("name"))] = key
        return found


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
