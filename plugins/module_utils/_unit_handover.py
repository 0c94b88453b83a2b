# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Replaces a container whose program can hand its port over: the new one starts beside the old one, and takes over once it listens.

Docker gives a published port to one container for good. So the first container of a row stays, as C(NAME-port), for as long as others
accept the connections to its port; they have none published themselves. A stop of the unit, a reboot, and every start that is none of
these lead back to one container. What cannot be replaced in this way is stopped and started.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_flags as docker_flags
from ansible_collections.llmops.gpu_inference.plugins.module_utils import _handover as handover
from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import REMEDIES, Cause, Diagnosis, classify_log, redact
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import Container, Docker, DockerDown, create_argv, reason
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Run
from ansible_collections.llmops.gpu_inference.plugins.module_utils._instance_spec import Spec, parse_spec
from ansible_collections.llmops.gpu_inference.plugins.module_utils._live_files import place_live
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import ENV_FILE, LABEL, SERVICE_FILE, predecessors, read_json
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_changes import read_service
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_decision import HANDED_OVER, RESTART
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_folder import Staged
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_systemctl import Systemctl
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_wanted import Wanted
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_work import Settings, Work

SUFFIX = "-next"
TIMEOUT = 120.0  # seconds for one command of Docker
ADOPTED_WITHIN = 60.0  # seconds for the launcher to look after the new one
#: Main memory that has to be free for a second one.
ROOM_MIB = 768


def available_mib(meminfo: str = "/proc/meminfo") -> int:
    found = re.search(r"^MemAvailable:\s+(\d+) kB", Path(meminfo).read_text(encoding="ascii"), re.MULTILINE)
    return int(found[1]) // 1024 if found else 0


@dataclass(frozen=True)
class Beside:
    """A new container that listens, and the one that serves."""

    old: Container
    new: Container


