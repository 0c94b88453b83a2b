# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.client_limits import client_limits
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.config import build_config, expected_models
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.endpoints import build_endpoints, with_keys
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.error import GatewayError
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.keys import key_problems, secret_environment
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.policy import build_policy
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.references import referenced_variables
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.rotation import NothingToDrainError, drained, rotation_of
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.unit import container_unit
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._screen.rotation import rotation_lines


def _explained(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except GatewayError as error:
            raise AnsibleFilterError("No LiteLLM gateway can be made of this: " + "; ".join(error.problems)) from error

    return call


def litellm_endpoints(
    gateway: Mapping[str, Any], host: str, secrets: Mapping[str, str] | None = None, away: Collection[str] = (), ca: str = ""
) -> dict[str, list[dict[str, Any]]]:
    endpoints = build_endpoints(gateway, host, away, ca)
    return {view: with_keys(items, secrets or {}) for view, items in endpoints.items()}


def drained_backends(plan: Mapping[str, Any], host: str, service: str = "") -> dict[str, list[str]]:
    try:
        return drained(plan, host, service)
    except NothingToDrainError as error:
        raise AnsibleFilterError(f"Nothing to take out of rotation: {error}.") from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "drained_backends": drained_backends,
            "engine_rotation": rotation_of,
            "litellm_client_limits": _explained(client_limits),
            "litellm_config": _explained(build_config),
            "litellm_endpoints": _explained(litellm_endpoints),
            "litellm_expected_models": expected_models,
            "litellm_key_problems": key_problems,
            "litellm_policy": _explained(build_policy),
            "litellm_secret_environment": _explained(secret_environment),
            "litellm_unit": container_unit,
            "litellm_variables": referenced_variables,
            "rotation_lines": rotation_lines,
        }
