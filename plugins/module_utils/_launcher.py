# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It runs on the managed nodes as /usr/local/lib/gpu-inference/_launcher.py: standard library only, Python 3.9.

"""Main process of an instance's systemd unit: starts one container, proves that its model answers, and watches it.

The life of an instance is described in docs/launcher.md. In short: pull, lock the GPUs, start, follow the log, probe, READY=1,
unlock, watch. Whatever kills this process leaves the container running; the next one adopts it.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import queue
import re
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Callable

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_cli as docker_cli
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _launch_rules as rules
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _memory_limit as memory_limit
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _moments as moments
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _progress as progress
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _served as served
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _silence as silence
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import (
        REMEDIES,
        Cause,
        Diagnosis,
        classify_log,
        or_else,
        redact,
    )
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._instance_spec import Spec, parse_env, parse_spec
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import (
        ENV_FILE,
        SERVICE_FILE,
        FileLock,
        Paths,
        program_hash,
        read_json,
        write_atomically,
    )
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe import Endpoint, Observation, probe
except ImportError:  # on the node the files lie side by side
    import _docker_cli as docker_cli  # type: ignore[import-not-found,no-redef]
    import _launch_rules as rules  # type: ignore[import-not-found,no-redef]
    import _memory_limit as memory_limit  # type: ignore[import-not-found,no-redef]
    import _moments as moments  # type: ignore[import-not-found,no-redef]
    import _progress as progress  # type: ignore[import-not-found,no-redef]
    import _served as served  # type: ignore[import-not-found,no-redef]
    import _silence as silence  # type: ignore[import-not-found,no-redef]
    from _causes import REMEDIES, Cause, Diagnosis, classify_log, or_else, redact  # type: ignore[import-not-found,no-redef]
    from _instance_spec import Spec, parse_env, parse_spec  # type: ignore[import-not-found,no-redef]
    from _node import ENV_FILE, SERVICE_FILE, FileLock, Paths, program_hash, read_json, write_atomically  # type: ignore[import-not-found,no-redef]
    from _probe import Endpoint, Observation, probe  # type: ignore[import-not-found,no-redef]

EXIT_STOPPED = 0
EXIT_FAILED = 1
EXIT_PERMANENT = 78  # RestartPreventExitStatus of the units
WATCHDOG_USEC = 90 * 1000000  # WatchdogSec= and TimeoutStartSec= of the units: a process that hangs for so long is killed, and adopts
ALIVE_EVERY = 5.0  # seconds between two signs of life
NEIGHBOUR_GRACE = 20.0  # time for a killed launcher to come back and look after its container
PULL_TIMEOUT = 4 * 3600.0
KEPT_LINES = 3000
SLOW_REMEDY = (
    "If the model merely needs longer on this machine, raise ready_timeout of the service. Otherwise the log lines and "
    "'journalctl -u' of the unit tell what it waited for."
)
HUNG_REMEDY = (
    "It is started anew. If it hangs again, read 'journalctl -u' of the unit and the kernel log (GPU errors), and raise the "
    "watchdog time if the engine is merely overloaded."
)

# ---------------------------------------------------------------- what happens


class Reload(Exception):  # noqa: N818 - an event, not an error
    """SIGHUP came: run the program anew in the same process."""


class Failure(Exception):  # noqa: N818
    def __init__(self, diagnosis: Diagnosis) -> None:
        super().__init__(diagnosis.message)
        self.diagnosis = diagnosis


class Notifier:
    """systemd's notification socket."""

    def __init__(self, address: str) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def send(self, **fields: str) -> None:
        if not self._address:
            return
        text = "\n".join("{}={}".format(key, value.replace("\n", " ")) for key, value in fields.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as client:
                client.connect(self._address)
                client.sendall(text.encode("utf-8"))
        except OSError:
            pass  # systemd restarts itself now and then; the next message gets through


def fetch(url: str, timeout: float, body: Mapping[str, Any] | None = None, key: str | None = None) -> Any:
    """Opens a URL on this host; proxies are for the outside world."""
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = "Bearer " + key
    data = None if body is None else json.dumps(body).encode("utf-8")
    request = urllib.request.Request(url, data=data, headers=headers)  # noqa: S310 - http by configuration
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=timeout)


def fetch_json(url: str, timeout: float, key: str | None = None) -> dict[str, Any]:
    with fetch(url, timeout, key=key) as answer:
        document = json.loads(answer.read().decode("utf-8", "replace"))
    return document if isinstance(document, dict) else {}


@dataclass(frozen=True)
class Probed:
    observation: Observation | None
    counter: float | None = None
    error: str = ""


@dataclass(frozen=True)
class Signalled:
    """Wakes the main loop up."""


# ---------------------------------------------------------------- the launcher


