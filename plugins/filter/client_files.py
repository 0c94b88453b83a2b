# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.llmops.gpu_inference.plugins.module_utils._clients import ClientFileError
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.base import ClientRenderError
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.checks import client_models
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.containers import container_units, tokens_to_make
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.dimensions import models_to_measure, with_dimensions
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.prometheus_targets import metrics_targets
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.render import (
    files_to_write,
    gateway_endpoints,
    programs_to_run,
    render_client_files,
)


def client_files(  # noqa: PLR0913, PLR0917 -- for role clients: one for each of its variables
    files: Sequence[Mapping[str, Any]],
    gateway_url: str,
    models: Sequence[Mapping[str, Any]],
    api_key: str | None = None,
    api_keys: Mapping[str, str] | None = None,
    network_url: str | None = None,
    controller_dir: str | None = None,
    targets: Sequence[Mapping[str, Any]] = (),
    tokens: Mapping[str, str] | None = None,
    predict: bool = False,
    ca: str = "",
    variable: str = "clients_files",
) -> list[dict[str, Any]]:
    return _explained(
        lambda: render_client_files(
            files,
            gateway_url=gateway_url,
            models=models,
            api_key=api_key or None,
            api_keys=api_keys,
            network_url=network_url or None,
            controller_dir=controller_dir or None,
            targets=targets,
            tokens=tokens,
            predict=bool(predict),
            ca=ca or "",
            variable=variable,
        )
    )


def client_container_units(
    files: Sequence[Mapping[str, Any]], rendered: Sequence[Mapping[str, Any]], images: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    return _explained(lambda: container_units(files, rendered, images))


def _explained(work: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    try:
        return work()
    except ClientRenderError as error:
        listed = "\n".join(f"- {finding}" for finding in error.findings)
        raise AnsibleFilterError(f"the client files cannot be written:\n{listed}") from None
    except ClientFileError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Filters of the role clients."""

    def filters(self) -> dict[str, Any]:
        return {
            "client_files": client_files,
            "metrics_targets": metrics_targets,
            "client_container_units": client_container_units,
            "client_files_to_write": files_to_write,
            "client_gateway_endpoints": gateway_endpoints,
            "client_programs_to_run": programs_to_run,
            "client_models": client_models,
            "client_models_to_measure": models_to_measure,
            "client_models_with_dimensions": with_dimensions,
            "client_tokens_to_make": tokens_to_make,
        }
