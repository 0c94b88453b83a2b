# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""How an instance of Ollama becomes a container. Pure: no Ansible, no network, no clock."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...module_utils._ollama import OllamaError, normalise_tag, same_model
from .._plan import defaults
from .._platforms.registry import ACCESS
from .docker_arguments import volume
from .server import gpus_given, mounted, published, server_unit

CONTAINER_PORT = 11434
STORE = "/root/.ollama"

# Unset, Ollama chooses 4k, 32k or 256k by the memory it sees (docs/context-length.mdx). A board with unified memory may land
# at 256k and run out of memory, so a length is always set.
CONTEXT_LENGTH = 8192

# Ollama keeps three models per GPU loaded, three without a GPU (OLLAMA_MAX_LOADED_MODELS=0).
_LOADED_MODELS_PER_GPU = 3


Reader = Callable[[Any, str, str], Any]
"""From a value of the inventory, its key, and the place for messages."""
_BOOLEANS = {**dict.fromkeys(("true", "yes", "on", "1"), True), **dict.fromkeys(("false", "no", "off", "0"), False)}


def _text(value: object) -> str:
    """Values of environment variables: YAML's true and false become what Ollama's parser reads."""
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value)


def _plain(value: Any, key: str, where: str) -> str:
    return str(value).strip()


def _tag(value: Any, key: str, where: str) -> str:
    return normalise_tag(str(value))


def _texts(value: Any, key: str, where: str) -> tuple[str, ...]:
    return tuple(str(entry) for entry in value)


def _variables(value: Any, key: str, where: str) -> tuple[tuple[str, str], ...]:
    return tuple((str(name), _text(content)) for name, content in sorted(dict(value).items()))


def _boolean(value: Any, key: str, where: str) -> bool:
    found = _BOOLEANS.get(str(value).lower())
    if found is None:
        raise OllamaError(f"{where}: {key} is {value!r}; it takes true or false.")
    return found


def _integer(least: int, most: int | None = None) -> Reader:
    def read(value: Any, key: str, where: str) -> int:
        try:
            number = int(str(value))
        except ValueError:
            number = least - 1
        if number < least or (most is not None and number > most):
            expected = f"a whole number from {least}" if most is None else f"a number from {least} to {most}"
            raise OllamaError(f"{where}: {key} is {value!r}; it takes {expected}.")
        return number

    return read


def _choice(*choices: str) -> Reader:
    def read(value: Any, key: str, where: str) -> str:
        if str(value).strip() not in choices:
            raise OllamaError(f"{where}: {key} is {value!r}; it takes {', '.join(choices)}.")
        return str(value).strip()

    return read


def _matching(pattern: str, expected: str) -> Reader:
    def read(value: Any, key: str, where: str) -> str:
        if not re.fullmatch(pattern, str(value).strip()):
            raise OllamaError(f"{where}: {key} is {value!r}; it takes {expected}.")
        return str(value).strip()

    return read


def _each(kind: Any) -> Reader:
    def read(value: Any, key: str, where: str) -> tuple[Any, ...]:
        return tuple(_read(kind, entry, f"{where}, {key}[{number}]") for number, entry in enumerate(value))

    return read


def _by(read: Reader) -> dict[str, Reader]:
    """What a key says of itself: who reads it."""
    return {"read": read}


def _read(kind: Any, data: Mapping[str, Any], where: str) -> Any:
    """One dict of the inventory; None or nothing means unset, as a plan writes it."""
    fields = {one.name: one for one in dataclasses.fields(kind)}
    given = {str(key): value for key, value in data.items() if value is not None and str(value).strip()}
    unknown = sorted(set(given) - set(fields))
    if unknown:
        raise OllamaError(f"{where}: has no key {', '.join(unknown)}. Known: {', '.join(sorted(fields))}.")
    for name, one in fields.items():
        if name not in given and one.default is dataclasses.MISSING:
            raise OllamaError(f"{where}: {name} is missing.")
    return kind(**{name: fields[name].metadata["read"](value, name, where) for name, value in given.items()})


