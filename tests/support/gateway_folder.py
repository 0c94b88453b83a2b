# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a gateway as a node has them, in a folder of the test."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support.repository import ROOT

from ansible_collections.llmops.gpu_inference.plugins.module_utils._live_files import place_live, read_live, want_live
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.config import build_config
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.policy import build_policy
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.unit import container_unit

PLUGINS = ROOT / "roles/litellm/files"


def write_gateway(folder: Path, plan: Mapping[str, Any], **keys: Any) -> dict[str, str]:
    """Writes configuration, plug-ins and live files; the environment for LiteLLM. C(keys): those of container_unit."""
    unit = container_unit(
        build_config(plan, "gw"),
        build_policy(plan),
        image="litellm:1",
        plugins={path.name: path.read_text(encoding="utf-8") for path in PLUGINS.glob("gateway_*.py")},
        user=f"{os.getuid()}:{os.getgid()}",
        **keys,
    )
    for name, text in unit["files"].items():
        (folder / name).write_text(text, encoding="utf-8")
    place_live(read_live(folder, want_live(unit)))
    return {
        **unit["environment"],
        **unit["secret_environment"],
        "PYTHONPATH": str(folder),
        "GATEWAY_LIVE_FOLDER": str(folder / "live"),
    }
