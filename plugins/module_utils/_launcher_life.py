# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""What all parts of the launcher share: who the instance is, where it stands, who is told, and the events that its main loop waits for."""

from __future__ import annotations

import json
import os
import queue
import signal
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Callable

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_cli as docker_cli
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_watch as docker_watch
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _moments as moments
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _progress as progress
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _served as served
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _silence as silence
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._alone import Alone
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import REMEDIES, Cause, Diagnosis, classify_log, redact
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._instance_spec import Spec, parse_env, parse_spec
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_events import Failure, Signalled
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_state import State
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import (
        ENV_FILE,
        SERVICE_FILE,
        Paths,
        program_hash,
        read_json,
        write_atomically,
    )
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._sd_notify import Notifier
except ImportError:  # on the node the files lie side by side
    import _docker_cli as docker_cli  # type: ignore[import-not-found,no-redef]
    import _docker_watch as docker_watch  # type: ignore[import-not-found,no-redef]
    import _moments as moments  # type: ignore[import-not-found,no-redef]
    import _progress as progress  # type: ignore[import-not-found,no-redef]
    import _served as served  # type: ignore[import-not-found,no-redef]
    import _silence as silence  # type: ignore[import-not-found,no-redef]
    from _alone import Alone  # type: ignore[import-not-found,no-redef]
    from _causes import REMEDIES, Cause, Diagnosis, classify_log, redact  # type: ignore[import-not-found,no-redef]
    from _host_commands import Ran  # type: ignore[import-not-found,no-redef]
    from _instance_spec import Spec, parse_env, parse_spec  # type: ignore[import-not-found,no-redef]
    from _launcher_events import Failure, Signalled  # type: ignore[import-not-found,no-redef]
    from _launcher_state import State  # type: ignore[import-not-found,no-redef]
    from _node import ENV_FILE, SERVICE_FILE, Paths, program_hash, read_json, write_atomically  # type: ignore[import-not-found,no-redef]
    from _sd_notify import Notifier  # type: ignore[import-not-found,no-redef]

WATCHDOG_USEC = 90 * 1000000  # WatchdogSec= and TimeoutStartSec= of the units: a process that hangs for so long is killed, and adopts
ALIVE_EVERY = 5.0  # seconds between two signs of life
SLOW_REMEDY = (
    "If the model merely needs longer on this machine, raise ready_timeout of the service. Otherwise the log lines and "
    "'journalctl -u' of the unit tell what it waited for."
)
HUNG_REMEDY = (
    "It is started again. If it hangs again, read 'journalctl -u' of the unit and the kernel log (GPU errors), and raise the "
    "watchdog time if the engine is merely overloaded."
)


