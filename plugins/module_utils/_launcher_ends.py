# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""How a launcher ends: stopped as told, or failed."""

from __future__ import annotations

import json

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_cli as docker_cli
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _launch_rules as rules
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _progress as progress
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import Cause, Diagnosis, redact
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._container_follow import Following
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._gpu_turn import GpuTurn
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_life import Life
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import write_atomically
except ImportError:  # on the node the files lie side by side
    import _docker_cli as docker_cli  # type: ignore[import-not-found,no-redef]
    import _launch_rules as rules  # type: ignore[import-not-found,no-redef]
    import _progress as progress  # type: ignore[import-not-found,no-redef]
    from _causes import Cause, Diagnosis, redact  # type: ignore[import-not-found,no-redef]
    from _container_follow import Following  # type: ignore[import-not-found,no-redef]
    from _gpu_turn import GpuTurn  # type: ignore[import-not-found,no-redef]
    from _launcher_life import Life  # type: ignore[import-not-found,no-redef]
    from _node import write_atomically  # type: ignore[import-not-found,no-redef]

EXIT_STOPPED = 0
EXIT_FAILED = 1
EXIT_PERMANENT = 78  # RestartPreventExitStatus of the units


class Ending:
    def __init__(self, life: Life, gpu: GpuTurn, following: Following) -> None:
        self._life = life
        self._gpu = gpu
        self._following = following

    def stop(self) -> int:
        life, state = self._life, self._life.state
        life.update(progress.STOPPING, force=True)
        life.notifier.send(STOPPING="1")
        life.group.before_stop()
        self._remove_container()
        life.group.ended(None)
        state.diagnosis = None
        state.ready = None
        state.container_id = None
        state.loading = False
        life.update(progress.STOPPED, force=True)
        life.group.linger()
        return EXIT_STOPPED

    def _remove_container(self) -> None:
        """Stops and removes what is ours. The log is followed until the container has ended."""
        life = self._life
        self._following.close_waiter()
        seconds = max(0, int(life.spec.stop_timeout))
        deadline = life.clock.monotonic() + seconds + 10
        while True:
            try:
                if life.spec.download_command:
                    life.docker_at_the_end.remove(life.spec.container + "-download", timeout=30)
                own = life.docker_at_the_end.find(life.spec.container)
                for container in (own, *life.docker_at_the_end.left_by_handover(life.spec)):
                    if container is None or not container.owned or container.instance not in ("", life.spec.instance):
                        continue
                    if container.running:
                        life.docker_at_the_end.stop(container.id, seconds, patience=15.0)
                    life.docker_at_the_end.remove(container.id, timeout=30)
                break
            except docker_cli.DockerDown as error:
                if life.clock.monotonic() > deadline:
                    life.say(f"Docker does not answer, the container may still run: {error}")
                    break
                life.sleep(1.0)
        self._following.read_to_the_end()

    def fail(self, diagnosis: Diagnosis) -> int:
        life, state = self._life, self._life.state
        now = life.clock.now()
        ready_for = now.monotonic - state.ready.monotonic if state.ready is not None else 0.0
        diagnosis = life.group.blame(diagnosis)
        counts = diagnosis.cause not in (Cause.DOCKER_DOWN, Cause.GROUP_ENDED)
        if counts:
            state.failures = rules.count_failure(state.failures, ready_for)
            diagnosis = rules.verdict(diagnosis, state.failures, life.spec.restart_limit, state.served)
        state.diagnosis = diagnosis
        state.last_failure = {
            "cause": str(diagnosis.cause),
            "message": redact(diagnosis.message, life.secrets),
            "phase": state.now_at.phase,
            "at": now.wall,
            "monotonic": {"at": now.monotonic},
        }
        state.ready = None
        life.update(progress.FAILED, None, "", force=True)
        life.say(f"{diagnosis.cause}: {diagnosis.message}")
        if diagnosis.remedy:
            life.say(f"remedy: {diagnosis.remedy}")
        if life.group.planned:
            self._remove_container()  # requests in work may end
        self._following.let_go()
        try:
            container = life.docker_at_the_end.find(life.spec.container) if life.spec.image else None
            if container is not None and container.owned and container.instance == life.spec.instance:
                life.docker_at_the_end.remove(container.id)
        except docker_cli.DockerDown as error:
            life.say(f"cannot remove the container: {error}")
        state.container_id = None
        state.loading = False
        life.publish()
        try:
            # Whoever starts a unit by hand after a permanent failure wants a full set of attempts.
            kept = {"failures": 0 if diagnosis.permanent else state.failures}
            write_atomically(life.paths.history(life.kind, life.name), json.dumps(kept) + "\n")
        except OSError as error:
            life.say(f"cannot write the count of failures: {error}")
        self._gpu.release()
        life.group.ended(diagnosis)
        life.group.linger()
        return EXIT_PERMANENT if diagnosis.permanent else EXIT_FAILED
