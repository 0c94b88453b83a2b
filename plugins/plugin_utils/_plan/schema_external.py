# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Servers that are not of the inventory, ``inference_external_endpoints``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from .._engines.registry import ANY_SERVER, ENGINES, EXTERNAL
from .findings import Report
from .grammar import (
    MODEL_NAME,
    MODEL_NAME_EXPECTED,
    SERVER_NAME,
    SERVER_NAME_EXPECTED,
)
from .keys import (
    Keys,
    Schema,
    address,
    any_of,
    boolean,
    choice,
    items,
    list_of,
    secret,
    text,
)
from .model import CAPABILITIES, External, ExternalModel
from .schema_models import ModelKeys, modalities_for
from .schema_services import ServiceKeys


class ExternalModelKeys(Keys):
    name = text(required=True, pattern=MODEL_NAME, expected=MODEL_NAME_EXPECTED)
    model = text(pattern=r"\S+", expected="the model's name on that server")
    capability = ModelKeys.capability
    modalities = ModelKeys.modalities
    aliases = ModelKeys.aliases
    request_defaults = ModelKeys.request_defaults
    max_images = ModelKeys.max_images
    max_model_len = ModelKeys.max_model_len
    timeout = ModelKeys.timeout
    stream_timeout = ModelKeys.stream_timeout
    fallbacks = ModelKeys.fallbacks
    order = ServiceKeys.order
    weight = ServiceKeys.weight


class ExternalKeys(Keys):
    name = text(required=True, pattern=SERVER_NAME, expected=SERVER_NAME_EXPECTED)
    base_url = address(required=True, expected="an address such as http://host:8000/v1, without a user or password")
    engine = choice(EXTERNAL, ANY_SERVER)
    models = items(any_of({"type": "string"}, ExternalModelKeys.schema()), required=True)
    api_key = secret()
    required = boolean(False)


#: What the variable is to an editor.
EXTERNALS: Schema = list_of(ExternalKeys.schema())


def parse_externals(raw: Any, report: Report) -> tuple[External, ...]:
    if isinstance(raw, (str, bytes, Mapping)) or not isinstance(raw, (list, tuple)):
        report.add(
            "inference_external_endpoints", raw, "must be a list of servers such as {name: x, base_url: 'http://host:8000/v1', models: [y]}"
        )
        return ()
    keys = ExternalKeys
    found: list[External] = []
    names: set[str] = set()
    for position, item in enumerate(raw):
        path = f"inference_external_endpoints[{position}]"
        fields = keys.fields(item, path, report)
        name = keys.name.read(fields)
        base_url = keys.base_url.read(fields)
        if name and name in names:
            fields.add("name", name, "is given twice")
            name = ""
        names.add(name)
        has_key = keys.api_key.read(fields)
        engine = keys.engine.read(fields)
        models: list[ExternalModel] = []
        for number, entry in enumerate(keys.models.read(fields)):
            models.extend(_external_model(entry, f"{path}.models[{number}]", report))
        known = ENGINES.get(engine)
        for model in models:
            if known and model.capability not in known.capabilities:
                serves = " and ".join(capability for capability in CAPABILITIES if capability in known.capabilities)
                report.add(f"{model.path}.capability", model.capability, f"{known.title} serves {serves} models; say what engine it is")
        if not models and fields.valid:
            fields.add("models", fields.data.get("models"), "is required: the models of this server that the gateway is to offer")
        base_url = (base_url or "").rstrip("/")
        found.append(
            External(
                # One with a mistake goes on, so that nothing else calls its models unknown.
                name=name or path,
                path=path,
                # Some servers have their API under a version of another name, such as /v1beta/openai or /api/paas/v4.
                base_url=base_url if re.search(r"/v[0-9]", urlsplit(base_url).path) else f"{base_url}/v1",
                engine=engine,
                models=tuple(models),
                has_key=has_key,
                required=keys.required.read(fields),
            )
        )
    return tuple(found)


def _external_model(raw: Any, path: str, report: Report) -> list[ExternalModel]:
    if isinstance(raw, str):
        raw = {"name": raw}
    keys = ExternalModelKeys
    fields = keys.fields(raw, path, report)
    name = keys.name.read(fields)
    if not name:
        return []
    capability = keys.capability.read(fields)
    return [
        ExternalModel(
            name=name,
            path=path,
            model=keys.model.read(fields) or name,
            capability=capability,
            modalities=modalities_for(capability, keys.modalities.read(fields)),
            aliases=keys.aliases.read(fields),
            request_defaults=keys.request_defaults.read(fields),
            max_images=keys.max_images.read(fields),
            max_model_len=keys.max_model_len.read(fields),
            timeout=keys.timeout.read(fields),
            stream_timeout=keys.stream_timeout.read(fields),
            fallbacks=keys.fallbacks.read(fields),
            order=keys.order.read(fields),
            weight=keys.weight.read(fields),
        )
    ]
