# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.llmops.gpu_inference.plugins.module_utils._ollama import (
    Installed,
    Loaded,
    OllamaError,
    PullProgress,
    Wanted,
    compare_store,
    normalise_tag,
    partly_on_cpu,
    read_ps,
    read_pull,
    read_tags,
    same_digest,
    synchronise,
)

DIGEST = "1343d82ebee3" + "0" * 52


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("qwen3", "qwen3:latest"),
        ("qwen3:4b", "qwen3:4b"),
        (" qwen3 ", "qwen3:latest"),
        ("library/qwen3", "qwen3:latest"),
        ("registry.ollama.ai/library/qwen3:latest", "qwen3:latest"),
        ("https://registry.ollama.ai/library/qwen3", "qwen3:latest"),
        ("registry.ollama.ai/someone/qwen3", "someone/qwen3:latest"),
        ("hf.co/bartowski/Qwen3-GGUF:Q4_K_M", "hf.co/bartowski/Qwen3-GGUF:Q4_K_M"),
        ("registry.example:5000/team/model", "registry.example:5000/team/model:latest"),
        ("registry.example:5000/team/model:v1", "registry.example:5000/team/model:v1"),
    ],
)
def test_normalise_tag(tag: str, expected: str) -> None:
    assert normalise_tag(tag) == expected


@given(st.text(alphabet="abc/:.", max_size=12))
def test_normalising_twice_changes_nothing_for_names_without_a_prefix(tag: str) -> None:
    assert normalise_tag(normalise_tag(tag)) == normalise_tag(tag)


@pytest.mark.parametrize(
    ("wanted", "present", "same"),
    [
        (DIGEST, DIGEST, True),
        (DIGEST[:12], DIGEST, True),
        (DIGEST, DIGEST[:12], True),
        (f"sha256:{DIGEST}", DIGEST, True),
        (DIGEST[:11], DIGEST, False),
        ("f" * 12, DIGEST, False),
        (DIGEST.upper(), DIGEST, True),
        (DIGEST, "", False),
    ],
)
def test_same_digest(wanted: str, present: str, same: bool) -> None:
    assert same_digest(wanted, present) is same


def lines(*events: dict[str, Any]) -> list[str]:
    return [json.dumps(event) + "\n" for event in events]


PULLING: dict[str, Any] = {"status": "pulling 1343d82ebee3", "digest": "sha256:1", "total": 100}


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (lines({"status": "success"}), [PullProgress("success")]),
        (
            [*lines({"status": "pulling manifest"}, PULLING, {**PULLING, "completed": 43}), "\n", *lines({"status": "success"})],
            [
                PullProgress("pulling manifest"),
                PullProgress(PULLING["status"], 0),
                PullProgress(PULLING["status"], 43),
                PullProgress("success", 43),
            ],
        ),
        (
            lines({**PULLING, "completed": 100}, {**PULLING, "digest": "sha256:2", "completed": 0}, {"status": "success"}),
            [PullProgress(PULLING["status"], 100), PullProgress(PULLING["status"], 50), PullProgress("success", 50)],
        ),
    ],
)
def test_pull_progress(stream: list[str], expected: list[PullProgress]) -> None:
    assert list(read_pull(stream)) == expected
    assert list(read_pull([line.encode() for line in stream])) == expected


@pytest.mark.parametrize(
    ("stream", "text"),
    [
        (lines({"status": "pulling manifest"}, {"error": "pull model manifest: file does not exist"}), "file does not exist"),
        (lines(PULLING, {"error": "max retries exceeded: unexpected EOF"}), "unexpected EOF"),
        (lines(PULLING), "ended before it was complete; the last thing it said was 'pulling 1343d82ebee3'"),
        ([], "the last thing it said was 'nothing'"),
        (["<html>502</html>"], "does not have one JSON object per line"),
        (["[1]"], "does not have one JSON object per line"),
    ],
)
def test_a_pull_that_fails_inside_its_stream(stream: list[str], text: str) -> None:
    with pytest.raises(OllamaError) as failure:
        list(read_pull(stream))
    assert text in str(failure.value)


