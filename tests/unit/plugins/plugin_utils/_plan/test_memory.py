# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.inventories import dgpu, gpu, jetson

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.findings import Size, parse_size
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.memory import Ask, pools_of, settle
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.platform import Hardware, read_hardware

GIB = 1024


def hardware(*gib: float | None) -> Hardware:
    found = read_hardware(dgpu(*(gpu(index, memory_mib=size * GIB if size else None) for index, size in enumerate(gib))), "facts")
    assert found is not None
    return found


def ask(name: str, size: Any = None, count: int = 1, pins: tuple[int, ...] = ()) -> Ask:
    return Ask(name, count, parse_size(size), tuple(f"GPU-{index:08d}" for index in pins), rest=size is None and count > 0)


def places(asks: list[Ask], *gib: float | None) -> list[str]:
    ledger = settle(asks, hardware(*gib), {"": Size("0", mib=0.0)})
    return [",".join(key[-1] for key in grant.devices) if grant else "-" for grant in ledger.grants]


@pytest.mark.parametrize(
    ("asks", "gib", "expected"),
    [
        pytest.param([ask("a", "10GiB"), ask("b", "10GiB")], (24, 24), ["0", "0"], id="first fit"),
        pytest.param([ask("a", "16GiB"), ask("b", "16GiB")], (24, 24), ["0", "1"], id="next GPU"),
        pytest.param([ask("a", "4GiB"), ask("b", "20GiB"), ask("c", "24GiB")], (24, 24), ["0", "0", "1"], id="in order while it fits"),
        pytest.param([ask("a", "10GiB"), ask("b", "10GiB"), ask("c", "14GiB")], (24, 24), ["0", "0", "1"], id="before"),
        pytest.param(
            [ask(name, size) for name, size in zip("abcd", ("10GiB", "10GiB", "14GiB", "14GiB"))],
            (24, 24),
            ["0", "1", "0", "1"],
            id="largest first",
        ),
        pytest.param([ask("a", "8GiB"), ask("b", "20GiB", 2)], (24, 24, 24), ["0", "1,2"], id="two GPUs"),
        pytest.param([ask("a", "8GiB", pins=(1,)), ask("b", "20GiB")], (24, 24), ["1", "0"], id="given GPU"),
        pytest.param([ask("a", "20GiB"), ask("b", "20GiB", pins=(0,))], (24, 24), ["1", "0"], id="a given GPU moves the others"),
        pytest.param([ask("a"), ask("b", "4GiB")], (24, 24), ["0", "1"], id="the rest is a whole empty GPU"),
        pytest.param([ask("a"), ask("b", "4GiB")], (24,), ["0", "0"], id="the rest makes room"),
        pytest.param([ask("a", "8GiB"), ask("b")], (24, 24), ["0", "1"], id="the rest prefers an empty GPU"),
        pytest.param([ask("a", "30GiB"), ask("b", "4GiB")], (24,), ["-", "0"], id="what does not fit does not hinder the others"),
        pytest.param([ask("a", "8GiB"), ask("b", 0.5)], (None, 24), ["1", "1"], id="known memory comes first"),
        pytest.param([ask("a", 0.9), ask("b", 0.9)], (None, 24), ["1", "0"], id="a fraction goes where the memory is not known"),
        pytest.param([ask("a", "20GiB"), ask("b", "8GiB")], (None, 24), ["1", "-"], id="a size does not"),
        pytest.param([ask("a", 0.7), ask("b", 0.5)], (None, None), ["0", "1"], id="fractions of unknown memory add up"),
        pytest.param([ask("a", 0.6), ask("b", 0.4)], (None,), ["0", "0"], id="to one"),
        pytest.param([ask("a", 0.7), ask("b", 0.5)], (None,), ["0", "-"], id="and no further"),
        pytest.param([ask("a", 0.7, pins=(0,)), ask("b", 0.5, pins=(0,))], (None, None), ["0", "-"], id="on a given GPU too"),
        pytest.param([ask("a"), ask("b", 0.5)], (None,), ["0", "-"], id="the rest of unknown memory is vLLM's default"),
        pytest.param([ask("a"), ask("b")], (None, None), ["0", "1"], id="one for each of two"),
    ],
)
def test_placement(asks: list[Ask], gib: tuple[float | None, ...], expected: list[str]) -> None:
    assert places(asks, *gib) == expected


def test_rest_is_what_the_others_leave() -> None:
    ledger = settle([ask("a"), ask("b", "4GiB")], hardware(24), {"": Size("2GiB", mib=2 * GIB)})
    assert [grant.amount for grant in ledger.grants if grant] == [18 * GIB, 4 * GIB]
    assert [grant.left for grant in ledger.grants if grant] == [4 * GIB, 0]


def test_unified_memory_is_one_pool_for_gpu_and_cpu() -> None:
    board = read_hardware(jetson(), "facts")
    ledger = settle([ask("a", "30GiB"), ask("b", "10GiB", count=0)], board, {})
    assert [round(grant.left or 0) for grant in ledger.grants if grant] == [round(62800 * 0.8) - 30 * GIB, round(62800 * 0.8) - 40 * GIB]
    assert not ledger.problems


