# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The client programs that run as containers of a host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...module_utils._clients import parse_env_as_docker
from .base import CA_FOLDER, Client, ClientRenderError, Container, Mistake
from .entries import Entry, read_entries

START_TIMEOUT = 600
"""Seconds that a program has to answer."""


def container_units(
    files: Sequence[Mapping[str, Any]],
    rendered: Sequence[Mapping[str, Any]],
    images: Mapping[str, str] | None = None,
    variable: str = "clients_files",
    taken: Mapping[int, str] | None = None,
) -> list[dict[str, Any]]:
    """The client programs that run as containers here, as units; their environment is the file that was rendered for them.

    C(images) are those of programs for which an entry names none. C(taken) says whose the ports are that they cannot have on this host.
    """
    texts = {entry["path"]: entry["content"] for entry in rendered if entry["location"] == "host"}
    units: list[dict[str, Any]] = []
    mistakes: list[Mistake] = []
    ports: dict[int, Client] = {}
    for entry in read_entries(files, variable, mistakes):
        container = entry.container
        if container is None:
            continue
        title, where = entry.client.title, f"{entry.label}.container"
        if any(unit["kind"] == entry.client.name for unit in units):
            mistakes.append(Mistake(where, f"a host runs one {title} container, and {variable} has another before this one"))
        environment = parse_env_as_docker(texts.get(entry.values["path"], ""))
        if container.token and not environment.get(container.token.variable):
            mistakes.append(Mistake(where, f"{title} needs {container.token.key} {container.token.purpose}"))
        port = _settings(entry).get("port", container.port)
        holder = (taken or {}).get(port)
        if holder is None and port in ports and ports[port] is not entry.client:
            holder = f"the container of {ports[port].title}"
        if holder is not None:
            mistakes.append(Mistake(f"{where}.port", f"{port} is the port of {holder} on this host too; give the container another port"))
        ports.setdefault(port, entry.client)
        image = (images or {}).get(entry.client.name, container.image)
        units.append(_unit(entry.client.name, container, _settings(entry), port, image, environment, _mounts(entry, environment)))
    if mistakes:
        raise ClientRenderError(mistakes)
    return units


def _settings(entry: Entry) -> dict[str, Any]:
    container = entry.values["container"]
    return container if isinstance(container, dict) else {}


def _mounts(entry: Entry, environment: Mapping[str, str]) -> list[str]:
    """Of the authority of the gateway's certificate: the same path in the container, which its environment names."""
    paths = {environment[name] for name in entry.client.ca_variables if environment.get(name, "").startswith(f"{CA_FOLDER}/gateway-ca")}
    return [word for path in sorted(paths) for word in ("--mount", f"type=bind,source={path},target={path},readonly")]


def _unit(
    name: str,
    container: Container,
    settings: Mapping[str, Any],
    port: int,
    image: str,
    environment: Mapping[str, str],
    mounts: Sequence[str],
) -> dict[str, Any]:
    shm_size = settings.get("shm_size", container.shm_size)
    return {
        "kind": name,
        "name": name,
        "image": settings.get("image", image),
        "pull": settings.get("pull", "missing"),
        "entrypoint": None,
        "command": [],
        "docker_arguments": [
            *("--publish", f"{settings.get('bind', '127.0.0.1')}:{port}:{container.port}"),
            *("--network-alias", name),
            *(("--shm-size", shm_size) if shm_size else ()),
            *(("--volume", f"gpu-inference-{name.replace('_', '-')}:{container.data}") if container.data else ()),
            *mounts,
            *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
            *settings.get("arguments", ()),
        ],
        "networks": list(settings.get("networks", ["inference"])),
        "files": {},
        "environment": {},
        "secret_environment": environment,
        "locks": [],
        "probe": {"base_url": f"http://127.0.0.1:{port}", "health_path": container.health_path, "level": "health"},
        "start_timeout": settings.get("start_timeout", START_TIMEOUT),
        "stop_timeout": 30,
        "watchdog": 120,
        "drop_page_cache": False,
        "pull_models": [],
    }


def tokens_to_make(files: Sequence[Mapping[str, Any]]) -> list[str]:
    """The programs that run as containers here and need a token that no entry gives."""
    needed = [
        entry.client.name
        for entry in read_entries(files, "clients_files", [])
        if entry.container and entry.container.token and entry.container.token.key not in entry.values
    ]
    return list(dict.fromkeys(needed))
