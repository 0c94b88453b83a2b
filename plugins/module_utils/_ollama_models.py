# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""Ollama gets its models through its running server."""

from __future__ import annotations

import queue
import threading
import urllib.error
import urllib.request
from dataclasses import replace
from typing import Callable

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _launch_rules as rules
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _progress as progress
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import Cause, classify_log, or_else
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._container_follow import Following
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._gpu_turn import GpuTurn
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_events import Failure
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_life import Life
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._local_http import fetch, fetch_json, server_root
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe import Endpoint
except ImportError:  # on the node the files lie side by side
    import _launch_rules as rules  # type: ignore[import-not-found,no-redef]
    import _progress as progress  # type: ignore[import-not-found,no-redef]
    from _causes import Cause, classify_log, or_else  # type: ignore[import-not-found,no-redef]
    from _container_follow import Following  # type: ignore[import-not-found,no-redef]
    from _gpu_turn import GpuTurn  # type: ignore[import-not-found,no-redef]
    from _launcher_events import Failure  # type: ignore[import-not-found,no-redef]
    from _launcher_life import Life  # type: ignore[import-not-found,no-redef]
    from _local_http import fetch, fetch_json, server_root  # type: ignore[import-not-found,no-redef]
    from _probe import Endpoint  # type: ignore[import-not-found,no-redef]


class ModelPull:
    def __init__(self, life: Life, gpu: GpuTurn, following: Following, too_late: Callable[[str], Failure]) -> None:
        self._life = life
        self._gpu = gpu
        self._following = following
        self._too_late = too_late

    def pull_into_server(self, endpoint: Endpoint) -> None:
        """What is missing. The GPU is free meanwhile."""
        life, state = self._life, self._life.state
        root = server_root(endpoint.base_url)
        while True:
            if life.clock.monotonic() > life.deadline:
                raise self._too_late(f"{root}/api/tags does not answer")
            try:
                tags = fetch_json(root + "/api/tags", 5.0)
                break
            except (OSError, ValueError):
                self._following.handle(life.next_event(0.5))
        missing = rules.missing_models(tags, life.spec.pull_models)
        if not missing:
            return
        state.loading = False
        self._following.tells_phase = False
        self._gpu.release()
        for model in missing:
            life.update(progress.DOWNLOADING, None, model, force=True)
            self._pull_model(root, model)
        self._gpu.take()
        self._following.tells_phase = True
        state.loading = True
        life.update(progress.LOADING_WEIGHTS, None, "", force=True)
        life.deadline = life.clock.monotonic() + life.spec.start_timeout

    def _pull_model(self, root: str, model: str) -> None:
        life = self._life
        reports: queue.SimpleQueue[progress.PullReport] = queue.SimpleQueue()
        threading.Thread(target=_pull, args=(root, model, reports.put), daemon=True).start()
        while True:
            event = life.next_event(0.2)
            if event is not None:
                self._following.handle(event)
            life.check_stop()
            life.listen(lambda: life.vitals_of(life.state.container_id or ""))
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
            life.update(progress.DOWNLOADING, report.percent, model)


def _pull(root: str, model: str, tell: Callable[[progress.PullReport], None]) -> None:
    """Has the server fetch a model, and tells what it says of it, until it is done or has failed. For a thread of its own."""
    try:
        with fetch(root + "/api/pull", 600.0, {"model": model, "stream": True}) as answer:
            for raw in answer:
                report = progress.parse_ollama_pull(raw.decode("utf-8", "replace"))
                if report is not None:
                    tell(report)
                    if report.error or report.done:
                        return
        tell(progress.PullReport(error="the stream ended early"))
    except urllib.error.HTTPError as error:
        text = error.read().decode("utf-8", "replace")
        found = progress.parse_ollama_pull(text)
        tell(progress.PullReport(error=found.error if found and found.error else f"HTTP {error.code} {text[:200]}"))
    except Exception as error:
        tell(progress.PullReport(error=f"{type(error).__name__}: {error}"))