_name = _matching("[a-z0-9][a-z0-9_.-]*", "lower-case letters, digits, and . _ - after the first")


@dataclass(frozen=True)
class Model:
    tag: str = field(metadata=_by(_tag))
    digest: str | None = field(
        default=None,
        metadata=_by(_matching("(?:sha256:)?[0-9a-f]{12,64}", "12 to 64 hexadecimal digits, as `ollama list` and /api/tags show them")),
    )
    name: str = field(default="", metadata=_by(_plain))
    capability: str = field(default="chat", metadata=_by(_choice("chat", "embedding", "rerank", "transcription")))
    modalities: tuple[str, ...] = field(default=(), metadata=_by(_texts))
    max_model_len: int | None = field(default=None, metadata=_by(_integer(1)))


@dataclass(frozen=True)
class Mount:
    source: str = field(metadata=_by(_plain))
    target: str = field(metadata=_by(_plain))
    read_only: bool = field(default=True, metadata=_by(_boolean))


@dataclass(frozen=True)
class Instance:
    name: str = field(metadata=_by(_name))
    image: str = field(metadata=_by(_plain))
    port: int = field(metadata=_by(_integer(1, 65535)))
    models: tuple[Model, ...] = field(default=(), metadata=_by(_each(Model)))
    image_has_entrypoint: bool = field(default=True, metadata=_by(_boolean))
    device: str = field(default="gpu", metadata=_by(_choice("gpu", "cpu")))
    gpus: tuple[str, ...] = field(default=(), metadata=_by(_texts))
    gpu_access: str = field(default="runtime", metadata=_by(_choice(*ACCESS)))
    keep_alive: str = field(default="-1", metadata=_by(_plain))
    num_parallel: int | None = field(default=None, metadata=_by(_integer(1)))
    max_loaded_models: int | None = field(default=None, metadata=_by(_integer(1)))
    context_length: int | None = field(default=None, metadata=_by(_integer(1)))
    flash_attention: bool | None = field(default=None, metadata=_by(_boolean))
    kv_cache_type: str | None = field(default=None, metadata=_by(_choice("f16", "q8_0", "q4_0")))
    jetpack: str | None = field(default=None, metadata=_by(_plain))
    env: tuple[tuple[str, str], ...] = field(default=(), metadata=_by(_variables))
    mounts: tuple[Mount, ...] = field(default=(), metadata=_by(_each(Mount)))
    networks: tuple[str, ...] = field(default=(defaults.ENGINES_NETWORK,), metadata=_by(_texts))
    pull: str = field(default="missing", metadata=_by(_choice("missing", "always", "never")))
    memory_mib: int | None = field(default=None, metadata=_by(_integer(0)))
    host_memory_mib: int | None = field(default=None, metadata=_by(_integer(1)))
    container_extra_arguments: tuple[str, ...] = field(default=(), metadata=_by(_texts))
    ready_timeout: int = field(default=defaults.READY_TIMEOUT, metadata=_by(_integer(1)))
    silence_timeout: int = field(default=defaults.SILENCE_TIMEOUT, metadata=_by(_integer(0)))
    stop_timeout: int = field(default=defaults.STOP_TIMEOUT, metadata=_by(_integer(1)))


def read_instance(data: Mapping[str, Any], where: str = "ollama instance") -> Instance:
    where = f"{where} {_name(data.get('name') or '', 'name', where)}"
    found: Instance = _read(Instance, data, where)
    if not found.models:
        raise OllamaError(f"{where}: models is empty; an instance is ready when its first model has answered, so it needs one.")
    twice = sorted({model.tag for model in found.models if sum(same_model(model.tag, other.tag) for other in found.models) > 1})
    if twice:
        raise OllamaError(f"{where}: models names {', '.join(twice)} more than once.")
    return dataclasses.replace(found, networks=found.networks or Instance.networks)


