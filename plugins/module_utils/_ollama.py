# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Ollama: what its model store and its API tell.

Pure: no Ansible, no network, no clock.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass

_DEFAULT_REGISTRY = "registry.ollama.ai/"
_DEFAULT_NAMESPACE = "library/"


class OllamaError(ValueError):
    """What is wrong, in words for the user."""


def normalise_tag(tag: str) -> str:
    """The name under which C(/api/tags) lists a model: without the default registry, always with a tag.

    A name without a tag means C(:latest). Comparing unnormalised names would pull the same model again on each run.
    """
    name = tag.strip()
    for scheme in ("https://", "http://"):
        if name.startswith(scheme):
            name = name[len(scheme) :]
    if name.startswith(_DEFAULT_REGISTRY):
        name = name[len(_DEFAULT_REGISTRY) :]
    if name.startswith(_DEFAULT_NAMESPACE):
        name = name[len(_DEFAULT_NAMESPACE) :]
    if name and ":" not in name.rsplit("/", 1)[-1]:
        name += ":latest"
    return name


def same_model(one: str, other: str) -> bool:
    """Ollama looks names up without regard to case."""
    return normalise_tag(one).lower() == normalise_tag(other).lower()


def same_digest(wanted: str, present: str) -> bool:
    """C(ollama list) shows the first twelve digits, C(/api/tags) all 64: the shorter one counts."""
    short, long = sorted((wanted.lower().replace("sha256:", "", 1), present.lower().replace("sha256:", "", 1)), key=len)
    return len(short) >= 12 and long.startswith(short)


@dataclass(frozen=True)
class Installed:
    """An entry of C(GET /api/tags)."""

    tag: str
    digest: str
    size: int = 0


@dataclass(frozen=True)
class Loaded:
    """An entry of C(GET /api/ps)."""

    tag: str
    size: int
    size_vram: int

    @property
    def cpu_percent(self) -> int:
        """As C(ollama ps) rounds it, but never 0 while something is on the CPU."""
        if self.size <= 0 or self.size_vram >= self.size:
            return 0
        return max(1, round(100 * (self.size - self.size_vram) / self.size))


def _entries(answer: object, what: str) -> list[t.Mapping[str, t.Any]]:
    models = answer.get("models", "") if isinstance(answer, dict) else ""
    if models is None:  # Go writes an empty list as null
        return []
    if not isinstance(models, list) or not all(isinstance(entry, dict) for entry in models):
        raise OllamaError(f"{what} did not answer as Ollama does: {str(answer)[:200]!r}.")
    return models


def read_tags(answer: object) -> tuple[Installed, ...]:
    return tuple(
        Installed(normalise_tag(str(entry.get("name") or entry.get("model"))), str(entry.get("digest") or ""), int(entry.get("size") or 0))
        for entry in _entries(answer, "/api/tags")
    )


def read_ps(answer: object) -> tuple[Loaded, ...]:
    return tuple(
        Loaded(normalise_tag(str(entry.get("name") or entry.get("model"))), int(entry.get("size") or 0), int(entry.get("size_vram") or 0))
        for entry in _entries(answer, "/api/ps")
    )


def partly_on_cpu(loaded: t.Sequence[Loaded]) -> dict[str, int]:
    """Percentage on the CPU of each loaded model that the GPU does not hold as a whole."""
    return {model.tag: model.cpu_percent for model in loaded if model.cpu_percent}


@dataclass(frozen=True)
class Wanted:
    tag: str
    digest: str | None = None


@dataclass(frozen=True)
class StoreChange:
    """What a model store lacks, holds in another version than pinned, and holds though nobody asked for it."""

    missing: tuple[Wanted, ...] = ()
    differing: tuple[tuple[Wanted, Installed], ...] = ()
    surplus: tuple[Installed, ...] = ()


