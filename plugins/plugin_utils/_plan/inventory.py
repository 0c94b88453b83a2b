# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""From Ansible's variables of all hosts to the plain inventory that the plan reads, without any secret in it."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .._clients import entries as client_entries
from .._platforms.registry import EXPECTATIONS
from .._secrets.secrecy import WITH_ENV, looks_secret, present, secret_env
from .findings import Finding

GROUPS = ("inference_nodes", "gateways", "inference_clients")
PREFIX = "inference_"
#: Variables that the plan need not know: not even read, so a missing vault password is no matter here.
SECRETS = frozenset(
    {
        "inference_master_key",
        "inference_engine_key",
        "inference_huggingface_token",
    }
)
#: Facts and group names that only look like variables.
NOT_VARIABLES = frozenset({"inference_plan", "inference_secrets", "inference_report"})
_CONNECTION = ("ansible_host",)
#: Where role planning keeps what module gpu_facts answered.
REGISTERED = "__planning_gpu_facts"


class UnresolvedError(Exception):
    """A template refers to something that is not defined."""


def plain(value: Any) -> Any:
    """A copy without tags, lazy templates and other subclasses of the plain types; reading it resolves every template."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(value[key]) for key in value}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    return str.__str__(value) if isinstance(value, str) else str(value)


def without_secrets(variable: str, value: Any) -> Any:
    """The value with its secrets reduced to whether they are there, or to where they are to be found."""
    if variable in WITH_ENV:
        if next(secret_env(variable, value), None):
            value = copy.deepcopy(value)
            for found, name, env in secret_env(variable, value):
                env[name] = found
        return value
    if variable == "inference_external_endpoints" and isinstance(value, list):
        return [{**item, "api_key": present(item["api_key"])} if isinstance(item, dict) and "api_key" in item else item for item in value]
    if variable == "inference_clients_config" and isinstance(value, list):
        return [client_entries.without_secrets(item) if isinstance(item, dict) else item for item in value]
    if variable == "inference_gateway" and isinstance(value, dict):
        value = dict(value)
        keys = value.get("client_keys")
        if isinstance(keys, dict):
            value["client_keys"] = {name: _client_without_secrets(key) for name, key in keys.items()}
        redis = value.get("redis")
        if isinstance(redis, dict) and "password" in redis:
            value["redis"] = {**redis, "password": present(redis["password"])}
    return value


def _client_without_secrets(value: Any) -> Any:
    """A key, or a mapping with a key in it."""
    if not isinstance(value, dict):
        return present(value)
    return {**value, "key": present(value["key"])} if "key" in value else value


def collect_inventory(
    task_vars: Mapping[str, Any], known: Mapping[str, Any], *, cached_facts_are_fresh: bool = True
) -> tuple[dict[str, Any], list[Finding]]:
    """The plan's inventory from C(hostvars) and C(groups), and the variables that could not be read.

    What role planning registered is of this run. Facts are too, unless a cache keeps them: then they are like what is remembered.
    """
    groups = task_vars.get("groups") or {}
    hostvars = task_vars["hostvars"]
    members = {group: set(groups.get(group) or ()) for group in GROUPS}
    names = list(dict.fromkeys(name for group in GROUPS for name in groups.get(group) or ()))
    running = set(task_vars.get("ansible_play_hosts") or ())
    findings: dict[tuple[str, str], list[str]] = {}
    hosts: dict[str, Any] = {}
    for name in names:
        source = hostvars[name]
        variables: dict[str, Any] = {}
        unreadable: list[str] = []
        for key in [str(key) for key in source if str(key).startswith(PREFIX)]:
            if key in NOT_VARIABLES:
                continue
            if key in SECRETS:
                variables[key] = True
                continue
            try:
                value = plain(source[key])
                if isinstance(value, str) and "{{" in value:
                    raise UnresolvedError  # ansible-core 2.17 hands the template on as it is
                variables[key] = without_secrets(key, value)
            except Exception as error:
                unreadable.append(key)
                findings.setdefault((key, reason(error)), []).append(name)
        for key in _CONNECTION:
            with contextlib.suppress(Exception):
                if source.get(key) is not None:
                    variables[key] = plain(source[key])
        expected = [group for group in EXPECTATIONS if name in (groups.get(group) or ())]
        if expected:
            variables.setdefault("inference_platform_expected", expected[-1])
        facts = _hardware(source, REGISTERED)
        cached = _hardware(source)
        if cached_facts_are_fresh:
            facts = facts or cached
        hosts[name] = {
            "groups": [group for group in GROUPS if name in members[group]],
            "vars": variables,
            "unreadable": unreadable,
            "hardware": facts or None,
            "known_hardware": cached or known.get(name),
        }
    reasons = [
        Finding(f"{key} (host{'s' if len(where) > 1 else ''} {', '.join(where[:3])})", None, f"cannot be evaluated: {message}")
        for (key, message), where in findings.items()
    ]
    # A host of this run that nothing is known about is like one that is away: what it has cannot be checked.
    in_play = [name for name, host in hosts.items() if name in running and (host["hardware"] or host["vars"].get("inference_hardware"))]
    return {"hosts": hosts, "in_play": in_play}, reasons


def _hardware(source: Mapping[str, Any], variable: str = "") -> Any:
    """What module gpu_facts said of a host: in what was registered, or among its facts."""
    with contextlib.suppress(Exception):
        holder = source[variable] if variable else source
        return plain((holder["ansible_facts"] or {})["gpu_inference"])
    return None


_UNDEFINED = re.compile(r"'([A-Za-z_][\w.]*)' is undefined")
_ATTRIBUTE = re.compile(r"has no attribute '([A-Za-z_]\w*)'")
_LOOKUP = re.compile(r"lookup(?: plugin)? '([a-z_.]+)'")


def reason(error: BaseException) -> str:
    """Why a variable cannot be read, without its template: Ansible quotes that, and it may have secrets in it."""
    text = str(error)
    for pattern, words in (
        (_UNDEFINED, "{} is not defined"),
        (_ATTRIBUTE, "something in it has no attribute {}"),
        (_LOOKUP, "the lookup {} failed"),
    ):
        match = pattern.search(text)
        if match and not looks_secret(match[1]):
            return words.format(match[1])
    if "vault" in text.lower() or "decrypt" in text.lower():
        return "it is encrypted with Ansible Vault and cannot be decrypted; give the password (--ask-vault-pass, --vault-password-file)"
    if isinstance(error, UnresolvedError):
        return "something in its template is not defined"
    kind = type(error).__name__
    return f"its template has a mistake ({kind}); ansible-inventory and ansible -m debug show it"


def read_known_hardware(path: Path) -> dict[str, Any]:
    """The hardware that earlier runs saw; an unreadable file is none."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def write_known_hardware(path: Path, known: Mapping[str, Any], fresh: Mapping[str, Any]) -> None:
    """Keep what the hosts of this run said, beside what is known of the others. Written only where it differs."""
    merged = {**known, **{name: _lasting(facts) for name, facts in fresh.items()}}
    if merged == dict(known):
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".known_hardware.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(merged, file, indent=2, sort_keys=True)
            file.write("\n")
        Path(temporary).chmod(0o600)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


def _lasting(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts without what changes by the minute, so that the file stays the same from run to run."""
    return {key: value for key, value in facts.items() if key != "memory_available_mib"}