class Launcher:
    def __init__(self, kind: str, name: str, paths: Paths, notifier: Notifier, out: IO[bytes], clock: moments.Clock | None = None) -> None:
        self.kind = kind
        self.name = name
        self.paths = paths
        self.notifier = notifier
        self._out = out
        self._out_lock = threading.Lock()
        self.stopping = False
        self.reloading = False
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.clock = clock or moments.Clock()
        self.docker = docker_cli.Docker(paths.docker, lambda: self.stopping, self.alive)
        self.spec = Spec(kind=kind, name=name, image="", config_hash="")
        self.env: dict[str, str] = {}
        self.secrets: tuple[str, ...] = ()
        self.lines: list[str] = []
        self.locks: tuple[FileLock, ...] = ()
        self.own_lock = FileLock(paths.instance_lock(kind, name))
        self.follower: docker_cli.Follower | None = None
        self.waiter: docker_cli.Waiter | None = None
        self.daemon_up = True
        self.container_id: str | None = None
        self.now_at = progress.Progress(progress.STARTING)
        self.loading = False
        self.log_position = ""
        self._status = ""
        self._written = 0.0
        self._alive_at = 0.0
        self._thread = threading.get_ident()
        self.program_dir = Path(__file__).resolve().parent
        self.program_hash = program_hash(self.program_dir)
        previous = read_json(paths.state(kind, name)) or {}
        self.previous = previous
        self.started = self.clock.now()
        self.since = self.started
        self.ready: moments.Moment | None = None
        self.served = bool(served.read(paths.served(kind, name)))  # until the configuration is read
        self.failures = int((read_json(paths.history(kind, name)) or {}).get("failures") or 0)
        self.diagnosis: Diagnosis | None = None
        self.last_failure: dict[str, Any] | None = previous.get("last_failure")
        self.gpu_waited = 0.0
        self.log_tells_phase = True
        self.silence = silence.Silence(self.spec.silence_timeout, self.clock.monotonic(), self.clock.monotonic())
        self.silent = 0

    # -- telling

    def say(self, text: str) -> None:
        self._print((f"launcher: {redact(text, self.secrets)}\n").encode("utf-8", "replace"))

    def _print(self, data: bytes) -> None:
        with self._out_lock:
            try:
                self._out.write(data)
                self._out.flush()
            except (OSError, ValueError):
                pass  # a journal that restarts must not end an engine

    def update(self, phase: str | None = None, percent: int | None = None, detail: str = "", force: bool = False) -> None:
        before = self.now_at
        self.now_at = progress.merge(before, progress.Progress(phase, percent, redact(detail, self.secrets)))
        changed = self.now_at.phase != before.phase
        if self.now_at != before:
            self.hear()
        if changed:
            self.silent = 0
            self.since = self.clock.now()
            self.say(progress.describe(str(self.now_at.phase), self.now_at.percent, self.now_at.detail))
        if force or changed or (self.now_at != before and self.clock.monotonic() - self._written > 0.3):
            self.publish()

    def publish(self) -> None:
        phase = str(self.now_at.phase)
        status = progress.describe(phase, self.now_at.percent, self.now_at.detail)
        if self.diagnosis is not None and phase == progress.FAILED:
            status = f"failed: {self.diagnosis.cause}: {self.diagnosis.message}"
        elif self.diagnosis is not None and phase != progress.READY and self.failures:
            status += f"; attempt {self.failures + 1}, the last one failed: {self.diagnosis.cause}"
        if self.silent:
            status += f"; no sign of life for {max(1, self.silent // 60)} min"
        if status != self._status:
            self.notifier.send(STATUS=redact(status, self.secrets))
            self._status = status
        diagnosis = self.diagnosis
        document = {
            "unit": self.spec.unit,
            "phase": phase,
            "percent": self.now_at.percent,
            "detail": self.now_at.detail,
            "since": self.since.wall,
            "started": self.started.wall,
            "ready_at": self.ready.wall if self.ready else None,
            "monotonic": {
                "since": self.since.monotonic,
                "started": self.started.monotonic,
                "ready_at": self.ready.monotonic if self.ready else None,
            },
            "gpu_waited": round(self.gpu_waited, 1),
            "attempt": self.failures + (0 if phase == progress.FAILED else 1),
            "failures": self.failures,
            "config_hash": self.spec.config_hash,
            "spec_hash": self.spec.spec_hash,
            "program_dir": str(self.program_dir),
            "program_hash": self.program_hash,
            "image": self.spec.image,
            "container_id": self.container_id,
            "loading": self.loading,
            "silent": self.silent,
            "cause": str(diagnosis.cause) if diagnosis else None,
            "message": redact(diagnosis.message, self.secrets) if diagnosis else None,
            "remedy": diagnosis.remedy if diagnosis else None,
            "log_lines": [redact(line, self.secrets) for line in diagnosis.log_lines] if diagnosis else [],
            "permanent": bool(diagnosis and diagnosis.permanent),
            "served": self.served,
            "last_failure": self.last_failure,
            "log_position": self.log_position,
            "pid": os.getpid(),
        }
        try:
            write_atomically(self.paths.state(self.kind, self.name), json.dumps(document, indent=1, sort_keys=True) + "\n")
        except OSError as error:
            self.say(f"cannot write the state file: {error}")
        self._written = self.clock.monotonic()

    def hear(self) -> None:
        """A sign of life."""
        self.silence = self.silence.heard(self.clock.monotonic())

    def listen(self, look: Callable[[], silence.Vitals | None], lines: Sequence[str] = ()) -> None:
        """Tells of a start without a sign of life, and ends it after its limit."""
        if not self.daemon_up:
            self.hear()
        now = self.clock.monotonic()
        if self.silence.due(now):
            self.silence = self.silence.look(now, look())
        silent = self.silence.seconds(now)
        if bool(silent) != bool(self.silent) or silent // 60 != self.silent // 60:
            self.silent = silent
            self.publish()
        if self.silence.over(now):
            cause, message, remedy = silence.told(str(self.now_at.phase), now - self.silence.last)
            raise Failure(replace(self.diagnose(cause, message, lines=(lines or self.lines)[-10:]), remedy=remedy))

    def vitals_of(self, name: str) -> silence.Vitals | None:
        try:
            container = self.docker.find(name)
        except docker_cli.DockerDown:
            return None
        return silence.of_container([container.pid]) if container is not None else None

    # -- signals

    def on_signal(self, number: int, _frame: Any) -> None:
        if number == signal.SIGHUP:
            self.reloading = True
        else:
            self.stopping = True
        self.events.put(Signalled())

    def alive(self) -> None:
        """Tells systemd that this process gets on, in every phase; other threads do not speak for it.

        After a start or a stop the message counts as a sign of life for the watchdog, before that it extends the time that systemd
        allows for it.
        """
        now = self.clock.monotonic()
        if threading.get_ident() != self._thread or now - self._alive_at < ALIVE_EVERY:
            return
        self._alive_at = now
        self.notifier.send(WATCHDOG="1", EXTEND_TIMEOUT_USEC=str(WATCHDOG_USEC))
        if self.follower is not None and self.log_position > self.clock.stamp(10.0):  # the clock was set back
            self.log_position = self.clock.stamp()
            self.follower.resume(self.log_position)

    def check_stop(self) -> None:
        self.alive()
        if self.stopping:
            raise docker_cli.Stopped

    def pause(self, seconds: float) -> None:
        deadline = self.clock.monotonic() + seconds
        while self.clock.monotonic() < deadline:
            self.check_stop()
            time.sleep(min(0.2, max(0.0, deadline - self.clock.monotonic())))

    # -- the course of things

    def run(self) -> int:
        self._thread = threading.get_ident()
        try:
            self.load()
            self.take_own_lock()
            self.wait_for_docker()
            container = self.docker.find(self.spec.container)
            decision = rules.decide_existing(container, self.spec)
            if decision == rules.FOREIGN:
                raise self.failure(
                    Cause.UNKNOWN,
                    f"a container named {self.spec.container} exists that is not ours; remove or rename it",
                    permanent=True,
                )
            if decision == rules.ADOPT and container is not None:
                self.adopt(container)
            else:
                self.start()
            self.become_ready()
            self.serve()
        except docker_cli.Stopped:
            return self.stop()
        except Failure as failure:
            return self.fail(failure.diagnosis)
        except docker_cli.DockerDown as error:
            return self.fail(self.diagnose(Cause.DOCKER_DOWN, str(error)))
        raise AssertionError("serve() does not return")

    def failure(self, cause: Cause, text: str, permanent: bool = False, lines: Sequence[str] = ()) -> Failure:
        return Failure(self.diagnose(cause, text, permanent, lines))

    def diagnose(self, cause: Cause, text: str, permanent: bool = False, lines: Sequence[str] = ()) -> Diagnosis:
        return Diagnosis(cause=cause, message=text, log_lines=tuple(lines), remedy=REMEDIES[cause], permanent=permanent)

    def classify(self, lines: Sequence[str], what: str, exit_code: int | None = None, oom_killed: bool = False) -> Diagnosis:
        found = classify_log(self.kind, lines, exit_code=exit_code, oom_killed=oom_killed)
        last = lines[-1].strip() if lines else "no output"
        # A download's own words say more than that they are not known here.
        message = found.message if found.quoted or "exit code" in what else last
        return replace(found, message=message if what in message or "exit code" in message else f"{what}: {message}")

    def refused(self, result: docker_cli.Result, what: str) -> Failure:
        """A Docker command that failed: in Docker's own words, of which the last ones only say that it did."""
        why = docker_cli.reason(result.err or result.out)
        return Failure(replace(classify_log(self.kind, [why], exit_code=result.rc), message=f"{what}: {why}"))

    def load(self) -> None:
        folder = self.paths.folder(self.kind, self.name)
        try:
            self.spec = parse_spec((folder / SERVICE_FILE).read_text(encoding="utf-8"), self.kind, self.name)
            # As bytes: read as text, a carriage return would come back as a line feed.
            self.env = parse_env((folder / ENV_FILE).read_bytes().decode("utf-8"))
        except (OSError, ValueError) as error:
            raise self.failure(Cause.UNKNOWN, f"cannot use {folder}: {error}", permanent=True) from error
        self.served = self.spec.config_hash in served.read(self.paths.served(self.kind, self.name))
        self.secrets = tuple(value for name, value in self.env.items() if name in self.spec.secret_names and len(value) >= 4)
        self.locks = tuple(FileLock(self.paths.gpu_lock(lock)) for lock in self.spec.locks)
        self.silence = replace(self.silence, limit=self.spec.silence_timeout)
        if self.previous.get("cause") and self.failures:
            try:
                self.diagnosis = self.diagnose(
                    Cause(self.previous["cause"]), str(self.previous.get("message") or ""), False, self.previous.get("log_lines") or ()
                )
            except ValueError:
                self.diagnosis = None

    def take_own_lock(self) -> None:
        """One launcher for each instance. A neighbour takes it for a moment to remove a container that nobody looks after."""
        while not self.own_lock.try_lock(f"{os.getpid()}\n"):
            self.check_stop()
            time.sleep(0.2)

    def wait_for_docker(self) -> None:
        began = self.clock.monotonic()
        while True:
            try:
                if self.docker.call("version", "--format", "{{.Server.Version}}", timeout=30).rc == 0:
                    break
                reason = "docker version fails"
            except docker_cli.DockerDown as error:
                reason = str(error)
            if self.clock.monotonic() - began > 15 and (self.diagnosis is None or self.diagnosis.cause is not Cause.DOCKER_DOWN):
                self.diagnosis = self.diagnose(Cause.DOCKER_DOWN, reason)
                self.update(progress.STARTING, None, "waits for Docker", force=True)
            self.pause(1.0)
        if self.diagnosis is not None and self.diagnosis.cause is Cause.DOCKER_DOWN:
            self.diagnosis = None

    # -- starting

    def start(self) -> None:
        # Not before a container is adopted: until this launcher speaks of it, neighbours take a serving one for nobody's.
        delay = rules.Backoff().delay(self.failures)
        if delay:
            why = "has served before; " if self.served else ""
            self.update(progress.STARTING, None, f"{why}waits {delay:.0f} s before attempt {self.failures + 1}", force=True)
            self.pause(delay)
        self.update(progress.STARTING, force=True)
        self.pull_image()
        self.download()
        self.take_gpu()
        self.remove_container()
        if self.spec.drop_page_cache:
            self.drop_page_cache()
        self.update(progress.STARTING)
        folder = self.paths.folder(self.kind, self.name)
        created = self.docker.call(*docker_cli.create_argv(self.spec, str(folder / ENV_FILE)), timeout=120)
        if created.rc != 0:
            raise self.refused(created, "docker create failed")
        container_id = created.out.split()[-1]
        self.container_id = container_id
        self.loading = True
        for network in self.spec.networks[1:]:
            connected = self.docker.call("network", "connect", network, container_id)
            if connected.rc != 0:
                raise self.refused(connected, f"docker network connect {network} failed")
        self.publish()
        begun = self.docker.call("start", container_id, timeout=180)
        if begun.rc != 0:
            raise self.refused(begun, "docker start failed")
        self.say(f"container {container_id[:12]} started")
        self.attend(container_id, "")
        self.deadline = self.clock.monotonic() + self.spec.start_timeout

    def pull_image(self) -> None:
        spec = self.spec
        present = self.docker.has_image(spec.image)
        if present and spec.pull != "always":
            return
        if spec.pull == "never":
            raise self.failure(Cause.IMAGE_MISSING, f"image {spec.image} is not on this host and pull is 'never'")
        self.update(progress.PULLING, None, spec.image)
        pull = progress.DockerPull()

        def on_line(line: str) -> None:
            self.hear()
            self.update(progress.PULLING, pull.feed(line), spec.image)

        try:
            result = self.docker.call("pull", spec.image, timeout=PULL_TIMEOUT, on_line=on_line, tick=lambda: self.listen(silence.of_pull))
        except Failure as failure:
            if not present:
                raise
            result = docker_cli.Result(124, "", failure.diagnosis.message)
        if result.rc == 0:
            return
        if present:
            self.say(f"cannot pull {spec.image}, starts the image that is here: {docker_cli.reason(result.err)}")
            return
        raise self.refused(result, f"cannot pull {spec.image}")

    def download(self) -> None:
        if not self.spec.download_command:
            return
        self.update(progress.DOWNLOADING)
        name = self.spec.container + "-download"
        self.docker.call("rm", "--force", name)
        lines: list[str] = []

        def on_line(line: str) -> None:
            self.hear()
            lines.append(line)
            self._print((redact(line, self.secrets) + "\n").encode("utf-8", "replace"))
            found = progress.parse_line(self.kind, line)
            if found and found.phase == progress.DOWNLOADING:
                self.update(progress.DOWNLOADING, found.percent, found.detail)

        argv = docker_cli.download_argv(self.spec, str(self.paths.folder(self.kind, self.name) / ENV_FILE))
        try:
            result = self.docker.call(
                *argv, timeout=PULL_TIMEOUT, on_line=on_line, tick=lambda: self.listen(lambda: self.vitals_of(name), lines)
            )
        except Failure:
            self.docker.call("rm", "--force", name)  # the command was killed, and its container goes on
            raise
        if result.rc != 0:
            raise Failure(or_else(self.classify(result.lines, "the download failed", result.rc), Cause.DOWNLOAD_FAILED))

    def take_gpu(self) -> None:
        """Takes the locks in a fixed order, then makes sure that nobody loads on these GPUs without a lock."""
        if not self.locks:
            return
        began = self.clock.monotonic()
        for lock in self.locks:
            while not lock.try_lock(f"{self.spec.unit} {os.getpid()}\n"):
                self.update(progress.WAITING_FOR_GPU, None, lock_holder(lock.path))
                self.gpu_waited = self.clock.monotonic() - began
                self.pause(0.5)
        self.say("GPU lock taken: {}".format(", ".join(self.spec.locks)))
        unattended: dict[str, float] = {}
        while True:
            self.check_stop()
            loading = [neighbour for neighbour in self.docker.owned_running() if self.disturbs(neighbour)]
            if not loading:
                break
            self.update(progress.WAITING_FOR_GPU, None, f"{loading[0].instance} still loads")
            for neighbour in loading:
                self.remove_unattended(neighbour, unattended)
            self.pause(1.0)
        self.gpu_waited = self.clock.monotonic() - began

    def disturbs(self, neighbour: docker_cli.Container) -> bool:
        kind, _slash, name = neighbour.instance.partition("/")
        if not kind or not name:
            return False
        lock = FileLock(self.paths.instance_lock(kind, name))
        if neighbour.instance == self.spec.instance:
            return False
        alive = not lock.try_lock()
        lock.release()
        return rules.may_disturb(neighbour, self.spec, read_json(self.paths.state(kind, name)), alive)

    def remove_unattended(self, neighbour: docker_cli.Container, unattended: dict[str, float]) -> None:
        """Removes a loading container whose launcher was killed and has not come back."""
        kind, _slash, name = neighbour.instance.partition("/")
        lock = FileLock(self.paths.instance_lock(kind, name))
        if not lock.try_lock(f"{self.spec.unit} {os.getpid()}\n"):
            unattended.pop(neighbour.id, None)
            return
        try:
            first = unattended.setdefault(neighbour.id, self.clock.monotonic())
            if self.clock.monotonic() - first >= NEIGHBOUR_GRACE:
                self.say(f"removes {neighbour.name}, which nobody looks after and which was not ready")
                self.docker.call("rm", "--force", neighbour.id)
        finally:
            lock.release()

    def release_gpu(self) -> None:
        if any(lock.held for lock in self.locks):
            self.say("GPU lock released: {}".format(", ".join(self.spec.locks)))
        for lock in reversed(self.locks):
            lock.release()

    def remove_container(self) -> None:
        container = self.docker.find(self.spec.container)
        if container is None:
            return
        if rules.decide_existing(container, self.spec) == rules.FOREIGN:
            raise self.failure(Cause.UNKNOWN, f"a container named {self.spec.container} exists that is not ours", permanent=True)
        if container.running:
            seconds = int(self.spec.stop_timeout)
            self.docker.call("stop", "--time", str(seconds), container.id, timeout=seconds + 30.0)
        self.docker.call("rm", "--force", container.id)

    def drop_page_cache(self) -> None:
        # By a program of its own: it may take minutes, and this process is to show that it lives.
        dropped = docker_cli.run_process(
            ["sh", "-c", "sync && echo 1 > /proc/sys/vm/drop_caches"], 600, lambda: self.stopping, tick=self.alive
        )
        if dropped.rc != 0:
            self.say(f"cannot drop the page cache: {' '.join(dropped.lines)}")

    # -- a running container

    def attend(self, container_id: str, since: str, show_after: str = "") -> None:
        """Follows log and life of the container. Lines up to show_after were in the journal already: read, but not repeated."""
        self.container_id = container_id
        known = show_after

        def emit(stamp: str, line: bytes) -> None:
            nonlocal known
            text = redact(line.decode("utf-8", "replace").rstrip("\n"), self.secrets).strip("\r")
            if stamp > known:
                known = ""  # what follows is new, whatever its time
                self._print((text + "\n").encode("utf-8", "replace"))
            self.events.put(docker_cli.LogLine(text, stamp))

        self.follower = docker_cli.Follower(self.paths.docker, container_id, since, emit)
        self.waiter = docker_cli.Waiter(self.paths.docker, container_id, self.events.put)
        self.follower.start()
        self.waiter.start()

    def let_go(self) -> None:
        for watcher in (self.follower, self.waiter):
            if watcher is not None:
                watcher.close()

    def adopt(self, container: docker_cli.Container) -> None:
        """Takes over a container that an earlier launcher left behind, without touching it."""
        before = self.previous
        same = before.get("container_id") == container.id
        was_ready = same and before.get("phase") == progress.READY
        self.container_id = container.id
        if same:
            self.started = moments.read(before, "started", self.clock.now()) or self.started
            self.log_position = str(before.get("log_position") or "")
        # Not beyond now: the clock may have been set back since, and lines of earlier times would be taken for known.
        position = min(self.log_position or self.clock.stamp(), self.clock.stamp(1.0))
        self.say(f"adopts the running container {container.id[:12]}")
        bounded = memory_limit.change(self.docker.call, container, self.spec.memory_limit_mib, bool(self.spec.locks))
        if bounded:
            self.say(bounded)
        self.loading = not was_ready
        if was_ready:
            self.ready = moments.read(before, "ready_at", self.clock.now())
            self.now_at = progress.Progress(progress.READY)
            self.since = moments.read(before, "since", self.clock.now()) or self.since
            self.publish()
            self.attend(container.id, position, position)
            # An engine that served a moment ago answers at once, unless it hangs.
            self.deadline = self.clock.monotonic() + max(60.0, self.spec.watchdog)
            return
        self.update(progress.STARTING, None, "adopted", force=True)
        self.attend(container.id, "", position)
        running_for = moments.age_of_process(container.pid) or 0.0
        self.deadline = self.clock.monotonic() + max(60.0, self.spec.start_timeout - running_for)

    def handle(self, event: Any) -> None:
        """What happens to a container in any phase."""
        self.check_stop()
        if isinstance(event, docker_cli.LogLine):
            self.hear()
            self.log_position = event.stamp
            self.lines.append(event.text)
            if len(self.lines) > KEPT_LINES:
                # The first lines hold the root cause, the last ones the end.
                del self.lines[KEPT_LINES // 3 : KEPT_LINES // 3 + KEPT_LINES // 10]
            if self.ready is None and self.log_tells_phase:
                found = progress.parse_line(self.kind, event.text)
                if found is not None:
                    self.update(found.phase, found.percent, found.detail)
        elif isinstance(event, docker_cli.DaemonState):
            self.daemon_up = event.up
            self.say("Docker is back" if event.up else "Docker does not answer; the container may well go on")
        elif isinstance(event, docker_cli.Exited):
            self.exited(event)

    def exited(self, event: docker_cli.Exited) -> None:
        if self.follower is not None:
            self.follower.join(5.0)
        while True:
            try:
                rest = self.events.get_nowait()
            except queue.Empty:
                break
            if isinstance(rest, docker_cli.LogLine):
                self.lines.append(rest.text)
        if event.code is None:
            raise self.failure(Cause.UNKNOWN, "the container was removed by somebody else", lines=self.lines[-10:])
        raise Failure(self.classify(self.lines, f"the container ended with exit code {event.code}", event.code, event.oom_killed))

    def next_event(self, seconds: float) -> Any:
        self.alive()
        try:
            return self.events.get(timeout=max(0.01, seconds))
        except queue.Empty:
            return None

    def endpoint(self) -> Endpoint | None:
        wanted = self.spec.probe
        if wanted is None:
            return None
        return Endpoint(
            name=self.spec.instance,
            base_url=wanted.base_url,
            health_path=wanted.health_path,
            level=wanted.level,
            capability=wanted.capability,
            modalities=wanted.modalities,
            model=wanted.model,
            api_key=self.env.get(wanted.api_key_variable) if wanted.api_key_variable else None,
            dimension=wanted.dimension,
        )

    def probe(self, endpoint: Endpoint, limit: float, level: str | None = None) -> Observation:
        """The endpoint's answer, and whether the container still has its GPU.

        A container can lose it while HTTP stays green (nvidia-container-toolkit#48), and Ollama then goes on with the CPU. Only
        a new container gets it back.
        """
        seen = probe(endpoint, timeout=limit, level=level)
        if not seen.ok or not self.spec.locks:
            return seen
        try:
            asked = self.docker.call("exec", self.spec.container, "nvidia-smi", "-L", timeout=30.0, interruptible=False)
        except (docker_cli.DockerDown, OSError):
            return seen
        lost = rules.lost_gpu(asked.rc, asked.lines)
        return seen if lost is None else replace(seen, ok=False, cause=str(Cause.GPU_LOST), message=lost, certain=True)

    def ask(self, work: Callable[[], Probed]) -> None:
        """Runs a probe beside the main loop, which must never wait for an engine."""

        def body() -> None:
            try:
                self.events.put(work())
            except Exception as error:
                self.events.put(Probed(None, error=f"{type(error).__name__}: {error}"))

        threading.Thread(target=body, daemon=True).start()

    def become_ready(self) -> None:
        endpoint = self.endpoint()
        if self.spec.pull_models and endpoint is not None and self.ready is None:
            self.pull_into_server(endpoint)
        asked = answered = 0
        next_probe = 0.0
        certain_since: float | None = None
        last = "no probe yet"
        while True:
            now = self.clock.monotonic()
            self.check_stop()
            if self.reloading and self.ready is not None:
                break
            if now > self.deadline:
                raise self.too_late(last)
            if self.ready is None:
                self.listen(lambda: self.vitals_of(self.container_id or ""))
            if self.loading and self.locks and not all(lock.held for lock in self.locks):
                for lock in self.locks:  # an adopted container: whoever holds the lock waits for us
                    if not lock.try_lock(f"{self.spec.unit} {os.getpid()}\n"):
                        break
            if asked == answered and now >= next_probe and self.daemon_up:
                if endpoint is None:
                    self.pause(2.0)
                    self.events.put(Probed(None))
                else:
                    limit = rules.probe_timeout(asked)
                    self.ask(lambda limit=limit: Probed(self.probe(endpoint, limit)))  # type: ignore[misc]
                asked += 1
            event = self.next_event(min(1.0, max(0.05, next_probe - now)))
            if not isinstance(event, Probed):
                self.handle(event)
                continue
            answered += 1
            next_probe = self.clock.monotonic() + 1.0
            seen = event.observation
            if endpoint is None or (seen is not None and seen.ok):
                break
            last = event.error or (f"{seen.cause}: {seen.message}" if seen else "nothing")
            if seen is not None and seen.cause == str(Cause.REFUSED):
                asked = answered = 0  # a port without listener says nothing about how long an answer takes
            if seen is None or not seen.certain:
                certain_since = None
            elif certain_since is None:
                certain_since = self.clock.monotonic()
            elif self.clock.monotonic() - certain_since > 15.0:
                raise self.failure(known_cause(seen.cause), seen.message, lines=self.lines[-10:])
        self.announce()

    def slow(self, text: str, remedy: str) -> Failure:
        return Failure(replace(self.diagnose(Cause.TIMEOUT, text, lines=self.lines[-10:]), remedy=remedy))

    def too_late(self, last: str) -> Failure:
        where = progress.describe(str(self.now_at.phase), self.now_at.percent, self.now_at.detail)
        if self.ready is not None:
            return self.slow(f"the engine does not answer any more ({last})", HUNG_REMEDY)
        text = f"not ready within {self.spec.start_timeout:.0f} s; last phase: {where}; last probe: {last}"
        found = classify_log(self.kind, self.lines)
        if found.cause is Cause.UNKNOWN:
            return self.slow(text, SLOW_REMEDY)
        return Failure(replace(found, message=f"{text}; {found.message}"))

    def pull_into_server(self, endpoint: Endpoint) -> None:
        """Ollama gets its models through its running server. The GPU is free meanwhile."""
        root = endpoint.base_url.rstrip("/")
        root = root[: -len("/v1")] if root.endswith("/v1") else root
        while True:
            if self.clock.monotonic() > self.deadline:
                raise self.too_late(f"{root}/api/tags does not answer")
            try:
                tags = fetch_json(root + "/api/tags", 5.0)
                break
            except (OSError, ValueError):
                self.handle(self.next_event(0.5))
        missing = rules.missing_models(tags, self.spec.pull_models)
        if not missing:
            return
        self.loading = False
        self.log_tells_phase = False
        self.release_gpu()
        for model in missing:
            self.update(progress.DOWNLOADING, None, model, force=True)
            self.pull_model(root, model)
        self.take_gpu()
        self.log_tells_phase = True
        self.loading = True
        self.update(progress.LOADING_WEIGHTS, None, "", force=True)
        self.deadline = self.clock.monotonic() + self.spec.start_timeout

    def pull_model(self, root: str, model: str) -> None:
        reports: queue.SimpleQueue[progress.PullReport] = queue.SimpleQueue()

        def body() -> None:
            try:
                with fetch(root + "/api/pull", 600.0, {"model": model, "stream": True}) as answer:
                    for raw in answer:
                        report = progress.parse_ollama_pull(raw.decode("utf-8", "replace"))
                        if report is not None:
                            reports.put(report)
                            if report.error or report.done:
                                return
                reports.put(progress.PullReport(error="the stream ended early"))
            except urllib.error.HTTPError as error:
                text = error.read().decode("utf-8", "replace")
                found = progress.parse_ollama_pull(text)
                reports.put(progress.PullReport(error=found.error if found and found.error else f"HTTP {error.code} {text[:200]}"))
            except Exception as error:
                reports.put(progress.PullReport(error=f"{type(error).__name__}: {error}"))

        threading.Thread(target=body, daemon=True).start()
        while True:
            event = self.next_event(0.2)
            if event is not None:
                self.handle(event)
            self.check_stop()
            self.listen(lambda: self.vitals_of(self.container_id or ""))
            try:
                report = reports.get_nowait()
                while report.percent is not None and not reports.empty():
                    report = reports.get_nowait()
            except queue.Empty:
                continue
            if report.error is not None:
                found = or_else(classify_log("ollama", [report.error]), Cause.DOWNLOAD_FAILED)
                raise Failure(replace(found, message=f"ollama cannot pull {model}: {report.error}"))
            if report.done:
                return
            self.update(progress.DOWNLOADING, report.percent, model)

    # -- serving

    def announce(self) -> None:
        first = self.ready is None
        self.loading = False
        self.ready = self.ready or self.clock.now()
        if self.diagnosis is not None and self.failures:
            self.last_failure = self.last_failure or {"cause": str(self.diagnosis.cause), "message": self.diagnosis.message}
        self.diagnosis = None
        detail = ""
        share = self.share_on_cpu()
        if share:
            detail = f"{share} % of the model lies on the CPU"
            self.diagnosis = self.diagnose(Cause.PARTLY_ON_CPU, detail)
        self.remember()
        self.update(progress.READY, None, detail, force=True)
        self.release_gpu()
        # systemd watches this process; a hung engine is this process's business.
        self.notifier.send(READY="1", STATUS=self._status, WATCHDOG_USEC=str(WATCHDOG_USEC))
        if first:
            self.say(f"ready after {self.clock.monotonic() - self.started.monotonic:.0f} s")

    def remember(self) -> None:
        """That this configuration has been ready here, so that no later failure of it is the last one."""
        self.served = True
        try:
            served.record(self.paths.served(self.kind, self.name), self.spec.config_hash, self.clock.wall())
        except OSError as error:
            self.say(f"cannot record that this configuration has been ready: {error}")

    def share_on_cpu(self) -> int:
        if self.kind != "ollama" or not self.locks or self.spec.probe is None:
            return 0
        try:
            return rules.cpu_share(fetch_json(self.spec.probe.base_url.rstrip("/").replace("/v1", "") + "/api/ps", 5.0))
        except (OSError, ValueError):
            return 0

    def sign_of_life(self, endpoint: Endpoint, counter: float | None, limit: float) -> Probed:
        """A busy engine is judged by its counters, an idle one by a tiny answer."""
        root = endpoint.base_url.rstrip("/")
        root = root[: -len("/v1")] if root.endswith("/v1") else root
        if self.kind == "vllm":
            try:
                with fetch(root + "/metrics", min(10.0, limit)) as answer:
                    current = rules.activity(answer.read().decode("utf-8", "replace"))
            except (OSError, ValueError):
                current = None
            if current is not None and counter is not None and current != counter:
                return Probed(None, current)
            counter = current
        level = None
        if self.kind == "ollama":
            try:
                # Without this the probe would load a model that Ollama has unloaded, and keep it loaded.
                if not fetch_json(root + "/api/ps", min(10.0, limit)).get("models"):
                    level = "health"
            except (OSError, ValueError):
                pass
        return Probed(self.probe(endpoint, limit, level), counter)

    def serve(self) -> None:
        endpoint = self.endpoint()
        watch = rules.Watch(self.spec.watchdog if endpoint is not None else 0.0, self.clock.monotonic())
        step = max(1.0, self.spec.watchdog / 3)
        next_ask = self.clock.monotonic() + step
        outstanding = False
        trouble = ""
        while True:
            now = self.clock.monotonic()
            self.check_stop()
            if self.reloading:
                raise Reload
            if not self.daemon_up:
                watch = watch.excuse(now)
            if watch.hung(now):
                raise self.slow(
                    f"hung: no sign of life for {self.spec.watchdog:.0f} s although the container runs ({trouble or 'probe unanswered'})",
                    HUNG_REMEDY,
                )
            if endpoint is not None and self.spec.watchdog > 0 and not outstanding and now >= next_ask:
                counter, limit = watch.counter, max(5.0, self.spec.watchdog / 2)
                self.ask(lambda counter=counter, limit=limit: self.sign_of_life(endpoint, counter, limit))  # type: ignore[misc]
                outstanding = True
            event = self.next_event(min(step, 5.0))
            if not isinstance(event, Probed):
                self.handle(event)
                if self.clock.monotonic() - self._written > 30.0:
                    self.publish()  # keeps the position in the log
                continue
            outstanding = False
            next_ask = self.clock.monotonic() + step
            seen = event.observation
            if seen is not None and seen.cause == str(Cause.GPU_LOST):
                raise self.failure(Cause.GPU_LOST, seen.message)
            answered = seen is not None and seen.ok
            trouble = "" if answered or seen is None else f"{seen.cause}: {seen.message}"
            watch = watch.observe(self.clock.monotonic(), answered, event.counter)
            # Each sign allows the next unanswered question to be put at once.
            if not answered and watch.last_sign < self.clock.monotonic() - step:
                next_ask = self.clock.monotonic() + 1.0

    # -- ends

    def stop(self) -> int:
        self.update(progress.STOPPING, force=True)
        self.notifier.send(STOPPING="1")
        self.let_go_log_after_stop()
        self.diagnosis = None
        self.ready = None
        self.container_id = None
        self.loading = False
        self.update(progress.STOPPED, force=True)
        return EXIT_STOPPED

    def let_go_log_after_stop(self) -> None:
        """Stops and removes what is ours. The log is followed until the container has ended."""
        if self.waiter is not None:
            self.waiter.close()
        seconds = max(0, int(self.spec.stop_timeout))
        deadline = self.clock.monotonic() + seconds + 10
        while True:
            try:
                if self.spec.download_command:
                    self.docker.call("rm", "--force", self.spec.container + "-download", timeout=30, interruptible=False)
                container = self.docker.find(self.spec.container, interruptible=False)
                if container is not None and container.owned and container.instance in ("", self.spec.instance):
                    if container.running:
                        self.docker.call("stop", "--time", str(seconds), container.id, timeout=seconds + 15.0, interruptible=False)
                    self.docker.call("rm", "--force", container.id, timeout=30, interruptible=False)
                break
            except docker_cli.DockerDown as error:
                if self.clock.monotonic() > deadline:
                    self.say(f"Docker does not answer, the container may still run: {error}")
                    break
                time.sleep(1.0)
        if self.follower is not None:
            self.follower.join(2.0)
            self.follower.close()

    def fail(self, diagnosis: Diagnosis) -> int:
        now = self.clock.now()
        ready_for = now.monotonic - self.ready.monotonic if self.ready is not None else 0.0
        counts = diagnosis.cause is not Cause.DOCKER_DOWN
        if counts:
            self.failures = rules.count_failure(self.failures, ready_for)
            diagnosis = rules.verdict(diagnosis, self.failures, self.spec.restart_limit, self.served)
        self.diagnosis = diagnosis
        self.last_failure = {
            "cause": str(diagnosis.cause),
            "message": redact(diagnosis.message, self.secrets),
            "phase": self.now_at.phase,
            "at": now.wall,
            "monotonic": {"at": now.monotonic},
        }
        self.ready = None
        self.update(progress.FAILED, None, "", force=True)
        self.say(f"{diagnosis.cause}: {diagnosis.message}")
        if diagnosis.remedy:
            self.say(f"remedy: {diagnosis.remedy}")
        self.let_go()
        try:
            container = self.docker.find(self.spec.container, interruptible=False) if self.spec.image else None
            if container is not None and container.owned and container.instance == self.spec.instance:
                self.docker.call("rm", "--force", container.id, timeout=60, interruptible=False)
        except docker_cli.DockerDown as error:
            self.say(f"cannot remove the container: {error}")
        self.container_id = None
        self.loading = False
        self.publish()
        try:
            # Whoever starts a unit by hand after a permanent failure wants a full set of attempts.
            kept = {"failures": 0 if diagnosis.permanent else self.failures}
            write_atomically(self.paths.history(self.kind, self.name), json.dumps(kept) + "\n")
        except OSError as error:
            self.say(f"cannot write the count of failures: {error}")
        self.release_gpu()
        return EXIT_PERMANENT if diagnosis.permanent else EXIT_FAILED


def known_cause(text: str | None) -> Cause:
    try:
        return Cause(str(text))
    except ValueError:
        return Cause.UNKNOWN


def lock_holder(path: Path) -> str:
    try:
        words = path.read_text(encoding="utf-8").split()
    except OSError:
        return ""
    return f"held by {words[0]}" if words else ""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Runs one instance as main process of its systemd unit.")
    parser.add_argument("action", choices=["run"])
    parser.add_argument("instance", help="kind/name")
    parser.add_argument("--instances", default=os.environ.get("GPU_INFERENCE_INSTANCES", "/etc/gpu-inference/instances"))
    parser.add_argument("--runtime", default=os.environ.get("GPU_INFERENCE_RUNTIME", "/run/gpu-inference"))
    parser.add_argument("--docker", default=os.environ.get("GPU_INFERENCE_DOCKER", "docker"))
    parser.add_argument("--lasting", default=os.environ.get("GPU_INFERENCE_LASTING", "/var/lib/gpu-inference"))
    options = parser.parse_args(argv)
    kind, slash, name = options.instance.partition("/")
    if not slash or not re.match(r"^[a-z0-9][a-z0-9_.-]*$", kind) or not re.match(r"^[a-z0-9][A-Za-z0-9_.-]*$", name):
        parser.error("instance must be kind/name")
    paths = Paths(Path(options.instances), Path(options.runtime), options.docker, Path(options.lasting))
    faulthandler.enable()  # systemd's watchdog sends SIGABRT: then the journal has where it hung
    launcher = Launcher(kind, name, paths, Notifier(os.environ.get("NOTIFY_SOCKET", "")), sys.stdout.buffer)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, launcher.on_signal)
    try:
        return launcher.run()
    except Reload:
        launcher.say("runs anew")
        launcher.publish()
        launcher.let_go()
        docker_cli.kill_children()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the new program has its own handler
        os.execv(sys.executable, [sys.executable, os.path.abspath(__file__)] + list(sys.argv[1:] if argv is None else argv))  # noqa: S606


if __name__ == "__main__":
    # Daemon threads may still hang in an engine's socket: leave without waiting for them.
    code = main()
    sys.stdout.flush()
    os._exit(code)
