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
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Callable

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_cli as docker_cli
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_watch as docker_watch
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _group as group
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _launch_rules as rules
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _memory_limit as memory_limit
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _moments as moments
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _progress as progress
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _proved as proved
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import Cause
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._container_follow import Following
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._container_start import Starting
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._engine_probe import Asking
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._engine_proof import Proof
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._engine_watch import Serving
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._gpu_turn import GpuTurn
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_ends import Ending
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_events import Failure, Reload
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_life import Life
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import FileLock, Instance, Paths
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._sd_notify import Notifier
except ImportError:  # on the node the files lie side by side
    import _docker_cli as docker_cli  # type: ignore[import-not-found,no-redef]
    import _docker_watch as docker_watch  # type: ignore[import-not-found,no-redef]
    import _group as group  # type: ignore[import-not-found,no-redef]
    import _launch_rules as rules  # type: ignore[import-not-found,no-redef]
    import _memory_limit as memory_limit  # type: ignore[import-not-found,no-redef]
    import _moments as moments  # type: ignore[import-not-found,no-redef]
    import _progress as progress  # type: ignore[import-not-found,no-redef]
    import _proved as proved  # type: ignore[import-not-found,no-redef]
    from _causes import Cause  # type: ignore[import-not-found,no-redef]
    from _container_follow import Following  # type: ignore[import-not-found,no-redef]
    from _container_start import Starting  # type: ignore[import-not-found,no-redef]
    from _engine_probe import Asking  # type: ignore[import-not-found,no-redef]
    from _engine_proof import Proof  # type: ignore[import-not-found,no-redef]
    from _engine_watch import Serving  # type: ignore[import-not-found,no-redef]
    from _gpu_turn import GpuTurn  # type: ignore[import-not-found,no-redef]
    from _launcher_ends import Ending  # type: ignore[import-not-found,no-redef]
    from _launcher_events import Failure, Reload  # type: ignore[import-not-found,no-redef]
    from _launcher_life import Life  # type: ignore[import-not-found,no-redef]
    from _node import FileLock, Instance, Paths  # type: ignore[import-not-found,no-redef]
    from _sd_notify import Notifier  # type: ignore[import-not-found,no-redef]


class Launcher:
    def __init__(
        self,
        kind: str,
        name: str,
        paths: Paths,
        notifier: Notifier,
        out: IO[bytes],
        clock: moments.Clock | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.life = Life(kind, name, paths, notifier, out, clock or moments.Clock(), sleep)
        self.own_lock = FileLock(paths.instance_lock(kind, name))
        self.gpu = GpuTurn(self.life)
        self.following = Following(self.life)
        asking = Asking(self.life)
        self._starting = Starting(self.life, self.gpu, self.following)
        self._proof = Proof(self.life, self.gpu, self.following, asking)
        self._serving = Serving(self.life, self.following, asking)
        self._ending = Ending(self.life, self.gpu, self.following)

    def run(self) -> int:
        life = self.life
        life.thread = threading.get_ident()
        try:
            self._load()
            self.gpu.know_locks()
            self._take_own_lock()
            life.group = group.of(life)
            self._wait_for_docker()
            container = life.docker.find(life.spec.container)
            adopted = container if container is not None and rules.decide_existing(container, life.spec) == rules.ADOPT else None
            life.group.join(adopted)
            if adopted is not None:
                self._adopt(adopted)
            else:
                self._starting.start()
            self._proof.become_ready()
            self._serving.serve()
        except docker_watch.Stopped:
            return self._ending.stop()
        except Failure as failure:
            return self._ending.fail(failure.diagnosis)
        except docker_cli.DockerDown as error:
            return self._ending.fail(life.diagnose(Cause.DOCKER_DOWN, str(error)))
        finally:
            life.group.leave()
        raise AssertionError("serve() does not return")

    def _load(self) -> None:
        if proved.put_back(self.life.paths, Instance(self.life.kind, self.life.name)):
            self.life.say("this host went down before the last change had proved itself: starts what served before it")
        try:
            self.life.load()
        except Failure:
            self._starting.wait_after_failures()
            self.life.load()  # it may have been mended meanwhile

    def _take_own_lock(self) -> None:
        """One launcher for each instance. A neighbour takes it for a moment to remove a container that nobody looks after."""
        while not self.own_lock.try_lock(f"{os.getpid()}\n"):
            self.life.check_stop()
            self.life.sleep(0.2)

    def _wait_for_docker(self) -> None:
        life, state = self.life, self.life.state
        began = life.clock.monotonic()
        while True:
            try:
                if life.docker.call("version", "--format", "{{.Server.Version}}", timeout=30).rc == 0:
                    break
                reason = "docker version fails"
            except docker_cli.DockerDown as error:
                reason = str(error)
            if life.clock.monotonic() - began > 15 and (state.diagnosis is None or state.diagnosis.cause is not Cause.DOCKER_DOWN):
                state.diagnosis = life.diagnose(Cause.DOCKER_DOWN, reason)
                life.update(progress.STARTING, None, "waits for Docker", force=True)
            life.pause(1.0)
        if state.diagnosis is not None and state.diagnosis.cause is Cause.DOCKER_DOWN:
            state.diagnosis = None

    def _adopt(self, container: docker_cli.Container) -> None:
        """Takes over a container that an earlier launcher left behind, without touching it."""
        life, state = self.life, self.life.state
        before = life.previous
        same = before.get("container_id") == container.id
        was_ready = same and before.get("phase") == progress.READY
        state.container_id = container.id
        if same:
            state.started = moments.read(before, "started", life.clock.now()) or state.started
            state.log_position = str(before.get("log_position") or "")
        # Not beyond now: the clock may have been set back since, and lines of earlier times would be taken for known.
        position = min(state.log_position or life.clock.stamp(), life.clock.stamp(1.0))
        life.say(f"adopts the running container {container.id[:12]}")
        bounded = memory_limit.change(life.docker.call, container, life.spec.memory_limit_mib, bool(life.spec.locks))
        if bounded:
            life.say(bounded)
        state.loading = not was_ready
        if was_ready:
            state.ready = moments.read(before, "ready_at", life.clock.now())
            state.now_at = progress.Progress(progress.READY)
            state.since = moments.read(before, "since", life.clock.now()) or state.since
            life.publish()
            self.following.attend(container.id, position, position)
            # An engine that served a moment ago answers at once, unless it hangs.
            life.deadline = life.clock.monotonic() + max(60.0, life.spec.watchdog)
            return
        life.update(progress.STARTING, None, "adopted", force=True)
        self.following.attend(container.id, "", position)
        running_for = moments.age_of_process(container.pid) or 0.0
        life.deadline = life.clock.monotonic() + max(60.0, life.spec.start_timeout - running_for)


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
        signal.signal(number, launcher.life.on_signal)
    try:
        return launcher.run()
    except Reload:
        launcher.life.say("runs its program again")
        launcher.life.publish()
        launcher.following.let_go()
        docker_watch.kill_children()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the new program has its own handler
        os.execv(sys.executable, [sys.executable, os.path.abspath(__file__)] + list(sys.argv[1:] if argv is None else argv))  # noqa: S606


if __name__ == "__main__":
    # Daemon threads may still hang in an engine's socket: leave without waiting for them.
    code = main()
    sys.stdout.flush()
    os._exit(code)
