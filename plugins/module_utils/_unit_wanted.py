# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What is wanted of an instance: the module's parameters, checked, and the texts and hashes that follow from them."""

from __future__ import annotations

import hashlib
import json
import re
import typing as t
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_flags as docker_flags
from ansible_collections.llmops.gpu_inference.plugins.module_utils._live_files import LIVE_FOLDER, LiveFiles, parse_owner, want_live
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import ENV_FILE, OWNER, SERVICE_FILE, Instance
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_errors import UnitsError
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_fetch import check_arguments
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_folder import FILE_NAME

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# Parts of an instance that make another container. The rest only steers the launcher.
CONTAINER_KEYS = ("kind", "name", "image", "entrypoint", "command", "docker_arguments", "networks", "locks", "pull_models")
LAUNCHER_KEYS = (
    "pull",
    "probe",
    "start_timeout",
    "silence_timeout",
    "stop_timeout",
    "watchdog",
    "drop_page_cache",
    "download_entrypoint",
    "download_command",
    "restart_limit",
)
# Settings of the launcher that came later: left out where they are not given, so that the hashes of older units hold.
LATER_KEYS = ("memory_limit_mib", "group", "handover_socket")


@dataclass(frozen=True)
class Check:
    """A run of the instance's image that reads a configuration and says by its exit status whether it would do."""

    arguments: tuple[str, ...]  # of docker run, before the image
    command: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Wanted(Instance):
    """An instance with the files that belong into its folder."""

    image: str
    pull: str
    config_hash: str
    spec_hash: str
    locks: tuple[str, ...]
    stop_timeout: float
    files: Mapping[str, str] = field(repr=False)  # service.json and env among them
    secret_names: frozenset[str] = frozenset()
    secrets: tuple[str, ...] = field(default=(), repr=False)
    check: Check | None = field(default=None, repr=False)
    handover_socket: str = ""
    is_part: bool = False  # of an engine over several hosts
    live: LiveFiles = field(default_factory=LiveFiles, repr=False)  # no part of any hash: the container reads them itself


