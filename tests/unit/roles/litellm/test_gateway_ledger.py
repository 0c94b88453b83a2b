# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is in work at the gateway, who waits, who comes next."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import gateway_ledger as ledger
import pytest

MIB = 1024 * 1024


def ask(book: Any, client: str, size: int = 0, **changes: Any) -> Any:
    ticket = ledger.Ticket(client, size, **changes)
    book.enter(ticket)
    return ticket


@pytest.mark.parametrize(
    ("total", "held", "client", "amount", "fits"),
    [
        (64, {}, "a", 32, True),
        (64, {}, "a", 64, True),  # nobody else is there, and it is all that this client has
        (64, {}, "a", 65, False),
        (64, {"a": 32}, "a", 1, False),
        (64, {"a": 25}, "a", 7, True),  # 32 and 32
        (64, {"a": 25}, "a", 8, False),
        (64, {"a": 25}, "a", 25, False),
        (64, {"a": 25}, "b", 25, True),
        (64, {"a": 32, "b": 16}, "b", 1, False),
        (64, {"a": 32, "b": 15}, "b", 1, True),
        (64, {"a": 32, "b": 16}, "c", 16, True),
    ],
)
def test_share(total: int, held: dict[str, int], client: str, amount: int, fits: bool) -> None:
    share = ledger.Share(total)
    for name, size in held.items():
        share.take(name, size)
    assert share.fits(client, amount) is fits


def test_shares_are_forgotten_with_their_last_byte() -> None:
    share = ledger.Share(10)
    share.take("a", 3)
    share.give("a", 3)
    assert (share.used, share.held) == (0, {})


def test_twenty_bodies_of_one_client_leave_room_for_another() -> None:
    book = ledger.Ledger(ledger.Limits())
    mine = [ask(book, "a", 25_000_000) for _ in range(20)]
    assert [ticket.state for ticket in mine] == ["in work"] + ["waiting"] * 19
    assert ask(book, "b", 25_000_000).state == "in work"
    assert ask(book, "c", 10_000).state == "in work"


def test_a_thousand_streams_of_one_client_leave_room_for_others() -> None:
    book = ledger.Ledger(ledger.Limits())
    mine = [ask(book, "a", 200).state for _ in range(1000)]
    assert mine.count("in work") == 400
    assert mine.count("refused") == 0
    assert [ask(book, "b", 200).state for _ in range(200)] == ["in work"] * 200


def test_small_ones_never_wait_behind_large_ones_of_their_client() -> None:
    book = ledger.Ledger(ledger.Limits())
    assert [ask(book, "a", 25 * MIB).state for _ in range(2)] == ["in work", "waiting"]
    assert ask(book, "a", 1000).state == "in work"


def test_small_ones_that_come_and_go_never_keep_a_large_one_of_their_client_out() -> None:
    book = ledger.Ledger(ledger.Limits())
    small = [ask(book, "a", 100_000) for _ in range(20)]
    assert ask(book, "a", 32 * MIB).state == "in work"
    assert ask(book, "a", 32 * MIB).state == "waiting"
    assert {ticket.state for ticket in small} == {"in work"}


def test_clients_come_in_turn() -> None:
    book = ledger.Ledger(ledger.Limits(requests=1))
    first = ask(book, "a")
    waiting = [ask(book, client) for client in "aaabbc"]
    order = []
    while waiting:
        (first,) = book.leave(first)
        order.append(first.client)
        waiting.remove(first)
    assert "".join(order) == "abcaba"


def test_a_large_body_is_not_overtaken_by_other_large_ones() -> None:
    """Nothing of c is in work, so what becomes free is kept for it."""
    book = ledger.Ledger(ledger.Limits(work=60 * MIB))
    one, two = ask(book, "a", 25 * MIB), ask(book, "b", 10 * MIB)
    big = ask(book, "c", 36 * MIB)
    assert big.state == "waiting"
    assert ask(book, "d", 2 * MIB).state == "waiting"
    assert ask(book, "d", MIB).state == "in work"
    assert book.leave(two) == []
    assert big in book.leave(one)


def test_who_waits_too_much_is_refused() -> None:
    book = ledger.Ledger(ledger.Limits(requests=1))
    ask(book, "a")
    states = [ask(book, "a", 25 * MIB).state for _ in range(1000)]
    assert set(states) == {"waiting", "refused"}
    # The bytes that the server holds of them.
    assert states.count("waiting") * ledger.WAITING_BODY <= ledger.Limits().waiting / 2
    assert ask(book, "b", 25 * MIB).state == "waiting"


