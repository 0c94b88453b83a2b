# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which backends are out of rotation: they get no request, whatever they are, until they are put back or their time is over. Needs no
LiteLLM.

They are in one file, ``rotation.json`` beside ``keys.json``, which the module ``gateway_rotation`` writes. It is looked at again for every
request, so that a backend is out from the moment on in which the file is replaced: nothing restarts, and what runs there ends in peace.

``{"backends": {BACKEND: MODEL}, "out": {BACKEND: {"by": ..., "at": ..., "reason": ..., "until": "2026-11-29T18:00:00Z"}}}``; only the names
below ``out`` matter here, and ``until`` where there is one.
"""

from __future__ import annotations

import json
import logging
import time
import typing as t
from pathlib import Path

from gateway_errors import RequestError
from gateway_keys import FOLDER
from gateway_places import Deployment, identity

LOG = logging.getLogger("gateway")
FILE = "rotation.json"

Choose = t.Callable[[list[Deployment], t.Mapping[str, t.Any]], t.Awaitable[list[Deployment]]]


class Rotation:
    """The backends that are out now."""

    def __init__(self, path: Path | None = None, clock: t.Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._out: dict[str, str] = {}  # with their end, or ""
        self._seen: tuple[int, int, int] | None = None

    @classmethod
    def from_environment(cls, environment: t.Mapping[str, str]) -> Rotation:
        return cls(Path(environment.get("GATEWAY_LIVE_FOLDER") or FOLDER) / FILE)

    @property
    def out(self) -> frozenset[str]:
        if self._path is not None:
            try:
                found = self._path.stat()
                seen = (found.st_ino, found.st_mtime_ns, found.st_size)
                if seen != self._seen:
                    entries = json.loads(self._path.read_text(encoding="utf-8")).get("out") or {}
                    self._out = {
                        name: str((entry if isinstance(entry, dict) else {}).get("until") or "") for name, entry in entries.items()
                    }
                    self._seen = seen
            except (OSError, ValueError, AttributeError, TypeError) as error:
                # A file that cannot be read is nothing that an operator has said: who was out stays out.
                if self._seen is not None:
                    LOG.error("%s cannot be read again: %s", FILE, type(error).__name__)
        if not any(self._out.values()):
            return frozenset(self._out)
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._clock()))
        return frozenset(name for name, until in self._out.items() if not until or until > now)

    def all_out(self, backends: t.Collection[str]) -> bool:
        """Whether these are some, and none of them is in rotation."""
        return bool(backends) and self.out.issuperset(backends)


def silent(name: str) -> RequestError:
    return RequestError(503, f"no server of {name[:100]!r} has answered lately; try again later")


def unavailable(name: str) -> RequestError:
    message = f"every server of {name[:100]!r} is out of rotation for maintenance; try again later"
    return RequestError(503, message, code="out_of_rotation")


class InRotation:
    """What LiteLLM asks before it chooses: takes out the backends that are out, and has somebody else look at the rest."""

    def __init__(
        self,
        rotation: Rotation,
        choose: Choose | None = None,
        revive: t.Callable[[str, frozenset[str]], None] = lambda _model, _out: None,
        falls_back: t.Callable[[str], bool] = lambda _model: False,
    ) -> None:
        """C(revive): has LiteLLM take the backends of a model for well again, but for those named. C(falls_back): whether another model
        takes over."""
        self._rotation = rotation
        self._choose = choose
        self._revive = revive
        self._falls_back = falls_back

    async def __call__(self, model: str, healthy: list[Deployment], request: t.Mapping[str, t.Any]) -> list[Deployment]:
        """Raise RequestError where none is left: of an empty list LiteLLM would make a limit that the client has reached."""
        out = self._rotation.out
        left = [deployment for deployment in healthy if identity(deployment) not in out] if out else healthy
        # One that has come back is ill for LiteLLM until its next check, or for half a minute. This request finds it when LiteLLM tries
        # again.
        if healthy and not left:
            self._revive(str(healthy[0].get("model_name")), out)
            raise unavailable(model)
        if not left and not self._falls_back(model):
            self._revive(model, out)
            raise silent(model)
        return left if self._choose is None else await self._choose(left, request)