def _digest(value: t.Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _variable_text(value: t.Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def env_text(environment: Mapping[str, str]) -> str:
    """A file for docker's --env-file, which knows neither quotes nor escapes."""
    return "".join(f"{key}={value}\n" for key, value in sorted(environment.items()))


def _check(parameters: Mapping[str, t.Any], environment: Mapping[str, str]) -> list[str]:
    where = f"{parameters['kind']}/{parameters['name']}"
    errors = [
        f"instance {where}: {key} '{parameters[key]}' may consist of lower-case letters, digits, '-', '_' and '.' only"
        for key in ("kind", "name")
        if not NAME.fullmatch(parameters[key])
    ]
    for file in parameters.get("files") or {}:
        if not FILE_NAME.fullmatch(file) or file in (SERVICE_FILE, ENV_FILE, LIVE_FOLDER):
            errors.append(f"instance {where}: files: '{file}' is not a plain file name, or is used already")
    live = [*(parameters.get("live_files") or {}), *(parameters.get("secret_live_files") or {})]
    for file in live:
        if not FILE_NAME.fullmatch(file) or live.count(file) > 1:
            errors.append(f"instance {where}: live_files: '{file}' is not a plain file name, or is used already")
    if parse_owner(str(parameters.get("live_owner") or "0")) is None:
        errors.append(
            f"instance {where}: live_owner '{parameters['live_owner']}' must be numbers, USER or USER:GROUP: names differ by image"
        )
    for name, value in environment.items():
        if not _VARIABLE.fullmatch(name):
            errors.append(f"instance {where}: environment: '{name}' is not the name of an environment variable")
        if "\n" in value or "\r" in value or "\0" in value:
            errors.append(f"instance {where}: environment: {name} has a line break, which Docker's env files cannot hold")
    read = (parameters.get("check") or {}).get("input")
    if read and read not in (parameters.get("files") or {}):
        errors.append(f"instance {where}: check.input: '{read}' is not among files")
    taken = dict.fromkeys(environment, "it is in environment or secret_environment, which it would override")
    errors += [
        f"instance {where}: docker_arguments[{mistake.position}] '{mistake.shown}' {mistake.message}"
        for mistake in docker_flags.refused(parameters.get("docker_arguments") or [], variables=taken)
    ]
    probe = parameters.get("probe") or {}
    variable = probe.get("api_key_variable")
    if variable and variable not in environment:
        errors.append(f"instance {where}: probe.api_key_variable: '{variable}' is not among environment and secret_environment")
    return errors + [f"instance {where}: {error}" for error in _group_errors(parameters.get("group"), environment)]


def _group_errors(group: Mapping[str, t.Any] | None, environment: Mapping[str, str]) -> list[str]:
    errors = []
    if group and group["key_variable"] not in environment:
        errors.append(f"group.key_variable: '{group['key_variable']}' is not among environment and secret_environment")
    if group and not 0 <= group["rank"] < len(group["members"]):
        errors.append(f"group.rank: {group['rank']} is none of the {len(group['members'])} members")
    return errors


def want_check(parameters: Mapping[str, t.Any], files: Mapping[str, str], environment: Mapping[str, str]) -> Check | None:
    check = parameters.get("check")
    if not check:
        return None
    arguments = check_arguments(parameters.get("docker_arguments") or [], "{kind}/{name}".format(**parameters), environment)
    if check.get("entrypoint") is not None:
        arguments += ["--entrypoint", check["entrypoint"]]
    return Check(tuple(arguments), tuple(check.get("command") or ()), files.get(check.get("input") or "", ""))


def want(parameters: Mapping[str, t.Any]) -> Wanted:
    """An instance from the module's parameters. Raises UnitsError with all that is wrong."""
    plain = {key: _variable_text(value) for key, value in (parameters.get("environment") or {}).items()}
    secret = {key: _variable_text(value) for key, value in (parameters.get("secret_environment") or {}).items()}
    environment = {**plain, **secret}
    errors = _check(parameters, environment)
    if errors:
        raise UnitsError("; ".join(errors))
    files = {name: str(text) for name, text in (parameters.get("files") or {}).items()}
    service: dict[str, t.Any] = {key: parameters.get(key) for key in CONTAINER_KEYS + LAUNCHER_KEYS}
    service.update({key: parameters[key] for key in LATER_KEYS if parameters.get(key) is not None})
    service["locks"] = sorted(set(service["locks"] or []))
    if service["probe"]:
        service["probe"] = {key: value for key, value in service["probe"].items() if value is not None}
    service["owner"] = OWNER
    service["files"] = sorted(files)
    service["secret_names"] = sorted(secret)
    service["config_hash"] = _digest([{key: service[key] for key in CONTAINER_KEYS}, files, environment])
    service["spec_hash"] = _digest(service)
    return Wanted(
        kind=service["kind"],
        name=service["name"],
        image=service["image"],
        pull=service["pull"] or "missing",
        config_hash=service["config_hash"],
        spec_hash=service["spec_hash"],
        locks=tuple(service["locks"]),
        stop_timeout=float(service["stop_timeout"] or 0),
        files={**files, ENV_FILE: env_text(environment), SERVICE_FILE: json.dumps(service, indent=2, sort_keys=True) + "\n"},
        secret_names=frozenset(secret),
        secrets=tuple(value for value in secret.values() if len(value) >= 4),
        check=want_check(parameters, files, plain),
        handover_socket=str(parameters.get("handover_socket") or ""),
        is_part=bool(parameters.get("group")),
        live=want_live(parameters),
    )


def want_all(instances: Iterable[Mapping[str, t.Any]], kinds: Sequence[str]) -> list[Wanted]:
    wanted: list[Wanted] = []
    errors: list[str] = []
    for parameters in instances:
        try:
            item = want(parameters)
        except UnitsError as error:
            errors.append(str(error))
            continue
        if item.kind not in kinds:
            errors.append(f"instance {item.instance}: its kind is not among 'kinds' ({', '.join(kinds)})")
        if any(item.instance == other.instance for other in wanted):
            errors.append(f"instance {item.instance}: is there twice")
        wanted.append(item)
    if errors:
        raise UnitsError("; ".join(errors))
    return wanted
