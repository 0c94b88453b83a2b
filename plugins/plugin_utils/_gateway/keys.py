# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The keys of a gateway: which will do, and the variables that hold those of servers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._secrets.keys import shared_keys, weakness
from .error import GatewayError
from .variables import ENGINE_KEY, EXTERNAL_KEY, REDIS_PASSWORD_VARIABLE, key_variable


def key_problems(master_key: str | None, client_keys: Mapping[str, str] | None = None) -> list[str]:
    """Why these keys will not do. The keys themselves are never part of a message."""
    clients = dict(client_keys or {})
    problems: list[str] = []
    trouble = weakness(str(master_key or ""))
    if trouble:
        problems.append(f"litellm_master_key {trouble}")
    weak = {name: trouble for name, key in clients.items() if (trouble := weakness(str(key or "")))}
    shared = shared_keys(master_key, {name: key for name, key in clients.items() if name not in weak})
    return problems + [f"litellm_client_keys[{name}] {trouble}" for name, trouble in {**weak, **shared}.items()]


def secret_environment(secrets: Mapping[str, Any]) -> dict[str, str]:
    """The keys of engines and external servers as the environment variables that the configuration refers to."""
    environment: dict[str, str] = {}
    owners: dict[str, str] = {}
    problems: list[str] = []
    for section, prefix in (("engine_keys", ENGINE_KEY), ("external_keys", EXTERNAL_KEY)):
        for name, key in (secrets.get(section) or {}).items():
            variable = key_variable(prefix, str(name))
            if owners.setdefault(variable, str(name)) != str(name):
                problems.append(f"{section}: {owners[variable]!r} and {name!r} would share the variable {variable}; rename one")
            if key:
                environment[variable] = str(key)
    if problems:
        raise GatewayError(problems)
    if secrets.get("redis_password"):
        environment[REDIS_PASSWORD_VARIABLE] = str(secrets["redis_password"])
    return dict(sorted(environment.items()))
