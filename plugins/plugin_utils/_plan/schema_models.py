# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The catalogue of an inventory, ``inference_models``: what can be served, by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .._engines.container import SPEAKS
from .._engines.registry import ENGINES
from .._engines.vllm_arguments import read_engine_args
from .._gateway.paths import why_not_free
from .._platforms.registry import PLATFORMS
from .._secrets.secrecy import has_credentials, is_secret_name, looks_secret
from .adapters import ADAPTERS, read_adapters
from .environment import ENVIRONMENT
from .findings import Fields, Report, hint
from .grammar import (
    ANY_TEXT,
    DURATION,
    IMAGE,
    IMAGE_EXPECTED,
    MODEL_NAME,
    MODEL_NAME_EXPECTED,
    NO_CONTROL,
    PATH,
    REVISION,
    VARIABLE_NAME,
    VARIABLE_NAME_EXPECTED,
    source_trouble,
)
from .keys import (
    MAPPING,
    Keys,
    Schema,
    any_of,
    choice,
    integer,
    list_of,
    mapping,
    mapping_of,
    matching,
    maybe_boolean,
    maybe_text,
    texts,
    with_reader,
)
from .model import CAPABILITIES, INVALID_SOURCE, MODALITIES, Model, Variant
from .request_defaults import read_request_defaults

ENGINE_CHOICES = ("auto", *ENGINES)
_SOURCE_EXPECTED = "a hub id, an absolute path on the node, or an Ollama tag"


def modalities_for(capability: str, given: tuple[str, ...]) -> tuple[str, ...]:
    if given:
        return tuple(dict.fromkeys(given))
    return ("audio",) if capability == "transcription" else ("text",)


def read_aliases(fields: Fields) -> tuple[str, ...]:
    found: list[str] = []
    for position, alias in enumerate(fields.texts("aliases", pattern=MODEL_NAME, expected=MODEL_NAME_EXPECTED)):
        if alias in found:
            fields.add(f"aliases[{position}]", alias, "is given twice")
        else:
            found.append(alias)
    return tuple(found)


def _passthrough_path(fields: Fields) -> str | None:
    raw = fields.data.get("passthrough")
    if raw is None or raw is True:
        return None
    if raw is False:
        return ""
    path = fields.maybe_text("passthrough", pattern=PATH, expected="a path such as /embeddings/v1/embeddings, or false")
    trouble = why_not_free(path) if path else None
    if trouble:
        fields.add("passthrough", path, trouble)
    return path


def _source(fields: Fields, *, required: bool = False) -> str:
    if has_credentials(str(fields.data.get("source") or "")):
        fields.add(
            "source", None, "is an address with a user, a password or a query in it; use inference_huggingface_token, or mirror the model"
        )
    source = fields.text("source", required=required, pattern=ANY_TEXT, expected=_SOURCE_EXPECTED)
    trouble = source_trouble(source) if source else None
    if trouble:
        fields.add("source", source, trouble)
        return INVALID_SOURCE
    return source


def _image_packages(fields: Fields) -> tuple[str, ...] | None:
    if not fields.has("image_packages"):
        return None
    # pip would take one with a dash for an option.
    packages = fields.texts("image_packages", pattern=rf"(?!-){NO_CONTROL}", expected='a pinned requirement such as "vllm[audio]==0.32.0"')
    for position, package in enumerate(packages):
        if "==" not in package and "@" not in package:
            fields.add(f"image_packages[{position}]", package, "must be pinned (name==version), so that the layer can be rebuilt the same")
    return packages


def _command(fields: Fields) -> tuple[str, ...] | None:
    if not fields.has("command"):
        return None
    words = fields.texts("command", pattern=NO_CONTROL, expected="one word of the container's command")
    for position, (word, before) in enumerate(zip(words, ("", *words))):
        flag, _equals, value = word.partition("=")
        named = is_secret_name((flag if value else before).lstrip("-")) and (value or not word.startswith("-"))
        if (named and before.startswith("-")) or (named and value) or looks_secret(word, digest=True):
            message = "is a secret, and every user of the host can read commands; use key_variable, or env of the model"
            fields.add(f"command[{position}]", None, message)
    return words


class VariantKeys(Keys):
    """What may differ by platform."""

    source = with_reader({"type": "string"}, _source)
    revision = maybe_text(pattern=REVISION, expected="a branch, tag or commit")
    digest = maybe_text(pattern=r"(sha256:)?[0-9a-f]{12,64}", expected="the digest of an Ollama model (hexadecimal)")
    engine = choice(ENGINE_CHOICES, "")
    max_model_len = integer(1, 100_000_000, what="a number of tokens")
    engine_args = with_reader(MAPPING, read_engine_args)
    env = ENVIRONMENT
    image = maybe_text(pattern=IMAGE, expected=IMAGE_EXPECTED)
    engine_version = maybe_text(pattern=r"v?[0-9]+(\.[0-9]+)+.*", expected='a version such as "0.32.0", in quotes')
    image_packages = with_reader(list_of({"type": "string"}), _image_packages)
    image_has_entrypoint = maybe_boolean(True)
    adapters = with_reader(ADAPTERS, read_adapters)
    command = with_reader(list_of({"type": "string"}), _command)
    container_port = integer(1, 65535, what="a port")
    health_path = maybe_text(pattern=PATH, expected="a path such as /health")
    key_variable = maybe_text(pattern=VARIABLE_NAME, expected=VARIABLE_NAME_EXPECTED)
    served_name = maybe_text(pattern=MODEL_NAME, expected=MODEL_NAME_EXPECTED)
    speaks = choice(tuple(SPEAKS), "")


