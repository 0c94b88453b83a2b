# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Which backends of a gateway are out of rotation: C(rotation.json) in its folder of live files.

Who declares the gateway says which backends there are, and C(gateway_rotation) which of them are out. So what is out stays out when the
gateway is declared again, and an entry goes with its backend. One with an end (C(until)) counts until then: what took the backend out may
never come to put it back.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

ROTATION_FILE = "rotation.json"
Entry = Mapping[str, str]


def moment(later: float = 0.0) -> str:
    """Now, or in so many seconds, in UTC. Such texts have the order of what they say."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + later))


class RotationError(ValueError):
    """Why nothing is changed."""


@dataclass(frozen=True)
class Rotation:
    """All backends with the model that each answers for, and those that are out: by whom, since when, until when, and why."""

    backends: Mapping[str, str] = field(default_factory=dict)
    out: Mapping[str, Entry] = field(default_factory=dict)

    @classmethod
    def from_text(cls, text: str) -> Rotation:
        """Raise ValueError for what nobody of us has written."""
        document = json.loads(text)
        if not isinstance(document, dict):
            raise ValueError("no JSON object")
        backends, out = document.get("backends") or {}, document.get("out") or {}
        if not isinstance(backends, dict) or not isinstance(out, dict):
            raise ValueError("another form")
        entries = {
            str(name): {str(key): str(value) for key, value in entry.items()} if isinstance(entry, dict) else {}
            for name, entry in out.items()
        }
        return cls({str(name): str(model) for name, model in backends.items()}, entries)

    @property
    def text(self) -> str:
        return json.dumps({"backends": dict(self.backends), "out": dict(self.out)}, indent=1, sort_keys=True) + "\n"

    def declared_again(self, found: str | None) -> Rotation:
        """As it is to be, with what was out before of what is still there."""
        try:
            before = Rotation() if found is None else Rotation.from_text(found)
        except ValueError:
            return self
        return Rotation(self.backends, {name: entry for name, entry in before.out.items() if name in self.backends})

    def at(self, now: str) -> Rotation:
        """Without what has come to its end."""
        return Rotation(self.backends, {name: entry for name, entry in self.out.items() if not entry.get("until") or entry["until"] > now})

    def take_out(self, names: Collection[str], entry: Entry, *, last: bool = False) -> Rotation:
        """Those that are out already stay as they are. One that is out for a time may be so for longer, by whoever took it out, or for
        good, by somebody else, who would not expect it back. Raise RotationError for the last one of a model."""
        self._require(names)
        new = [name for name in names if name not in self.out or self._is_longer(self.out[name], entry)]
        found = Rotation(self.backends, {**self.out, **{name: dict(entry) for name in new}})
        if not last:
            alone = sorted({self.backends[name] for name in new if found.unserved(self.backends[name])})
            if alone:
                going = ", ".join(name for name in new if self.backends[name] in alone)
                raise RotationError(f"without {going} nothing in rotation serves {', '.join(alone)} any more: clients would get 503")
        return found

    @staticmethod
    def _is_longer(known: Entry, entry: Entry) -> bool:
        if not known.get("until"):
            return False
        if known.get("by") == entry.get("by"):
            return known["until"] < entry.get("until", "")
        return not entry.get("until")

    def put_back(self, names: Collection[str]) -> Rotation:
        self._require(names)
        return Rotation(self.backends, {name: entry for name, entry in self.out.items() if name not in names})

    def unserved(self, model: str) -> bool:
        """Whether all backends of a model are out."""
        return all(name in self.out for name, its in self.backends.items() if its == model)

    def _require(self, names: Collection[str]) -> None:
        unknown = sorted(name for name in names if name not in self.backends)
        if unknown:
            raise RotationError(f"this gateway has no backend {', '.join(unknown)}; it has {', '.join(sorted(self.backends)) or 'none'}")

    def described(self) -> list[dict[str, Any]]:
        """What is out, for people."""
        return [{"backend": name, "model": self.backends.get(name, ""), **entry} for name, entry in sorted(self.out.items())]


def declared(config: Mapping[str, Any]) -> Rotation:
    """The backends of LiteLLM's configuration."""
    found = {}
    for entry in config.get("model_list") or ():
        info = entry.get("model_info") if isinstance(entry, Mapping) else None
        name = info.get("id") if isinstance(info, Mapping) else None
        if name is not None:
            found[str(name)] = str(entry.get("model_name"))
    return Rotation(found)
