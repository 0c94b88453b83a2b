# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""From the raw variables of all hosts to typed ones. The same value on many hosts is read once and its mistakes told once."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any, Callable, Generic, TypeVar

from ...module_utils import _docker_flags as docker_flags
from .._docker.networks import subnet_problem
from .._engines.registry import ENGINES
from .._engines.vllm_arguments import read_engine_args
from .._gateway.paths import why_not_free
from .._secrets.secrecy import has_credentials, is_secret_variable
from .findings import (
    ADDRESS,
    SIZE_HINT,
    Fields,
    Report,
    Size,
    hint,
    is_http_address,
    parse_size,
)
from .grammar import (
    DURATION,
    IMAGE,
    IMAGE_EXPECTED,
    LABEL,
    MODEL_NAME,
    MODEL_NAME_EXPECTED,
    NETWORK_EXPECTED,
    NETWORK_NAME,
    NO_CONTROL,
    PATH,
    REVISION,
    UNIT_NAME,
    UNIT_NAME_EXPECTED,
    address_trouble,
    docker_size,
    host_trouble,
    normal_path,
    source_trouble,
    target_trouble,
    volume_trouble,
)
from .model import (
    CAPABILITIES,
    FACTS,
    INVALID_PORT,
    INVALID_SOURCE,
    MODALITIES,
    PLATFORMS,
    PULL,
    VARIABLES,
    Host,
    Model,
    Mount,
    Network,
    Service,
    Settings,
    Variant,
)
from .request_defaults import read_request_defaults

Parsed = TypeVar("Parsed")

_ENGINES = ("auto", *ENGINES)
_VARIANT_KEYS = (
    "source",
    "revision",
    "digest",
    "engine",
    "max_model_len",
    "engine_args",
    "env",
    "image",
    "engine_version",
    "image_packages",
    "image_has_entrypoint",
)
_SHARED_MODEL_KEYS = (
    "capability",
    "modalities",
    "aliases",
    "max_images",
    "request_defaults",
    "timeout",
    "stream_timeout",
    "fallbacks",
    "dimension",
    "passthrough",
    "on_platform",
)
_SERVICE_KEYS = (
    "model",
    "name",
    "port",
    "enabled",
    "memory",
    "kv_cache_memory",
    "gpus",
    "device",
    "tensor_parallel_size",
    "shm_size",
    "host_memory",
    "ready_timeout",
    "silence_timeout",
    "stop_timeout",
    "order",
    "weight",
    "networks",
    "container_extra_arguments",
    "engine_args",
    "env",
    "max_model_len",
    "mounts",
    "pull",
    "drop_page_cache",
)
LEAST_HOST_MEMORY_MIB = 1024
#: Only a text, whatever is in it: what it may be is judged by more than a pattern.
ANY = r"(?s).+"
#: Environment variables that are ours, and why.
RESERVED_ENV: Mapping[str, str] = {
    "VLLM_PORT": "vLLM uses it for internal ports and fails when it is set; the service's port is inference_services[].port",
    "VLLM_API_KEY": "engine keys are generated, or taken from inference_engine_key",
    "VLLM_SERVER_DEV_MODE": "it opens endpoints that need no key",
    "HF_TOKEN": "use inference_huggingface_token",
    "HUGGING_FACE_HUB_TOKEN": "use inference_huggingface_token",
    "NVIDIA_VISIBLE_DEVICES": "use gpus of the service",
    "CUDA_VISIBLE_DEVICES": "use gpus of the service",
    "OLLAMA_HOST": "the port is the service's: inference_services[].port",
    "OLLAMA_MODELS": "models are kept below inference_data_dir",
}


#: Docker reads its env files with a bufio.Scanner.
_LONGEST_LINE = 65535


