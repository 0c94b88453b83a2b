# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils._rotation import Rotation, RotationError, declared, moment

ALICE = {"by": "alice", "at": "2026-11-28T18:00:00Z", "reason": "fan"}
BOTH = Rotation({"chat-a": "chat", "chat-b": "chat", "small-a": "small"})


def test_out_and_back() -> None:
    found = BOTH.take_out(["chat-a"], ALICE)
    assert found.out == {"chat-a": ALICE}
    assert found.take_out(["chat-a"], {"by": "bob"}) == found, "who was first is who did it"
    assert found.put_back(["chat-a"]) == BOTH
    assert BOTH.put_back(["chat-a"]) == BOTH
    assert Rotation.from_text(found.text) == found
    assert found.described() == [{"backend": "chat-a", "model": "chat", **ALICE}]


@pytest.mark.parametrize(
    ("before", "names", "said"),
    [
        ([], ["small-a"], "without small-a nothing in rotation serves small any more"),
        ([], ["chat-a", "small-a"], "without small-a nothing"),
        ([], ["chat-a", "chat-b"], "without chat-a, chat-b nothing in rotation serves chat"),
        (["chat-b"], ["chat-a"], "without chat-a nothing in rotation serves chat"),
        ([], ["chat-c"], "this gateway has no backend chat-c; it has chat-a, chat-b, small-a"),
    ],
)
def test_what_is_refused(before: list[str], names: list[str], said: str) -> None:
    with pytest.raises(RotationError, match=said):
        BOTH.take_out(before, ALICE, last=True).take_out(names, ALICE)


def test_the_last_goes_where_that_is_wanted_and_stays_without_being_asked_again() -> None:
    found = BOTH.take_out(["small-a"], ALICE, last=True)
    assert found.unserved("small")
    assert found.take_out(["small-a"], ALICE) == found


def test_what_has_an_end_counts_until_then() -> None:
    entry = {"by": "rollout", "until": "2026-11-29T03:00:00Z"}
    found = BOTH.take_out(["chat-a"], entry).take_out(["chat-b"], ALICE, last=True)
    assert found.at("2026-11-29T02:59:59Z") == found
    assert set(found.at("2026-11-29T03:00:00Z").out) == {"chat-b"}
    assert found.at("2026-11-29T03:00:00Z").declared_again(found.text).out == found.out, "site.yml leaves the file as it is"
    longer = {"by": "rollout", "until": "2026-11-29T03:30:00Z"}
    assert found.take_out(["chat-a"], longer, last=True).out["chat-a"] == longer
    for other in (entry, {"by": "alice", "until": "2026-11-29T09:00:00Z"}, {"by": "rollout"}):
        assert found.take_out(["chat-a"], other, last=True) == found
    assert found.take_out(["chat-a"], ALICE, last=True).out["chat-a"] == ALICE, "a person who drains it meanwhile finds it out afterwards"
    assert found.take_out(["chat-b"], {"by": "alice", "until": "2026-11-29T09:00:00Z"}, last=True) == found, "it had no end"


def test_moments_have_the_order_of_their_texts() -> None:
    assert moment() < moment(2) < moment(86400)


def test_nothing_unknown_is_put_back() -> None:
    with pytest.raises(RotationError, match="it has none"):
        Rotation().put_back(["x"])


def test_declared_again() -> None:
    out = BOTH.take_out(["chat-a", "small-a"], ALICE, last=True)
    fewer = Rotation({"chat-a": "chat", "chat-c": "chat"})
    assert fewer.declared_again(out.text) == Rotation(fewer.backends, {"chat-a": ALICE})
    assert fewer.declared_again(None) == fewer
    for broken in ("", "[]", '{"out": [1]}', '{"backends": 3}'):
        assert fewer.declared_again(broken) == fewer


def test_a_backend_of_the_configuration() -> None:
    config = {"model_list": [{"model_name": "chat", "model_info": {"id": "chat-a"}}, {"model_name": "own"}, "nonsense"]}
    assert declared(config) == Rotation({"chat-a": "chat"})
    assert json.loads(declared({}).text) == {"backends": {}, "out": {}}


def test_an_entry_that_somebody_has_written_by_hand_counts() -> None:
    assert Rotation.from_text('{"backends": {"a": "m"}, "out": {"a": true}}').out == {"a": {}}
