# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Ollama: container units from instances, and what its model store and its API tell.

Pure: no Ansible, no network, no clock.
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _defaults as defaults
from ansible_collections.llmops.gpu_inference.plugins.module_utils._gpu_access import gpu_arguments, gpu_environment

CONTAINER_PORT = 11434
STORE = "/root/.ollama"

# Unset, Ollama chooses 4k, 32k or 256k by the memory it sees (docs/context-length.mdx). A board with unified memory may land
# at 256k and run out of memory, so a length is always set.
CONTEXT_LENGTH = 8192

# Ollama keeps three models per GPU loaded, three without a GPU (OLLAMA_MAX_LOADED_MODELS=0).
_LOADED_MODELS_PER_GPU = 3

_DEFAULT_REGISTRY = "registry.ollama.ai/"
_DEFAULT_NAMESPACE = "library/"


class OllamaError(ValueError):
    """What is wrong, in words for the user."""


def normalise_tag(tag: str) -> str:
    """The name under which C(/api/tags) lists a model: without the default registry, always with a tag.

    A name without a tag means C(:latest). Comparing unnormalised names would pull the same model again on each run.
    """
    name = tag.strip()
    for scheme in ("https://", "http://"):
        if name.startswith(scheme):
            name = name[len(scheme) :]
    if name.startswith(_DEFAULT_REGISTRY):
        name = name[len(_DEFAULT_REGISTRY) :]
    if name.startswith(_DEFAULT_NAMESPACE):
        name = name[len(_DEFAULT_NAMESPACE) :]
    if name and ":" not in name.rsplit("/", 1)[-1]:
        name += ":latest"
    return name


def same_model(one: str, other: str) -> bool:
    """Ollama looks names up without regard to case."""
    return normalise_tag(one).lower() == normalise_tag(other).lower()


def same_digest(wanted: str, present: str) -> bool:
    """C(ollama list) shows the first twelve digits, C(/api/tags) all 64: the shorter one counts."""
    short, long = sorted((wanted.lower().replace("sha256:", "", 1), present.lower().replace("sha256:", "", 1)), key=len)
    return len(short) >= 12 and long.startswith(short)


Reader = t.Callable[[t.Any, str, str], t.Any]
"""From a value of the inventory, its key, and the place for messages."""
_BOOLEANS = {**dict.fromkeys(("true", "yes", "on", "1"), True), **dict.fromkeys(("false", "no", "off", "0"), False)}


def _text(value: object) -> str:
    """Values of environment variables: YAML's true and false become what Ollama's parser reads."""
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value)


def _plain(value: t.Any, key: str, where: str) -> str:
    return str(value).strip()


def _tag(value: t.Any, key: str, where: str) -> str:
    return normalise_tag(str(value))


def _texts(value: t.Any, key: str, where: str) -> tuple[str, ...]:
    return tuple(str(entry) for entry in value)


def _variables(value: t.Any, key: str, where: str) -> tuple[tuple[str, str], ...]:
    return tuple((str(name), _text(content)) for name, content in sorted(dict(value).items()))


def _boolean(value: t.Any, key: str, where: str) -> bool:
    found = _BOOLEANS.get(str(value).lower())
    if found is None:
        raise OllamaError(f"{where}: {key} is {value!r}; it takes true or false.")
    return found


def _integer(least: int, most: int | None = None) -> Reader:
    def read(value: t.Any, key: str, where: str) -> int:
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
    def read(value: t.Any, key: str, where: str) -> str:
        if str(value).strip() not in choices:
            raise OllamaError(f"{where}: {key} is {value!r}; it takes {', '.join(choices)}.")
        return str(value).strip()

    return read


def _matching(pattern: str, expected: str) -> Reader:
    def read(value: t.Any, key: str, where: str) -> str:
        if not re.fullmatch(pattern, str(value).strip()):
            raise OllamaError(f"{where}: {key} is {value!r}; it takes {expected}.")
        return str(value).strip()

    return read


def _each(kind: t.Any) -> Reader:
    def read(value: t.Any, key: str, where: str) -> tuple[t.Any, ...]:
        return tuple(_read(kind, entry, f"{where}, {key}[{number}]") for number, entry in enumerate(value))

    return read


def _by(read: Reader) -> dict[str, Reader]:
    """What a key says of itself: who reads it."""
    return {"read": read}


def _read(kind: t.Any, data: t.Mapping[str, t.Any], where: str) -> t.Any:
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
    gpu_access: str = field(default="runtime", metadata=_by(_choice("runtime", "cdi", "jetson", "none")))
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