class Shared(Generic[Parsed]):
    """Reads one variable of every host, equal values only once."""

    def __init__(self, parse: Callable[[Any, Report], Parsed], *, always_name_hosts: bool = False) -> None:
        self._parse = parse
        self._always_name_hosts = always_name_hosts
        self._entries: dict[str, tuple[Parsed, Report, list[str]]] = {}

    def read(self, host: str, raw: Any) -> Parsed:
        key = repr(raw)
        if key not in self._entries:
            report = Report()
            self._entries[key] = (self._parse(raw, report), report, [])
        parsed, _report, hosts = self._entries[key]
        hosts.append(host)
        return parsed

    def finish(self, report: Report) -> None:
        name_hosts = self._always_name_hosts or len(self._entries) > 1
        for _parsed, own, hosts in self._entries.values():
            for finding in own.findings:
                report.add(finding.variable, finding.value, finding.message, hosts if name_hosts else ())
            for warning in own.warnings:
                report.warn(warning, hosts if name_hosts else ())


def read_hosts(inventory: Mapping[str, Any], report: Report) -> dict[str, Host]:
    """Every declared host with its typed variables."""
    in_play = set(inventory.get("in_play") or ())
    catalogues = Shared(parse_models)
    services = Shared(parse_services, always_name_hosts=True)
    settings = Shared(parse_settings)
    hosts: dict[str, Host] = {}
    misspelt: dict[str, list[str]] = {}
    for name, data in (inventory.get("hosts") or {}).items():
        variables = data.get("vars") or {}
        for variable in variables:
            if variable.startswith("inference_") and variable not in VARIABLES and variable not in FACTS:
                misspelt.setdefault(variable, []).append(name)
        host_settings = settings.read(name, {key: variables[key] for key in _SETTINGS if key in variables})
        groups = frozenset(data.get("groups") or ())
        is_node = "inference_nodes" in groups
        hosts[name] = Host(
            name=name,
            groups=groups,
            in_play=name in in_play,
            address=host_settings.address or str(variables.get("ansible_host") or name),
            settings=host_settings,
            models=catalogues.read(name, variables["inference_models"]) if variables.get("inference_models") is not None else {},
            services=services.read(name, variables["inference_services"])
            if is_node and variables.get("inference_services") is not None
            else (),
            unreadable=frozenset(data.get("unreadable") or ()),
        )
    for variable, where in sorted(misspelt.items()):
        # The value may be anything, a secret too.
        report.add(
            variable,
            None,
            f"unknown variable; names that begin with inference_ belong to this collection.{hint(variable, VARIABLES)}",
            where,
        )
    for shared in (settings, catalogues, services):
        shared.finish(report)
    return hosts


# --- small variables ---------------------------------------------------------------------------------------------

_SETTINGS = (
    "inference_engine",
    "inference_platform",
    "inference_platform_expected",
    "inference_address",
    "inference_gpu_access",
    "inference_gpu_reserve",
    "inference_data_dir",
    "inference_allow_floating_tags",
    "inference_images",
    "inference_dns",
    "inference_registry_mirrors",
    "inference_proxy",
    "inference_network",
    "inference_engines_network",
)


def parse_settings(raw: Any, report: Report) -> Settings:
    fields = Fields(raw, "", report, _SETTINGS)
    defaults = Settings()
    expected = fields.choice("inference_platform_expected", (*PLATFORMS, "auto"), "auto")
    dns = fields.texts("inference_dns", expected="an IP address")
    for position, address in enumerate(dns):
        trouble = address_trouble(address)
        if trouble:
            fields.add(f"inference_dns[{position}]", address, trouble)
    network = _network(fields, "inference_network", defaults.network)
    engines_network = _network(fields, "inference_engines_network", defaults.engines_network)
    if network.name == engines_network.name:
        fields.add("inference_engines_network.name", network.name, "must differ from the name of inference_network")
    elif ipaddress.ip_network(network.subnet).overlaps(ipaddress.ip_network(engines_network.subnet)):
        fields.add(
            "inference_engines_network.subnet",
            engines_network.subnet,
            f"overlaps inference_network.subnet {network.subnet}; choose another",
        )
    return Settings(
        engine=fields.choice("inference_engine", _ENGINES, defaults.engine),
        platform=fields.choice("inference_platform", ("auto", *PLATFORMS), defaults.platform),
        platform_expected=None if expected == "auto" else expected,
        address=_address(fields),
        gpu_access=fields.choice("inference_gpu_access", ("runtime", "cdi"), defaults.gpu_access),
        gpu_reserve=_reserve(fields),
        data_dir=_data_dir(fields, defaults.data_dir),
        allow_floating_tags=fields.boolean("inference_allow_floating_tags", False),
        images=_images(fields),
        dns=dns,
        registry_mirrors=_registry_mirrors(fields),
        proxy=_proxy(fields),
        network=network,
        engines_network=engines_network,
    )


