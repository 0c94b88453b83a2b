# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What each client program reads, rendered from the models that the gateway serves.

Every text is parsed back as its reader would before it is handed out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...module_utils._clients import MARKER
from .._gateway.plain import plain
from .._plan.findings import is_http_address
from .._secrets.secrecy import has_credentials
from .base import CA_FOLDER, CaFiles, ClientModel, ClientRenderError, Context, Mistake, Task
from .entries import Entry, read_entry
from .keys import said

LOCATIONS = ("host", "controller")
#: Stands in check mode for a token that is made only later.
UNKNOWN_TOKEN = "unknown-in-check-mode"  # noqa: S105 -- no secret


@dataclass(frozen=True)
class _Surroundings:
    """What all files of a host have in common."""

    gateway_url: str
    network_url: str | None
    models: Sequence[ClientModel]
    key: str | None
    keys: Mapping[str, str]
    tokens: Mapping[str, str]
    controller_dir: str | None
    targets: Sequence[Mapping[str, Any]]
    predict: bool
    ca: str

    def ca_files(self, location: str) -> CaFiles | None:
        folder = CA_FOLDER if location == "host" else self.controller_dir
        return CaFiles(folder.rstrip("/")) if self.ca and folder else None


def render_client_files(  # noqa: PLR0913 -- as the filter has them
    files: Sequence[Mapping[str, Any]],
    *,
    gateway_url: str,
    models: Sequence[Mapping[str, Any]],
    api_key: str | None = None,
    api_keys: Mapping[str, str] | None = None,
    network_url: str | None = None,
    controller_dir: str | None = None,
    targets: Sequence[Mapping[str, Any]] = (),
    tokens: Mapping[str, str] | None = None,
    predict: bool = False,
    ca: str = "",
    variable: str = "clients_files",
) -> list[dict[str, Any]]:
    """The files to write, with their text; raise ClientRenderError with every reason why one cannot be."""
    around = _Surroundings(
        gateway_url=gateway_url,
        network_url=network_url,
        models=[ClientModel.from_plan(plain(model)) for model in models],
        key=plain(api_key) if api_key else None,
        keys=plain(api_keys or {}),
        tokens=plain(tokens or {}),
        controller_dir=controller_dir,
        targets=plain(targets),
        predict=predict,
        ca=ca,
    )
    mistakes: list[Mistake] = []
    rendered: list[dict[str, Any]] = []
    paths: dict[str, str] = {}
    for number, raw in enumerate(files):
        entry = read_entry(raw, f"{variable}[{number}]", mistakes)
        place = _place(entry, raw, around, mistakes) if entry else None
        if entry is None or place is None:
            continue
        location, path = place
        files = _rendered(entry, location, path, around, mistakes)
        for taken in [file["path"] for file in files] or [path]:
            written = f"{location}:{taken}"
            if written in paths:
                mistakes.append(Mistake(f"{entry.label}.path", f"{taken} is already written by {paths[written]}"))
            paths[written] = entry.label
        rendered += files
    if mistakes:
        raise ClientRenderError(mistakes)
    return rendered


def _place(entry: Entry, raw: Any, around: _Surroundings, mistakes: list[Mistake]) -> tuple[str, str] | None:
    """Where the file is written: location and path."""
    location = str(entry.values.get("location", "host"))
    if location not in LOCATIONS:
        mistakes.append(Mistake(f"{entry.label}.location", f"{said(location, 'location')} is not one of {', '.join(LOCATIONS)}"))
        return None
    path: str | None = entry.values.get("path")
    if path and location == "controller" and around.controller_dir and not path.startswith(("/", "~")):
        path = f"{around.controller_dir.rstrip('/')}/{path}"
    if path and path.startswith(("/", "~")):
        return location, path
    if path or plain(raw).get("path") is None:  # else it is told already
        mistakes.append(Mistake(f"{entry.label}.path", f"{said(path, 'path')} is not an absolute path"))
    return None


def _rendered(entry: Entry, location: str, path: str, around: _Surroundings, mistakes: list[Mistake]) -> list[dict[str, Any]]:
    """The file as the module client_files takes it, with where its program finds the gateway, and those beside it."""
    root = _root(entry, around, mistakes)
    key = None if root is None else _key_of(entry, around, mistakes)
    if root is None or key is None:
        return []
    key_name, api_key = key
    context = Context(
        client=entry.client,
        entry=entry.values,
        label=entry.label,
        root_url=root,
        api_key=api_key,
        models=around.models,
        key_name=key_name,
        mistakes=mistakes,
        own_token=_token(entry, around),
        predict=around.predict,
        path=path,
        on_host=location == "host",
        targets=around.targets,
        ca=around.ca_files(location),
    )
    text = entry.client.render(context)
    if text is None:
        return []
    task = entry.client.task if entry.values.get("verify") == "run" else None
    if task is not None and location == "host" and "owner" not in entry.values:
        context.refuse("owner", f"say whose {entry.client.title} is to run; without it that would be root's")
        return []
    # Where the same gateway is for a program on the host itself, for a look whether key and models are right.
    from_host = (root_url(around.gateway_url) or root) if root == root_url(around.network_url or "") else root
    gateway = {
        "name": f"{entry.client.name} {path}",
        "base_url": f"{from_host}/v1",
        "api_key": api_key,
        "models": list(dict.fromkeys(context.used)),
    }
    given = {name: entry.values[name] for name in ("owner", "group", "mode", "directory_mode") if name in entry.values}
    main = {
        "location": location,
        **({} if entry.client.reads_metrics else {"gateway": gateway}),
        **({} if task is None else {"run": _run(entry, task, context)}),
        "path": path,
        "merge": entry.client.merge,
        "content": text,
        **given,
    }
    more = entry.client.beside(context)
    return [
        main,
        *({**main, "path": name, "content": file.text, **given, "mode": file.mode, "merge": file.merge} for name, file in more.items()),
    ]