def read_instances(data: Sequence[Mapping[str, Any]]) -> tuple[Instance, ...]:
    """All instances of a host; every error at once."""
    instances: list[Instance] = []
    errors: list[str] = []
    for number, entry in enumerate(data):
        try:
            instances.append(read_instance(entry, f"ollama_instances[{number}]"))
        except OllamaError as error:
            errors.append(str(error))
    for what, values in (("name", [one.name for one in instances]), ("port", [str(one.port) for one in instances])):
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            errors.append(f"ollama_instances: {what} {', '.join(twice)} is used more than once; each instance needs its own.")
    if errors:
        raise OllamaError("\n".join(errors))
    return tuple(instances)


def _jetpack_variant(jetpack: str | None) -> str | None:
    """5 and 6 have runners of their own in the image; from 7 on the ordinary arm64 runner is right and the variable stays unset."""
    major = (jetpack or "").split(".")[0]
    return major if major in ("5", "6") else None


def environment(instance: Instance) -> dict[str, str]:
    """What we tell it."""
    lengths = [model.max_model_len for model in instance.models if model.max_model_len is not None]
    values: dict[str, str] = {
        # Inside the container; the host publishes it on 127.0.0.1 only.
        "OLLAMA_HOST": f"0.0.0.0:{CONTAINER_PORT}",
        "OLLAMA_KEEP_ALIVE": instance.keep_alive,
        "OLLAMA_NO_CLOUD": "1",
        "OLLAMA_CONTEXT_LENGTH": str(instance.context_length or max(lengths, default=CONTEXT_LENGTH)),
    }
    if instance.num_parallel is not None:
        values["OLLAMA_NUM_PARALLEL"] = str(instance.num_parallel)
    on_gpu = instance.device == "gpu"
    loadable = _LOADED_MODELS_PER_GPU * (max(1, len(instance.gpus)) if on_gpu else 1)
    if instance.max_loaded_models is not None:
        values["OLLAMA_MAX_LOADED_MODELS"] = str(instance.max_loaded_models)
    elif len(instance.models) > loadable:
        # Otherwise a model that is meant to stay would be unloaded for the next one.
        values["OLLAMA_MAX_LOADED_MODELS"] = str(len(instance.models))
    if instance.flash_attention is not None:
        values["OLLAMA_FLASH_ATTENTION"] = _text(instance.flash_attention)
    if instance.kv_cache_type is not None:
        values["OLLAMA_KV_CACHE_TYPE"] = instance.kv_cache_type
    variant = _jetpack_variant(instance.jetpack)
    if on_gpu and instance.gpu_access == "jetson" and variant:
        # Inside a container Ollama can't read /etc/nv_tegra_release.
        values["JETSON_JETPACK"] = variant
    return values


def container_unit(instance: Instance, data_dir: str = defaults.DATA_DIR, watchdog: int = defaults.WATCHDOG) -> dict[str, Any]:
    first, plain = instance.models[0], {**dataclasses.asdict(instance), "env": dict(instance.env)}
    return server_unit(
        "ollama",
        plain,
        [
            "--init",
            *("--security-opt", "no-new-privileges"),
            *gpus_given(plain),
            *published(plain, CONTAINER_PORT),
            # One store per instance: at its start Ollama prunes blobs that no model of its own uses, half pulled ones included.
            *volume(f"{data_dir}/ollama/{instance.name}", STORE),
            *mounted(plain),
            *instance.container_extra_arguments,
        ],
        entrypoint=None if instance.image_has_entrypoint else "ollama",
        command=["serve"],
        files={},
        environment=environment(instance),
        probe={
            "health_path": "/api/version",
            "capability": first.capability,
            "model": first.tag,
            "modalities": list(first.modalities),
            "api_key_variable": None,
        },
        watchdog=watchdog,
        drop_page_cache=False,
        limit=instance.host_memory_mib,
        pull_models=[model.tag for model in instance.models],
        afterwards={"tasks": "models", "data": server(instance)},
    )


def server(instance: Instance) -> dict[str, Any]:
    """The instance as module ollama_models takes it."""
    return {
        "name": instance.name,
        "base_url": f"http://127.0.0.1:{instance.port}",
        "device": instance.device,
        "models": [{"tag": model.tag, "digest": model.digest} for model in instance.models],
    }
