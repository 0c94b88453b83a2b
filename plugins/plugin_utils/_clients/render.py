# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each client program reads, rendered from the models that the gateway serves.

This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

Every text is parsed back as its reader would before it is handed out. What the readers look at, in their sources:

- Crawl4AI 0.9, deploy/docker/utils.py and entrypoint.sh: LLM_PROVIDER, LLM_BASE_URL, LLM_API_KEY, LLM_TEMPERATURE,
  CRAWL4AI_API_TOKEN. Not VLLM_API_KEY, LLM_MAX_TOKENS, LLM_TOP_P or the penalties.
- Chat Studio (AI Orchestrator Studio), app/api/config_management.py: {"connections": [LLMConnection]}. It appends the
  API path itself, and takes a URL with "ollama" or "11434" in it for an Ollama server.
- Metis 1.5, src/metis/configuration.py and providers/vllm.py: llm_provider (older releases take the embedding models from
  there), and embedding_provider in current ones; each names its API key itself. What is in code_extra_kwargs and
  docs_extra_kwargs becomes arguments of langchain-openai's OpenAIEmbeddings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from ...module_utils import _docker_flags as docker_flags
from ...module_utils._clients import (
    MARKER,
    ClientFileError,
    chunking,
    dump_connections,
    parse_env_as_docker,
    render_env,
)
from .._gateway.plain import plain
from .._plan.findings import Fields, Report, is_http_address
from .._plan.grammar import (
    IMAGE,
    NETWORK_EXPECTED,
    NETWORK_NAME,
    NO_CONTROL,
    path_trouble,
)
from .._plan.model import PULL
from .._plan.schema_gateway import read_bind
from .._plan.schema_services import read_shm_size
from .._secrets.secrecy import has_credentials, shown

CRAWL4AI_PORT = 11235
LOCATIONS = ("host", "controller")
METIS_MAX_TOKEN_LENGTH = 100_000  # Metis' own default for metis_engine.max_token_length
METIS_MAX_TOKENS = 1024
MADE_UP = "made-up-for-the-check"  # stands for keys that a check needs none of
CHAT_STUDIO_MAX_TOKENS = 4096
CHAT_STUDIO_TIMEOUT = 120


class ClientRenderError(ValueError):
    """One or more client files cannot be rendered; `findings` has one sentence for each reason."""

    def __init__(self, findings: Sequence[str]) -> None:
        super().__init__("; ".join(findings))
        self.findings = tuple(findings)


@dataclass(frozen=True)
class ClientModel:
    """A model as the gateway offers it."""

    name: str
    capability: str
    aliases: tuple[str, ...] = ()
    max_input_tokens: int | None = None
    dimension: int | None = None
    timeout: int | None = None
    temperature: float | None = None
    max_tokens: int | None = None

    @classmethod
    def from_plan(cls, model: Mapping[str, Any]) -> ClientModel:
        defaults = model.get("request_defaults") or {}
        return cls(
            name=model["name"],
            capability=model["capability"],
            aliases=tuple(model.get("aliases") or ()),
            max_input_tokens=model.get("max_input_tokens"),
            dimension=model.get("dimension"),
            timeout=model.get("timeout"),
            temperature=defaults.get("temperature"),
            max_tokens=defaults.get("max_tokens"),
        )

    def answers_to(self, name: str) -> bool:
        return name == self.name or name in self.aliases


