# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The LiteLLM configuration as a function of the plan's gateway part.

Pure: mappings in, mappings out. No secrets pass through here, only the names of the environment variables that hold them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .checks import aliases_of, check_models
from .deployments import deployments
from .models import models_of
from .plain import yaml_text
from .raw_routes import raw_routes
from .settings import (
    general_settings,
    litellm_settings,
    merge_settings,
    redis_arguments,
    router_settings,
)


def build_config(gateway: Mapping[str, Any], host: str) -> dict[str, Any]:
    """The whole C(config.yaml) for the gateway on C(host)."""
    models = models_of(gateway)
    check_models(models, host)
    aliases = aliases_of(gateway, models)
    redis = redis_arguments(gateway.get("redis"))
    config: dict[str, Any] = {
        "model_list": deployments(models, host),
        "router_settings": router_settings(gateway, models, aliases, redis),
        "litellm_settings": litellm_settings(gateway, models, redis),
        "general_settings": general_settings(gateway, models, raw_routes(gateway, models, aliases, host)),
    }
    return merge_settings(config, gateway.get("settings") or {})


def expected_models(config: Mapping[str, Any]) -> dict[str, Any]:
    """What LiteLLM must report after loading: the names it serves, and the number that C(--validate_config) prints.

    That number is the deployments plus, for every visible alias, one copy of each deployment of its target.
    """
    deployments: dict[str, int] = {}
    for entry in config.get("model_list") or ():
        deployments[entry["model_name"]] = deployments.get(entry["model_name"], 0) + 1
    names = set(deployments)
    count = sum(deployments.values())
    for alias, target in ((config.get("router_settings") or {}).get("model_group_alias") or {}).items():
        if isinstance(target, Mapping):
            if target.get("hidden"):
                continue
            target = target.get("model")
        names.add(alias)
        count += deployments.get(target, 0)
    return {"names": sorted(names), "count": count}


def config_text(config: Mapping[str, Any]) -> str:
    """C(config.yaml) as written: stable, so that its hash tells whether the gateway must restart."""
    return "---\n# Managed by llmops.gpu_inference: changes made here are lost.\n" + yaml_text(config)
