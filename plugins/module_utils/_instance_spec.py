# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""What the launcher is asked to run: service.json and env of an instance, as the reconciler wrote them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_flags as docker_flags
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import OWNER, Instance, is_ours
except ImportError:  # on the node the files lie side by side
    import _docker_flags as docker_flags  # type: ignore[import-not-found,no-redef]
    from _node import OWNER, Instance, is_ours  # type: ignore[import-not-found,no-redef]


class SpecError(ValueError):
    """The service.json of an instance cannot be used."""


@dataclass(frozen=True)
class ProbeSpec:
    base_url: str
    health_path: str = "/health"
    level: str = "answer"
    capability: str = "chat"
    model: str | None = None
    modalities: tuple[str, ...] = ()
    api_key_variable: str | None = None
    dimension: int | None = None
    further_models: tuple[str, ...] = ()
    speaks: str = "openai"
    ca_path: str | None = None


@dataclass(frozen=True)
class GroupSpec:
    """The hosts of one model on several; the first is rank 0, and leads."""

    rank: int
    port: int  # where their launchers hear each other
    digest: str  # of what all of them must have alike
    key_variable: str
    members: tuple[tuple[str, str], ...]  # host, and its address on the cluster's network


@dataclass(frozen=True)
class Spec(Instance):
    """An instance, as the reconciler wrote it into service.json."""

    image: str
    config_hash: str
    spec_hash: str = ""
    pull: str = "missing"
    entrypoint: str | None = None
    command: tuple[str, ...] = ()
    docker_arguments: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    locks: tuple[str, ...] = ()
    probe: ProbeSpec | None = None
    start_timeout: float = 900.0
    silence_timeout: float = 600.0
    stop_timeout: float = 60.0
    watchdog: float = 0.0
    drop_page_cache: bool = False
    pull_models: tuple[str, ...] = ()
    download_command: tuple[str, ...] = ()
    download_entrypoint: str | None = None
    secret_names: tuple[str, ...] = ()
    restart_limit: int = 5
    memory_limit_mib: int | None = None
    group: GroupSpec | None = None
    handover_socket: str = ""


def _strings(document: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = document.get(key) or []
    if not isinstance(value, list):
        raise SpecError(f"{key} is not a list")
    return tuple(str(item) for item in value)


def _bound(document: Mapping[str, Any]) -> int | None:
    """The bound on main memory; a --memory among the arguments is somebody's own and wins."""
    if not document.get("memory_limit_mib") or docker_flags.values(_strings(document, "docker_arguments"), "memory"):
        return None
    return int(document["memory_limit_mib"])


def _group(document: Mapping[str, Any]) -> GroupSpec | None:
    raw = document.get("group")
    if not raw:
        return None
    try:
        members = tuple((str(member["host"]), str(member["address"])) for member in raw["members"])
        found = GroupSpec(int(raw["rank"]), int(raw["port"]), str(raw["digest"]), str(raw["key_variable"]), members)
    except (KeyError, TypeError) as error:
        raise SpecError(f"group has no {error}") from error
    if not 0 <= found.rank < len(members):
        raise SpecError("group has no member of this rank")
    return found


def parse_spec(text: str, kind: str, name: str) -> Spec:
    """Reads service.json; unknown keys are left alone, so that an older launcher lives with a newer collection."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise SpecError(f"service.json is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise SpecError("service.json is not a JSON object")
    if not is_ours(document):
        raise SpecError(f"service.json does not carry the owner marker {OWNER}")
    if (document.get("kind"), document.get("name")) != (kind, name):
        raise SpecError("service.json is that of {}/{}".format(document.get("kind"), document.get("name")))
    for key in ("image", "config_hash"):
        if not document.get(key):
            raise SpecError(f"service.json has no {key}")
    probe_spec = None
    raw = document.get("probe")
    if raw:
        if not raw.get("base_url"):
            raise SpecError("probe has no base_url")
        probe_spec = ProbeSpec(
            base_url=str(raw["base_url"]),
            health_path=str(raw.get("health_path") or "/health"),
            level=str(raw.get("level") or "answer"),
            capability=str(raw.get("capability") or "chat"),
            model=raw.get("model"),
            modalities=_strings(raw, "modalities"),
            api_key_variable=raw.get("api_key_variable"),
            dimension=raw.get("dimension"),
            further_models=_strings(raw, "further_models"),
            speaks=str(raw.get("speaks") or "openai"),
            ca_path=raw.get("ca_path"),
        )
    try:
        return Spec(
            kind=kind,
            name=name,
            image=str(document["image"]),
            config_hash=str(document["config_hash"]),
            spec_hash=str(document.get("spec_hash") or ""),
            pull=str(document.get("pull") or "missing"),
            entrypoint=document.get("entrypoint"),
            command=_strings(document, "command"),
            docker_arguments=_strings(document, "docker_arguments"),
            networks=_strings(document, "networks"),
            locks=tuple(sorted(set(_strings(document, "locks")))),
            probe=probe_spec,
            start_timeout=float(document.get("start_timeout") or 900),
            silence_timeout=float(600 if document.get("silence_timeout") is None else document["silence_timeout"]),
            stop_timeout=float(60 if document.get("stop_timeout") is None else document["stop_timeout"]),
            watchdog=float(document.get("watchdog") or 0),
            drop_page_cache=bool(document.get("drop_page_cache")),
            pull_models=_strings(document, "pull_models"),
            download_command=_strings(document, "download_command"),
            download_entrypoint=document.get("download_entrypoint"),
            secret_names=_strings(document, "secret_names"),
            restart_limit=int(document.get("restart_limit") or 5),
            memory_limit_mib=_bound(document),
            group=_group(document),
            handover_socket=str(document.get("handover_socket") or ""),
        )
    except (TypeError, ValueError) as error:
        raise SpecError(f"service.json has a value of the wrong type: {error}") from error


def parse_env(text: str) -> dict[str, str]:
    """An env file in Docker's form: no quoting, no escapes, and lines that end with a line feed (Go's bufio.ScanLines) and nothing else."""
    pairs = (line.partition("=") for line in text.split("\n") if line and not line.startswith("#"))
    return {key: value for key, separator, value in pairs if separator}