def read_instance(data: t.Mapping[str, t.Any], where: str = "ollama instance") -> Instance:
    where = f"{where} {_name(data.get('name') or '', 'name', where)}"
    found: Instance = _read(Instance, data, where)
    if not found.models:
        raise OllamaError(f"{where}: models is empty; an instance is ready when its first model has answered, so it needs one.")
    twice = sorted({model.tag for model in found.models if sum(same_model(model.tag, other.tag) for other in found.models) > 1})
    if twice:
        raise OllamaError(f"{where}: models names {', '.join(twice)} more than once.")
    return dataclasses.replace(found, networks=found.networks or Instance.networks)


def read_instances(data: t.Sequence[t.Mapping[str, t.Any]]) -> tuple[Instance, ...]:
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
    """The container's environment; the user's own C(env) has the last word."""
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
    values.update(gpu_environment(instance.device, instance.gpu_access, instance.gpus))
    values.update(instance.env)
    return values


def docker_arguments(instance: Instance, data_dir: str) -> list[str]:
    arguments = ["--init", "--security-opt", "no-new-privileges"]
    arguments += gpu_arguments(instance.device, instance.gpu_access, instance.gpus)
    arguments += ["--publish", f"127.0.0.1:{instance.port}:{CONTAINER_PORT}"]
    # One store per instance: at its start Ollama prunes blobs that no model of its own uses, half pulled ones included.
    arguments += ["--volume", f"{data_dir}/ollama/{instance.name}:{STORE}"]
    for mount in instance.mounts:
        arguments += ["--volume", f"{mount.source}:{mount.target}" + (":ro" if mount.read_only else "")]
    arguments += instance.container_extra_arguments
    return arguments


def container_unit(instance: Instance, data_dir: str = defaults.DATA_DIR, watchdog: int = defaults.WATCHDOG) -> dict[str, t.Any]:
    first = instance.models[0]
    return {
        "kind": "ollama",
        "name": instance.name,
        "image": instance.image,
        "pull": instance.pull,
        "entrypoint": None if instance.image_has_entrypoint else "ollama",
        "command": ["serve"],
        "docker_arguments": docker_arguments(instance, data_dir),
        "networks": list(instance.networks),
        "files": {},
        "environment": environment(instance),
        "secret_environment": {},
        # A Jetson's one GPU has no UUID.
        "locks": [] if instance.device == "cpu" else list(instance.gpus or ("gpu",)),
        "probe": {
            "base_url": f"http://127.0.0.1:{instance.port}/v1",
            "health_path": "/api/version",
            "level": "answer",
            "capability": first.capability,
            "model": first.tag,
            "modalities": list(first.modalities),
            "api_key_variable": None,
        },
        "start_timeout": instance.ready_timeout,
        "silence_timeout": instance.silence_timeout,
        "stop_timeout": instance.stop_timeout,
        "watchdog": watchdog,
        "drop_page_cache": False,
        **({"memory_limit_mib": instance.host_memory_mib} if instance.host_memory_mib else {}),
        "pull_models": [model.tag for model in instance.models],
        "afterwards": {"tasks": "models", "data": server(instance)},
    }


def server(instance: Instance) -> dict[str, t.Any]:
    """The instance as module ollama_models takes it."""
    return {
        "name": instance.name,
        "base_url": f"http://127.0.0.1:{instance.port}",
        "device": instance.device,
        "models": [{"tag": model.tag, "digest": model.digest} for model in instance.models],
    }


@dataclass(frozen=True)
class Installed:
    """An entry of C(GET /api/tags)."""

    tag: str
    digest: str
    size: int = 0


@dataclass(frozen=True)
class Loaded:
    """An entry of C(GET /api/ps)."""

    tag: str
    size: int
    size_vram: int

    @property
    def cpu_percent(self) -> int:
        """As C(ollama ps) rounds it, but never 0 while something is on the CPU."""
        if self.size <= 0 or self.size_vram >= self.size:
            return 0
        return max(1, round(100 * (self.size - self.size_vram) / self.size))


def _entries(answer: object, what: str) -> list[t.Mapping[str, t.Any]]:
    models = answer.get("models", "") if isinstance(answer, dict) else ""
    if models is None:  # Go writes an empty list as null
        return []
    if not isinstance(models, list) or not all(isinstance(entry, dict) for entry in models):
        raise OllamaError(f"{what} did not answer as Ollama does: {str(answer)[:200]!r}.")
    return models


def read_tags(answer: object) -> tuple[Installed, ...]:
    return tuple(
        Installed(normalise_tag(str(entry.get("name") or entry.get("model"))), str(entry.get("digest") or ""), int(entry.get("size") or 0))
        for entry in _entries(answer, "/api/tags")
    )


def read_ps(answer: object) -> tuple[Loaded, ...]:
    return tuple(
        Loaded(normalise_tag(str(entry.get("name") or entry.get("model"))), int(entry.get("size") or 0), int(entry.get("size_vram") or 0))
        for entry in _entries(answer, "/api/ps")
    )