class Life:
    def __init__(
        self,
        kind: str,
        name: str,
        paths: Paths,
        notifier: Notifier,
        out: IO[bytes],
        clock: moments.Clock,
        sleep: Callable[[float], None],
    ) -> None:
        self.kind = kind
        self.name = name
        self.paths = paths
        self.notifier = notifier
        self._out = out
        self._out_lock = threading.Lock()
        self.clock = clock
        self.sleep = sleep
        self.stopping = False
        self.reloading = False
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.docker = docker_watch.WatchedDocker(paths.docker, lambda: self.stopping, self.alive)
        self.docker_at_the_end = docker_watch.WatchedDocker(paths.docker, lambda: False, self.alive)  # for what a stop does not cut short
        self.spec = Spec(kind=kind, name=name, image="", config_hash="")
        self.env: dict[str, str] = {}
        self.secrets: tuple[str, ...] = ()
        self.lines: list[str] = []  # of the container's log
        self.daemon_up = True
        self.group = Alone()  # until the configuration is read
        self.generation: int | None = None  # of the containers of a model on several hosts
        self.deadline = 0.0  # of the start, monotonic
        self.status = ""
        self.written = 0.0
        self._alive_at = 0.0
        self.thread = threading.get_ident()  # that of the main loop
        self.when_alive: Callable[[], None] = lambda: None
        self._program_dir = Path(__file__).resolve().parent
        self._program_hash = program_hash(self._program_dir)
        self.previous = read_json(paths.state(kind, name)) or {}
        now = clock.now()
        self.state = State(
            started=now,
            since=now,
            failures=int((read_json(paths.history(kind, name)) or {}).get("failures") or 0),
            served=bool(served.read(paths.served(kind, name))),  # until the configuration is read
            last_failure=self.previous.get("last_failure"),
        )
        self.silence = silence.Silence(self.spec.silence_timeout, clock.monotonic(), clock.monotonic())

    def load(self) -> None:
        """Reads the instance's folder."""
        folder = self.paths.folder(self.kind, self.name)
        try:
            self.spec = parse_spec((folder / SERVICE_FILE).read_text(encoding="utf-8"), self.kind, self.name)
            # As bytes: read as text, a carriage return would come back as a line feed.
            self.env = parse_env((folder / ENV_FILE).read_bytes().decode("utf-8"))
        except (OSError, ValueError) as error:
            raise self.failure(Cause.UNKNOWN, f"cannot use {folder}: {error}", permanent=True) from error
        self.state.served = self.spec.config_hash in served.read(self.paths.served(self.kind, self.name))
        self.secrets = tuple(value for name, value in self.env.items() if name in self.spec.secret_names and len(value) >= 4)
        self.silence = replace(self.silence, limit=self.spec.silence_timeout)
        if self.previous.get("cause") and self.state.failures:
            try:
                self.state.diagnosis = self.diagnose(
                    Cause(self.previous["cause"]), str(self.previous.get("message") or ""), False, self.previous.get("log_lines") or ()
                )
            except ValueError:
                self.state.diagnosis = None

    # -- telling

    def say(self, text: str) -> None:
        self.print((f"launcher: {redact(text, self.secrets)}\n").encode("utf-8", "replace"))

    def print(self, data: bytes) -> None:
        with self._out_lock:
            try:
                self._out.write(data)
                self._out.flush()
            except (OSError, ValueError):
                pass  # a journal that restarts must not end an engine

    def update(self, phase: str | None = None, percent: int | None = None, detail: str = "", force: bool = False) -> None:
        before = self.state.now_at
        self.state.now_at = progress.merge(before, progress.Progress(phase, percent, redact(detail, self.secrets)))
        changed = self.state.now_at.phase != before.phase
        if self.state.now_at != before:
            self.hear()
        if changed:
            self.state.silent = 0
            self.state.since = self.clock.now()
            self.say(self.state.where)
        if force or changed or (self.state.now_at != before and self.clock.monotonic() - self.written > 0.3):
            self.publish()

    def publish(self) -> None:
        self.written = self.clock.monotonic()
        status = redact(self.state.status(), self.secrets)
        if status != self.status:
            self.notifier.send(STATUS=status)
            self.status = status
        document = self.state.document(self.spec, self.secrets)
        document.update(program_dir=str(self._program_dir), program_hash=self._program_hash, pid=os.getpid())
        try:
            write_atomically(self.paths.state(self.kind, self.name), json.dumps(document, indent=1, sort_keys=True) + "\n")
        except OSError as error:
            self.say(f"cannot write the state file: {error}")

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
        if bool(silent) != bool(self.state.silent) or silent // 60 != self.state.silent // 60:
            self.state.silent = silent
            self.publish()
        if self.silence.over(now):
            cause, message, remedy = silence.told(str(self.state.now_at.phase), now - self.silence.last)
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
        if threading.get_ident() != self.thread or now - self._alive_at < ALIVE_EVERY:
            return
        self._alive_at = now
        self.notifier.send(WATCHDOG="1", EXTEND_TIMEOUT_USEC=str(WATCHDOG_USEC))
        self.when_alive()

    def check_stop(self) -> None:
        self.alive()
        if self.stopping:
            raise docker_watch.Stopped

    def pause(self, seconds: float) -> None:
        deadline = self.clock.monotonic() + seconds
        while self.clock.monotonic() < deadline:
            self.check_stop()
            self.sleep(min(0.2, max(0.0, deadline - self.clock.monotonic())))

    def next_event(self, seconds: float) -> Any:
        self.alive()
        try:
            return self.events.get(timeout=max(0.01, seconds))
        except queue.Empty:
            return None

    # -- failures

    def failure(self, cause: Cause, text: str, permanent: bool = False, lines: Sequence[str] = ()) -> Failure:
        return Failure(self.diagnose(cause, text, permanent, lines))

    def diagnose(self, cause: Cause, text: str, permanent: bool = False, lines: Sequence[str] = ()) -> Diagnosis:
        return Diagnosis(cause=cause, message=text, log_lines=tuple(lines), remedy=REMEDIES[cause], permanent=permanent)

    def classify(self, lines: Sequence[str], what: str, exit_code: int | None = None, oom_killed: bool = False) -> Diagnosis:
        # Without a probe nobody knows whether it has answered.
        serving = self.state.ready is not None and self.spec.probe is not None
        found = classify_log(self.kind, lines, exit_code=exit_code, oom_killed=oom_killed, serving=serving)
        last = lines[-1].strip() if lines else "no output"
        # A download's own words say more than that they are not known here.
        message = found.message if found.quoted or "exit code" in what else last
        return replace(found, message=message if what in message or "exit code" in message else f"{what}: {message}")

    def refused(self, result: Ran, what: str, kind: str = "docker") -> Failure:
        """A Docker command that failed: in Docker's own words, of which the last ones only say that it did.

        C(kind): whose rules they are judged by; an engine's know that the only bind mount of its container is the model.
        """
        why = docker_cli.reason(result.err or result.out)
        return Failure(replace(classify_log(kind, [why], exit_code=result.rc), message=f"{what}: {why}"))

    def slow(self, text: str, remedy: str) -> Failure:
        return Failure(replace(self.diagnose(Cause.TIMEOUT, text, lines=self.lines[-10:]), remedy=remedy))


def known_cause(text: str | None) -> Cause:
    try:
        return Cause(str(text))
    except ValueError:
        return Cause.UNKNOWN
