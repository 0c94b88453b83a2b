# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""An engine is ready when its model has answered."""

from __future__ import annotations

from dataclasses import replace

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _launch_rules as rules
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _progress as progress
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _served as served
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import Cause, classify_log
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._container_follow import Following
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._engine_probe import Asking
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._engine_signs import signs_of
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._gpu_turn import GpuTurn
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_events import Failure, Probed
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_life import (
        HUNG_REMEDY,
        SLOW_REMEDY,
        WATCHDOG_USEC,
        Life,
        known_cause,
    )
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._local_http import fetch_json, server_root
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._ollama_models import ModelPull
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe import Endpoint, Observation
except ImportError:  # on the node the files lie side by side
    import _launch_rules as rules  # type: ignore[import-not-found,no-redef]
    import _progress as progress  # type: ignore[import-not-found,no-redef]
    import _served as served  # type: ignore[import-not-found,no-redef]
    from _causes import Cause, classify_log  # type: ignore[import-not-found,no-redef]
    from _container_follow import Following  # type: ignore[import-not-found,no-redef]
    from _engine_probe import Asking  # type: ignore[import-not-found,no-redef]
    from _engine_signs import signs_of  # type: ignore[import-not-found,no-redef]
    from _gpu_turn import GpuTurn  # type: ignore[import-not-found,no-redef]
    from _launcher_events import Failure, Probed  # type: ignore[import-not-found,no-redef]
    from _launcher_life import HUNG_REMEDY, SLOW_REMEDY, WATCHDOG_USEC, Life, known_cause  # type: ignore[import-not-found,no-redef]
    from _local_http import fetch_json, server_root  # type: ignore[import-not-found,no-redef]
    from _ollama_models import ModelPull  # type: ignore[import-not-found,no-redef]
    from _probe import Endpoint, Observation  # type: ignore[import-not-found,no-redef]

#: Seconds.
CERTAIN_AFTER = 15.0


class Proof:
    def __init__(self, life: Life, gpu: GpuTurn, following: Following, asking: Asking) -> None:
        self._life = life
        self._gpu = gpu
        self._following = following
        self._asking = asking
        self._models = ModelPull(life, gpu, following, self._too_late)
        self._certain_since: float | None = None

    def become_ready(self) -> None:
        life, state = self._life, self._life.state
        endpoint = self._asking.endpoint()
        if life.spec.pull_models and endpoint is not None and state.ready is None:
            self._models.pull_into_server(endpoint)
        asked = answered = 0
        next_probe = 0.0
        self._certain_since = None
        last = "no probe yet"
        while True:
            now = life.clock.monotonic()
            life.check_stop()
            if life.reloading and state.ready is not None:
                break
            if now > life.deadline:
                raise self._too_late(last)
            if state.ready is None:
                life.listen(lambda: life.vitals_of(state.container_id or ""))
            if state.loading:
                self._gpu.take_late()
            if asked == answered and now >= next_probe and life.daemon_up:
                self._ask(endpoint, asked)
                asked += 1
            event = life.next_event(min(1.0, max(0.05, next_probe - now)))
            if not isinstance(event, Probed):
                self._following.handle(event)
                continue
            answered += 1
            next_probe = life.clock.monotonic() + 1.0
            seen = event.observation
            if (endpoint is None and not event.error) or (seen is not None and seen.ok):
                break
            last = event.error or (f"{seen.cause}: {seen.message}" if seen else "nothing")
            if seen is not None and seen.cause == str(Cause.REFUSED):
                asked = answered = 0  # a port without listener says nothing about how long an answer takes
            self._give_up_if_certain(seen)
        self._announce()

    def _ask(self, endpoint: Endpoint | None, asked: int) -> None:
        """Has the endpoint asked once; the answer comes as an event."""
        if endpoint is None:
            self._life.pause(2.0)
            self._life.events.put(Probed(None, error="" if self._life.group.ready else "the model does not answer yet where rank 0 runs"))
            return
        limit = rules.probe_timeout(asked)
        self._asking.ask(lambda: Probed(self._asking.probe(endpoint, limit)))

    def _give_up_if_certain(self, seen: Observation | None) -> None:
        """What no waiting mends is a failure when it was seen for long enough: the first answers of a server may be of its start."""
        now = self._life.clock.monotonic()
        if seen is None or not seen.certain:
            self._certain_since = None
        elif self._certain_since is None:
            self._certain_since = now
        elif now - self._certain_since > CERTAIN_AFTER:
            raise self._life.failure(known_cause(seen.cause), seen.message, lines=self._life.lines[-10:])

    def _too_late(self, last: str) -> Failure:
        life, state = self._life, self._life.state
        where = state.where
        if state.ready is not None:
            return life.slow(f"the engine does not answer any more ({last})", HUNG_REMEDY)
        text = f"not ready within {life.spec.start_timeout:.0f} s; last phase: {where}; last probe: {last}"
        found = classify_log(life.kind, life.lines)
        if found.cause is Cause.UNKNOWN:
            return life.slow(text, SLOW_REMEDY)
        return Failure(replace(found, message=f"{text}; {found.message}"))

    def _announce(self) -> None:
        life, state = self._life, self._life.state
        first = state.ready is None
        state.loading = False
        state.ready = state.ready or life.clock.now()
        if state.diagnosis is not None and state.failures:
            state.last_failure = state.last_failure or {
                "cause": str(state.diagnosis.cause),
                "message": state.diagnosis.message,
            }
        state.diagnosis = None
        if first and life.spec.probe is not None:
            life.lines.clear()  # what it complained about on its way is not why it will fail one day
        detail = ""
        share = self._share_on_cpu()
        if share:
            detail = f"{share} % of the model lies on the CPU"
            state.diagnosis = life.diagnose(Cause.PARTLY_ON_CPU, detail)
        self._remember()
        life.update(progress.READY, None, detail, force=True)
        self._gpu.release()
        # systemd watches this process; a hung engine is this process's business.
        life.notifier.send(READY="1", STATUS=life.status, WATCHDOG_USEC=str(WATCHDOG_USEC))
        if first:
            life.say(f"ready after {life.clock.monotonic() - state.started.monotonic:.0f} s")

    def _remember(self) -> None:
        """That this configuration has been ready here, so that no later failure of it is the last one."""
        life = self._life
        life.state.served = True
        try:
            served.record(life.paths.served(life.kind, life.name), life.spec.config_hash, life.clock.wall())
        except OSError as error:
            life.say(f"cannot record that this configuration has been ready: {error}")

    def _share_on_cpu(self) -> int:
        route = signs_of(self._life.kind).loaded
        if not route or not self._gpu.locks or self._life.spec.probe is None:
            return 0
        try:
            return rules.cpu_share(fetch_json(server_root(self._life.spec.probe.base_url) + route, 5.0))
        except (OSError, ValueError):
            return 0
