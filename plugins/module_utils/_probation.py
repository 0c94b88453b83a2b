# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""An engine that has just replaced another one, under the traffic of its clients: whether it dies, and how many answers are errors."""

from __future__ import annotations

import re
import time
import typing as t
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ansible_collections.llmops.gpu_inference.plugins.module_utils._local_http import server_root
from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe_http import (
    Request,
    Transport,
    TransportError,
    urllib_transport,
)

PAUSE = 5.0  # seconds between two looks
#: Errors of the server: so many, and of all answers such a share, are not a client's doing.
FEWEST_ERRORS, LARGEST_SHARE = 3, 0.05

#: vLLM's own server counts so (prometheus-fastapi-instrumentator).
_ANSWERS = re.compile(r"^http_requests_total\{([^}]*)\} ([0-9.e+]+)$", re.MULTILINE)
State = Mapping[str, t.Any]


@dataclass(frozen=True)
class Answers:
    """Of requests that want work done, since the server started."""

    total: float = 0.0
    errors: float = 0.0

    def since(self, before: Answers) -> Answers:
        return Answers(self.total - before.total, self.errors - before.errors)


def answers_of(text: str) -> Answers:
    """From the server's metrics; none where it does not count."""
    total = errors = 0.0
    for labels, count in _ANSWERS.findall(text):
        if 'method="POST"' in labels:
            total += float(count)
            errors += float(count) if 'status="5' in labels else 0.0
    return Answers(total, errors)


@dataclass
class Probation:
    """Watches one engine. C(state) reads the state file of its launcher."""

    base_url: str
    state: Callable[[], State]
    seconds: float
    transport: Transport = urllib_transport
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def watch(self) -> str:
        """What is wrong with it; empty when it has lasted."""
        first, ends = self.state(), self.clock() + self.seconds
        before = self._answers()
        while True:
            trouble = self._died(first) or self._errs(before)
            left = ends - self.clock()
            if trouble or left <= 0:
                return trouble
            self.sleep(min(PAUSE, left))

    def _died(self, first: State) -> str:
        now = self.state()
        if now.get("phase") == "ready" and now.get("container_id") == first.get("container_id"):
            return ""
        failure = now if now.get("cause") else now.get("last_failure") or {}
        said = f": {failure['cause']}: {failure.get('message')}" if failure.get("cause") else ""
        return f"it died on probation, after it had proved itself{said}"

    def _errs(self, before: Answers) -> str:
        seen = self._answers().since(before)
        if seen.errors < FEWEST_ERRORS or seen.errors <= LARGEST_SHARE * seen.total:
            return ""
        return f"{seen.errors:.0f} of {seen.total:.0f} requests of clients were answered with an error of the server on probation"

    def _answers(self) -> Answers:
        try:
            reply = self.transport(Request("GET", server_root(self.base_url) + "/metrics", {"Connection": "close"}, None, 5.0))
        except TransportError:
            return Answers()
        return answers_of(reply.body.decode("utf-8", "replace")) if reply.status == 200 else Answers()