def _address(fields: Fields) -> str | None:
    text = fields.text("inference_address", pattern=ANY, expected="an address or a host name, without a scheme or a port")
    trouble = host_trouble(text) if text else None
    if trouble:
        fields.add("inference_address", text, trouble)
    return None if trouble else text or None


def _data_dir(fields: Fields, default: str) -> str:
    path = fields.text("inference_data_dir", default, pattern=ANY, expected="an absolute path")
    trouble = volume_trouble(path)
    if not trouble and normal_path(path) == "/":
        trouble = "must be an absolute path of a folder below the root"
    if trouble:
        fields.add("inference_data_dir", path, trouble)
    return default if trouble else path


def _registry_mirrors(fields: Fields) -> tuple[str, ...]:
    expected = "an address such as https://mirror.example, without a user or password: every user of the host can read daemon.json"
    found = fields.texts("inference_registry_mirrors", pattern=ADDRESS, expected=expected)
    for position, address in enumerate(found):
        if not is_http_address(address):
            fields.add(f"inference_registry_mirrors[{position}]", address, f"must be {expected}")
    return found


def _network(fields: Fields, variable: str, default: Network) -> Network:
    if not fields.has(variable):
        return default
    inner = Fields(fields.data[variable], variable, fields.report, ("name", "subnet"))
    name = inner.text("name", default.name, pattern=NETWORK_NAME, expected=NETWORK_EXPECTED)
    subnet = inner.text("subnet", default.subnet)
    problem = subnet_problem(subnet)
    if problem:
        inner.add("subnet", subnet, problem)
        subnet = default.subnet
    return Network(name, subnet)


def _reserve(fields: Fields) -> dict[str, Size]:
    raw = fields.data.get("inference_gpu_reserve")
    if raw is None:
        return {}
    entries = {str(key): value for key, value in raw.items()} if isinstance(raw, Mapping) else {"": raw}
    reserve: dict[str, Size] = {}
    for key, value in entries.items():
        nothing = value in (0, "0") and not isinstance(value, bool)
        size = Size("0", mib=0.0) if nothing else parse_size(value)
        where = f"inference_gpu_reserve.{key}" if key else "inference_gpu_reserve"
        if size is None or (size.fraction is not None and size.fraction >= 1):
            fields.add(where, value, f"{SIZE_HINT}; or a mapping of GPU index to such sizes")
        else:
            reserve[key] = size
    return reserve


def _images(fields: Fields) -> dict[str, dict[str, str]]:
    raw = fields.mapping("inference_images")
    known = (*ENGINES, "litellm")
    images: dict[str, dict[str, str]] = {}
    for engine, value in raw.items():
        where = f"inference_images.{engine}"
        if engine not in known:
            fields.add(where, value, f"unknown engine.{hint(engine, known) or ' Known are: ' + ', '.join(known) + '.'}")
            continue
        entries = value if isinstance(value, Mapping) else {"": value}
        for platform, image in entries.items():
            inner = f"{where}.{platform}" if platform else where
            if platform and platform not in PLATFORMS:
                fields.add(inner, image, f"unknown platform; known are: {', '.join(PLATFORMS)}")
            elif not isinstance(image, str) or not re.fullmatch(IMAGE, image):
                fields.add(inner, image, f"must be {IMAGE_EXPECTED}")
            else:
                images.setdefault(engine, {})[str(platform)] = image
    return images