def partly_on_cpu(loaded: t.Sequence[Loaded]) -> dict[str, int]:
    """Percentage on the CPU of each loaded model that the GPU does not hold as a whole."""
    return {model.tag: model.cpu_percent for model in loaded if model.cpu_percent}


@dataclass(frozen=True)
class Wanted:
    tag: str
    digest: str | None = None


@dataclass(frozen=True)
class StoreChange:
    """What a model store lacks, holds in another version than pinned, and holds though nobody asked for it."""

    missing: tuple[Wanted, ...] = ()
    differing: tuple[tuple[Wanted, Installed], ...] = ()
    surplus: tuple[Installed, ...] = ()


def compare_store(wanted: t.Sequence[Wanted], installed: t.Sequence[Installed]) -> StoreChange:
    missing: list[Wanted] = []
    differing: list[tuple[Wanted, Installed]] = []
    for model in wanted:
        found = [present for present in installed if same_model(model.tag, present.tag)]
        if not found:
            missing.append(model)
        elif model.digest and not same_digest(model.digest, found[0].digest):
            differing.append((model, found[0]))
    surplus = [present for present in installed if not any(same_model(model.tag, present.tag) for model in wanted)]
    return StoreChange(tuple(missing), tuple(differing), tuple(surplus))


@dataclass(frozen=True)
class PullProgress:
    status: str
    percent: int | None = None


def read_pull(lines: t.Iterable[str | bytes]) -> t.Iterator[PullProgress]:
    """The lines of C(POST /api/pull), as they come.

    The HTTP status says nothing: once bytes were sent, Ollama reports an error inside the 200 stream, and a stream that just ends was
    cut off. So only a last line C(success) counts.
    """
    layers: dict[str, tuple[int, int]] = {}
    last = "nothing"
    for line in lines:
        text = (line.decode("utf-8", "replace") if isinstance(line, bytes) else line).strip()
        if not text:
            continue
        try:
            event = json.loads(text)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            raise OllamaError(f"the answer to the pull is no JSON object per line: {text[:200]!r}.")
        if event.get("error"):
            raise OllamaError(str(event["error"]))
        last = str(event.get("status") or "")
        if event.get("digest") and event.get("total"):
            layers[str(event["digest"])] = (int(event.get("completed") or 0), int(event["total"]))
        total = sum(size for done, size in layers.values())
        done = sum(min(done, size) for done, size in layers.values())
        yield PullProgress(last, 100 * done // total if total else None)
    if last != "success":
        raise OllamaError(f"the pull ended before it was complete; the last thing it said was {last!r}. The next attempt resumes it.")


class Store(t.Protocol):
    """What L(synchronise) needs of a server."""

    def tags(self) -> t.Sequence[Installed]: ...

    def pull(self, tag: str) -> None: ...

    def delete(self, tag: str) -> None: ...


@dataclass(frozen=True)
class StoreResult:
    before: tuple[Installed, ...]
    after: tuple[Installed, ...]
    pulled: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        return bool(self.pulled or self.removed)


def synchronise(store: Store, wanted: t.Sequence[Wanted], *, prune: bool, dry_run: bool) -> StoreResult:
    """Pull what is missing or differs from its pin, remove the rest if asked.

    A pin is compared with what the registry gave: a model is pulled by its tag, because Ollama can't pull by digest.
    """
    before = tuple(store.tags())
    change = compare_store(wanted, before)
    to_pull = (*change.missing, *(model for model, _present in change.differing))
    pulled = tuple(model.tag for model in to_pull)
    removed = tuple(model.tag for model in change.surplus) if prune else ()
    if dry_run:
        kept = [present for present in before if present.tag not in removed and not any(same_model(present.tag, tag) for tag in pulled)]
        return StoreResult(before, tuple(kept) + tuple(Installed(tag, "unknown") for tag in pulled), pulled, removed)
    for tag in pulled:
        try:
            store.pull(tag)
        except OllamaError as error:
            raise OllamaError(f"the model {tag} could not be pulled: {error}") from error
    for tag in removed:
        store.delete(tag)
    after = tuple(store.tags()) if pulled or removed else before
    for model, present in compare_store(wanted, after).differing:
        raise OllamaError(
            f"the model {model.tag} is pinned to digest {model.digest}, but the registry gives {present.digest}: the tag has moved. "
            "Look at what changed, then set the new digest, or choose a tag that stays."
        )
    known = {entry.tag: entry.digest for entry in before}
    # A pull that fetched the same again changes nothing.
    really = tuple(tag for tag in pulled if not any(same_model(tag, entry.tag) and known.get(entry.tag) == entry.digest for entry in after))
    return StoreResult(before, after, really, removed)