@dataclass(frozen=True)
class Context:
    """What a renderer may use: its own entry, where the gateway is for this program, the key, and the models."""

    entry: Mapping[str, Any]
    label: str
    root_url: str  # without /v1
    api_key: str
    models: Sequence[ClientModel]
    findings: list[str] = field(default_factory=list)
    crawl4ai_token: str | None = None
    predict: bool = False  # the text is for a comparison in check mode, so what is not known yet may be missing
    used: list[str] = field(default_factory=list)  # the models that the file names

    @property
    def v1_url(self) -> str:
        return f"{self.root_url}/v1"

    def refuse(self, key: str, message: str) -> None:
        self.findings.append(f"{self.label}.{key}: {message}")

    def model(self, key: str, capability: str, wanted: str | None = None) -> tuple[str, ClientModel] | None:
        """The name to write and the model behind it: the one asked for, else the first of that capability."""
        name = wanted if wanted is not None else self.entry.get(key)
        candidates = [model for model in self.models if model.capability == capability]
        if name is None:
            if candidates:
                self.used.append(candidates[0].name)
                return candidates[0].name, candidates[0]
            self.refuse(
                key, f"the gateway serves no {capability} model, and {self.entry['type']} needs one; declare one in inference_models"
            )
            return None
        for model in self.models:
            if model.answers_to(name):
                if model.capability == capability:
                    self.used.append(model.name)
                    return name, model
                self.refuse(key, f"{name!r} has the capability {model.capability}, but {self.entry['type']} needs {capability} here")
                return None
        served = ", ".join(model.name for model in candidates) or "none"
        self.refuse(key, f"{name!r} is not served by the gateway; {capability} models: {served}")
        return None


@dataclass(frozen=True)
class Program:
    """A client program: which keys its entry may have besides the common ones, and how its file is made."""

    render: Callable[[Context], str | None]
    keys: Mapping[str, Reader]
    merge: str = "none"
    in_container: bool = False  # whether it usually runs on the gateway's container network


# --- reading an entry --------------------------------------------------------------------------------------------

#: The value of one key in the type that it must have; None where it is left out, or wrong, which is reported.
Reader = Callable[[Fields, str], Any]
_VARIABLE_NAME = r"[A-Za-z_][A-Za-z0-9_]*"


def _integer(minimum: int = 1, maximum: int = 2**31) -> Reader:
    return lambda fields, key: fields.integer(key, minimum, maximum)


def _boolean(fields: Fields, key: str) -> bool:
    return fields.boolean(key, False)


def _mode(fields: Fields, key: str) -> str | None:
    return fields.maybe_text(key, pattern="0?[0-7]{3}", expected='four octal digits in quotes, such as "0640"')


