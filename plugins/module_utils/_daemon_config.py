# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What /etc/docker/daemon.json must become, and what dockerd needs to notice it."""

from __future__ import annotations

import copy
import json
import re
import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.llmops.gpu_inference.plugins.module_utils._daemon_document import (
    BadDocumentError,
    json_name,
    parse,
    short,
    type_errors,
    value_errors,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._dockerd_flags import flagged_keys

Action = t.Literal["none", "reload", "restart"]

PATH = "/etc/docker/daemon.json"

#: Keys that dockerd takes over on SIGHUP. Everything else needs a restart (moby: daemon/reload.go, daemon/reload_unix.go).
#: `features` is left out on purpose: CDI is set up when the daemon starts.
RELOADABLE = frozenset(
    {
        "debug",
        "default-ipc-mode",
        "default-runtime",
        "default-shm-size",
        "default-stop-timeout",
        "insecure-registries",
        "labels",
        "live-restore",
        "max-concurrent-downloads",
        "max-concurrent-uploads",
        "max-download-attempts",
        "nri-opts",
        "registry-mirrors",
        "runtimes",
        "shutdown-timeout",
    }
)

#: Lists that behave like sets: what is there stays, what is wanted comes to it.
UNITED = frozenset(
    {
        "allow-nondistributable-artifacts",
        "authorization-plugins",
        "cdi-spec-dirs",
        "dns",
        "dns-opts",
        "dns-search",
        "insecure-registries",
        "registry-mirrors",
    }
)

#: Lists of `name=value`: the same name is replaced, other names stay.
KEYED = frozenset({"exec-opts", "labels", "node-generic-resources", "storage-opts"})

#: Keys that belong together, or that dockerd does not start with side by side: a default steps back where the host has one of the others.
#: The options of a log belong to its driver (`labels` stops a daemon that logs to `local`), and no `dockerd --validate` says so.
NEIGHBOURS: Mapping[str, frozenset[str]] = {
    "log-driver": frozenset({"log-opts"}),
    "bip": frozenset({"bridge"}),
    "bridge": frozenset({"bip", "fixed-cidr"}),
    "fixed-cidr": frozenset({"bridge"}),
}

#: Runtimes that dockerd knows without an entry in `runtimes`.
BUILT_IN_RUNTIMES = frozenset({"runc", "io.containerd.runc.v2", "io.containerd.runtime.v1.linux"})


@dataclass(frozen=True)
class DaemonConfig:
    """The merged document with all that a caller has to know about it."""

    document: dict[str, t.Any]
    text: str
    action: Action
    changed: bool
    changed_keys: tuple[str, ...]
    stale_keys: tuple[str, ...]
    errors: tuple[str, ...]

    def as_dict(self) -> dict[str, t.Any]:
        return {
            "document": self.document,
            "text": self.text,
            "action": self.action,
            "changed": self.changed,
            "changed_keys": list(self.changed_keys),
            "stale_keys": list(self.stale_keys),
            "errors": list(self.errors),
        }


def merge(
    existing: str | None,
    wanted: Mapping[str, t.Any],
    *,
    defaults: Mapping[str, t.Any] | None = None,
    unwanted: t.Sequence[t.Any] = (),
    flags: t.Sequence[str] = (),
    info: Mapping[str, t.Any] | None = None,
    swarm: bool = False,
    path: str = PATH,
) -> DaemonConfig:
    """Bring the wanted keys into the existing file and leave everything else in it alone.

    `existing` is the text of the file, `None` where there is none. `wanted` wins over the file, `defaults` fills only what the file lacks.
    `unwanted` names keys to take away: `"key"`, `"key.subkey"`, or `{"key": [values]}` for items of a list, or for a key only while it
    has one of these values.
    `flags` is the argument vector of the docker unit, `info` what `docker info` says of the running daemon, `swarm` whether it is part of a
    swarm, which `live-restore` keeps from starting.
    """
    before: dict[str, t.Any] = {}
    if existing is not None:
        try:
            before = parse(existing)
        except BadDocumentError as error:
            return _refused({}, existing, [f"{path} {error} It was left as it is: correct it, or move it away to start with an empty one."])
        errors = [f"{path}: {problem} It was left as it is: correct it by hand." for problem in type_errors(before)]
        if errors:
            return _refused(before, existing, errors)

    problems = [f"wanted daemon configuration: {problem}" for problem in (*type_errors(_without_null(wanted)), *value_errors(wanted))]
    if swarm and wanted.get("live-restore"):
        problems.append(
            "wanted daemon configuration: live-restore is true, but this host is part of a swarm; Docker does not start with both."
        )
    problems += [f"default daemon configuration: {problem}" for problem in type_errors(_without_null(defaults or {}))]
    if problems:
        return _refused(before, existing or "", problems)

    after = copy.deepcopy(before)
    try:
        for item in unwanted:
            _take_away(after, item)
    except ValueError as error:
        return _refused(before, existing or "", [f"keys to remove: {error}"])
    _fill_gaps(after, _without_null(defaults or {}), _without_null(wanted), flags, swarm)
    for key, value in _without_null(wanted).items():
        after[key] = _merged(key, after.get(key), _as_dockerd_wants(key, value))

    errors = [*_clashes(after, flags, path), *_dangling_default_runtime(after, path)]
    if errors:
        return _refused(before, existing or "", errors)

    changed_keys = tuple(
        sorted(key for key in {*before, *after} if not _same([before.get(key), key in before], [after.get(key), key in after]))
    )
    stale_keys = tuple(key for key in not_applied(after, info or {}) if key not in changed_keys)
    action = action_for((*changed_keys, *stale_keys))
    changed = bool(changed_keys)
    text = render(after) if changed else existing or ""
    return DaemonConfig(after, text, action, changed=changed, changed_keys=changed_keys, stale_keys=stale_keys, errors=())


def render(document: Mapping[str, t.Any]) -> str:
    """The document as text: order of the keys as given, four spaces, a newline at the end."""
    return json.dumps(document, indent=4, ensure_ascii=False) + "\n"


def _refused(document: dict[str, t.Any], text: str, errors: t.Iterable[str]) -> DaemonConfig:
    return DaemonConfig(document=document, text=text, action="none", changed=False, changed_keys=(), stale_keys=(), errors=tuple(errors))


def _without_null(document: Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {key: value for key, value in document.items() if value is not None}


def _as_dockerd_wants(key: str, value: t.Any) -> t.Any:
    """YAML knows numbers and booleans where Docker wants strings: `max-file: 5` stops the daemon."""
    if key == "log-opts":
        return {name: _as_string(entry) for name, entry in value.items()}
    return copy.deepcopy(value)


def _as_string(value: t.Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _merged(key: str, old: t.Any, new: t.Any) -> t.Any:
    if isinstance(old, dict) and isinstance(new, dict):
        result = dict(old)
        for name, value in new.items():
            if value is not None:
                result[name] = _whole(old.get(name), value) if key in ("runtimes", "default-ulimits") else _merged("", old.get(name), value)
        return result
    if isinstance(new, list) and key in UNITED:
        return _united(old if isinstance(old, list) else [], new, key)
    if isinstance(new, list) and key in KEYED:
        names = {_option_name(item) for item in new}
        kept = [item for item in (old if isinstance(old, list) else []) if item in new or _option_name(item) not in names]
        return kept + [item for item in new if item not in kept]
    return new


def _united(old: list[t.Any], new: list[t.Any], key: str) -> list[t.Any]:
    """Old order where all is there already, else the wanted ones first: two callers with a list each must not take turns."""
    old_names = [_list_name(item, key) for item in old]
    new_names = [_list_name(item, key) for item in new]
    if [name for name in old_names if name in new_names] == list(dict.fromkeys(new_names)):
        return old
    first = [item for position, item in enumerate(new) if new_names[position] not in new_names[:position]]
    return first + [item for item in old if _list_name(item, key) not in new_names]


def _list_name(item: t.Any, key: str) -> t.Any:
    return item.rstrip("/") if key == "registry-mirrors" and isinstance(item, str) else item


def _option_name(item: t.Any) -> str:
    return str(item).partition("=")[0]


def _whole(old: t.Any, new: t.Any) -> t.Any:
    """An entry of `runtimes` or `default-ulimits` is one thing: half of the old and half of the new would be neither.

    JetPack writes `runtimeArgs: []` where others write `args: []`; to dockerd both mean no arguments, so the old one stays.
    """
    return old if _same(_plain_runtime(old), _plain_runtime(new)) else new


def _plain_runtime(entry: t.Any) -> t.Any:
    if not isinstance(entry, dict):
        return entry
    return {name: value for name, value in entry.items() if not (name in ("args", "runtimeArgs") and value in ([], None))}


def _same(left: t.Any, right: t.Any) -> bool:
    """Equal as JSON: unlike in Python, true is not 1."""
    return bool(json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True))


def _fill_gaps(
    document: dict[str, t.Any], defaults: Mapping[str, t.Any], wanted: Mapping[str, t.Any], flags: t.Sequence[str], swarm: bool
) -> None:
    """Defaults for what nobody else has decided: neither the file, nor the inventory, nor the command line."""
    flagged = {key.partition(".")[0] for key in flagged_keys(flags)}
    decided = {*document, *wanted, *flagged, *(["live-restore"] if swarm else [])}
    for key, value in defaults.items():
        if key in decided or NEIGHBOURS.get(key, frozenset()) & decided:
            continue
        if key == "log-opts" and "log-driver" in decided:
            driver = wanted.get("log-driver", document.get("log-driver"))
            if driver != defaults.get("log-driver"):
                continue
        document[key] = _as_dockerd_wants(key, value)


def _take_away(document: dict[str, t.Any], item: t.Any) -> None:
    if isinstance(item, str):
        if not item:
            raise ValueError("an empty name.")
        _remove_path(document, item, None)
    elif isinstance(item, Mapping):
        for path, values in item.items():
            if isinstance(values, str) or not isinstance(values, Sequence):
                values = [values]
            _remove_path(document, str(path), list(values))
    else:
        raise ValueError(f"{short(item)} is {json_name(item)}; write a key, key.subkey, or a mapping of a key to the values to remove.")


def _remove_path(document: dict[str, t.Any], path: str, values: list[t.Any] | None) -> None:
    name, separator, rest = (path, "", "") if path in document else path.partition(".")
    if name not in document:
        return
    if separator:
        inner = document[name]
        if isinstance(inner, dict) and inner:
            _remove_path(inner, rest, values)
            if not inner:
                del document[name]
        return
    current = document[name]
    if values is None:
        del document[name]
    elif isinstance(current, list):
        gone = [_list_name(value, name) for value in values]
        kept = [entry for entry in current if _list_name(entry, name) not in gone]
        if kept:
            document[name] = kept
        elif current:
            del document[name]
    elif any(_same(current, value) for value in values):
        del document[name]


def _clashes(document: Mapping[str, t.Any], flags: t.Sequence[str], path: str) -> list[str]:
    errors: list[str] = []
    for key, flag in flagged_keys(flags).items():
        outer, separator, inner = key.partition(".")
        value = document.get(outer)
        if value is None or (separator and not (isinstance(value, dict) and inner in value)):
            continue
        errors.append(
            f"{key} is set in {path} and by the flag {flag} of docker.service; Docker does not start with both. "
            f"Leave it out of {path}, or take the flag away with a drop-in for docker.service."
        )
    return errors


def _dangling_default_runtime(document: Mapping[str, t.Any], path: str) -> list[str]:
    default = document.get("default-runtime")
    known = {*BUILT_IN_RUNTIMES, *document.get("runtimes", {})}
    if default is None or default in known or str(default).startswith(("io.containerd.", "/")):
        return []
    return [
        f"default-runtime in {path} would be {default!r}, which runtimes does not define; Docker does not start so. "
        f"Define it in runtimes, or remove default-runtime."
    ]


def not_applied(document: Mapping[str, t.Any], info: Mapping[str, t.Any]) -> tuple[str, ...]:
    """Keys of the file that the running daemon does not follow, as far as `docker info` shows them.

    A play that was killed between writing the file and telling the daemon leaves such keys behind; the file alone looks right then.
    """
    if not info.get("ServerVersion"):
        return ()
    registries = info.get("RegistryConfig") or {}
    insecure = {str(item) for item in registries.get("InsecureRegistryCIDRs") or ()} | {
        name for name, index in (registries.get("IndexConfigs") or {}).items() if not index.get("Secure", True)
    }
    mirrors = {_list_name(item, "registry-mirrors") for item in registries.get("Mirrors") or ()}
    checks: dict[str, t.Callable[[t.Any], bool]] = {
        "default-runtime": lambda value: info.get("DefaultRuntime") == value,
        "insecure-registries": lambda value: {re.sub(r"^https?://", "", str(item)) for item in value} <= insecure,
        "live-restore": lambda value: info.get("LiveRestoreEnabled") == value,
        "log-driver": lambda value: info.get("LoggingDriver") == value,
        "registry-mirrors": lambda value: {_list_name(item, "registry-mirrors") for item in value} <= mirrors,
        "runtimes": lambda value: set(value) <= set(info.get("Runtimes") or {}),
    }
    return tuple(key for key, followed in sorted(checks.items()) if key in document and not followed(document[key]))


def action_for(keys: t.Iterable[str]) -> Action:
    """What the daemon needs when these keys differ."""
    keys = set(keys)
    if not keys:
        return "none"
    return "reload" if RELOADABLE.issuperset(keys) else "restart"
