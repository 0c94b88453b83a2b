# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Brings the instances of one host to the wanted state: folders, containers and units of what differs, and of nothing else.

What is true is the label of the running container. So whatever an earlier run left half done, the next one sees and repairs.

A change is tried before anything stops for it: the image is fetched, reads its configuration, and Docker makes and starts a container with
the new settings beside the old one. What is refused by any of them is left as it is, files and container, so that also a reboot brings
back what served.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import time
import typing as t
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_flags as docker_flags
from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_trial as docker_trial
from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import Cause, Diagnosis, classify_log, or_else, redact
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import reason
from ansible_collections.llmops.gpu_inference.plugins.module_utils._files import keep_attributes
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran, Run, run_command
from ansible_collections.llmops.gpu_inference.plugins.module_utils._instance_spec import parse_spec
from ansible_collections.llmops.gpu_inference.plugins.module_utils._live_files import (
    LIVE_FOLDER,
    LiveFiles,
    LiveFolder,
    parse_owner,
    place_live,
    read_live,
    remove_live,
    want_live,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import (
    ENV_FILE,
    LABEL,
    OWNER,
    SERVICE_FILE,
    FileLock,
    Instance,
    Paths,
    container_name,
    holder_of,
    is_ours,
    program_hash,
    read_json,
    unit_name,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._ollama_api import OllamaApi
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_changes import (
    change_of,
    held_back,
    read_service,
    what_differs,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_fetch import ModelServer, check_arguments, download, pull_into

HIDDEN = "<hidden>"
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_DOCKERS_WORDS = (
    "Docker's words say what it does not take. Correct that where the service says it (container_extra_arguments, networks, mounts, "
    "devices), or on the host."
)
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STAGED = re.compile(r"^\..*\.new$")
CHECKS_AT_ONCE = 2  # each imports an engine: half a minute of a core, and a gigabyte

# Parts of an instance that make another container. The rest only steers the launcher.
_CONTAINER_KEYS = ("kind", "name", "image", "entrypoint", "command", "docker_arguments", "networks", "locks", "pull_models")
_LAUNCHER_KEYS = (
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
_LATER_KEYS = ("memory_limit_mib",)


class UnitsError(Exception):
    """The run cannot go on. The message is for the user."""


class LockHeldError(UnitsError):
    """Another run works on this host."""

    def __init__(self, holder: str, path: Path) -> None:
        super().__init__(f"another run works on this host: {holder}. It holds {path}. Let it finish, or end that process, and run again.")
        self.holder = holder


# ---------------------------------------------------------------- what is wanted


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
        if not _NAME.fullmatch(parameters[key])
    ]
    for file in parameters.get("files") or {}:
        if not _FILE.fullmatch(file) or file in (SERVICE_FILE, ENV_FILE, LIVE_FOLDER):
            errors.append(f"instance {where}: files: '{file}' is no plain file name, or one that is used already")
    live = [*(parameters.get("live_files") or {}), *(parameters.get("secret_live_files") or {})]
    for file in live:
        if not _FILE.fullmatch(file) or live.count(file) > 1:
            errors.append(f"instance {where}: live_files: '{file}' is no plain file name, or one that is used already")
    if parse_owner(str(parameters.get("live_owner") or "0")) is None:
        errors.append(
            f"instance {where}: live_owner '{parameters['live_owner']}' must be numbers, USER or USER:GROUP: names differ by image"
        )
    for name, value in environment.items():
        if not _VARIABLE.fullmatch(name):
            errors.append(f"instance {where}: environment: '{name}' is no name of an environment variable")
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
    service: dict[str, t.Any] = {key: parameters.get(key) for key in _CONTAINER_KEYS + _LAUNCHER_KEYS}
    service.update({key: parameters[key] for key in _LATER_KEYS if parameters.get(key) is not None})
    service["locks"] = sorted(set(service["locks"] or []))
    if service["probe"]:
        service["probe"] = {key: value for key, value in service["probe"].items() if value is not None}
    service["owner"] = OWNER
    service["files"] = sorted(files)
    service["secret_names"] = sorted(secret)
    service["config_hash"] = _digest([{key: service[key] for key in _CONTAINER_KEYS}, files, environment])
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


# ---------------------------------------------------------------- what is there


@dataclass(frozen=True)
class Container:
    name: str
    state: str
    owner: str
    instance: str
    config_hash: str
    ports: frozenset[docker_flags.Port] = frozenset()  # of the host

    @property
    def running(self) -> bool:
        return self.state in ("running", "paused", "restarting")

    @property
    def owned(self) -> bool:
        return self.owner == OWNER


PS_FORMAT = "\t".join(
    ["{{.Names}}", "{{.State}}"] + ['{{.Label "' + LABEL + key + '"}}' for key in ("owner", "instance", "config-hash")] + ["{{.Ports}}"]
)


def parse_ps(text: str) -> dict[str, Container]:
    containers = {}
    for line in text.split("\n"):
        parts = line.split("\t")
        if len(parts) == 6:
            name, state, owner, instance, config_hash, ports = parts
            containers[name] = Container(name, state, owner, instance, config_hash, docker_flags.shown_ports(ports))
    return containers


@dataclass(frozen=True)
class Unit:
    """A unit's state, as systemctl show tells it."""

    load: str = "not-found"
    active: str = "inactive"
    sub: str = "dead"

    @property
    def up(self) -> bool:
        return self.active in ("active", "activating", "reloading", "deactivating")


SHOW_PROPERTIES = ("LoadState", "ActiveState", "SubState")


def parse_show(units: Sequence[str], text: str) -> dict[str, Unit]:
    """systemctl show answers in the order of the question, blocks parted by empty lines."""
    found = {}
    for unit, block in zip(units, text.strip().split("\n\n")):
        values = dict(line.split("=", 1) for line in block.split("\n") if "=" in line)
        found[unit] = Unit(
            load=values.get("LoadState", "not-found"),
            active=values.get("ActiveState", "inactive"),
            sub=values.get("SubState", "dead"),
        )
    return found


@dataclass(frozen=True)
class Folder:
    """An instance folder: the texts in it, and which of them deviate in text or mode."""

    path: Path
    exists: bool = False
    owned: bool = False
    texts: Mapping[str, str] = field(default_factory=dict, repr=False)
    modes_right: bool = True
    listed: tuple[str, ...] = ()  # files of ours, according to its service.json
    staged: tuple[str, ...] = ()  # left behind by a run that was killed

    def differing(self, wanted: Mapping[str, str]) -> list[str]:
        return sorted(name for name, text in wanted.items() if self.texts.get(name) != text)

    def surplus(self, wanted: Mapping[str, str]) -> list[str]:
        return sorted(name for name in self.listed if name not in wanted and name in self.texts)


def staged_name(name: str) -> str:
    return f".{name}.new"


def file_mode(name: str) -> int:
    return 0o600 if name == ENV_FILE else 0o644


def read_folder(path: Path) -> Folder:
    try:
        entries = sorted(os.listdir(path))
    except FileNotFoundError:
        return Folder(path)
    texts = {}
    modes_right = (path.stat().st_mode & 0o7777) == 0o700
    staged = tuple(entry for entry in entries if _STAGED.match(entry))
    for entry in entries:
        file = path / entry
        if entry in staged or not file.is_file() or file.is_symlink():
            continue
        texts[entry] = file.read_bytes().decode("utf-8", "replace")
        modes_right = modes_right and (file.stat().st_mode & 0o7777) == file_mode(entry)
    # A run that was killed while it put a new folder's files in place has left its service.json, the last one, under its first name.
    document = read_json(path / (SERVICE_FILE if SERVICE_FILE in texts else staged_name(SERVICE_FILE)))
    listed = tuple(str(name) for name in (document or {}).get("files") or () if _FILE.fullmatch(str(name)))
    return Folder(path, True, is_ours(document), texts, modes_right, listed, staged)


# ---------------------------------------------------------------- what to do

KEEP, RELOAD, START, RESTART = "keep", "reload", "start", "restart"
REFUSED, HELD = "refused", "held"  # what becomes of a start, restart or removal that would cost what serves


@dataclass(frozen=True)
class Decision:
    action: str
    reason: str


def decide(wanted: Wanted, unit: Unit, container: Container | None, state: Mapping[str, t.Any] | None, outdated: bool = False) -> Decision:
    """What an instance needs. The container's label decides.

    While there is no container yet, what the launcher has read counts: its state file says so or, before it has written one,
    the service.json that it is about to read. C(outdated): the launcher runs another program than the one that is installed.
    """
    right = container is not None and container.running and container.config_hash == wanted.config_hash
    known = (state or {}).get("config_hash") == wanted.config_hash
    steered = (state or {}).get("spec_hash") in (wanted.spec_hash, None, "")
    if unit.active in ("active", "reloading"):
        if right:
            if not steered:
                return Decision(RELOAD, "settings of the launcher differ")
            return Decision(RELOAD, "the launcher was upgraded") if outdated else Decision(KEEP, "runs as wanted")
        if container is None or not container.running:
            return Decision(RESTART, "the unit is active, but its container does not run")
        return Decision(RESTART, "the running container has another configuration")
    if unit.active == "activating":
        if (right or container is None or not container.running) and known and steered:
            # One that is loading takes the new program over when it is ready; one that waits for its next try has no process.
            if outdated and unit.sub == "start":
                return Decision(RELOAD, "the launcher was upgraded")
            return Decision(KEEP, "is starting")
        return Decision(RESTART, "is starting with another configuration")
    if unit.active == "deactivating":
        return Decision(RESTART, "is stopping")
    if unit.active == "failed":
        return Decision(START, "failed")
    return Decision(START, "not running")


def full_reason(decision: Decision, wanted: Wanted, folder: Folder, container: Container | None) -> str:
    """The reason of a decision, with what differs where that is known: its folder is what an old container was made from, unless a run
    was killed."""
    if decision.action == RELOAD:
        return _reload_reason(decision, wanted, folder)
    known = container is not None and container.config_hash == read_service(folder.texts).get("config_hash")
    differs = what_differs(folder.texts, wanted.files) if known and decision.action == RESTART else ""
    return f"{decision.reason}: {differs}" if differs else decision.reason


def _reload_reason(decision: Decision, wanted: Wanted, folder: Folder) -> str:
    """Why a unit's launcher reads its settings again: a bound on memory is named, since its change reaches a container that serves."""
    bounds = []
    for files in (folder.texts, wanted.files):
        try:
            bounds.append(json.loads(files[SERVICE_FILE]).get("memory_limit_mib"))
        except (KeyError, ValueError, AttributeError):
            return decision.reason
    if bounds[0] == bounds[1]:
        return decision.reason
    before, after = (f"{mib} MiB" if mib else "none" for mib in bounds)
    return f"the bound on its main memory changes from {before} to {after}, without a restart"


def diff_of(wanted: Wanted, folder: Folder) -> list[dict[str, str]]:
    """Before and after of what differs, without any secret."""
    result = []
    names = folder.differing(wanted.files)
    for name in names + folder.surplus(wanted.files):
        before, after = folder.texts.get(name, ""), wanted.files.get(name, "")
        if name == ENV_FILE:
            before, after = hide_secrets(before, after, wanted.secret_names, old_secret_names(folder))
        header = f"{folder.path}/{name}"
        result.append({"before_header": header, "after_header": header, "before": before, "after": after})
    return result


def old_secret_names(folder: Folder) -> frozenset[str] | None:
    """Which variables were secret; None: it isn't known, so all of them."""
    try:
        return frozenset(json.loads(folder.texts[SERVICE_FILE])["secret_names"])
    except (KeyError, ValueError, TypeError):
        return None


def hide_secrets(before: str, after: str, new: frozenset[str], old: frozenset[str] | None) -> tuple[str, str]:
    def pairs(text: str) -> dict[str, str]:
        return dict(line.split("=", 1) for line in text.split("\n") if "=" in line)

    was, will = pairs(before), pairs(after)

    def shown(name: str, value: str, mark: str) -> str:
        return HIDDEN + mark if name in new or name in (old or ()) else value

    first = "".join(f"{name}={HIDDEN if old is None else shown(name, value, '')}\n" for name, value in was.items())
    second = "".join(
        f"{name}={shown(name, value, ' (changed)' if name in was and was[name] != value else '')}\n" for name, value in will.items()
    )
    return first, second


# ---------------------------------------------------------------- files


def stage(folder: Path, files: Mapping[str, str]) -> list[tuple[Path, Path]]:
    """Writes new files beside the old ones. Nothing that counts is touched; on an error nothing is left."""
    made = not folder.exists()
    staged: list[tuple[Path, Path]] = []
    try:
        if made:
            folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700)
        os.chmod(folder, 0o700)
        for name, text in files.items():
            temporary = folder / staged_name(name)
            staged.append((temporary, folder / name))
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as handle:
                keep_attributes(str(folder / name), str(temporary))
                os.fchmod(handle.fileno(), file_mode(name))
                handle.write(text.encode("utf-8"))
                handle.flush()
                os.fsync(handle.fileno())
    except OSError as error:
        unstage(staged)
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        reason = "no space left" if error.errno in (errno.ENOSPC, errno.EDQUOT) else str(error.strerror or error)
        raise UnitsError(f"cannot write {error.filename or folder}: {reason}. Nothing was changed: the old files are whole.") from error
    return staged


def unstage(staged: Iterable[tuple[Path, Path]]) -> None:
    for temporary, _final in staged:
        with contextlib.suppress(OSError):
            temporary.unlink()


def discard(folder: Folder, staged: Iterable[tuple[Path, Path]]) -> None:
    """As if nothing had been staged: a folder that was made for it goes too."""
    unstage(staged)
    if not folder.exists:
        with contextlib.suppress(OSError):
            folder.path.rmdir()


def commit(folder: Path, staged: Sequence[tuple[Path, Path]], surplus: Iterable[str]) -> None:
    """Puts staged files in place, service.json last: its hash must never be newer than the files it speaks of."""
    for temporary, final in sorted(staged, key=lambda pair: pair[1].name == SERVICE_FILE):
        os.replace(temporary, final)
    for name in surplus:
        (folder / name).unlink()
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_folder(folder: Folder) -> None:
    """Removes what is ours in it, service.json last. Files that somebody else put there stay, and the folder with them."""
    remove_live(folder.path)
    for name in [*folder.staged, *folder.listed, ENV_FILE, SERVICE_FILE]:
        with contextlib.suppress(FileNotFoundError):
            (folder.path / name).unlink()
    with contextlib.suppress(OSError):
        folder.path.rmdir()
        folder.path.parent.rmdir()


# ---------------------------------------------------------------- the host


def image_id(run: Run, docker: str, image: str) -> str | None:
    """Nothing where the image is not on this host."""
    ran = run([docker, "image", "inspect", "--format", "{{.Id}}", image], 60)
    return ran.out.strip() if ran.rc == 0 else None


def pull_image(run: Run, docker: str, image: str, timeout: float) -> str:
    """What went wrong; empty when the image is here."""
    ran = run([docker, "pull", "--quiet", image], timeout)
    return "" if ran.rc == 0 else reason(ran.err)


def not_pulled(image: str, problem: str, where: str = "", what_follows: str = "") -> str:
    """A pull that failed, with its cause and remedy where Docker's words tell them."""
    found = classify_log("docker", problem.split("\n"), exit_code=1)
    known = found.cause is not Cause.UNKNOWN
    parts = [where, str(found.cause) if known else "", f"cannot pull {image}", problem]
    text = ": ".join(part for part in parts if part) + (f". {what_follows}" if what_follows else "")
    return f"{text}\n  Remedy: {found.remedy}" if known else text


def with_remedy(subject: str, found: Diagnosis) -> str:
    """A failure as a person reads it: what it is, what to do, and the log lines that show it."""
    return "\n".join([subject, f"  Remedy: {found.remedy}", "  Log:", *(f"    {line}" for line in found.log_lines)])


@dataclass(frozen=True)
class Settings:
    paths: Paths
    kinds: tuple[str, ...]
    systemctl: str = "systemctl"
    wants_dir: Path = Path("/etc/systemd/system/gpu-inference.target.wants")
    purge: bool = True
    restart: bool = True
    lock_timeout: float = 600.0
    gpu_lock_timeout: float = 900.0
    pull_timeout: float = 7200.0
    check_timeout: float = 300.0
    check_mode: bool = False


@dataclass
class Report:
    """What a run did, or would do."""

    changed: bool = False
    started: list[str] = field(default_factory=list)
    restarted: list[str] = field(default_factory=list)
    reloaded: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)  # live files
    stopped: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    units: dict[str, dict[str, str]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    diff: list[dict[str, str]] = field(default_factory=list)


def _is_known(item: Wanted, folder: Folder) -> bool:
    """Whether its folder already has this configuration."""
    return bool(read_service(folder.texts).get("config_hash") == item.config_hash)


def _kept(container: Container | None) -> str:
    if container is not None and container.running:
        return "The old container still serves with its old configuration; the next run tries again."
    return "Nothing was started."


def told_of_failures(report: Report, paths: Paths) -> str:
    """The failures of a run, and of the instances that did not fail what was done and where they stand."""
    words = {KEEP: "unchanged", START: "started", RESTART: "restarted", RELOAD: "reloaded", HELD: "left as it is", "remove": "removed"}
    others = []
    for instance, unit in sorted(report.units.items()):
        if unit["action"] == REFUSED:
            continue
        kind, _slash, name = instance.partition("/")
        state = read_json(paths.state(kind, name)) or {}
        told = words.get(unit["action"], unit["action"])
        # Of one that has just been started only its next state tells.
        phase = state.get("phase") if unit["action"] in (KEEP, RELOAD, HELD) else None
        detail = f": {state.get('cause')}" if phase == "failed" and state.get("cause") else ""
        others.append(f"  {instance}: {told}{f', {phase}{detail}' if phase else ''}")
    rest = ["The other instances of this host, which go on by themselves:", *others] if others else []
    return "\n".join([*report.failures, *rest])


@dataclass(frozen=True)
class Stray(Instance):
    """Something of ours that nobody wants any more."""

    folder: Folder


class Reconciler:
    def __init__(
        self,
        settings: Settings,
        run: Run = run_command,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        server: Callable[[str], ModelServer] = lambda url: OllamaApi(url, 600.0),
    ) -> None:
        self.settings = settings
        self._server = server
        self.paths = settings.paths
        self._run = run
        self._clock = clock
        self._sleep = sleep

    # -- one run

    def apply(self, wanted: Sequence[Wanted], who: str = "") -> Report:
        if self.settings.check_mode:
            return self._apply(wanted)
        lock = self._lock(who)
        try:
            return self._apply(wanted)
        finally:
            lock.release()

    def place_live(self, wanted: Sequence[Wanted], who: str = "") -> Report:
        """Only the live files, and only of instances that have some: their containers mount the folder."""
        lock = None if self.settings.check_mode else self._lock(who)
        try:
            report = Report()
            for item in wanted:
                folder = self.paths.folder(item.kind, item.name)
                live = read_live(folder, item.live)
                if live.exists and live.differs and is_ours(read_json(folder / SERVICE_FILE)):
                    self._place(item, live, report)
            return report
        finally:
            if lock is not None:
                lock.release()

    def _place(self, item: Wanted, live: LiveFolder, report: Report) -> None:
        report.changed = True
        report.replaced.append(item.instance)
        report.diff += live.diff()
        if not self.settings.check_mode:
            place_live(live)

    def _lock(self, who: str) -> FileLock:
        """One run at a time on a host."""
        lock = FileLock(self.paths.run_lock)
        deadline = self._clock() + self.settings.lock_timeout
        text = json.dumps({"pid": os.getpid(), "by": who, "since": time.strftime("%Y-%m-%d %H:%M:%S %Z")}) + "\n"
        while not lock.try_lock(text):
            if self._clock() >= deadline:
                raise LockHeldError(holder_of(lock.path) or "unknown", lock.path)
            self._sleep(0.5)
        return lock

    def _apply(self, wanted: Sequence[Wanted]) -> Report:
        report = Report()
        folders = {item.instance: read_folder(self.paths.folder(item.kind, item.name)) for item in wanted}
        live = {item.instance: read_live(self.paths.folder(item.kind, item.name), item.live) for item in wanted}
        for item in wanted:
            folder = folders[item.instance]
            if folder.exists and not folder.owned and folder.texts:
                raise UnitsError(f"{folder.path} exists and is not ours: its service.json does not carry the owner marker {OWNER}")
        containers = self._containers()
        for item in wanted:
            container = containers.get(item.container)
            if container is not None and not (container.owned and container.instance == item.instance):
                raise UnitsError(
                    f"a container named {item.container} exists and is not ours. Remove or rename it, or rename {item.instance}."
                )
        strays = self._strays(wanted, containers) if self.settings.purge else []
        units = self._units([item.unit for item in wanted] + [stray.unit for stray in strays])
        decisions = self._decisions(wanted, units, containers)
        if not self.settings.check_mode:
            self._check_host([item for item in wanted if decisions[item.instance].action in (START, RESTART)], units)

        actions: dict[str, str] = {}
        for item in wanted:
            decision, folder = decisions[item.instance], folders[item.instance]
            differs = bool(
                folder.differing(item.files) or folder.surplus(item.files) or not folder.modes_right or live[item.instance].differs
            )
            action = decision.action
            if action != KEEP and not self.settings.restart:
                report.pending.append(item.instance)
                action = KEEP
            actions[item.instance] = action
            report.units[item.instance] = {
                "unit": item.unit,
                "container": item.container,
                "config_hash": item.config_hash,
                "action": action,
                "reason": full_reason(decision, item, folder, containers.get(item.container)),
            }
            report.diff += diff_of(item, folder)
            if action == KEEP and not differs and self._enabled(item.unit):
                report.unchanged.append(item.instance)
            else:
                report.changed = True
        for stray in strays:
            report.changed = True
            report.removed.append(stray.instance)
            report.units[stray.instance] = {
                "unit": stray.unit,
                "container": stray.container,
                "config_hash": "",
                "action": "remove",
                "reason": "left the list of instances",
            }
            report.diff.append(
                {
                    "before_header": str(stray.folder.path),
                    "after_header": str(stray.folder.path),
                    "before": "present\n",
                    "after": "absent\n",
                }
            )
        report.started = [item.instance for item in wanted if actions[item.instance] == START]
        report.restarted = [item.instance for item in wanted if actions[item.instance] == RESTART]
        report.reloaded = [item.instance for item in wanted if actions[item.instance] == RELOAD]
        report.stopped = [item.instance for item in wanted if actions[item.instance] == RESTART] + [
            stray.instance for stray in strays if units[stray.unit].up
        ]
        if not self.settings.check_mode:
            self._remove_trials(containers)
        if report.changed and not self.settings.check_mode:
            self._carry_out(wanted, folders, live, units, actions, strays, containers, report)
        elif self.settings.check_mode:
            for item in wanted:
                if live[item.instance].differs:
                    self._place(item, live[item.instance], report)
        return report

    def _decisions(self, wanted: Sequence[Wanted], units: Mapping[str, Unit], containers: Mapping[str, Container]) -> dict[str, Decision]:
        programs: dict[str, str] = {}
        decisions = {}
        for item in wanted:
            state = self._launcher_knows(item)
            outdated = False
            if state is not None and "pid" in state:  # a launcher's own word, and not its service.json
                folder = str(state.get("program_dir") or "")
                if folder not in programs:
                    programs[folder] = program_hash(Path(folder)) if folder else ""
                outdated = not folder or state.get("program_hash") != programs[folder]
            decisions[item.instance] = decide(item, units[item.unit], containers.get(item.container), state, outdated)
        return decisions

    # -- looking

    def _launcher_knows(self, item: Wanted) -> dict[str, t.Any] | None:
        state = self.paths.state(item.kind, item.name)
        return read_json(state) or read_json(self.paths.folder(item.kind, item.name) / SERVICE_FILE)

    def _containers(self) -> dict[str, Container]:
        ran = self._run([self.paths.docker, "ps", "--all", "--no-trunc", "--format", PS_FORMAT], 60)
        if ran.rc != 0:
            if self.settings.check_mode:
                return {}
            raise UnitsError(f"Docker does not answer ({self.paths.docker} ps): {reason(ran.err)}. See systemctl status docker.")
        return parse_ps(ran.out)

    def _units(self, units: Sequence[str]) -> dict[str, Unit]:
        if not units:
            return {}
        ran = self._run([self.settings.systemctl, "show", "--no-pager", "--property=" + ",".join(SHOW_PROPERTIES), "--", *units], 60)
        if ran.rc != 0:
            if self.settings.check_mode:
                return {unit: Unit() for unit in units}
            raise UnitsError(f"systemd does not answer (systemctl show): {ran.err.strip()}")
        found = parse_show(units, ran.out)
        return {unit: found.get(unit, Unit()) for unit in units}

    def _strays(self, wanted: Sequence[Wanted], containers: Mapping[str, Container]) -> list[Stray]:
        """Folders with our marker, and containers with our labels, of the kinds of this call."""
        names = {item.instance for item in wanted}
        strays: dict[str, Stray] = {}
        for kind in self.settings.kinds:
            try:
                entries = sorted(os.listdir(self.paths.instances / kind))
            except (FileNotFoundError, NotADirectoryError):
                continue
            for name in entries:
                if f"{kind}/{name}" in names or not _NAME.fullmatch(name):
                    continue
                folder = read_folder(self.paths.folder(kind, name))
                if folder.owned:
                    strays[f"{kind}/{name}"] = Stray(kind, name, folder)
        for container in containers.values():
            kind, _slash, name = container.instance.partition("/")
            if not container.owned or kind not in self.settings.kinds or not _NAME.fullmatch(name):
                continue
            if container.instance not in names and container.instance not in strays and container.name == container_name(kind, name):
                strays[container.instance] = Stray(kind, name, Folder(self.paths.folder(kind, name)))
        return list(strays.values())

    def _check_host(self, needed: Sequence[Wanted], units: Mapping[str, Unit]) -> None:
        problems = [
            f"{item.unit} is masked. 'systemctl unmask {item.unit}' lets it start; for a service that is not to run, say enabled: false"
            for item in needed
            if units[item.unit].load == "masked"
        ]
        problems += [
            f"systemd cannot use {item.unit} ({units[item.unit].load}); 'systemctl status {item.unit}' says why"
            for item in needed
            if units[item.unit].load not in ("loaded", "masked", "not-found")
        ]
        missing = sorted({f"{item.kind}@.service" for item in needed if units[item.unit].load == "not-found"})
        if missing:
            problems.append(f"the template units are not installed: {', '.join(missing)}. The role of that kind installs it")
        if problems:
            raise UnitsError("; ".join(problems) + ".")

    # -- doing

    def _carry_out(
        self,
        wanted: Sequence[Wanted],
        folders: Mapping[str, Folder],
        live: Mapping[str, LiveFolder],
        units: Mapping[str, Unit],
        actions: dict[str, str],
        strays: Sequence[Stray],
        containers: Mapping[str, Container],
        report: Report,
    ) -> None:
        leaving = [stray for stray in strays if units[stray.unit].up]
        risked = self._risked(wanted, folders, actions, containers, report, leaving)
        self._pull(risked, actions, containers, report)
        self._check(wanted, folders, actions, containers, report)
        self._fetch(risked, folders, actions, containers, report)
        staged = self._stage([item for item in wanted if actions[item.instance] != REFUSED], folders)
        try:
            self._try(risked, folders, actions, staged, containers, report, leaving)
            self._hold_back(wanted, folders, actions, strays, leaving, containers, report)
        finally:
            left = {instance for instance, action in actions.items() if action in (REFUSED, HELD)}
            for instance in left & set(staged):
                discard(folders[instance], staged.pop(instance))
        strays = [stray for stray in strays if report.units[stray.instance]["action"] != HELD]
        for item in wanted:
            if item.instance in left:
                continue
            folder = folders[item.instance]
            kept = {temporary for temporary, _final in staged.get(item.instance, ())}
            unstage((folder.path / name, folder.path) for name in folder.staged if folder.path / name not in kept)
            surplus = folder.surplus(item.files)
            if item.instance in staged or surplus:
                commit(folder.path, staged.get(item.instance, ()), surplus)
            # Before anything starts, since a container mounts the folder.
            if live[item.instance].differs:
                self._place(item, live[item.instance], report)

        stopping = [(item.kind, item.name, item.locks) for item in wanted if actions[item.instance] == RESTART]
        stopping += [(stray.kind, stray.name, self._old_locks(stray)) for stray in strays if units[stray.unit].up]
        longest = max([item.stop_timeout for item in wanted] + [60.0])
        self._stop(stopping, longest, report)
        for stray in strays:
            self._remove(stray, units[stray.unit], containers)
        self._start(wanted, units, actions)
        self._reload([item.unit for item in wanted if actions[item.instance] == RELOAD], report)

    @staticmethod
    def _old_locks(stray: Stray) -> tuple[str, ...]:
        try:
            return tuple(json.loads(stray.folder.texts[SERVICE_FILE]).get("locks") or ())
        except (KeyError, ValueError, AttributeError):
            return ()

    def _risked(
        self,
        wanted: Sequence[Wanted],
        folders: Mapping[str, Folder],
        actions: Mapping[str, str],
        containers: Mapping[str, Container],
        report: Report,
        leaving: Sequence[Stray],
    ) -> list[Wanted]:
        """Changes for which something stops that serves: that of a running container, and a new one that may be to replace what leaves."""
        found = []
        for item in wanted:
            container = containers.get(item.container)
            if container is not None and container.running:
                changes = actions[item.instance] == RESTART or item.instance in report.pending
                if changes and container.config_hash != item.config_hash:
                    found.append(item)
            elif actions[item.instance] == START and leaving and not _is_known(item, folders[item.instance]):
                found.append(item)
        return found

    def _stage(self, wanted: Sequence[Wanted], folders: Mapping[str, Folder]) -> dict[str, list[tuple[Path, Path]]]:
        staged: dict[str, list[tuple[Path, Path]]] = {}
        try:
            for item in wanted:
                folder = folders[item.instance]
                names = [name for name in item.files if not folder.modes_right or name in folder.differing(item.files)]
                if names or not folder.exists:
                    staged[item.instance] = stage(folder.path, {name: item.files[name] for name in names})
        except UnitsError:
            for instance, pairs in staged.items():
                discard(folders[instance], pairs)
            raise
        return staged

    def _try(
        self,
        risked: Sequence[Wanted],
        folders: Mapping[str, Folder],
        actions: dict[str, str],
        staged: Mapping[str, Sequence[tuple[Path, Path]]],
        containers: Mapping[str, Container],
        report: Report,
        leaving: Sequence[Stray],
    ) -> None:
        """Has Docker make and start each changed container beside the one that it is to replace."""
        asked = [item for item in risked if actions[item.instance] != REFUSED]
        if not asked:
            return
        stopping = [item.container for item in risked] + [stray.container for stray in leaving]
        held = frozenset(port for name in stopping if name in containers for port in containers[name].ports)

        def refusal(item: Wanted) -> str:
            folder = folders[item.instance].path
            new = {final.name: temporary for temporary, final in staged.get(item.instance, ())}
            spec = parse_spec(item.files[SERVICE_FILE], item.kind, item.name)
            return docker_trial.refusal(self._run, self.paths.docker, spec, str(new.get(ENV_FILE, folder / ENV_FILE)), folder, held)

        with ThreadPoolExecutor(CHECKS_AT_ONCE) as pool:
            reasons = list(pool.map(refusal, asked))
        for item, told in zip(asked, reasons):
            if not told:
                continue
            said = redact(told, item.secrets)
            found = classify_log(item.kind, [said])
            self._refuse(item, actions, report, said)
            # Where no rule knows Docker's words, they are all there is.
            known = found.cause is not Cause.UNKNOWN
            subject = f"{item.instance}: {f'{found.cause}: ' if known else ''}Docker refuses the new configuration: {said}"
            found = found if known else replace(found, remedy=_DOCKERS_WORDS)
            report.failures.append(with_remedy(f"{subject}. {_kept(containers.get(item.container))}", found))

    def _hold_back(
        self,
        wanted: Sequence[Wanted],
        folders: Mapping[str, Folder],
        actions: dict[str, str],
        strays: Sequence[Stray],
        leaving: Sequence[Stray],
        containers: Mapping[str, Container],
        report: Report,
    ) -> None:
        """Leaves those changes for the next run that a refused one would make fail."""

        changes = []
        for item in wanted:
            action, container, folder = actions[item.instance], containers.get(item.container), folders[item.instance]
            serves = container is not None and container.running
            new = not _is_known(item, folder) or (container is not None and serves and container.config_hash != item.config_hash)
            if action == REFUSED or (action in (START, RESTART) and new):
                ports = container.ports if container is not None else ()
                changes.append(change_of(item.instance, folder.texts, item.files, ports, serves))
        for stray in strays:
            container = containers.get(stray.container)
            ports = container.ports if container is not None else ()
            changes.append(change_of(stray.instance, stray.folder.texts, {}, ports, stray in leaving))
        refused = [instance for instance, action in actions.items() if action == REFUSED]
        waiting = held_back(changes, refused)
        for instance, why in waiting.items():
            report.units[instance].update(action=HELD, reason=why)
            report.pending.append(instance)
            if instance in actions:
                actions[instance] = HELD
            for names in (report.started, report.restarted, report.stopped, report.removed):
                if instance in names:
                    names.remove(instance)
        if waiting:
            told = "; ".join(f"{instance} ({why})" for instance, why in waiting.items())
            report.failures.append(f"Left as they are until the next run, because of what was refused: {told}.")

    def _remove_trials(self, containers: Mapping[str, Container]) -> None:
        """Those of a run that was killed."""
        for container in containers.values():
            if container.owned and not container.instance and container.name.endswith(docker_trial.SUFFIX):
                self._run([self.paths.docker, "rm", "--force", "--volumes", container.name], 120)

    def _pull(self, risked: Sequence[Wanted], actions: dict[str, str], containers: Mapping[str, Container], report: Report) -> None:
        """Fetches a new image while the old container still serves. Where that fails, the old one stays."""
        waiting: dict[str, list[Wanted]] = {}
        for item in risked:
            waiting.setdefault(item.image, []).append(item)
        for image, items in waiting.items():
            if image_id(self._run, self.paths.docker, image) is not None:
                continue
            if any(item.pull == "never" for item in items):
                problem = "it is not on this host, and pull is 'never'"
            else:
                problem = pull_image(self._run, self.paths.docker, image, self.settings.pull_timeout)
                if not problem:
                    continue
            for item in items:
                self._refuse(item, actions, report, f"image {image}: {problem}")
                kept = _kept(containers.get(item.container))
                report.failures.append(not_pulled(image, problem, item.instance, kept))

    @staticmethod
    def _refuse(item: Wanted, actions: dict[str, str], report: Report, reason: str) -> None:
        actions[item.instance] = REFUSED
        report.units[item.instance].update(action=REFUSED, reason=reason)
        for names in (report.started, report.restarted, report.stopped):
            if item.instance in names:
                names.remove(item.instance)

    def _refuse_for(
        self,
        found: Diagnosis,
        what: str,
        item: Wanted,
        actions: dict[str, str],
        containers: Mapping[str, Container],
        report: Report,
    ) -> None:
        """Leaves an instance as it is, and tells the cause, what still serves, the remedy and the log."""
        self._refuse(item, actions, report, f"{found.cause}: {found.message}")
        kept = _kept(containers.get(item.container))
        report.failures.append(with_remedy(f"{item.instance}: {found.cause}: {what}: {found.message}. {kept}", found))

    def _check(
        self,
        wanted: Sequence[Wanted],
        folders: Mapping[str, Folder],
        actions: dict[str, str],
        containers: Mapping[str, Container],
        report: Report,
    ) -> None:
        """Has the image read a changed configuration before anything stops for it. What it refuses is left as it is."""
        asked = [item for item in wanted if self._wants_check(item, folders[item.instance], actions, containers)]
        if not asked:
            return
        with ThreadPoolExecutor(CHECKS_AT_ONCE) as pool:
            results = list(pool.map(self._run_check, asked))
        for item, ran in zip(asked, results):
            if ran.rc == 0:
                continue
            lines = [redact(line, item.secrets) for line in f"{ran.out}\n{ran.err}".split("\n") if line.strip()]
            if ran.rc >= 124:  # not the program's own word: Docker's, the shell's, or a signal's
                report.warnings.append(
                    f"{item.instance}: its new configuration could not be checked with {item.image}: "
                    + redact(reason(ran.err or ran.out), item.secrets)
                )
                continue
            found = or_else(classify_log(item.kind, lines, exit_code=ran.rc), Cause.BAD_FLAG)
            self._refuse_for(found, f"{item.image} refuses the new configuration", item, actions, containers, report)

    def _fetch(
        self,
        risked: Sequence[Wanted],
        folders: Mapping[str, Folder],
        actions: dict[str, str],
        containers: Mapping[str, Container],
        report: Report,
    ) -> None:
        """Fetches another model while the old one serves. What cannot be had leaves the old one."""
        for item in risked:
            if actions[item.instance] == REFUSED:
                continue
            old, new = read_service(folders[item.instance].texts), read_service(item.files)
            container, url = containers.get(item.container), (old.get("probe") or {}).get("base_url")
            found = None
            if new["download_command"] and new["download_command"] != old.get("download_command"):
                found, _anything = download(item, self.paths.docker, self._run)
            elif new["pull_models"] != old.get("pull_models") and url and container is not None and container.running:
                other_image = item.image != old.get("image")
                found = pull_into(self._server(str(url).removesuffix("/v1")), new["pull_models"] or (), other_image)
            if found is not None:
                self._refuse_for(found, "its model cannot be fetched", item, actions, containers, report)

    def _wants_check(self, item: Wanted, folder: Folder, actions: Mapping[str, str], containers: Mapping[str, Container]) -> bool:
        if item.check is None or actions[item.instance] not in (START, RESTART):
            return False
        container = containers.get(item.container)
        if _is_known(item, folder) and (container is None or not container.running or container.config_hash == item.config_hash):
            return False
        # Where the image is still to be pulled, the launcher will see: nothing serves that could be lost.
        return image_id(self._run, self.paths.docker, item.image) is not None

    def _run_check(self, item: Wanted) -> Ran:
        check = t.cast(Check, item.check)
        name = f"{item.container}-check"
        # Left behind where a run was killed.
        self._run([self.paths.docker, "rm", "--force", name], 60)
        argv = [self.paths.docker, "run", "--rm", "--interactive", "--name", name, "--pull", "never", "--network", "none"]
        argv += ["--label", f"{LABEL}owner={OWNER}", "--security-opt", "no-new-privileges", *check.arguments, item.image, *check.command]
        ran = self._run(argv, self.settings.check_timeout, check.text)
        if ran.rc == 124:
            self._run([self.paths.docker, "rm", "--force", name], 60)
        return ran

    def _stop(self, stopping: Sequence[tuple[str, str, tuple[str, ...]]], longest: float, report: Report) -> None:
        """Stops all that goes or changes before anything starts.

        Memory that a stopping engine frees misleads a neighbour that measures the GPU at that moment. So engines that are ready
        stop only while nobody else loads on their GPUs.
        """
        if not stopping:
            return
        idle, serving, locks = [], [], set()
        for kind, name, names in stopping:
            state = read_json(self.paths.state(kind, name)) or {}
            if state.get("phase") == "ready" and names:
                serving.append(unit_name(kind, name))
                locks |= set(names)
            else:
                idle.append(unit_name(kind, name))
        self._systemctl_stop(idle, longest)
        held: list[FileLock] = []
        deadline = self._clock() + self.settings.gpu_lock_timeout
        try:
            for name in sorted(locks):
                lock = FileLock(self.paths.gpu_lock(name))
                while not lock.try_lock(f"reconciler {os.getpid()}\n"):
                    if self._clock() >= deadline:
                        report.warnings.append(f"an engine still loads on GPU {name}; stopped its neighbours all the same")
                        break
                    self._sleep(0.5)
                held.append(lock)
            self._systemctl_stop(serving, longest)
        finally:
            for lock in held:
                lock.release()

    def _systemctl_stop(self, units: Sequence[str], longest: float) -> None:
        if not units:
            return
        ran = self._run([self.settings.systemctl, "stop", "--", *units], longest + 180)
        if ran.rc != 0:
            raise UnitsError(f"cannot stop {', '.join(units)}: {ran.err.strip()}")

    def _remove(self, stray: Stray, unit: Unit, containers: Mapping[str, Container]) -> None:
        if self._enabled(stray.unit):
            (self.settings.wants_dir / stray.unit).unlink()
        if unit.active == "failed":
            self._run([self.settings.systemctl, "reset-failed", "--", stray.unit], 60)
        container = containers.get(stray.container)
        if container is not None and container.owned and container.instance == stray.instance:
            ran = self._run([self.paths.docker, "rm", "--force", container.name], 120)
            if ran.rc != 0 and "No such container" not in ran.err:
                raise UnitsError(f"cannot remove the container {container.name}: {reason(ran.err)}")
        kept = (self.paths.state, self.paths.history, self.paths.served)
        for file in (path(stray.kind, stray.name) for path in kept):
            with contextlib.suppress(FileNotFoundError):
                file.unlink()
        if stray.folder.exists:
            remove_folder(stray.folder)

    def _start(self, wanted: Sequence[Wanted], units: Mapping[str, Unit], actions: Mapping[str, str]) -> None:
        starting = [item for item in wanted if actions[item.instance] in (START, RESTART)]
        for item in wanted:
            if not self._enabled(item.unit) and actions[item.instance] not in (REFUSED, HELD):
                self._enable(item.kind, item.unit)
        if not starting:
            return
        for item in starting:
            for file in (self.paths.state(item.kind, item.name), self.paths.history(item.kind, item.name)):
                with contextlib.suppress(FileNotFoundError):
                    file.unlink()
        names = [item.unit for item in starting]
        self._run([self.settings.systemctl, "reset-failed", "--", *names], 60)
        self._must([self.settings.systemctl, "start", "--no-block", "--", *names])

    def _reload(self, units: Sequence[str], report: Report) -> None:
        """Last, since one may have ended meanwhile: a launcher without a process reads everything anew when it comes back."""
        if not units:
            return
        ran = self._run([self.settings.systemctl, "kill", "--kill-who=main", "--signal=SIGHUP", "--", *units], 120)
        if ran.rc != 0:
            report.warnings.append(f"could not reload {', '.join(units)}: {ran.err.strip()}. The next run tries again.")

    def _enabled(self, unit: str) -> bool:
        return (self.settings.wants_dir / unit).is_symlink()

    def _enable(self, kind: str, unit: str) -> None:
        """Has the unit started at boot.

        By a link of our own: systemctl enable would reload systemd, which can take GPUs from running containers, and
        systemctl enable --no-reload makes systemd advise everybody to do so.
        """
        self.settings.wants_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
        (self.settings.wants_dir / unit).symlink_to(f"../{kind}@.service")

    def _must(self, argv: Sequence[str]) -> None:
        ran = self._run(argv, 120)
        if ran.rc != 0:
            raise UnitsError(f"{' '.join(argv[:4])} failed: {ran.err.strip()}")