def _owner(fields: Fields, key: str) -> str | None:
    return fields.maybe_text(key, pattern=r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?", expected="the name of a user or group, in quotes")


def _path(fields: Fields, key: str) -> str | None:
    """A path, also one that is not absolute: on the controller there are such."""
    text = fields.text(key)
    trouble = path_trouble("/" + text) if text else None
    if trouble or text.endswith("/"):
        fields.add(key, None, trouble or "is the path of a folder; give that of the file to write")
        return None
    return text or None


def _arguments(fields: Fields, key: str) -> tuple[str, ...]:
    arguments = fields.texts(key, pattern=NO_CONTROL, expected="one argument of docker create")
    for mistake in docker_flags.refused(arguments):
        fields.add(f"{key}[{mistake.position}]", None, mistake.message)
    return arguments


def _token(fields: Fields, key: str) -> str | None:
    """A plan knows only whether there is one: true."""
    value = fields.data[key]
    return str(value) if fields.secret(key) and (value is True or isinstance(value, str)) else None


def _variables(fields: Fields, key: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in fields.mapping(key).items():
        if not re.fullmatch(_VARIABLE_NAME, name):
            fields.add(f"{key}.{name}", None, "must be the name of an environment variable (letters, digits and _)")
        elif isinstance(value, (str, int, float)):
            found[name] = str(value)
        elif value is not None:
            fields.add(f"{key}.{name}", None, "must be one line of text, or a number")
    return found


def _variable_names(fields: Fields, key: str) -> tuple[str, ...]:
    return fields.texts(key, pattern=_VARIABLE_NAME, expected="the name of an environment variable (letters, digits and _)")


def _connections(fields: Fields, key: str) -> list[dict[str, Any]]:
    return [_read(item, fields.where(f"{key}[{number}]"), CONNECTION_KEYS, fields.report) for number, item in enumerate(fields.items(key))]


def _container(fields: Fields, key: str) -> bool | dict[str, Any]:
    if not isinstance(fields.data[key], Mapping):
        return fields.boolean(key, False)
    return _read(fields.data[key], fields.where(key), CRAWL4AI_CONTAINER_KEYS, fields.report)


COMMON_KEYS: Mapping[str, Reader] = {
    **dict.fromkeys(("type", "location", "base_url", "key"), Fields.maybe_text),
    **dict.fromkeys(("owner", "group"), _owner),
    "path": _path,
    **dict.fromkeys(("mode", "directory_mode"), _mode),
    "network": _boolean,
}
ENVIRONMENT_KEYS: Mapping[str, Reader] = {"variables": _variables, "key_names": _variable_names}
CONNECTION_KEYS: Mapping[str, Reader] = {
    **dict.fromkeys(("id", "name", "model"), Fields.maybe_text),
    **dict.fromkeys(("timeout", "max_tokens"), _integer()),
    "temperature": Fields.number,
}
CRAWL4AI_CONTAINER_KEYS: Mapping[str, Reader] = {
    "image": lambda fields, key: fields.maybe_text(key, pattern=IMAGE, expected="an image such as unclecode/crawl4ai:0.9.5"),
    "bind": lambda fields, _key: read_bind(fields, "127.0.0.1"),
    "shm_size": lambda fields, _key: read_shm_size(fields),
    "pull": lambda fields, key: fields.choice(key, PULL, "missing"),
    "port": _integer(maximum=65535),
    "start_timeout": _integer(),
    "networks": lambda fields, key: fields.texts(key, pattern=NETWORK_NAME, expected=NETWORK_EXPECTED),
    "arguments": _arguments,
}


def _read(data: Any, path: str, readers: Mapping[str, Reader], report: Report) -> dict[str, Any]:
    """The given values in their types; what is null or wrong is left out."""
    fields = Fields(data, path, report, sorted(readers))
    values = {key: reader(fields, key) for key, reader in readers.items() if fields.has(key)}
    return {key: value for key, value in values.items() if value is not None}


def _read_entry(raw: Any, label: str, findings: list[str]) -> dict[str, Any] | None:
    """An entry of a known type with its values in their types, or None."""
    entry = plain(raw)
    kind = entry.get("type") if isinstance(entry, Mapping) else None
    program = PROGRAMS.get(kind) if isinstance(kind, str) else None
    if program is None:
        findings.append(f"{label}.type: {_said(kind, 'type')} is not a known client program; known: {', '.join(sorted(PROGRAMS))}")
        return None
    report = Report()
    values = _read(entry, label, {**COMMON_KEYS, **program.keys}, report)
    # Without the value: it may be a key.
    findings.extend(f"{finding.variable}: {finding.message}" for finding in report.findings)
    return values


# --- the programs ------------------------------------------------------------------------------------------------


def _crawl4ai(context: Context) -> str | None:
    chosen = context.model("model", "chat")
    provider = context.entry.get("provider", "openai")
    if provider not in ("openai", "hosted_vllm"):
        context.refuse(
            "provider",
            f"{_said(provider, 'provider')} is none that LiteLLM speaks plain OpenAI to at LLM_BASE_URL; use openai or hosted_vllm",
        )
    if chosen is None:
        return None
    name, model = chosen
    variables = {
        "LLM_PROVIDER": f"{provider}/{name}",
        "LLM_BASE_URL": context.v1_url,
        "LLM_API_KEY": context.api_key,
    }
    temperature = context.entry.get("temperature", model.temperature)
    if temperature is not None:
        variables["LLM_TEMPERATURE"] = str(temperature)
    token = context.entry.get("api_token") or (context.crawl4ai_token if context.entry.get("container") else None)
    if token:
        variables["CRAWL4AI_API_TOKEN"] = token
    return _env(context, variables)


def _openai(context: Context) -> str | None:
    return _env(context, {"OPENAI_BASE_URL": context.v1_url, "OPENAI_API_KEY": context.api_key})


def _litellm_sdk(context: Context) -> str | None:
    return _env(context, {"GATEWAY_URL": context.root_url, "GATEWAY_KEY": context.api_key})


def _env(context: Context, variables: Mapping[str, str]) -> str | None:
    keys = dict.fromkeys(context.entry.get("key_names", ()), context.api_key)
    try:
        return render_env({**variables, **keys, **context.entry.get("variables", {})})
    except ClientFileError as error:
        context.refuse("variables", str(error))
        return None


def _chat_studio(context: Context) -> str | None:
    if "11434" in context.root_url or "ollama" in context.root_url.lower():
        context.refuse(
            "base_url",
            "Chat Studio takes this address for an Ollama server because of its name or port; give the gateway another public_url",
        )
    asked = context.entry.get("connections")
    if asked is None:
        asked = [{"model": model.name} for model in context.models if model.capability == "chat"]
    connections = []
    for number, connection in enumerate(asked):
        chosen = context.model(f"connections[{number}].model", "chat", connection.get("model"))
        if chosen is None:
            continue
        name, model = chosen
        connections.append(
            {
                "id": connection.get("id", f"gpu-inference-{name}"),
                "name": connection.get("name", name),
                "base_url": context.root_url,
                "model": name,
                "api_key": context.api_key,
                "timeout": connection.get("timeout", model.timeout or CHAT_STUDIO_TIMEOUT),
                "max_tokens": int(connection.get("max_tokens", model.max_tokens or _answer_limit(model, CHAT_STUDIO_MAX_TOKENS))),
                "temperature": float(connection.get("temperature", 0.7 if model.temperature is None else model.temperature)),
                "is_local": False,
            }
        )
    ids = [connection["id"] for connection in connections]
    for identity in sorted({identity for identity in ids if ids.count(identity) > 1}):
        context.refuse("connections", f"the id {identity!r} is used twice; ids tell Chat Studio's connections apart")
    return dump_connections({"connections": connections})


def _metis(context: Context) -> str | None:
    chat = context.model("model", "chat")
    embedding = context.model("embedding_model", "embedding")
    if chat is None or embedding is None:
        return None
    dimension = context.entry.get("embed_dim", embedding[1].dimension)
    if dimension is None and context.predict:
        dimension = 0
    if dimension is None:
        context.refuse("embed_dim", f"the dimension of {embedding[0]!r} was not measured; is the gateway up? Or give embed_dim here")
        return None
    size, overlap = chunking(embedding[1].max_input_tokens, context.entry.get("doc_chunk_size"), context.entry.get("doc_chunk_overlap"))
    if overlap >= size:
        context.refuse("doc_chunk_overlap", f"{overlap} is not smaller than doc_chunk_size ({size})")
    if embedding[1].max_input_tokens is not None and size >= embedding[1].max_input_tokens:
        context.refuse(
            "doc_chunk_size",
            f"{size} does not fit the context of {embedding[0]!r} ({embedding[1].max_input_tokens} tokens) with room to spare",
        )
    max_tokens = context.entry.get("max_tokens", METIS_MAX_TOKENS)
    engine: dict[str, Any] = {"embed_dim": dimension, "doc_chunk_size": size, "doc_chunk_overlap": overlap}
    if chat[1].max_input_tokens is not None and chat[1].max_input_tokens - max_tokens < METIS_MAX_TOKEN_LENGTH:
        engine = {"max_token_length": max(1, chat[1].max_input_tokens - max_tokens), **engine}
    embeddings = {"code_embedding_model": embedding[0], "docs_embedding_model": embedding[0]}
    provider = {"name": "vllm", "base_url": context.v1_url, "api_key": context.api_key}
    document: dict[str, Any] = {
        # Releases before embedding_provider take the embedding models from llm_provider; later ones ignore them there.
        "llm_provider": {**provider, "model": chat[0], **embeddings},
        # By default its client (langchain-openai) sends token ids of OpenAI's vocabulary, which mean other words to any other model.
        "embedding_provider": {
            **provider,
            **embeddings,
            **{f"{kind}_extra_kwargs": {"check_embedding_ctx_length": False} for kind in ("code", "docs")},
        },
        "metis_engine": engine,
        "query": {"model": chat[0], "temperature": float(context.entry.get("temperature", 0.0)), "max_tokens": max_tokens},
    }
    document = _deep_merge(document, context.entry.get("settings", {}))
    text = f"{MARKER}\n{yaml.safe_dump(document, sort_keys=False, default_flow_style=False, width=1000)}"
    if yaml.safe_load(text) != document:
        context.refuse("settings", "holds a value that a reader of YAML does not get back as it was, such as .nan")
        return None
    return text


PROGRAMS: Mapping[str, Program] = {
    "crawl4ai": Program(
        _crawl4ai,
        {
            **ENVIRONMENT_KEYS,
            **dict.fromkeys(("model", "provider"), Fields.maybe_text),
            "temperature": Fields.number,
            "api_token": _token,
            "container": _container,
        },
        in_container=True,
    ),
    "chat_studio": Program(_chat_studio, {"connections": _connections}, merge="connections"),
    "metis": Program(
        _metis,
        {
            **dict.fromkeys(("model", "embedding_model"), Fields.maybe_text),
            **dict.fromkeys(("max_tokens", "embed_dim", "doc_chunk_size"), _integer()),
            "doc_chunk_overlap": _integer(0),
            "temperature": Fields.number,
            "settings": Fields.mapping,
        },
    ),
    "openai": Program(_openai, ENVIRONMENT_KEYS),
    "litellm_sdk": Program(_litellm_sdk, ENVIRONMENT_KEYS),
}


# --- the whole ---------------------------------------------------------------------------------------------------


def render_client_files(
    files: Sequence[Mapping[str, Any]],
    *,
    gateway_url: str,
    models: Sequence[Mapping[str, Any]],
    api_key: str | None = None,
    api_keys: Mapping[str, str] | None = None,
    network_url: str | None = None,
    controller_dir: str | None = None,
    crawl4ai_token: str | None = None,
    predict: bool = False,
    variable: str = "clients_files",
) -> list[dict[str, Any]]:
    """The files to write, with their text; raise ClientRenderError with every reason why one cannot be."""
    findings: list[str] = []
    keys: dict[str, str] = plain(api_keys or {})
    catalogue = [ClientModel.from_plan(plain(model)) for model in models]
    rendered: list[dict[str, Any]] = []
    paths: dict[str, str] = {}
    for number, raw in enumerate(files):
        label = f"{variable}[{number}]"
        entry = _read_entry(raw, label, findings)
        if entry is None:
            continue
        program = PROGRAMS[entry["type"]]
        location = entry.get("location", "host")
        if location not in LOCATIONS:
            findings.append(f"{label}.location: {_said(location, 'location')} is not one of {', '.join(LOCATIONS)}")
            continue
        path = entry.get("path")
        if path and location == "controller" and controller_dir and not path.startswith(("/", "~")):
            path = f"{controller_dir.rstrip('/')}/{path}"
        if not path and plain(raw).get("path") is not None:
            continue  # told already
        if not path or not path.startswith(("/", "~")):
            findings.append(f"{label}.path: {_said(path, 'path')} is not an absolute path")
            continue
        place = f"{location}:{path}"
        if place in paths:
            findings.append(f"{label}.path: {path} is already written by {paths[place]}")
        paths[place] = label
        inside = entry.get("network", program.in_container and network_url is not None)
        if inside and network_url is None:
            findings.append(
                f"{label}.network: there is no gateway on this host's container network; leave network out to use the gateway's address"
            )
        base = entry.get("base_url") or (network_url if inside and network_url else gateway_url)
        root = root_url(base)
        if root is None:
            findings.append(
                f"{label}.base_url: {_said(base, 'base_url')} is not an http or https address, without a user, password or query"
            )
            continue
        key = _key_of(entry, keys, plain(api_key) if api_key else None, label, findings)
        if key is None:
            continue
        context = Context(
            entry=entry,
            label=label,
            root_url=root,
            api_key=key,
            models=catalogue,
            findings=findings,
            crawl4ai_token=plain(crawl4ai_token),
            predict=predict,
        )
        text = program.render(context)
        if text is not None:
            rendered.append(
                {
                    "location": location,
                    # Where the same gateway is for a program on the host itself, for a look whether key and models are right.
                    "gateway": {
                        "name": f"{entry['type']} {path}",
                        "base_url": f"{(root_url(gateway_url) or root) if root == root_url(network_url or '') else root}/v1",
                        "api_key": key,
                        "models": list(dict.fromkeys(context.used)),
                    },
                    "path": path,
                    "merge": program.merge,
                    "content": text,
                    **{key: entry[key] for key in ("owner", "group", "mode", "directory_mode") if key in entry},
                }
            )
    if findings:
        raise ClientRenderError(findings)
    return rendered


def entry_findings(hosts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Variable and message of what is wrong with the client files of these hosts however the plan comes out."""
    found: list[tuple[str, str]] = []
    for host, entries in hosts.items():
        findings: list[str] = []
        for number, raw in enumerate(entries if isinstance(entries, (list, tuple)) else ()):
            if isinstance(raw, Mapping):
                _read_entry(raw, f"inference_clients_config[{number}]", findings)
        found += _of_host(host, findings)
    return found


def _of_host(host: str, findings: Sequence[str]) -> list[tuple[str, str]]:
    parts = [finding.partition(": ") for finding in findings]
    return [(f"{variable} (host {host})", message) for variable, _separator, message in parts]


def plan_findings(plan: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Variable and message of every mistake in the client files of a plan; keys and dimensions are made up for that."""
    gateway = plan.get("gateway")
    found: list[tuple[str, str]] = []
    for host, entries in (plan.get("clients") or {}).items():
        if not entries or gateway is None:
            continue
        keys = dict.fromkeys(gateway["client_names"], MADE_UP)
        try:
            rendered = render_client_files(
                entries,
                gateway_url=gateway["url"],
                models=gateway["models"],
                api_keys=keys,
                network_url="http://litellm-gateway:4000" if host in gateway["hosts"] else None,
                controller_dir="/",
                crawl4ai_token=MADE_UP,
                predict=True,
                variable="inference_clients_config",
            )
            taken = {row["port"]: f"the service {row['service']}" for row in plan["table"] if row["host"] == host}
            if host in gateway["hosts"]:
                taken[gateway["port"]] = "the gateway"
            container_units(entries, rendered, "image", "inference_clients_config", taken)
        except ClientRenderError as error:
            found += _of_host(host, error.findings)
    return found


def files_to_write(rendered: Sequence[Mapping[str, Any]], location: str) -> list[dict[str, Any]]:
    """The rendered files of one location, as the module client_files takes them."""
    return [
        {key: value for key, value in entry.items() if key not in ("location", "gateway")}
        for entry in plain(rendered)
        if entry["location"] == location
    ]


def gateway_endpoints(rendered: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For the module endpoint_ready: does the gateway know each file's key, and list the models that it names?"""
    endpoints = []
    for entry in plain(rendered):
        gateway = entry["gateway"]
        endpoints += [
            {
                "name": gateway["name"] if model is None else f"{gateway['name']} ({model})",
                "base_url": gateway["base_url"],
                "api_key": gateway["api_key"],
                "health_path": "",
                "level": "model",
                **({} if model is None else {"model": model}),
            }
            for model in gateway["models"] or [None]
        ]
    return endpoints


def container_units(
    files: Sequence[Mapping[str, Any]],
    rendered: Sequence[Mapping[str, Any]],
    image: str,
    variable: str = "clients_files",
    taken: Mapping[int, str] | None = None,
) -> list[dict[str, Any]]:
    """The client programs that run as containers here, as units; their environment is the file that was rendered for them.

    C(taken) says whose the ports are that they cannot have on this host.
    """
    texts = {entry["path"]: entry["content"] for entry in rendered if entry["location"] == "host"}
    units: list[dict[str, Any]] = []
    findings: list[str] = []
    for number, raw in enumerate(files):
        entry = _read_entry(raw, f"{variable}[{number}]", findings)
        if entry is None or not entry.get("container"):
            continue
        label = f"{variable}[{number}].container"
        container = entry["container"] if isinstance(entry["container"], dict) else {}
        if units:
            findings.append(f"{label}: a host runs one Crawl4AI container, and {variable} has another before this one")
        environment = parse_env_as_docker(texts.get(entry["path"], ""))
        if not environment.get("CRAWL4AI_API_TOKEN"):
            # Without it Crawl4AI listens on its own loopback alone, and the published port answers nobody.
            findings.append(f"{label}: Crawl4AI needs api_token to be reachable from outside of its container")
        port = container.get("port", CRAWL4AI_PORT)
        if taken and port in taken:
            findings.append(f"{label}.port: {port} is the port of {taken[port]} on this host too; give the container another port")
        units.append(
            {
                "kind": "crawl4ai",
                "name": "crawl4ai",
                "image": container.get("image", image),
                "pull": container.get("pull", "missing"),
                "entrypoint": None,
                "command": [],
                "docker_arguments": [
                    *("--publish", f"{container.get('bind', '127.0.0.1')}:{port}:{CRAWL4AI_PORT}"),
                    *("--network-alias", "crawl4ai"),
                    *("--shm-size", container.get("shm_size", "1g")),
                    *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
                    *container.get("arguments", ()),
                ],
                "networks": list(container.get("networks", ["inference"])),
                "files": {},
                "environment": {},
                "secret_environment": environment,
                "locks": [],
                "probe": {"base_url": f"http://127.0.0.1:{port}", "health_path": "/health", "level": "health"},
                "start_timeout": container.get("start_timeout", 600),
                "stop_timeout": 30,
                "watchdog": 120,
                "drop_page_cache": False,
                "pull_models": [],
            }
        )
    if findings:
        raise ClientRenderError(findings)
    return units


def models_to_measure(files: Sequence[Mapping[str, Any]], models: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The embedding models whose dimension a file needs and nobody has given: to be asked for before rendering."""
    catalogue = [plain(model) for model in models]
    needed: list[dict[str, Any]] = []
    for raw in files:
        entry = plain(raw)
        if entry.get("type") != "metis" or entry.get("embed_dim") is not None:
            continue
        wanted = entry.get("embedding_model")
        for model in catalogue:
            served = model["capability"] == "embedding" and (wanted is None or ClientModel.from_plan(model).answers_to(wanted))
            if served:
                if model.get("dimension") is None and model not in needed:
                    needed.append(model)
                break
    return needed


def with_dimensions(models: Sequence[Mapping[str, Any]], measured: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """`models` with the dimensions found in the rows that verify_gateway returned."""
    found = {row["model"]: row["dimension"] for row in plain(list(measured)) if row.get("dimension") is not None}
    return [{**plain(model), **({"dimension": found[model["name"]]} if model["name"] in found else {})} for model in models]


def root_url(url: str) -> str | None:
    """The address of the gateway without a trailing slash or /v1; None where it is no http address."""
    root = url.rstrip("/")
    if root.endswith("/v1"):
        root = root[: -len("/v1")].rstrip("/")
    return root if is_http_address(root) and not has_credentials(root) else None


def _key_of(entry: Mapping[str, Any], keys: Mapping[str, str], single: str | None, label: str, findings: list[str]) -> str | None:
    """The key that this program uses: the one it names, else the one given for all, else the only one there is."""
    name = entry.get("key")
    if name is not None:
        if name in keys:
            return keys[name]
        # Without the name: it may be a key itself.
        known = f"known: {', '.join(sorted(keys))}" if keys else "there are none"
        findings.append(f"{label}.key: is no name of a client of the gateway ({known}); add it to inference_gateway.client_keys, with null")
        return None
    if single is not None:
        return single
    if len(keys) == 1:
        return next(iter(keys.values()))
    if keys:
        findings.append(f"{label}.key: say which client of the gateway this is, one of {', '.join(sorted(keys))}")
    else:
        add = f"inference_gateway.client_keys: {{{entry['type']}: null}}"
        findings.append(f"{label}.key: the gateway has no client keys; add one: {add} (null: generated)")
    return None


def _said(value: Any, field: str) -> str:
    """A value for a sentence; its kind where it may be a secret."""
    line = str(shown(value, f"inference_clients_config.{field}"))
    return line if line.startswith("(") else repr(value)


def _answer_limit(model: ClientModel, wanted: int) -> int:
    return wanted if model.max_input_tokens is None else max(1, min(wanted, model.max_input_tokens // 2))


def _deep_merge(base: Mapping[str, Any], further: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in further.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = _deep_merge(merged[key], value)
        else:
            merged[key] = value
    return merged
