# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""The watchdog of an engine that serves."""

from __future__ import annotations

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _launch_rules as rules
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _progress as progress
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import Cause
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._container_follow import Following
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._engine_probe import Asking
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._engine_signs import signs_of
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_events import Probed, Reload
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_life import HUNG_REMEDY, Life
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._local_http import fetch, fetch_json, server_root
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe import Endpoint
except ImportError:  # on the node the files lie side by side
    import _launch_rules as rules  # type: ignore[import-not-found,no-redef]
    import _progress as progress  # type: ignore[import-not-found,no-redef]
    from _causes import Cause  # type: ignore[import-not-found,no-redef]
    from _container_follow import Following  # type: ignore[import-not-found,no-redef]
    from _engine_probe import Asking  # type: ignore[import-not-found,no-redef]
    from _engine_signs import signs_of  # type: ignore[import-not-found,no-redef]
    from _launcher_events import Probed, Reload  # type: ignore[import-not-found,no-redef]
    from _launcher_life import HUNG_REMEDY, Life  # type: ignore[import-not-found,no-redef]
    from _local_http import fetch, fetch_json, server_root  # type: ignore[import-not-found,no-redef]
    from _probe import Endpoint  # type: ignore[import-not-found,no-redef]


class Serving:
    def __init__(self, life: Life, following: Following, asking: Asking) -> None:
        self._life = life
        self._following = following
        self._asking = asking
        self._told = ""

    def _sign_of_life(self, endpoint: Endpoint, counter: float | None, limit: float) -> Probed:
        """A busy engine is judged by its counters, an idle one by a tiny answer."""
        root, signs = server_root(endpoint.base_url), signs_of(self._life.kind)
        if signs.counters:
            try:
                with fetch(root + signs.counters, min(10.0, limit), key=endpoint.api_key) as answer:
                    current = rules.activity(answer.read().decode("utf-8", "replace"), signs.counted)
            except (OSError, ValueError):
                current = None
            if current is not None and counter is not None and current != counter:
                return Probed(None, current)
            counter = current
        level = None
        if signs.loaded:
            try:
                # Without this the probe would load a model that the engine has unloaded, and keep it loaded.
                if not fetch_json(root + signs.loaded, min(10.0, limit)).get("models"):
                    level = "health"
            except (OSError, ValueError):
                pass
        return Probed(self._asking.probe(endpoint, limit, level), counter)

    def _tell_of_others(self) -> str:
        """Who is out of reach: without them nothing answers, and that is no fault of the engine's."""
        away = self._life.group.away
        if away != self._told:
            self._told = away
            self._life.update(progress.READY, None, f"waiting for {away}" if away else "", force=True)
        return away

    def serve(self) -> None:
        life = self._life
        endpoint = self._asking.endpoint()
        watch = rules.Watch(life.spec.watchdog if endpoint is not None else 0.0, life.clock.monotonic())
        step = max(1.0, life.spec.watchdog / 3)
        next_ask = life.clock.monotonic() + step
        outstanding = False
        trouble = ""
        while True:
            now = life.clock.monotonic()
            life.check_stop()
            if life.reloading:
                raise Reload
            away = self._tell_of_others()
            if away or not life.daemon_up:
                watch = watch.excuse(now)
            if watch.hung(now):
                raise life.slow(
                    f"hung: no sign of life for {life.spec.watchdog:.0f} s although the container runs ({trouble or 'probe unanswered'})",
                    HUNG_REMEDY,
                )
            if endpoint is not None and life.spec.watchdog > 0 and not outstanding and now >= next_ask:
                counter, limit = watch.counter, max(5.0, life.spec.watchdog / 2)
                self._asking.ask(lambda counter=counter, limit=limit: self._sign_of_life(endpoint, counter, limit))  # type: ignore[misc]
                outstanding = True
            event = life.next_event(min(step, 5.0))
            if not isinstance(event, Probed):
                self._following.handle(event)
                if life.clock.monotonic() - life.written > 30.0:
                    life.publish()  # keeps the position in the log
                continue
            outstanding = False
            next_ask = life.clock.monotonic() + step
            seen = event.observation
            if seen is not None and seen.cause == str(Cause.GPU_LOST):
                raise life.failure(Cause.GPU_LOST, seen.message)
            answered = seen is not None and seen.ok
            trouble = "" if answered or seen is None else f"{seen.cause}: {seen.message}"
            watch = watch.observe(life.clock.monotonic(), answered, event.counter)
            # Each sign allows the next unanswered question to be put at once.
            if not answered and watch.last_sign < life.clock.monotonic() - step:
                next_ask = life.clock.monotonic() + 1.0