def _proxy(fields: Fields) -> dict[str, str]:
    if not fields.has("inference_proxy"):
        return {}
    inner = Fields(fields.data["inference_proxy"], "inference_proxy", fields.report, ("http", "https", "no_proxy"))
    values = {key: inner.text(key) for key in ("http", "https")}
    if isinstance(inner.data.get("no_proxy"), (list, tuple)):
        values["no_proxy"] = ",".join(inner.texts("no_proxy"))
    else:
        values["no_proxy"] = inner.text("no_proxy")
    for key, value in values.items():
        if not re.fullmatch(r"[!-~]*", value):
            # Without the value: an address may hold a password, and in this one it cannot be told where.
            inner.add(
                key,
                None,
                "holds a blank, a line break or another character that no address has; write http://proxy.example:3128, and special "
                "characters of a user's name or password as %XX",
            )
            values[key] = ""
    return {key: value for key, value in values.items() if value}


# --- the catalogue -----------------------------------------------------------------------------------------------


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
    fields = Fields(raw, path, report, (*_VARIANT_KEYS, *_SHARED_MODEL_KEYS))
    on_platform: dict[str, Variant] = {}
    for platform, value in fields.mapping("on_platform").items():
        where = f"{path}.on_platform.{platform}"
        if platform not in PLATFORMS:
            report.add(where, value, f"unknown platform.{hint(platform, PLATFORMS) or ' Known are: ' + ', '.join(PLATFORMS) + '.'}")
        else:
            on_platform[platform] = _variant(Fields(value, where, report, _VARIANT_KEYS))
    base = _variant(fields, required=not all(platform in on_platform and on_platform[platform].source for platform in PLATFORMS))
    capability = fields.choice("capability", CAPABILITIES, "chat")
    return Model(
        name=name,
        path=path,
        base=base,
        on_platform=on_platform,
        capability=capability,
        modalities=read_modalities(fields, capability),
        aliases=read_aliases(fields),
        max_images=fields.integer("max_images", 0, 10000),
        request_defaults=read_request_defaults(fields),
        timeout=fields.integer("timeout", 1, 86400, what=DURATION),
        stream_timeout=fields.integer("stream_timeout", 1, 86400, what=DURATION),
        fallbacks=fields.texts("fallbacks", expected="the name of a model"),
        dimension=fields.integer("dimension", 1, 1_000_000),
        passthrough=_passthrough_path(fields),
    )


def read_modalities(fields: Fields, capability: str) -> tuple[str, ...]:
    found = fields.texts("modalities", choices=MODALITIES, expected="a modality")
    if found:
        return tuple(dict.fromkeys(found))
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


def _variant(fields: Fields, *, required: bool = False) -> Variant:
    packages: tuple[str, ...] | None = None
    if fields.data.get("image_packages") is not None:
        # pip would take one with a dash for an option.
        packages = fields.texts(
            "image_packages", pattern=rf"(?!-){NO_CONTROL}", expected='a pinned requirement such as "vllm[audio]==0.32.0"'
        )
        for position, package in enumerate(packages):
            if "==" not in package and "@" not in package:
                fields.add(
                    f"image_packages[{position}]", package, "must be pinned (name==version), so that the layer can be rebuilt the same"
                )
    if has_credentials(str(fields.data.get("source") or "")):
        fields.add(
            "source", None, "is an address with a user, a password or a query in it; use inference_huggingface_token, or mirror the model"
        )
    arguments, written = read_engine_args(fields)
    source = fields.text("source", required=required, pattern=ANY, expected="a hub id, an absolute path on the node, or an Ollama tag")
    trouble = source_trouble(source) if source else None
    if trouble:
        fields.add("source", source, trouble)
        source = INVALID_SOURCE
    return Variant(
        source=source or None,
        revision=fields.maybe_text("revision", pattern=REVISION, expected="a branch, tag or commit"),
        digest=fields.maybe_text("digest", pattern=r"(sha256:)?[0-9a-f]{12,64}", expected="the digest of an Ollama model (hexadecimal)"),
        engine=fields.choice("engine", _ENGINES, "") or None,
        max_model_len=read_max_model_len(fields),
        engine_args=arguments if fields.data.get("engine_args") is not None else None,
        written=written,
        env=_env(fields) if fields.data.get("env") is not None else None,
        image=fields.maybe_text("image", pattern=IMAGE, expected=IMAGE_EXPECTED),
        engine_version=fields.maybe_text(
            "engine_version", pattern=r"v?[0-9]+(\.[0-9]+)+.*", expected='a version such as "0.32.0", in quotes'
        ),
        image_packages=packages,
        image_has_entrypoint=fields.boolean("image_has_entrypoint", True) if fields.data.get("image_has_entrypoint") is not None else None,
    )