class ModelKeys(VariantKeys):
    capability = choice(CAPABILITIES, "chat")
    modalities = texts(choices=MODALITIES, expected="a modality")
    aliases = with_reader(list_of(matching(MODEL_NAME)), read_aliases)
    max_images = integer(0, 10000)
    request_defaults = with_reader(MAPPING, read_request_defaults)
    timeout = integer(1, 86400, what=DURATION)
    stream_timeout = integer(1, 86400, what=DURATION)
    fallbacks = texts(expected="the name of a model")
    dimension = integer(1, 1_000_000)
    passthrough = with_reader(any_of({"type": "boolean"}, matching(PATH)), _passthrough_path)
    on_platform = mapping(mapping_of(VariantKeys.schema(), "|".join(PLATFORMS)))


#: What the variable is to an editor.
MODELS: Schema = mapping_of(ModelKeys.schema(), MODEL_NAME)


def parse_models(raw: Any, report: Report) -> dict[str, Model]:
    if not isinstance(raw, Mapping):
        report.add("inference_models", raw, "must be a mapping of model names to models")
        return {}
    models: dict[str, Model] = {}
    folded: dict[str, str] = {}
    for key, value in raw.items():
        name = str(key)
        path = f"inference_models.{name}"
        if not re.fullmatch(MODEL_NAME, name):
            report.add(path, None, f"the name of a model must be {MODEL_NAME_EXPECTED}")
            continue
        other = folded.setdefault(name.lower(), name)
        if other != name or name in models:
            report.add(path, None, f"differs from the model {other!r} only in case; one of the two would be asked for by mistake")
            continue
        models[name] = _model(name, value, path, report)
    return models


def _model(name: str, raw: Any, path: str, report: Report) -> Model:
    keys = ModelKeys
    fields = keys.fields(raw, path, report)
    on_platform: dict[str, Variant] = {}
    for platform, value in keys.on_platform.read(fields).items():
        where = f"{path}.on_platform.{platform}"
        if platform not in PLATFORMS:
            report.add(where, value, f"unknown platform.{hint(platform, PLATFORMS) or ' Known are: ' + ', '.join(PLATFORMS) + '.'}")
        else:
            on_platform[platform] = _variant(VariantKeys.fields(value, where, report))
    own = ENGINES.get(str(fields.data.get("engine")))
    everywhere = all(platform in on_platform and on_platform[platform].source for platform in PLATFORMS)
    base = _variant(fields, required=not everywhere and (own is None or own.needs_source))
    capability = keys.capability.read(fields)
    return Model(
        name=name,
        path=path,
        base=base,
        on_platform=on_platform,
        capability=capability,
        modalities=modalities_for(capability, keys.modalities.read(fields)),
        aliases=keys.aliases.read(fields),
        max_images=keys.max_images.read(fields),
        request_defaults=keys.request_defaults.read(fields),
        timeout=keys.timeout.read(fields),
        stream_timeout=keys.stream_timeout.read(fields),
        fallbacks=keys.fallbacks.read(fields),
        dimension=keys.dimension.read(fields),
        passthrough=keys.passthrough.read(fields),
    )


def _variant(fields: Fields, *, required: bool = False) -> Variant:
    keys = VariantKeys
    packages = keys.image_packages.read(fields)
    arguments, written = keys.engine_args.read(fields)
    return Variant(
        source=_source(fields, required=required) or None,
        revision=keys.revision.read(fields),
        digest=keys.digest.read(fields),
        engine=keys.engine.read(fields) or None,
        max_model_len=keys.max_model_len.read(fields),
        engine_args=arguments if fields.has("engine_args") else None,
        written=written,
        env=keys.env.read(fields) if fields.has("env") else None,
        image=keys.image.read(fields),
        engine_version=keys.engine_version.read(fields),
        image_packages=packages,
        image_has_entrypoint=keys.image_has_entrypoint.read(fields),
        adapters=keys.adapters.read(fields),
        command=keys.command.read(fields),
        container_port=keys.container_port.read(fields),
        health_path=keys.health_path.read(fields),
        key_variable=keys.key_variable.read(fields),
        served_name=keys.served_name.read(fields),
        speaks=keys.speaks.read(fields) or None,
    )
