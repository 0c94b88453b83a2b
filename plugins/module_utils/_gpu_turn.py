# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""Starts on one GPU happen one after another: the locks of an instance's GPUs, and neighbours that load without one."""

from __future__ import annotations

import os
from pathlib import Path

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_cli as docker_cli
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _launch_rules as rules
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _progress as progress
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import Cause
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_life import Life
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import FileLock, read_json
except ImportError:  # on the node the files lie side by side
    import _docker_cli as docker_cli  # type: ignore[import-not-found,no-redef]
    import _launch_rules as rules  # type: ignore[import-not-found,no-redef]
    import _progress as progress  # type: ignore[import-not-found,no-redef]
    from _causes import Cause  # type: ignore[import-not-found,no-redef]
    from _launcher_life import Life  # type: ignore[import-not-found,no-redef]
    from _node import FileLock, read_json  # type: ignore[import-not-found,no-redef]

NEIGHBOUR_GRACE = 20.0  # time for a killed launcher to come back and look after its container


class GpuTurn:
    def __init__(self, life: Life) -> None:
        self._life = life
        self.locks: tuple[FileLock, ...] = ()

    def know_locks(self) -> None:
        """Of the instance, once its folder is read."""
        self.locks = tuple(FileLock(self._life.paths.gpu_lock(lock)) for lock in self._life.spec.locks)

    def take(self, patience: float | None = None) -> None:
        """Takes the locks in a fixed order, then makes sure that nobody loads on these GPUs without a lock.

        C(patience): seconds after which it gives up, so that hosts which wait for each other's GPUs do not do so for ever.
        """
        life, state = self._life, self._life.state
        if not self.locks:
            return
        began = life.clock.monotonic()
        for lock in self.locks:
            while not lock.try_lock(f"{life.spec.unit} {os.getpid()}\n"):
                life.update(progress.WAITING_FOR_GPU, None, lock_holder(lock.path))
                state.gpu_waited = life.clock.monotonic() - began
                if patience is not None and state.gpu_waited > patience:
                    raise life.failure(Cause.GROUP_ENDED, f"its GPU was not free within {patience:.0f} s: {lock_holder(lock.path)}")
                life.pause(0.5)
        life.say("GPU lock taken: {}".format(", ".join(life.spec.locks)))
        unattended: dict[str, float] = {}
        while True:
            life.check_stop()
            loading = [neighbour for neighbour in life.docker.owned_running() if self._disturbs(neighbour)]
            if not loading:
                break
            life.update(progress.WAITING_FOR_GPU, None, f"{loading[0].instance} still loads")
            for neighbour in loading:
                self._remove_unattended(neighbour, unattended)
            life.pause(1.0)
        state.gpu_waited = life.clock.monotonic() - began

    def _disturbs(self, neighbour: docker_cli.Container) -> bool:
        life = self._life
        kind, _slash, name = neighbour.instance.partition("/")
        if not kind or not name:
            return False
        lock = FileLock(life.paths.instance_lock(kind, name))
        if neighbour.instance == life.spec.instance:
            return False
        alive = not lock.try_lock()
        lock.release()
        return rules.may_disturb(neighbour, life.spec, read_json(life.paths.state(kind, name)), alive)

    def _remove_unattended(self, neighbour: docker_cli.Container, unattended: dict[str, float]) -> None:
        """Removes a loading container whose launcher was killed and has not come back."""
        life = self._life
        kind, _slash, name = neighbour.instance.partition("/")
        lock = FileLock(life.paths.instance_lock(kind, name))
        if not lock.try_lock(f"{life.spec.unit} {os.getpid()}\n"):
            unattended.pop(neighbour.id, None)
            return
        try:
            first = unattended.setdefault(neighbour.id, life.clock.monotonic())
            if life.clock.monotonic() - first >= NEIGHBOUR_GRACE:
                life.say(f"removes {neighbour.name}, which nobody looks after and which was not ready")
                life.docker.remove(neighbour.id)
        finally:
            lock.release()

    def release(self) -> None:
        if any(lock.held for lock in self.locks):
            self._life.say("GPU lock released: {}".format(", ".join(self._life.spec.locks)))
        for lock in reversed(self.locks):
            lock.release()

    def take_late(self) -> None:
        """Those of an adopted container that loads: whoever holds a lock waits for it."""
        for lock in self.locks:
            if not lock.try_lock(f"{self._life.spec.unit} {os.getpid()}\n"):
                break


def lock_holder(path: Path) -> str:
    try:
        words = path.read_text(encoding="utf-8").split()
    except OSError:
        return ""
    return f"held by {words[0]}" if words else ""
