# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes schemas/inventory.json, by which editors complete and check an inventory while it is typed: `make docs`.

Types and bounds are those of the keys that the plan reads, the sentences those of docs/inventory.md. The schema fits files of variables
(group_vars, host_vars) and inventories in YAML. It is JSON Schema draft 7, the newest that the editors' YAML server knows well.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from support.inventory_page import SECTIONS, cells, names

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.entries import keys_of
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.keys import COMMON_KEYS
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.registry import CLIENTS
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.keys import (
    SECRET,
    TEMPLATE,
    TEXT,
    Schema,
    list_of,
    mapping_with,
    value_of,
)
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.model import VARIABLES
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.schema_external import EXTERNALS
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.schema_gateway import ALIASES, GatewayKeys
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.schema_hardware import HardwareKeys
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.schema_models import MODELS
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.schema_multinode import MULTINODES
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.schema_services import SERVICES
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.schema_settings import SettingsKeys
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._platforms.registry import EXPECTATIONS

ROOT: Final = Path(__file__).resolve().parents[2]
FILE: Final = ROOT / "schemas" / "inventory.json"
#: Groups that playbooks look at, and those that every inventory has.
GROUPS: Final = ("all", "ungrouped", "inference_nodes", "gateways", "inference_clients", *EXPECTATIONS)
#: Each program has keys of its own besides those of all.
_CLIENT: Final[Schema] = {
    "type": "object",
    "properties": {
        **{name: value_of(key.schema) for name, key in COMMON_KEYS.items()},
        "type": value_of({"enum": sorted(CLIENTS)}),
    },
    "required": ["type"],
    "allOf": [
        {"if": {"properties": {"type": {"const": name}}}, "then": mapping_with(keys_of(client))} for name, client in sorted(CLIENTS.items())
    ],
}
_VALUES: Final[Mapping[str, Schema]] = {
    "inference_models": MODELS,
    "inference_services": SERVICES,
    "inference_multinode_services": MULTINODES,
    "inference_model_aliases": ALIASES,
    "inference_gateway": GatewayKeys.schema(),
    "inference_external_endpoints": EXTERNALS,
    "inference_clients_config": list_of(_CLIENT),
    "inference_hardware": HardwareKeys.schema(),
    "inference_master_key": SECRET,
    "inference_engine_key": SECRET,
    "inference_huggingface_token": SECRET,
    "inference_secrets_dir": TEXT,
    "inference_rotate": {"anyOf": [{"type": "string"}, list_of({"type": "string"})]},
    **{name: key.schema for name, key in SettingsKeys.all().items()},
}


def plain(markdown: str) -> str:
    """A cell of a table without links and emphasis."""
    return re.sub(r"[`*]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", markdown)).strip()


def sentences_of_the_page() -> dict[str, dict[str, str]]:
    """Heading -> name of a key or variable -> what is said of it, with its default."""
    found: dict[str, dict[str, str]] = {}
    for heading in SECTIONS:
        for row in cells(heading):
            default = plain(row[2]) if len(row) > 3 else ""
            said = plain(row[-1]) or "As its name says."
            for name in names(row):
                found.setdefault(heading, {})[name] = f"{said.rstrip('.')}.{f' Default: {default}.' if default else ''}"
    return found


def describe(schema: Any, path: str, sentences: Mapping[str, Mapping[str, str]]) -> Any:
    """The schema with the page's sentences at its keys. A path is that of the page's headings: inference_gateway.media, ...[]."""
    if isinstance(schema, list):
        return [describe(part, path, sentences) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    described: dict[str, Any] = {}
    for word, part in schema.items():
        if word == "properties":
            rows = sentences.get(path) or sentences.get(path.removesuffix("[]"), {})
            described[word] = {
                name: {**({"description": rows[name]} if name in rows else {}), **describe(inner, f"{path}.{name}", sentences)}
                for name, inner in part.items()
            }
        elif word == "items":
            described[word] = describe(part, f"{path}[]", sentences)
        elif word in ("anyOf", "additionalProperties", "propertyNames"):
            # What differs by platform is a model's own table, as are the entries of a mapping.
            described[word] = describe(part, path.removesuffix(".on_platform"), sentences)
        else:
            described[word] = part
    return described


def inventory_schema() -> dict[str, Any]:
    page = sentences_of_the_page()
    networks = page.pop("inference_network, inference_engines_network")
    sentences: dict[str, Mapping[str, str]] = {
        **page,
        "inference_network": networks,
        "inference_engines_network": networks,
        "inference_multinode_services[].mounts[]": page["inference_services[].mounts[]"],
    }
    rows = {name: said for heading in page.values() for name, said in heading.items() if name in VARIABLES}
    variables = {name: {"description": rows[name], **describe(value_of(_VALUES[name]), name, sentences)} for name in sorted(VARIABLES)}
    group = {"$ref": "#/definitions/group"}
    own_names = {"anyOf": [{"not": {"pattern": "^inference_"}}, {"enum": sorted({*variables, *GROUPS})}]}
    references = {name: {"$ref": f"#/definitions/{name}"} for name in variables}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "llmops.gpu_inference: variables and inventories",
        "type": ["object", "null"],
        "properties": {**references, **dict.fromkeys(GROUPS, group)},
        "propertyNames": own_names,
        "definitions": {
            "template": TEMPLATE,
            "vars": {"type": ["object", "null"], "properties": references, "propertyNames": own_names},
            "group": {
                "type": ["object", "null"],
                "properties": {
                    "hosts": {"type": ["object", "null"], "additionalProperties": {"$ref": "#/definitions/vars"}},
                    "vars": {"$ref": "#/definitions/vars"},
                    "children": {"type": ["object", "null"], "additionalProperties": group},
                },
                "additionalProperties": False,
            },
            **variables,
        },
    }


def file_text() -> str:
    return json.dumps(inventory_schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(file_text(), encoding="utf-8")
    sys.stdout.write("schemas/inventory.json is up to date\n")