def read_max_model_len(fields: Fields) -> int | None:
    return fields.integer("max_model_len", 1, 100_000_000, what="a number of tokens")


def _env(fields: Fields) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in fields.mapping("env").items():
        where = f"env.{name}"
        if name in RESERVED_ENV:
            fields.add(where, None, f"is reserved: {RESERVED_ENV[name]}")
        elif not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            fields.add(where, None, "must be the name of an environment variable (letters, digits and _)")
        elif value is None:
            found[name] = None
        elif isinstance(value, bool):
            found[name] = "1" if value else "0"
        elif len(f"{name}={value}".encode()) > _LONGEST_LINE:
            fields.add(where, None, "is longer than a line of Docker's env file may be (65535 bytes); mount a file instead")
        elif isinstance(value, (int, float)) or (isinstance(value, str) and re.fullmatch(r"[^\x00\r\n]*", value)):
            found[name] = str(value)
        else:
            fields.add(where, None, "must be one line of text, or a number")
    return found


# --- services ----------------------------------------------------------------------------------------------------


def unit_name(model: str) -> str:
    """The name of a service that has none: its model's, in the characters that a unit and a container allow."""
    labels = re.sub(r"[^a-z0-9._-]+", "-", model.lower())[:63].strip("-._").split(".")
    return ".".join(label[:LABEL] for label in labels if label) or "model"


def parse_services(raw: Any, report: Report) -> tuple[Service, ...]:
    if isinstance(raw, (str, bytes, Mapping)) or not isinstance(raw, (list, tuple)):
        report.add("inference_services", raw, "must be a list of services such as {model: chat, port: 8070, memory: 12GiB}")
        return ()
    return tuple(_service(item, f"inference_services[{position}]", report) for position, item in enumerate(raw))


def _service(raw: Any, path: str, report: Report) -> Service:
    fields = Fields(raw, path, report, _SERVICE_KEYS)
    model = fields.text("model", required=True, expected="the name of a model in inference_models")
    kv_cache = fields.size("kv_cache_memory")
    if kv_cache is not None and kv_cache.mib is None:
        fields.add("kv_cache_memory", fields.data.get("kv_cache_memory"), "must be a size such as 4GiB")
        kv_cache = None
    device = fields.choice("device", ("gpu", "cpu"), "") or None
    gpus = _gpus(fields)
    if device == "cpu" and gpus is not None:
        fields.add("gpus", fields.data.get("gpus"), "contradicts device: cpu; remove one of the two")
        gpus = None
    arguments = fields.texts("container_extra_arguments", pattern=NO_CONTROL, expected="one argument of docker create")
    by_gpus = dict.fromkeys(("gpus", "runtime"), "use gpus of the service")
    for mistake in docker_flags.refused(arguments, ours=by_gpus, variables=RESERVED_ENV):
        fields.add(f"container_extra_arguments[{mistake.position}]", mistake.shown, mistake.message)
    for flag in docker_flags.read(arguments)[0]:
        variable, _equals, given = flag.value.partition("=")
        if flag.name == "env" and variable not in RESERVED_ENV and is_secret_variable(variable, given):
            fields.add(
                f"container_extra_arguments[{flag.position}]",
                None,
                f"the variable {variable} is a secret, and every user of the host can read arguments of docker; use env of the service",
            )
    engine_args, written = read_engine_args(fields)
    return Service(
        path=path,
        model=model,
        name=fields.text("name", unit_name(model), pattern=UNIT_NAME, expected=UNIT_NAME_EXPECTED),
        port=fields.integer("port", 1, 65535, what="a port number") or (INVALID_PORT if fields.has("port") else None),
        enabled=fields.boolean("enabled", True),
        memory=fields.size("memory"),
        kv_cache_memory=kv_cache,
        gpus=gpus,
        device=device,
        tensor_parallel_size=fields.integer("tensor_parallel_size", 1, 64, what="a number of GPUs"),
        shm_size=read_shm_size(fields),
        host_memory=_host_memory(fields),
        host_memory_bounded=fields.data.get("host_memory") is not False,
        ready_timeout=fields.integer("ready_timeout", 1, 7 * 86400, what=DURATION),
        silence_timeout=fields.integer("silence_timeout", 0, 7 * 86400, what=DURATION),
        stop_timeout=fields.integer("stop_timeout", 1, 3600, what=DURATION),
        order=fields.integer("order", 1, 1000),
        weight=fields.integer("weight", 1, 1_000_000),
        networks=tuple(dict.fromkeys(fields.texts("networks", pattern=NETWORK_NAME, expected=NETWORK_EXPECTED))),
        container_extra_arguments=arguments,
        engine_args=engine_args,
        written=written,
        env=_env(fields),
        max_model_len=read_max_model_len(fields),
        mounts=_mounts(fields),
        pull=fields.choice("pull", PULL, "missing"),
        drop_page_cache=fields.boolean("drop_page_cache", False) if fields.has("drop_page_cache") else None,
    )