@pytest.mark.parametrize(
    ("size", "vram", "percent"),
    [(100, 100, 0), (100, 60, 40), (100, 0, 100), (1000, 999, 1), (0, 0, 0), (100, 120, 0)],
)
def test_partly_on_cpu(size: int, vram: int, percent: int) -> None:
    assert partly_on_cpu([Loaded("a:latest", size, vram)]) == ({"a:latest": percent} if percent else {})


def test_answers_are_read() -> None:
    assert read_tags({"models": [{"name": "Qwen3:4b", "digest": DIGEST, "size": 5}]}) == (Installed("Qwen3:4b", DIGEST, 5),)
    assert read_ps({"models": [{"model": "qwen3", "size": 5, "size_vram": 3}]}) == (Loaded("qwen3:latest", 5, 3),)
    assert read_tags({"models": None}) == ()


@pytest.mark.parametrize("answer", [{}, [], "Ollama is running", {"models": "x"}, {"models": [1]}, None])
def test_answers_of_something_else_are_refused(answer: object) -> None:
    with pytest.raises(OllamaError, match="did not answer as Ollama does"):
        read_tags(answer)


def test_compare_store() -> None:
    installed = [Installed("qwen3:latest", DIGEST), Installed("old:1", DIGEST), Installed("moved:1", DIGEST)]
    change = compare_store([Wanted("Qwen3", DIGEST[:12]), Wanted("new:1"), Wanted("moved:1", "f" * 64)], installed)
    assert change.missing == (Wanted("new:1"),)
    assert change.differing == ((Wanted("moved:1", "f" * 64), installed[2]),)
    assert change.surplus == (installed[1],)


class FakeRegistry:
    """A server in memory, in front of a registry that has these digests."""

    def __init__(self, registry: dict[str, str], installed: dict[str, str]) -> None:
        self.registry = registry
        self.installed = dict(installed)

    def tags(self) -> list[Installed]:
        return [Installed(tag, digest) for tag, digest in sorted(self.installed.items())]

    def pull(self, tag: str) -> None:
        if tag not in self.registry:
            raise OllamaError("pull model manifest: file does not exist")
        self.installed[tag] = self.registry[tag]

    def delete(self, tag: str) -> None:
        del self.installed[tag]


NEW, OLD = "a" * 64, "b" * 64


@pytest.mark.parametrize(
    ("wanted", "installed", "prune", "pulled", "removed", "after"),
    [
        ([Wanted("m:1")], {"m:1": NEW}, False, (), (), {"m:1": NEW}),
        ([Wanted("m:1")], {"m:1": OLD}, False, (), (), {"m:1": OLD}),
        ([Wanted("m:1")], {}, False, ("m:1",), (), {"m:1": NEW}),
        ([Wanted("m:1", NEW[:12])], {"m:1": OLD}, False, ("m:1",), (), {"m:1": NEW}),
        ([Wanted("m:1")], {"m:1": NEW, "x:1": OLD}, False, (), (), {"m:1": NEW, "x:1": OLD}),
        ([Wanted("m:1")], {"m:1": NEW, "x:1": OLD}, True, (), ("x:1",), {"m:1": NEW}),
        ([], {"x:1": OLD}, True, (), ("x:1",), {}),
    ],
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_synchronise(
    wanted: list[Wanted],
    installed: dict[str, str],
    prune: bool,
    pulled: tuple[str, ...],
    removed: tuple[str, ...],
    after: dict[str, str],
    dry_run: bool,
) -> None:
    store = FakeRegistry({"m:1": NEW}, installed)
    done = synchronise(store, wanted, prune=prune, dry_run=dry_run)
    assert (done.pulled, done.removed, done.changed) == (pulled, removed, bool(pulled or removed))
    assert {entry.tag for entry in done.after} == set(after)
    assert store.installed == (installed if dry_run else after)
    again = synchronise(store, wanted, prune=prune, dry_run=dry_run)
    assert again.changed is (dry_run and done.changed)


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (Wanted("m:1", OLD), f"pinned to digest {OLD}, but the registry gives {NEW}"),
        (Wanted("gone:1"), "the model gone:1 could not be pulled: pull model manifest: file does not exist"),
    ],
)
def test_what_the_registry_does_not_have_is_refused(wanted: Wanted, text: str) -> None:
    with pytest.raises(OllamaError) as failure:
        synchronise(FakeRegistry({"m:1": NEW}, {}), [wanted], prune=False, dry_run=False)
    assert text in str(failure.value)