def compare_store(wanted: t.Sequence[Wanted], installed: t.Sequence[Installed]) -> StoreChange:
    missing: list[Wanted] = []
    differing: list[tuple[Wanted, Installed]] = []
    for model in wanted:
        found = [present for present in installed if same_model(model.tag, present.tag)]
        if not found:
            missing.append(model)
        elif model.digest and not same_digest(model.digest, found[0].digest):
            differing.append((model, found[0]))
    surplus = [present for present in installed if not any(same_model(model.tag, present.tag) for model in wanted)]
    return StoreChange(tuple(missing), tuple(differing), tuple(surplus))


@dataclass(frozen=True)
class PullProgress:
    status: str
    percent: int | None = None


def read_pull(lines: t.Iterable[str | bytes]) -> t.Iterator[PullProgress]:
    """The lines of C(POST /api/pull), as they come.

    The HTTP status says nothing: once bytes were sent, Ollama reports an error inside the 200 stream, and a stream that just ends was
    cut off. So only a last line C(success) counts.
    """
    layers: dict[str, tuple[int, int]] = {}
    last = "nothing"
    for line in lines:
        text = (line.decode("utf-8", "replace") if isinstance(line, bytes) else line).strip()
        if not text:
            continue
        try:
            event = json.loads(text)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            raise OllamaError(f"the answer to the pull does not have one JSON object per line: {text[:200]!r}.")
        if event.get("error"):
            raise OllamaError(str(event["error"]))
        last = str(event.get("status") or "")
        if event.get("digest") and event.get("total"):
            layers[str(event["digest"])] = (int(event.get("completed") or 0), int(event["total"]))
        total = sum(size for done, size in layers.values())
        done = sum(min(done, size) for done, size in layers.values())
        yield PullProgress(last, 100 * done // total if total else None)
    if last != "success":
        raise OllamaError(f"the pull ended before it was complete; the last thing it said was {last!r}. The next attempt resumes it.")


class Store(t.Protocol):
    """What L(synchronise) needs of a server."""

    def tags(self) -> t.Sequence[Installed]: ...

    def pull(self, tag: str) -> None: ...

    def delete(self, tag: str) -> None: ...


@dataclass(frozen=True)
class StoreResult:
    before: tuple[Installed, ...]
    after: tuple[Installed, ...]
    pulled: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        return bool(self.pulled or self.removed)


def synchronise(store: Store, wanted: t.Sequence[Wanted], *, prune: bool, dry_run: bool) -> StoreResult:
    """Pull what is missing or differs from its pin, remove the rest if asked.

    A pin is compared with what the registry gave: a model is pulled by its tag, because Ollama can't pull by digest.
    """
    before = tuple(store.tags())
    change = compare_store(wanted, before)
    to_pull = (*change.missing, *(model for model, _present in change.differing))
    pulled = tuple(model.tag for model in to_pull)
    removed = tuple(model.tag for model in change.surplus) if prune else ()
    if dry_run:
        kept = [present for present in before if present.tag not in removed and not any(same_model(present.tag, tag) for tag in pulled)]
        return StoreResult(before, tuple(kept) + tuple(Installed(tag, "unknown") for tag in pulled), pulled, removed)
    for tag in pulled:
        try:
            store.pull(tag)
        except OllamaError as error:
            raise OllamaError(f"the model {tag} could not be pulled: {error}") from error
    for tag in removed:
        store.delete(tag)
    after = tuple(store.tags()) if pulled or removed else before
    for model, present in compare_store(wanted, after).differing:
        raise OllamaError(
            f"the model {model.tag} is pinned to digest {model.digest}, but the registry gives {present.digest}: the tag has moved. "
            "Look at what changed, then set the new digest, or choose a tag that stays."
        )
    known = {entry.tag: entry.digest for entry in before}
    # A pull that fetched the same again changes nothing.
    really = tuple(tag for tag in pulled if not any(same_model(tag, entry.tag) and known.get(entry.tag) == entry.digest for entry in after))
    return StoreResult(before, after, really, removed)