def _run(entry: Entry, task: Task, context: Context) -> dict[str, Any]:
    """How the program proves itself, as the module client_run takes it; where its file is that module is told besides."""
    program = entry.values.get("program", task.command[0])
    return {
        "name": entry.client.name,
        "title": entry.client.title,
        "model": context.used[0],
        "command": [program, *task.command[1:]],
        "file": task.file,
        "elsewhere": dict(task.elsewhere),
        "environment": {**task.environment, **context.ca_variables},
        "secrets": [context.api_key],
    }


def _root(entry: Entry, around: _Surroundings, mistakes: list[Mistake]) -> str | None:
    """The address of the gateway for this program."""
    network_url = around.network_url
    inside = entry.values.get("network", entry.client.in_container and network_url is not None)
    if inside and network_url is None:
        message = "there is no gateway on this host's container network; leave network out to use the gateway's address"
        mistakes.append(Mistake(f"{entry.label}.network", message))
    base = entry.values.get("base_url") or (network_url if inside and network_url else around.gateway_url)
    root = root_url(base)
    if root is None:
        message = f"{said(base, 'base_url')} is not an http or https address, without a user, password or query"
        mistakes.append(Mistake(f"{entry.label}.base_url", message))
    return root


def _token(entry: Entry, around: _Surroundings) -> str | None:
    """The one that was made for the program's container."""
    if entry.container is None or entry.container.token is None:
        return None
    return around.tokens.get(entry.client.name) or (UNKNOWN_TOKEN if around.predict else None)


def _key_of(entry: Entry, around: _Surroundings, mistakes: list[Mistake]) -> tuple[str | None, str] | None:
    """The key that this program uses, with its name: the one it names, else the one given for all, which has none, else the only one."""
    name, keys = entry.values.get("key"), around.keys
    if name is not None:
        if name in keys:
            return name, keys[name]
        # Without the name: it may be a key itself.
        known = f"known: {', '.join(sorted(keys))}" if keys else "there are none"
        message = f"is not a client of the gateway ({known}); add it to inference_gateway.client_keys, with null"
    elif around.key is not None:
        return None, around.key
    elif len(keys) == 1:
        return next(iter(keys.items()))
    elif keys:
        message = f"say which client of the gateway this is, one of {', '.join(sorted(keys))}"
    else:
        add = f"inference_gateway.client_keys: {{{entry.client.name}: null}}"
        message = f"the gateway has no client keys; add one: {add} (null: generated)"
    mistakes.append(Mistake(f"{entry.label}.key", message))
    return None


def root_url(url: str) -> str | None:
    """The address of the gateway without a trailing slash or /v1; None where it is no http address."""
    root = url.rstrip("/")
    if root.endswith("/v1"):
        root = root[: -len("/v1")].rstrip("/")
    return root if is_http_address(root) and not has_credentials(root) else None


def files_to_write(rendered: Sequence[Mapping[str, Any]], location: str, ca: str = "", controller_dir: str = "") -> list[dict[str, Any]]:
    """The rendered files of one location, as the module client_files takes them, and with them the authority of the gateway."""
    found = [
        {key: value for key, value in entry.items() if key not in ("location", "gateway", "run")}
        for entry in plain(rendered)
        if entry["location"] == location
    ]
    if ca and found:
        paths = CaFiles((CA_FOLDER if location == "host" else controller_dir).rstrip("/")).paths
        text = f"{MARKER}\n{plain(ca)}"
        found += [
            {"path": path, "content": text, "mode": "0644", "beside_those_of_the_host": kind == "bundle"} for kind, path in paths.items()
        ]
    return found


def programs_to_run(rendered: Sequence[Mapping[str, Any]], location: str) -> list[dict[str, Any]]:
    """The programs of one location that prove themselves, as the module client_run takes them."""
    return [
        {**entry["run"], "path": entry["path"], **({"user": entry["owner"]} if "owner" in entry else {})}
        for entry in plain(rendered)
        if entry["location"] == location and "run" in entry
    ]


def gateway_endpoints(rendered: Sequence[Mapping[str, Any]], ca: str = "") -> list[dict[str, Any]]:
    """For the module endpoint_ready: does the gateway know each file's key, and list the models that it names?"""
    endpoints = []
    for gateway in (entry["gateway"] for entry in plain(rendered) if "gateway" in entry):
        endpoints += [
            {
                "name": gateway["name"] if model is None else f"{gateway['name']} ({model})",
                "base_url": gateway["base_url"],
                "api_key": gateway["api_key"],
                "health_path": "",
                "level": "model",
                **({} if model is None else {"model": model}),
                **({"ca": ca} if ca else {}),
            }
            for model in gateway["models"] or [None]
        ]
    return endpoints
