# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Where an instance answers, from what the reconciler wrote of it: for its launcher, and for whoever asks it beside."""

from __future__ import annotations

from collections.abc import Mapping

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._instance_spec import Spec
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe import Endpoint
except ImportError:  # on the node the files lie side by side
    from _instance_spec import Spec  # type: ignore[import-not-found,no-redef]
    from _probe import Endpoint  # type: ignore[import-not-found,no-redef]


def endpoint_of(spec: Spec, env: Mapping[str, str]) -> Endpoint | None:
    """Where an instance answers, and how it is asked; its key is in its env file."""
    wanted = spec.probe
    if wanted is None:
        return None
    return Endpoint(
        name=spec.instance,
        base_url=wanted.base_url,
        health_path=wanted.health_path,
        level=wanted.level,
        capability=wanted.capability,
        modalities=wanted.modalities,
        model=wanted.model,
        api_key=env.get(wanted.api_key_variable) if wanted.api_key_variable else None,
        dimension=wanted.dimension,
        further_models=wanted.further_models,
        speaks=wanted.speaks,
        ca_path=wanted.ca_path,
    )