def test_leaving_gives_everything_back_whatever_the_state() -> None:
    book = ledger.Ledger(ledger.Limits(requests=2, waiting=3 * ledger.WAITING_BODY))
    tickets = [ask(book, client, 100 * ledger.KIB) for client in "aabbbccdd"]
    assert {ticket.state for ticket in tickets} == {"in work", "waiting", "refused"}
    for ticket in [*tickets, *tickets]:
        book.leave(ticket)
    assert (book.bytes.used, book.requests.used, book.waiting.used, len(book.line)) == (0, 0, 0, 0)
    assert book.bytes.held == book.requests.held == book.waiting.held == {}
    assert not +book.large


def test_what_was_reserved_too_much_goes_to_the_next() -> None:
    book = ledger.Ledger(ledger.Limits())
    first, second = ask(book, "a", 32 * MIB), ask(book, "a", 25 * MIB)
    assert book.shrink(first, 5 * MIB) == [second]
    assert book.shrink(first, 30 * MIB) == []
    assert book.bytes.used == 30 * MIB


def test_nothing_is_lost_and_nobody_starves() -> None:
    """Random traffic of random sizes: never more in work than there is, and everybody who does not give up is served."""
    chance = random.Random(7)
    limits = ledger.Limits(requests=8, waiting=1 << 40)
    book = ledger.Ledger(limits)
    served, asked, working = set(), set(), []
    for _ in range(3000):
        if chance.random() < 0.5:
            ticket = ask(book, chance.choice("abcde"), chance.choice([0, 1000, MIB, 5 * MIB, 25 * MIB, 32 * MIB]))
            asked.add(ticket)
            working += [ticket] if ticket.state == "in work" else []
        elif working:
            working += book.leave(working.pop(chance.randrange(len(working))))
        served.update(working)
        assert book.bytes.used == sum(ticket.size for ticket in working) <= limits.work
        assert book.requests.used == len(working) <= limits.requests
    while working:
        working += book.leave(working.pop(0))
        served.update(working)
    assert served == asked


LIMIT = 1000


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        (json.dumps({"messages": [{"role": "user", "content": "x" * 100_000}]}).encode(), False),
        (json.dumps({"x": 'say \\"hello, [you] {there}\\",' * 10_000}).encode(), False),
        (json.dumps(["a"] * 400).encode(), False),
        (json.dumps(["a"] * 2000).encode(), True),
        (json.dumps([{}] * 2000).encode(), True),
        (json.dumps({str(number): 1 for number in range(2000)}).encode(), True),
        (json.dumps([[]] * 2000).encode(), True),
        (json.dumps(list(range(9000))).encode(), False),
        (json.dumps(list(range(20_000))).encode(), True),
        (json.dumps(["\\"] * 2000).encode(), True),
        (json.dumps(['"'] * 2000).encode(), True),
        (b'["' + b"\\\\" * 5000 + b'", ' + b'{"":1},' * 2000, True),
        (b"{}", False),
        (b"", False),
    ],
)
def test_values_are_counted_outside_of_strings(body: bytes, refused: bool) -> None:
    assert ledger.too_many_values(body, LIMIT) is refused


@pytest.mark.parametrize("piece", [b'\\"', b"\\", b'"', b"{}", b'"",', b"\\\\", b'\\\\"', b"1,", b"[", b"a", b'"\\'])
def test_counting_takes_no_time_whatever_a_body_is_made_of(piece: bytes) -> None:
    body = b'["' + piece * (8_000_000 // len(piece))
    began = time.process_time()
    ledger.too_many_values(body, 200_000)
    # A fourth of a second at most; a search that goes back takes hours.
    assert time.process_time() - began < 5


def test_limits_come_from_the_policy(tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    assert ledger.Limits.load(policy) == ledger.Limits()
    policy.write_text('{"limits": {"request": 1000, "work": 5000}}', encoding="utf-8")
    assert (ledger.Limits.load(policy).request, ledger.Limits.load(policy).work) == (1000, 5000)
    policy.write_text("{}", encoding="utf-8")
    assert ledger.Limits.load(policy).request == 32 * MIB