class Handover:
    def __init__(
        self,
        settings: Settings,
        run: Run,
        systemctl: Systemctl,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        available: Callable[[], int] | None = None,
    ) -> None:
        self._settings = settings
        self._paths = settings.paths
        self._docker = Docker(settings.paths.docker, run)
        self._systemctl = systemctl
        self._clock = clock
        self._sleep = sleep
        self._available = available or available_mib
        self._ready: dict[str, Beside] = {}

    def tidy(self, work: Work) -> None:
        """What a run that was killed left: a container that nobody needs, and one that was never told to leave."""
        for item in work.wanted:
            if not item.handover_socket:
                continue
            names = {container.name for container in work.containers_of(item)}
            port, before = predecessors(item.container)
            for name in names & {item.container + SUFFIX, before}:
                self._docker.stop(name, int(item.stop_timeout), patience=TIMEOUT)
                self._remove(name)
            holder = self._docker.find(port) if port in names else None
            if holder is not None and handover.answers(holder.pid, item.handover_socket):
                handover.ask(holder.pid, item.handover_socket, f"hold {item.stop_timeout:.0f}")

    # -- while the old one serves

    def prepare(self, work: Work, staged: Mapping[str, Sequence[Staged]]) -> None:
        """Starts the new containers. One that does not come up is refused, and the old one serves on."""
        for item in work.with_action(RESTART):
            serving = work.serving(item)
            if not item.handover_socket or serving is None or work.units[item.unit].active != "active":
                continue
            old = self._docker.find(item.container)
            why = self._why_not(item, work, old)
            if old is None or why:
                _tell_first(f"the port closes meanwhile, since {why}", item, work)
                continue
            # Both read them. Of those before this change the new one would not know the key of a server that comes, and call it ill.
            place_live(work.live[item.instance])
            try:
                found = self._start(item, {final.name: temporary for temporary, final in staged.get(item.instance, ())})
            except DockerDown as down:
                found = replace(classify_log("docker", str(down).split("\n")), message=f"Docker does not answer: {down}")
            if isinstance(found, Container):
                self._ready[item.instance] = Beside(old, found)
                continue
            self._take_back(item, work)
            work.refuse_for(found, "the new container, started beside the old one, does not serve", item)

    def _take_back(self, item: Wanted, work: Work) -> None:
        live = work.live[item.instance]
        self._remove(item.container + SUFFIX)
        place_live(replace(live, wanted=replace(live.wanted, texts=live.texts)))

    def _why_not(self, item: Wanted, work: Work, old: Container | None) -> str:
        before, after = read_service(work.folders[item.instance].texts), read_service(item.files)
        live = work.live[item.instance]
        if old is None or old.labels.get(LABEL + "config-hash") != before.get("config_hash"):
            return "a run before this one was cut short"  # nobody knows which ports it was made with
        if _outside(before) != _outside(after):
            return "ports, networks or addresses change"
        if not after["networks"] or {"host", "none"} & set(after["networks"]):
            return "it has no network of its own"
        if set(live.texts) != set(live.wanted.texts):
            return "files that it reads when it starts come or go"
        if not handover.answers(old.pid, item.handover_socket):
            return "the program that runs cannot hand it over"
        if self._available() < ROOM_MIB:
            return f"less than {ROOM_MIB} MiB of main memory are free for a second container"
        return ""

    def _start(self, item: Wanted, new: Mapping[str, Path]) -> Container | Diagnosis:
        spec, name = parse_spec(item.files[SERVICE_FILE], item.kind, item.name), item.container + SUFFIX
        folder = self._paths.folder(item.kind, item.name)
        self._remove(name)
        steps = [create_argv(_beside(spec, folder, new), str(new.get(ENV_FILE, folder / ENV_FILE)), name)]
        steps += [["network", "connect", network, name] for network in spec.networks[1:]]
        for step in (*steps, ["start", name]):
            ran = self._docker.call(*step, timeout=TIMEOUT)
            if ran.rc != 0:
                why = redact(reason(ran.err), item.secrets)
                return replace(classify_log("docker", [why]), message=why)
        deadline = self._clock() + spec.start_timeout
        while self._clock() < deadline:
            container = self._docker.find(name)
            if container is None or not container.running:
                return self._diagnose(item, container)
            if handover.answers(container.pid, item.handover_socket):
                return container
            self._sleep(0.5)
        text = f"it did not listen within {spec.start_timeout:.0f} s"
        return Diagnosis(Cause.TIMEOUT, text, tuple(self._log(item)[-10:]), REMEDIES[Cause.TIMEOUT], False)

    def _diagnose(self, item: Wanted, container: Container | None) -> Diagnosis:
        if container is None:
            return Diagnosis(Cause.UNKNOWN, "it was removed by somebody else", (), REMEDIES[Cause.UNKNOWN], False)
        return classify_log(item.kind, self._log(item), exit_code=container.exit_code, oom_killed=container.oom_killed)

    def _log(self, item: Wanted) -> list[str]:
        ran = self._docker.call("logs", "--tail", "300", item.container + SUFFIX, timeout=TIMEOUT)
        return [redact(line, item.secrets) for line in ran.lines]

    # -- once the new files are in place

    def carry_out(self, work: Work) -> None:
        """What cannot be handed over after all is stopped and started."""
        for item in work.wanted:
            beside = self._ready.get(item.instance)
            if beside is None:
                continue
            if work.actions[item.instance] != RESTART:  # held back
                self._take_back(item, work)
                continue
            try:
                handover.pass_on(beside.old.pid, beside.new.pid, item.handover_socket)
                problem = self._change_names(item) or self._have_it_adopted(item, beside.new)
            except (handover.HandoverError, DockerDown) as error:
                problem = str(error)
            if problem:
                self._remove(item.container + SUFFIX)
                work.report.warnings.append(f"{item.instance}: the port could not be handed over, so the unit restarts: {problem}")
                continue
            work.actions[item.instance] = HANDED_OVER
            _tell_first("the new one has taken the port over", item, work)
            self._leave(item, beside.old, work)

    def _change_names(self, item: Wanted) -> str:
        for name, other in ((item.container, self._left_as(item)), (item.container + SUFFIX, item.container)):
            ran = self._docker.rename(name, other)
            if ran.rc != 0:
                return reason(ran.err)
        return ""

    def _left_as(self, item: Wanted) -> str:
        """The first of a row has the published port, and stays."""
        port, before = predecessors(item.container)
        return port if self._docker.find(port) is None else before

    def _have_it_adopted(self, item: Wanted, new: Container) -> str:
        problem = self._systemctl.reload([item.unit])
        deadline = self._clock() + ADOPTED_WITHIN
        while not problem and (read_json(self._paths.state(item.kind, item.name)) or {}).get("container_id") != new.id:
            if self._clock() >= deadline:
                problem = f"the launcher has not adopted the new container within {ADOPTED_WITHIN:.0f} s"
            self._sleep(0.1)
        return problem

    def _leave(self, item: Wanted, old: Container, work: Work) -> None:
        port, before = predecessors(item.container)
        seconds = item.stop_timeout
        try:
            stays = self._docker.find(before) is None
        except DockerDown as down:  # the next run tells it
            work.report.warnings.append(f"{item.instance}: what it replaced was not told to leave, since Docker does not answer: {down}")
            return
        try:
            handover.ask(old.pid, item.handover_socket, f"{'hold' if stays else 'leave'} {seconds:.0f}")
        except handover.HandoverError as error:
            work.report.warnings.append(f"{item.instance}: {port if stays else before} was not told to leave: {error}")
        if not stays:
            self._docker.call("wait", before, timeout=TIMEOUT + seconds + 5)
            self._remove(before)

    def _remove(self, name: str) -> None:
        self._docker.remove(name, TIMEOUT, volumes=True)


def _tell_first(what: str, item: Wanted, work: Work) -> None:
    unit = work.report.units[item.instance]
    unit["reason"] = f"{what}; {unit['reason']}"


def _outside(service: Mapping[str, object]) -> tuple[object, ...]:
    """What the container with the port keeps for all that follow it."""
    words = service.get("docker_arguments")
    flags = docker_flags.read(words if isinstance(words, list) else [])[0]
    return service.get("networks"), [flag.word for flag in flags if flag.name in docker_flags.UNIQUE]


def _beside(spec: Spec, folder: Path, new: Mapping[str, Path]) -> Spec:
    """Without ports and addresses, and with the files that are not in their places yet."""

    def with_new(value: str) -> str:
        for name, temporary in new.items():
            value = re.sub(rf"{re.escape(str(folder / name))}(?=[:,]|$)", lambda _found, path=temporary: str(path), value)  # type: ignore[misc]
        return value

    flags = docker_flags.beside(spec.docker_arguments)
    mounts = ("mount", "volume")
    told = [replace(flag, value=with_new(flag.value)) if flag.name in mounts else flag for flag in flags]
    return replace(spec, docker_arguments=tuple(docker_flags.words(told)))
