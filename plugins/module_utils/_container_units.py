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
import json
import os
import time
import typing as t
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_trial as docker_trial
from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import Cause, Diagnosis, classify_log, or_else, redact
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import reason
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran, Run, run_command
from ansible_collections.llmops.gpu_inference.plugins.module_utils._instance_spec import parse_spec
from ansible_collections.llmops.gpu_inference.plugins.module_utils._live_files import LiveFolder, place_live, read_live
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
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_changes import change_of, held_back, read_service
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_decision import (
    HELD,
    KEEP,
    REFUSED,
    RELOAD,
    RESTART,
    START,
    Decision,
    decide,
    full_reason,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_diff import diff_of
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_errors import LockHeldError, UnitsError
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_fetch import ModelServer, download, pull_into
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_folder import (
    Folder,
    Staged,
    commit,
    discard,
    read_folder,
    remove_folder,
    stage,
    unstage,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_images import image_id, not_pulled, pull_image
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_present import (
    PS_FORMAT,
    SHOW_PROPERTIES,
    Container,
    Unit,
    parse_ps,
    parse_show,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_report import Report, with_remedy
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_wanted import NAME, Check, Wanted

_DOCKERS_WORDS = (
    "Docker's words say what it does not take. Correct that where the service says it (container_extra_arguments, networks, mounts, "
    "devices), or on the host."
)
CHECKS_AT_ONCE = 2  # each imports an engine: half a minute of a core, and a gigabyte


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


def _is_known(item: Wanted, folder: Folder) -> bool:
    """Whether its folder already has this configuration."""
    return bool(read_service(folder.texts).get("config_hash") == item.config_hash)


def _kept(container: Container | None) -> str:
    if container is not None and container.running:
        return "The old container still serves with its old configuration; the next run tries again."
    return "Nothing was started."


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
                if f"{kind}/{name}" in names or not NAME.fullmatch(name):
                    continue
                folder = read_folder(self.paths.folder(kind, name))
                if folder.owned:
                    strays[f"{kind}/{name}"] = Stray(kind, name, folder)
        for container in containers.values():
            kind, _slash, name = container.instance.partition("/")
            if not container.owned or kind not in self.settings.kinds or not NAME.fullmatch(name):
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

    def _stage(self, wanted: Sequence[Wanted], folders: Mapping[str, Folder]) -> dict[str, list[Staged]]:
        staged: dict[str, list[Staged]] = {}
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
        staged: Mapping[str, Sequence[Staged]],
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
