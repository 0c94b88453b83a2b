# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""Asks the engine of an instance, beside the main loop."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Callable

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_cli as docker_cli
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _launch_rules as rules
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import Cause
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._engine_endpoint import endpoint_of
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_events import Probed
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_life import Life
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe import Endpoint, Observation, probe
except ImportError:  # on the node the files lie side by side
    import _docker_cli as docker_cli  # type: ignore[import-not-found,no-redef]
    import _launch_rules as rules  # type: ignore[import-not-found,no-redef]
    from _causes import Cause  # type: ignore[import-not-found,no-redef]
    from _engine_endpoint import endpoint_of  # type: ignore[import-not-found,no-redef]
    from _launcher_events import Probed  # type: ignore[import-not-found,no-redef]
    from _launcher_life import Life  # type: ignore[import-not-found,no-redef]
    from _probe import Endpoint, Observation, probe  # type: ignore[import-not-found,no-redef]


class Asking:
    def __init__(self, life: Life) -> None:
        self._life = life

    def endpoint(self) -> Endpoint | None:
        return endpoint_of(self._life.spec, self._life.env)

    def probe(self, endpoint: Endpoint, limit: float, level: str | None = None) -> Observation:
        """The endpoint's answer, and whether the container still has its GPU.

        A container can lose it while HTTP stays green (nvidia-container-toolkit#48), and Ollama then goes on with the CPU. Only
        a new container gets it back.
        """
        seen = probe(endpoint, timeout=limit, level=level)
        if not seen.ok or not self._life.spec.locks:
            return seen
        try:
            asked = self._life.docker_at_the_end.call("exec", self._life.spec.container, "nvidia-smi", "-L", timeout=30.0)
        except (docker_cli.DockerDown, OSError):
            return seen
        lost = rules.lost_gpu(asked.rc, asked.lines)
        return seen if lost is None else replace(seen, ok=False, cause=str(Cause.GPU_LOST), message=lost, certain=True)

    def ask(self, work: Callable[[], Probed]) -> None:
        """Runs a probe beside the main loop, which must never wait for an engine."""

        def body() -> None:
            try:
                self._life.events.put(work())
            except Exception as error:
                self._life.events.put(Probed(None, error=f"{type(error).__name__}: {error}"))

        threading.Thread(target=body, daemon=True).start()
