# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""Follows log and life of one container, and says what happens to it in any phase."""

from __future__ import annotations

import queue
from typing import Any

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_watch as docker_watch
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _progress as progress
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import Cause, redact
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_events import Failure, GroupEnded
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_life import Life
except ImportError:  # on the node the files lie side by side
    import _docker_watch as docker_watch  # type: ignore[import-not-found,no-redef]
    import _progress as progress  # type: ignore[import-not-found,no-redef]
    from _causes import Cause, redact  # type: ignore[import-not-found,no-redef]
    from _launcher_events import Failure, GroupEnded  # type: ignore[import-not-found,no-redef]
    from _launcher_life import Life  # type: ignore[import-not-found,no-redef]

KEPT_LINES = 3000


class Following:
    def __init__(self, life: Life) -> None:
        self._life = life
        self._follower: docker_watch.Follower | None = None
        self._waiter: docker_watch.Waiter | None = None
        self.tells_phase = True  # what the log says of a phase counts
        life.when_alive = self._mind_the_clock

    def _mind_the_clock(self) -> None:
        life, state = self._life, self._life.state
        if self._follower is not None and state.log_position > life.clock.stamp(10.0):  # it was set back
            state.log_position = life.clock.stamp()
            self._follower.resume(state.log_position)

    def attend(self, container_id: str, since: str, show_after: str = "") -> None:
        """Follows log and life of the container. Lines up to show_after were in the journal already: read, but not repeated."""
        life = self._life
        life.state.container_id = container_id
        known = show_after

        def emit(stamp: str, line: bytes) -> None:
            nonlocal known
            text = redact(line.decode("utf-8", "replace").rstrip("\n"), life.secrets).strip("\r")
            if stamp > known:
                known = ""  # what follows is new, whatever its time
                life.print((text + "\n").encode("utf-8", "replace"))
            life.events.put(docker_watch.LogLine(text, stamp))

        self._follower = docker_watch.Follower(life.paths.docker, container_id, since, emit)
        self._waiter = docker_watch.Waiter(life.paths.docker, container_id, life.events.put)
        self._follower.start()
        self._waiter.start()

    def let_go(self) -> None:
        for watcher in (self._follower, self._waiter):
            if watcher is not None:
                watcher.close()

    def close_waiter(self) -> None:
        if self._waiter is not None:
            self._waiter.close()

    def read_to_the_end(self) -> None:
        """Of a container that has ended."""
        if self._follower is not None:
            self._follower.join(2.0)
            self._follower.close()

    def handle(self, event: Any) -> None:
        """What happens to a container in any phase."""
        life, state = self._life, self._life.state
        life.check_stop()
        if isinstance(event, docker_watch.LogLine):
            life.hear()
            state.log_position = event.stamp
            life.lines.append(event.text)
            if len(life.lines) > KEPT_LINES:
                # The first lines hold the root cause, the last ones the end.
                del life.lines[KEPT_LINES // 3 : KEPT_LINES // 3 + KEPT_LINES // 10]
            if state.ready is None and self.tells_phase:
                found = progress.parse_line(life.kind, event.text)
                if found is not None:
                    life.update(found.phase, found.percent, found.detail)
        elif isinstance(event, docker_watch.DaemonState):
            life.daemon_up = event.up
            life.say("Docker is back" if event.up else "Docker does not answer; the container may still run")
        elif isinstance(event, GroupEnded):
            if event.generation == life.generation:
                raise life.failure(Cause.GROUP_ENDED, event.why)
        elif isinstance(event, docker_watch.Exited):
            self._exited(event)

    def _exited(self, event: docker_watch.Exited) -> None:
        life = self._life
        if self._follower is not None:
            self._follower.join(5.0)
        while True:
            try:
                rest = life.events.get_nowait()
            except queue.Empty:
                break
            if isinstance(rest, docker_watch.LogLine):
                life.lines.append(rest.text)
        if event.code is None:
            raise life.failure(Cause.UNKNOWN, "the container was removed by somebody else", lines=life.lines[-10:])
        raise Failure(life.classify(life.lines, f"the container ended with exit code {event.code}", event.code, event.oom_killed))