def _gpus(fields: Fields) -> tuple[str, ...] | None:
    if not fields.has("gpus"):
        return None
    found: list[str] = []
    for position, item in enumerate(fields.items("gpus")):
        text = str(item).strip()
        if isinstance(item, bool) or not isinstance(item, (int, str)) or not re.fullmatch(r"[0-9]{1,3}|(GPU|MIG)-[0-9A-Za-z/-]+", text):
            fields.add(f"gpus[{position}]", item, "must be the index or the UUID of a GPU (nvidia-smi -L shows them)")
        elif text in found:
            fields.add(f"gpus[{position}]", item, "is given twice")
        else:
            found.append(text)
    if not found and isinstance(fields.data.get("gpus"), (list, tuple)) and not fields.data["gpus"]:
        fields.add("gpus", [], "is empty; leave it out to let the plan choose, or say device: cpu")
    return tuple(found) or None


def read_shm_size(fields: Fields) -> str | None:
    raw = fields.data.get("shm_size")
    size = docker_size(raw)
    if raw is not None and size is None:
        fields.add("shm_size", raw, "must be a size of 1 MiB at least, such as 16GiB, or in Docker's form 16g")
    return size


def _host_memory(fields: Fields) -> Size | None:
    raw = fields.data.get("host_memory")
    if raw is None or raw is False:
        return None
    size = parse_size(raw)
    if size is None or size.mib is None or size.mib < LEAST_HOST_MEMORY_MIB:
        fields.add("host_memory", raw, "must be a size of 1GiB at least, such as 32GiB, or false for no bound")
        return None
    return size


def _mounts(fields: Fields) -> tuple[Mount, ...]:
    found: dict[str, Mount] = {}
    for position, item in enumerate(fields.items("mounts")):
        inner = Fields(item, fields.where(f"mounts[{position}]"), fields.report, ("source", "target", "read_only"))
        source = inner.text("source", required=True, pattern=ANY, expected="an absolute path on the host")
        target = inner.text("target", source, pattern=ANY, expected="an absolute path in the container")
        troubles = {"source": volume_trouble(source), "target": target_trouble(target)} if source and target else {}
        for key, trouble in troubles.items():
            if trouble and (key == "source" or inner.has(key) or not troubles["source"]):
                inner.add(key, source if key == "source" else target, trouble)
        if not troubles or any(troubles.values()):
            continue
        mount = Mount(source, target, inner.boolean("read_only", True))
        if found.setdefault(normal_path(target), mount) is not mount:
            inner.add("target", target, "is the target of another mount too")
    return tuple(found.values())
