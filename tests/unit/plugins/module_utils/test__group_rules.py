# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _group_rules as rules
from ansible_collections.llmops.gpu_inference.plugins.module_utils._group_rules import Membership, Reply, Seen, Word

READY = Reply("vllm/big", "abc", ("sha256:0123456789abcdef",), begun=3, obstacle="")
RUNS = replace(READY, generation=3)
NOW = 1000.0


def seen(reply: Reply | None, error: str = "", ago: float = 0.0, detail: str = "timed out") -> Seen:
    return Seen("spark2", NOW - ago, reply, error, detail if error else "")


@pytest.mark.parametrize("told", [READY, RUNS, Word("vllm/big", "abc", 4, True, "why"), Word("vllm/big", "abc", None)])
def test_what_is_told_is_read_again(told: Reply | Word) -> None:
    assert type(told).read(json.loads(json.dumps(rules.document(told)))) == told


@pytest.mark.parametrize(
    ("what", "text"),
    [
        (seen(READY), ""),
        (seen(None), "spark2: no answer yet"),
        (seen(READY, rules.UNREACHABLE, 2), "spark2: no answer yet"),
        (seen(READY, rules.UNREACHABLE, 44), "spark2: out of reach for 40 s (timed out)"),
        (seen(None, rules.REFUSED, 44), "spark2: its unit does not run, for 40 s"),
        (seen(replace(READY, gave_up=True, trouble="no such model"), rules.REFUSED, 6), "spark2 has given up: no such model"),
        (seen(None, rules.STRANGER, 6, "it has another key"), "spark2: it has another key"),
        (seen(replace(READY, digest="other")), "spark2 has another configuration of this group; run site.yml for all of its hosts"),
        (seen(RUNS), "spark2 has yet to end generation 3"),
        (seen(replace(READY, obstacle="pulling 40 %")), "spark2: pulling 40 %"),
        (
            seen(replace(READY, images=("sha256:fedcba9876543210",))),
            "spark2 has another image of the same name (fedcba987654, here 0123456789ab); pull it on both",
        ),
        (seen(replace(READY, images=())), "spark2 has another image of the same name (none, here 0123456789ab); pull it on both"),
        # Docker with containerd's image store has another id for the same image.
        (seen(replace(READY, images=("sha256:fedcba9876543210", "sha256:0123456789abcdef"))), ""),
    ],
)
def test_what_a_generation_waits_for_is_told(what: Seen, text: str) -> None:
    assert rules.obstacle(what, READY, NOW) == text


@pytest.mark.parametrize(
    ("what", "why"),
    [
        (seen(RUNS), ""),
        (seen(replace(RUNS, generation=None, trouble="out of memory")), "its part on spark2 has ended: out of memory"),
        (seen(replace(RUNS, generation=None)), "its part on spark2 has ended"),
        (seen(replace(RUNS, generation=2)), "its part on spark2 has ended"),
        (seen(replace(RUNS, leaving=True)), "the unit on spark2 is being stopped"),
        (seen(RUNS).heard(replace(RUNS, ended_for=0.5, trouble="out of memory"), NOW), "its part on spark2 has ended: out of memory"),
        # A launcher that was killed comes back and adopts its container.
        (seen(RUNS, rules.REFUSED, 8), ""),
        (seen(RUNS, rules.REFUSED, 11), "the unit on spark2 does not run any more"),
        (seen(RUNS, rules.STRANGER, 8, "it has another key"), ""),
        (seen(RUNS, rules.STRANGER, 11, "it has another key"), "the unit on spark2 does not run any more as it did: it has another key"),
        # A cut link alone ends nothing, however long it is cut.
        (seen(RUNS, rules.UNREACHABLE, 8000), ""),
        (seen(replace(RUNS, generation=None), rules.UNREACHABLE, 8), ""),
        (seen(None), ""),
    ],
)
def test_what_ends_a_generation(what: Seen, why: str) -> None:
    assert rules.ended_by(what, 3, NOW) == why


def test_since_when_a_member_is_away_counts_from_the_first_miss_of_its_kind() -> None:
    first = Seen("spark2", 0.0).heard(READY, 1.0)
    assert (first.since, first.heard(READY, 2.0).since) == (1.0, 1.0)
    cut = first.missed(rules.UNREACHABLE, "timed out", 10.0).missed(rules.UNREACHABLE, "no route", 20.0)
    assert (cut.since, cut.detail, cut.reply) == (10.0, "no route", READY)
    booting = cut.missed(rules.REFUSED, "refused", 30.0)
    assert booting.since == 30.0
    assert booting.heard(READY, 31.0) == Seen("spark2", 31.0, READY)


def test_generations_only_grow() -> None:
    assert rules.next_generation([]) == 1
    assert rules.next_generation([3, 0]) == 4


def word(wants: int | None, ready: bool = False, why: str = "", digest: str = "abc") -> Word:
    return Word("vllm/big", digest, wants, ready, why)


def test_a_member_promises_what_is_new_and_nothing_else() -> None:
    waits = Membership(READY)
    assert waits.hear(word(None), NOW).reply == READY
    assert waits.hear(word(4), NOW).reply == replace(READY, generation=4, begun=4)
    assert waits.hear(word(3), NOW).reply == READY, "one that it has ended is never begun again"
    assert waits.hear(word(4, digest="other"), NOW).reply == READY
    busy = Membership(replace(READY, obstacle="pulling"))
    assert busy.hear(word(4), NOW).reply == busy.reply
    assert waits.hear(word(4), NOW).ended == ""


def test_a_member_ends_what_the_leader_no_longer_wants() -> None:
    runs = Membership(RUNS)
    assert runs.hear(word(3, ready=True), NOW).ended == ""
    assert runs.hear(word(None, why="rank 0 has failed: x"), NOW).ended == "rank 0 has failed: x"
    failed = runs.hear(replace(word(3, why="rank 0 has failed: y"), ended_for=2.0), NOW)
    assert (failed.ended, failed.leader_ended_at) == ("rank 0 has failed: y", NOW - 2)
    newer = runs.hear(word(4), NOW)
    assert newer.ended == "it was ended where rank 0 runs"
    assert newer.reply == RUNS, "a new one is promised only when the old one is gone"
    assert newer.hear(word(None, why="later"), NOW).ended == newer.ended, "the first reason is the one"


def test_a_member_is_ready_when_the_leader_says_so_of_its_generation() -> None:
    assert Membership(RUNS).hear(word(3, ready=True), NOW).ready
    assert not Membership(RUNS).hear(word(3), NOW).ready
    assert not Membership(RUNS).hear(word(4, ready=True), NOW).ready
    assert not Membership(RUNS).ready


def test_what_a_member_waits_for_is_told() -> None:
    waits = Membership(READY)
    assert waits.waits_for("spark1", NOW) == "spark1: nothing heard of it yet"
    assert waits.hear(word(None), NOW).waits_for("spark1", NOW) == "spark1 to begin"
    assert waits.hear(word(None, why="spark3: pulling"), NOW).waits_for("spark1", NOW + 1) == "spark3: pulling"
    assert waits.hear(word(None, why="x"), NOW).waits_for("spark1", NOW + 44) == "spark1: nothing heard of it for 40 s"
