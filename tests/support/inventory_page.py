# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/inventory.md as tables, and the mappings of an inventory that each of its tables of keys is about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.keys import Keys
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.schema_clients import ClientKeys
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.schema_external import ExternalKeys, ExternalModelKeys
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.schema_gateway import (
    CacheKeys,
    GatewayKeys,
    MediaKeys,
    PassthroughKeys,
    RedisKeys,
)
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.schema_hardware import (
    DriverKeys,
    GpuKeys,
    HardwareKeys,
    L4tKeys,
    MigKeys,
)
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.schema_models import ModelKeys
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.schema_multinode import MultinodeKeys
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.schema_rollout import AnswerKeys, ProofKeys, RolloutKeys
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.schema_services import MountKeys, ServiceKeys
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.schema_settings import MetricsKeys, NetworkKeys, ProxyKeys
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.tls import TlsKeys

PAGE: Final = (Path(__file__).resolve().parents[2] / "docs" / "inventory.md").read_text(encoding="utf-8")
#: What stands below each heading, down to the next one of any level.
SECTIONS: Final[Mapping[str, str]] = dict(re.findall(r"^#+ ([^\n]+)\n((?:(?!^#).*\n?)*)", PAGE, re.M))
#: Heading -> the mapping whose keys are in the table there. Client files have keys of their own by type.
MAPPINGS: Final[Mapping[str, type[Keys]]] = {
    "inference_models": ModelKeys,
    "inference_services": ServiceKeys,
    "inference_services[].mounts[]": MountKeys,
    "inference_multinode_services": MultinodeKeys,
    "inference_gateway": GatewayKeys,
    "inference_gateway.cache": CacheKeys,
    "inference_gateway.media": MediaKeys,
    "inference_gateway.redis": RedisKeys,
    "inference_gateway.tls": TlsKeys,
    "inference_gateway.client_keys": ClientKeys,
    "inference_gateway.passthrough[]": PassthroughKeys,
    "inference_external_endpoints": ExternalKeys,
    "inference_external_endpoints[].models[]": ExternalModelKeys,
    "inference_hardware": HardwareKeys,
    "inference_hardware.driver": DriverKeys,
    "inference_hardware.gpus[]": GpuKeys,
    "inference_hardware.gpus[].mig[]": MigKeys,
    "inference_hardware.l4t": L4tKeys,
    "inference_network, inference_engines_network": NetworkKeys,
    "inference_proxy": ProxyKeys,
    "inference_metrics": MetricsKeys,
    "inference_rollout": RolloutKeys,
    "inference_rollout.proof": ProofKeys,
    "inference_rollout.proof.answers": AnswerKeys,
}


def cells(heading: str) -> list[list[str]]:
    """The rows of the tables in a section, without their heads."""
    rows = [[cell.strip() for cell in line.split("|")] for line in re.findall(r"^\|(.+)\|$", SECTIONS[heading], re.M)]
    return [row for row in rows if row[0] not in ("---", "key", "variable")]


def names(row: list[str]) -> list[str]:
    """The keys or variables that a row is about."""
    return re.findall(r"`(\w+)`", row[0])
