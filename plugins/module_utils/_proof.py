# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Whether an engine is as good as the one that it replaced: the same questions to both, before and after, and how fast they answer.

A server that says 200 may answer garbage (vllm#29341, vllm#15622), and an upgrade may be five times slower (vllm#51663). What the engine
before said is the measure: nobody knows what a model should say, but it should not say something else after a change that is not its own.
"""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from ansible_collections.llmops.gpu_inference.plugins.module_utils._proof_interview import QUESTIONS, Bounds, Measured
from ansible_collections.llmops.gpu_inference.plugins.module_utils._proof_own import cosine, unmet

#: How far the lengths of two answers may be apart, as a share of the longer one, for their speeds to be compared.
ALIKE = 0.8
#: Seconds that a request may take longer whatever it took before: a moment of another process.
SLACK = 0.25


@dataclass(frozen=True)
class Problem:
    """What does not hold. C(about) is a word for programs."""

    about: str
    text: str


def judge(
    before: Measured | None,
    after: Measured,
    bounds: Bounds,
    *,
    own: Sequence[Mapping[str, t.Any]] = (),
    same_model: bool = True,
    context_declared: bool = False,
) -> list[Problem]:
    """What is worse than before. C(same_model): whether the change left the model as it is; another one may say something else, and take
    longer for it. C(context_declared): whether the inventory says how long a context is to be."""
    answers = after["answers"]
    failed = [f"{name!r}: {answer['error']}" for name, answer in answers.items() if "error" in answer and _was_well(before, name)]
    problems = [Problem("error", f"a request failed that the engine before answered: {text}") for text in failed]
    problems += [Problem("own", text) for text in unmet(own, after, bounds)]
    if before is None:
        return problems
    if after.get("failed") and not before.get("failed"):
        failed.append(str(after["failed"]))
        problems.append(Problem("error", f"one of many requests failed: {after['failed']}"))
    if not failed:
        problems += [*_garbage(before, after), *_tools(before, after)]
        if same_model:
            problems += [*_similarity(before, after, bounds), *_vectors(before, after, bounds, own), *_ranks(before, after)]
    if same_model:
        problems += _slower(before, after, bounds)
    if not context_declared and before.get("context") and after.get("context") and after["context"] < before["context"]:
        problems.append(Problem("context", f"a context of {after['context']} tokens, {before['context']} before"))
    return problems


def _was_well(before: Measured | None, name: str) -> bool:
    return before is None or "error" not in before["answers"].get(name, {})


def _pairs(before: Measured, after: Measured, key: str) -> list[tuple[str, t.Any, t.Any]]:
    """What both have answered."""
    old = before["answers"]
    return [(name, old[name][key], answer[key]) for name, answer in after["answers"].items() if key in answer and key in old.get(name, {})]


def is_garbage(text: str) -> bool:
    """Nothing, or the same sign or word again and again."""
    words = text.split()
    letters = "".join(words)
    return len(letters) == 0 or (len(letters) >= 6 and len(set(letters)) == 1) or (len(words) >= 8 and len(set(words)) == 1)


def _garbage(before: Measured, after: Measured) -> list[Problem]:
    worse = [
        (name, new)
        for name, old, new in _pairs(before, after, "text")
        if name != "tool" and not is_garbage(old) and is_garbage(new) and not after["answers"][name].get("tool")
    ]
    return [Problem("garbage", f"{name!r} is answered with {new[:40]!r}") for name, new in worse[:1]]


def _tools(before: Measured, after: Measured) -> list[Problem]:
    lost = [old for name, old, new in _pairs(before, after, "tool") if name == "tool" and old and not new]
    return [Problem("tools", f"tool {old} is not called any more") for old in lost]


def _similarity(before: Measured, after: Measured, bounds: Bounds) -> list[Problem]:
    pairs = [(old, new) for name, old, new in _pairs(before, after, "text") if name in QUESTIONS]
    if not pairs:
        return []
    alike = sum(SequenceMatcher(None, old.split(), new.split(), autojunk=False).ratio() for old, new in pairs) / len(pairs)
    if alike >= bounds.similarity:
        return []
    old, new = min(pairs, key=lambda pair: SequenceMatcher(None, pair[0].split(), pair[1].split(), autojunk=False).ratio())
    return [
        Problem("answers", f"answers are {alike:.2f} like those before, below {bounds.similarity:.2f}; now {new[:60]!r}, then {old[:60]!r}")
    ]


def _vectors(before: Measured, after: Measured, bounds: Bounds, own: Sequence[Mapping[str, t.Any]]) -> list[Problem]:
    pairs = _pairs(before, after, "vector")
    if not pairs:
        return []
    _name, old, new = pairs[0]
    if len(old) != len(new):
        return [Problem("vectors", f"an embedding has {len(new)} dimensions, {len(old)} before")]
    bound: dict[str, float] = {}
    for one in own:
        if one.get("cosine") is not None:
            bound[str(one.get("prompt"))] = max(one["cosine"], bound.get(str(one.get("prompt")), -1.0))
    found = [(cosine(old, new), bound.get(name, bounds.cosine), name) for name, old, new in pairs]
    worse = [one for one in found if not one[0] >= one[1]]
    if not worse:
        return []
    least, wanted, name = min(worse, key=lambda one: one[0] - one[1])
    return [Problem("vectors", f"cosine {least:.3f} of {name[:60]!r} with the embedding before, below {wanted:g}")]


def _ranks(before: Measured, after: Measured) -> list[Problem]:
    for _name, old, new in _pairs(before, after, "scores"):
        orders = [sorted(range(len(scores)), key=scores.__getitem__) for scores in (old, new)]
        if old and orders[0] != orders[1]:
            return [Problem("ranks", f"documents are ranked in another order: scores {new}, before {old}")]
    return []


def _slower(before: Measured, after: Measured, bounds: Bounds) -> list[Problem]:
    old, new = before["speed"], after["speed"]
    lengths = [speed.get("tokens", 1) for speed in (old, new)]
    if not bounds.speed or min(lengths) < ALIKE * max(lengths):
        return []

    def longer(name: str) -> bool:
        return bool(name in old and name in new and new[name] > old[name] / bounds.speed + SLACK)

    problems = []
    if longer("seconds"):
        rate = "tokens_per_second" if "tokens_per_second" in new else "requests_per_second"
        told = f"{new[rate]:.1f} {rate.replace('_', ' ')}, {old.get(rate, 0):.1f} before"
        problems.append(Problem("speed", f"{told}; at least {bounds.speed:.2f} of it is wanted"))
    if longer("first_token"):
        problems.append(Problem("speed", f"{new['first_token']:.2f} s to the first token, {old['first_token']:.2f} s before"))
    return problems


def columns(before: Measured | None, after: Measured) -> list[str]:
    """Both engines side by side."""
    old: Measured = before or {"answers": {}, "speed": {}}
    rows = [("", "before", "after")]
    for name, words in (
        ("tokens_per_second", "tokens/s"),
        ("first_token", "first token, s"),
        ("requests_per_second", "requests/s"),
    ):
        if name in old["speed"] or name in after["speed"]:
            rows.append((words, str(old["speed"].get(name, "-")), str(after["speed"].get(name, "-"))))
    if old.get("context") or after.get("context"):
        rows.append(("context", str(old.get("context") or "-"), str(after.get("context") or "-")))
    for name, answer in after["answers"].items():
        rows.append((name[:32], _shown(old["answers"].get(name)), _shown(answer)))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return [f"{row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[2]}".rstrip() for row in rows]


def _shown(answer: Mapping[str, t.Any] | None) -> str:
    if answer is None:
        return "-"
    if "error" in answer:
        return f"error: {answer['error']}"[:48]
    if "vector" in answer:
        return f"{len(answer['vector'])} numbers"
    if "scores" in answer:
        return ", ".join(f"{score:.3f}" for score in answer["scores"]) or "answered"
    return f"calls {answer['tool']}" if answer.get("tool") else repr(answer["text"][:40])