@pytest.mark.parametrize(
    ("facts", "reserve", "usable"),
    [
        (dgpu(gpu(memory_mib=20000)), {}, 19000),
        (dgpu(gpu(memory_mib=20000)), {"": Size("0", mib=0)}, 20000),
        (dgpu(gpu(memory_mib=20000)), {"": Size("0.1", fraction=0.1)}, 18000),
        (dgpu(gpu(memory_mib=20000)), {"0": Size("1GiB", mib=1024)}, 18976),
        (dgpu(gpu(memory_mib=20000)), {"1": Size("1GiB", mib=1024)}, 19000),
        (jetson(memory_mib=7620), {}, 7620 - 3072),
        (jetson(memory_mib=60000), {}, 48000),
        (jetson(memory_mib=60000), {"": Size("4GiB", mib=4096)}, 60000 - 4096),
    ],
)
def test_usable_memory(facts: dict[str, Any], reserve: dict[str, Size], usable: float) -> None:
    found = read_hardware(facts, "facts")
    assert found is not None
    pools, pool_of = pools_of(found, reserve)
    assert pools[pool_of[found.devices[0].key]].usable == usable


@pytest.mark.parametrize(
    ("asks", "gib", "words"),
    [
        (
            [ask("a", "16GiB"), ask("b", "12GiB")],
            (24,),
            "b 12.0 GiB does not fit: GPU 0 (NVIDIA GeForce RTX 5090) has 24.0 GiB for services",
        ),
        ([ask("a", "16GiB"), ask("b", "12GiB")], (24,), "with b that is 28.0 GiB, 4.0 GiB too much"),
        ([ask("a", "16GiB"), ask("b", "16GiB"), ask("c", "16GiB")], (24, 24), "c 16.0 GiB fits nowhere: GPU 0"),
        ([ask("a"), ask("b")], (24,), "b and a both take all that is left; give both a memory"),
        ([ask("a", "24GiB"), ask("b")], (24,), "b takes what is left, which is less than 1.0 GiB"),
        ([ask("a", "20GiB", 2)], (24, 16), "a 20.0 GiB on each of 2 GPUs"),
    ],
)
def test_problems_name_services_and_gib(asks: list[Ask], gib: tuple[float, ...], words: str) -> None:
    ((_position, problem),) = settle(asks, hardware(*gib), {"": Size("0", mib=0.0)}).problems
    assert words in problem


sizes = st.integers(1, 30).map(lambda gib: f"{gib}GiB")
lists = st.lists(st.tuples(sizes, st.sampled_from([1, 1, 1, 2])), max_size=7)


@settings(max_examples=300, deadline=None)
@given(lists, st.integers(1, 6), st.lists(st.sampled_from([16, 24, 32]), min_size=1, max_size=4))
def test_a_service_at_the_end_leaves_the_others_where_they_are(asked: list[tuple[str, int]], extra: int, gib: list[int]) -> None:
    asks = [ask(f"s{number}", size, min(count, len(gib))) for number, (size, count) in enumerate(asked)]
    before = settle(asks, hardware(*gib), {})
    pools, _pool_of = pools_of(hardware(*gib), {})
    free = {key: pool.usable or 0.0 for key, pool in pools.items()}
    for grant in before.grants:
        for pool in grant.pools if grant else ():
            free[pool] -= (grant.amount or 0.0) if grant else 0.0
    assert all(amount >= -0.001 for amount in free.values())
    after = settle([*asks, ask("new", f"{extra}GiB")], hardware(*gib), {})
    if any(amount >= extra * GIB for key, amount in free.items() if key.startswith("GPU-")):
        assert [grant.devices if grant else None for grant in after.grants[:-1]] == [
            grant.devices if grant else None for grant in before.grants
        ]
        assert after.grants[-1] is not None


def test_one_share_for_gpus_of_different_size_takes_more_of_the_larger_one() -> None:
    both = Ask("both", count=2, size=parse_size("4GiB"), relative=True)
    ledger = settle([both, ask("small", "10GiB")], hardware(8, 24), {"": Size("0", mib=0)})
    assert not ledger.problems
    grant, small = ledger.grants
    assert grant is not None
    assert small is not None
    assert (grant.amount, grant.total) == (4096, 8192)  # half of the smaller one, so 12 of 24 GiB of the larger one
    assert (small.devices, small.left) == (grant.devices[1:], 2048)
    refused = settle([both, ask("large", "13GiB")], hardware(8, 24), {"": Size("0", mib=0)}).problems
    assert [position for position, _ in refused] == [1]


def test_what_is_left_of_gpus_of_different_size_is_one_share() -> None:
    rest = Ask("rest", count=2, size=None, rest=True, relative=True)
    grant = settle([ask("one", "18GiB"), rest], hardware(8, 24), {"": Size("0", mib=0)}).grants[1]
    assert grant is not None
    assert (grant.amount, grant.total) == (2048, 8192)  # a quarter of each
