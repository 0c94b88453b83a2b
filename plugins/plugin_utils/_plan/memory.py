# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The memory ledger of one host: who gets which GPU, how much of it, and what is left.

Every GPU is a pool; where CPU and GPU share the memory, there is one pool for all. Services with a given GPU stay there, the
others are placed one after another, first fit. Only when one does not fit is everything placed anew, largest first, so a
service added at the end of the list leaves the others where they are whenever there is room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .findings import Size
from .platform import Device, Hardware

#: vLLM's own default share of a GPU, gpu-memory-utilization.
DEFAULT_SHARE = 0.92
#: A service that takes what is left needs at least this much to be worth starting.
LEAST_REST_MIB = 1024.0
HOST_POOL = "host"
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Pool:
    """Memory that is given out once: a GPU's, or a host's. C(total) is None where it is not known; then fractions are counted."""

    key: str
    title: str
    total: float | None
    reserve: float
    share: float = 1.0  # of it that is for services, as far as that is known without the total

    @property
    def usable(self) -> float | None:
        return None if self.total is None else max(0.0, self.total - self.reserve)


@dataclass(frozen=True)
class Ask:
    """What one service wants. C(rest): the engine takes all that is left, because no amount was given."""

    name: str
    count: int  # GPUs; 0 = main memory
    size: Size | None
    pins: tuple[str, ...] = ()  # device keys
    rest: bool = False
    shun: frozenset[str] = frozenset()  # keys of devices that it cannot use
    relative: bool = False  # it takes the same share of each of its GPUs, so the smallest says which (vLLM's gpu-memory-utilization)

    @property
    def share(self) -> float:
        """The fraction that is asked for, of a pool whose size does not matter; an engine that takes the rest would take its default."""
        if self.rest:
            return DEFAULT_SHARE
        return (self.size.fraction or 0.0) if self.size is not None else 0.0


@dataclass(frozen=True)
class Grant:
    """What one service gets."""

    devices: tuple[str, ...]
    pools: tuple[str, ...]
    amount: float | None  # MiB per pool, of a C(relative) ask in the smallest one; None where it is not accounted for
    total: float | None  # MiB of the first pool, of a C(relative) ask of the smallest one
    left: float | None  # MiB left in the fullest of its pools after it


@dataclass(frozen=True)
class Ledger:
    grants: tuple[Grant | None, ...]
    problems: tuple[tuple[int, str], ...]  # position of the ask, and what is wrong with it


def gib(mib: float) -> str:
    return f"{mib / 1024:.1f} GiB"


def pools_of(hardware: Hardware | None, reserve: Mapping[str, Size]) -> tuple[dict[str, Pool], dict[str, str]]:
    """The pools of a host, and which pool each device draws from."""
    if hardware is None:
        return {HOST_POOL: Pool(HOST_POOL, "main memory", None, 0.0)}, {}
    if hardware.unified:
        title = "the memory that CPU and GPU share"
        total = hardware.memory_mib
        asked = next(
            (reserve[key] for key in ("", *(d.index for d in hardware.devices), *(d.key for d in hardware.devices)) if key in reserve), None
        )
        pool = Pool(HOST_POOL, title, total, _reserved(asked, total, hardware.kind.shared_reserve.of(total)))
        return {HOST_POOL: pool}, {device.key: HOST_POOL for device in hardware.devices}
    host_total = hardware.memory_mib
    pools = {HOST_POOL: Pool(HOST_POOL, "main memory", host_total, hardware.kind.main_reserve.of(host_total))}
    for device in hardware.devices:
        asked = next((reserve[key] for key in (device.key, device.index, "") if key in reserve), None)
        default = hardware.kind.gpu_reserve.of(device.memory_mib)
        share = 1.0 - (asked.fraction or 0.0) if asked is not None else 1.0
        alike = [other.index for other in hardware.devices if other.memory_key == device.memory_key]
        title = (
            f"GPU {device.index} ({device.name})"
            if len(alike) == 1
            else f"the GPU instance of the slices {', '.join(alike)} ({device.name})"
        )
        pools.setdefault(
            device.memory_key, Pool(device.memory_key, title, device.memory_mib, _reserved(asked, device.memory_mib, default), share)
        )
    return pools, {device.key: device.memory_key for device in hardware.devices}


def _reserved(asked: Size | None, total: float | None, default: float) -> float:
    if asked is None:
        return default
    if asked.mib is not None:
        return asked.mib
    return (asked.fraction or 0.0) * total if total is not None else 0.0


class _State:
    """What is taken from each pool; a state per attempt."""

    def __init__(self, pools: Mapping[str, Pool], pool_of: Mapping[str, str]) -> None:
        self.pools = pools
        self.pool_of = pool_of
        self.taken: dict[str, float] = dict.fromkeys(pools, 0.0)
        self.shares: dict[str, float] = dict.fromkeys(pools, 0.0)
        self.guests: dict[str, int] = dict.fromkeys(pools, 0)
        self.devices: dict[int, tuple[str, ...]] = {}
        self.amounts: dict[int, float | None] = {}

    def free(self, pool: str) -> float | None:
        usable = self.pools[pool].usable
        return None if usable is None else usable - self.taken[pool]

    def smallest(self, pools: Sequence[str]) -> float | None:
        """MiB of the smallest of the pools that are known."""
        return min((total for pool in pools if (total := self.pools[pool].total)), default=None)

    def scale(self, ask: Ask, pool: str, pools: Sequence[str]) -> float:
        """How much of this pool it takes for each MiB of the smallest of its pools."""
        own, smallest = self.pools[pool].total, self.smallest(pools)
        return own / smallest if ask.relative and own and smallest else 1.0

    def amount(self, ask: Ask, pool: str, pools: Sequence[str] = ()) -> float | None:
        """MiB in this pool for each of its GPUs there; C(pools) are all that it draws from."""
        total = self.pools[pool].total
        if ask.size is None:
            return None
        if ask.size.mib is not None:
            return ask.size.mib * self.scale(ask, pool, pools)
        return None if total is None else (ask.size.fraction or 0.0) * total

    def _target_pools(self, ask: Ask, devices: Sequence[str]) -> list[str]:
        return [self.pool_of[device] for device in devices] if ask.count else [HOST_POOL]

    def fits(self, ask: Ask, devices: Sequence[str]) -> bool:
        wanted: dict[str, float] = {}
        targets = self._target_pools(ask, devices)
        for pool in targets:
            known = self.pools[pool].total is not None
            if not known and self.shares[pool] + targets.count(pool) * ask.share > self.pools[pool].share + _TOLERANCE:
                return False
        for pool in targets:
            free = self.free(pool)
            if ask.rest:
                if free is not None and free < LEAST_REST_MIB:
                    return False
                continue
            wanted[pool] = wanted.get(pool, 0.0) + (self.amount(ask, pool, targets) or 0.0)
        return all(free is None or amount <= free + _TOLERANCE for pool, amount in wanted.items() for free in (self.free(pool),))

    def take(self, position: int, ask: Ask, devices: Sequence[str]) -> None:
        pools = self._target_pools(ask, devices)
        if ask.rest:
            frees = [free / self.scale(ask, pool, pools) for pool in set(pools) if (free := self.free(pool)) is not None]
            amount = min(frees) / max(pools.count(pool) for pool in pools) if frees else None
        else:
            amounts = [value for value in (self.amount(ask, pool, pools) for pool in pools) if value is not None]
            amount = (min if ask.relative else max)(amounts) if amounts else None
        for pool in pools:
            self.taken[pool] += self.own(ask, pool, pools, amount) or 0.0
            self.shares[pool] += ask.share
            self.guests[pool] += 1
        self.devices[position] = tuple(devices)
        self.amounts[position] = amount

    def own(self, ask: Ask, pool: str, pools: Sequence[str], amount: float | None) -> float | None:
        """MiB of what it was given that are in this pool."""
        if ask.rest:
            return None if amount is None else amount * self.scale(ask, pool, pools)
        return self.amount(ask, pool, pools)

    def choose(self, ask: Ask, order: Sequence[str]) -> list[str] | None:
        """Devices for an ask, or None where there is no room."""
        if not ask.count or ask.pins:
            devices = list(ask.pins) if ask.count else []
            return devices if self.fits(ask, devices) else None
        order = [device for device in order if device not in ask.shun]
        known = [device for device in order if self.pools[self.pool_of[device]].total is not None]
        # A size can only be counted where the memory is known; a fraction goes elsewhere when the others are full.
        order = (
            known if known and ask.size is not None and ask.size.mib is not None else sorted(order, key=lambda device: device not in known)
        )
        if ask.rest:
            # An empty GPU first; else the one with the most room.
            order = sorted(order, key=lambda device: (self.guests[self.pool_of[device]] > 0, -(self.free(self.pool_of[device]) or 0.0)))
        chosen: list[str] = []
        for device in order:
            if self.fits(ask, [*chosen, device]):
                chosen.append(device)
                if len(chosen) == ask.count:
                    return chosen
        return None


def settle(asks: Sequence[Ask], hardware: Hardware | None, reserve: Mapping[str, Size]) -> Ledger:
    """Place every ask and keep the books. The problems name services and GiB, the caller names the host."""
    pools, pool_of = pools_of(hardware, reserve)
    if not pool_of:
        # Nothing is known of the GPUs, but who shares one is.
        for pin in dict.fromkeys(pin for ask in asks for pin in ask.pins):
            pools[pin], pool_of[pin] = Pool(pin, f"GPU {pin}", None, 0.0), pin
    order = [device.key for device in hardware.devices if not device.is_slice] if hardware else []
    slices = [device.key for device in hardware.devices if device.is_slice] if hardware else []
    # Slices come after whole GPUs and never take part in tensor parallelism.
    state = _State(pools, pool_of)
    problems: list[tuple[int, str]] = []
    placed: list[int] = []
    for position, ask in enumerate(asks):
        if ask.count and not (order or slices) and not all(pin in pool_of for pin in ask.pins or ("",)):
            # Nothing is known of the GPUs: the engine will see what the runtime gives it.
            state.devices[position], state.amounts[position] = ask.pins, None
            continue
        candidates = [*order, *slices] if ask.count == 1 else order
        devices = state.choose(ask, candidates)
        if devices is not None:
            state.take(position, ask, devices)
            placed.append(position)
            continue
        anew = _pack([*placed, position], asks, pools, pool_of, order, slices)
        if anew is not None:
            state = anew
            placed.append(position)
            continue
        problems.append((position, _problem(ask, [asks[p] for p in placed], [state.devices[p] for p in placed], state)))
    return Ledger(_grants(asks, state, hardware), tuple(problems))


def _pack(
    positions: Sequence[int],
    asks: Sequence[Ask],
    pools: Mapping[str, Pool],
    pool_of: Mapping[str, str],
    order: Sequence[str],
    slices: Sequence[str],
) -> _State | None:
    """First fit decreasing: given GPUs first, then by GPUs and size, those that take the rest last."""
    state = _State(pools, pool_of)

    def weight(position: int) -> tuple[bool, bool, int, float, int]:
        ask = asks[position]
        pool = pool_of[ask.pins[0]] if ask.pins else pool_of[order[0]] if order and ask.count else HOST_POOL
        return (ask.rest, ask.count > 0 and not ask.pins, -ask.count, -(state.amount(ask, pool) or 0.0), position)

    for position in sorted(positions, key=weight):
        ask = asks[position]
        devices = state.choose(ask, [*order, *slices] if ask.count == 1 else order)
        if devices is None:
            return None
        state.take(position, ask, devices)
    return state


def _problem(ask: Ask, others: Sequence[Ask], others_devices: Sequence[Sequence[str]], state: _State) -> str:
    drawn = {item.name: [state.pool_of[d] for d in devices] for item, devices in zip(others, others_devices) if item.count}

    def amount_of(item: Ask, pool: str) -> float | None:
        return state.amount(item, pool, drawn.get(item.name, [state.pool_of[pin] for pin in item.pins] if item.count else ()))

    def asked(item: Ask, pool: str) -> str:
        amount = amount_of(item, pool)
        if amount is None and item.size is not None and item.size.fraction is not None:
            return f"{item.name} {item.size.fraction:g}"
        return f"{item.name} {gib(amount)}" if amount is not None else f"{item.name} (no memory given)"

    def guests(pool: str) -> list[Ask]:
        return [
            item
            for item, devices in zip(others, others_devices)
            if pool in ([state.pool_of[d] for d in devices] if item.count else [HOST_POOL])
        ]

    def account(pool: Pool) -> str:
        held = [asked(item, pool.key) for item in guests(pool.key)]
        if pool.total is None:
            return f"the memory of {pool.title} is not known" + (f", and it is asked for by: {', '.join(held)}" if held else "")
        reserve = f" ({gib(pool.total or 0)} less a reserve of {gib(pool.reserve)})"
        return f"{pool.title} has {gib(pool.usable or 0)} for services{reserve}" + (
            f", of which others ask for: {', '.join(held)}" if held else ""
        )

    if ask.pins or not ask.count:
        keys = list(dict.fromkeys(state.pool_of[pin] for pin in ask.pins)) if ask.count else [HOST_POOL]
    else:
        keys = list(dict.fromkeys(state.pool_of.values()))
    many = f" on each of {ask.count} GPUs" if ask.count > 1 else ""
    if ask.rest and any(item.rest for key in keys for item in guests(key)):
        wish = f"{ask.name} and {next(item.name for key in keys for item in guests(key) if item.rest)} both take all that is left"
        return f"{wish}; give both a memory. " + "; ".join(account(state.pools[key]) for key in keys)
    unknown = next((state.pools[key] for key in keys if state.pools[key].total is None), None)
    if len(keys) == 1 and unknown is not None:
        shares = sum(item.share for item in guests(keys[0])) + ask.share
        default = (
            f" (vLLM's default of {DEFAULT_SHARE:g} where none is given)" if any(item.rest for item in (ask, *guests(keys[0]))) else ""
        )
        return (
            f"{asked(ask, keys[0])} does not fit: {account(unknown)}; with {ask.name} that is {shares:g} of it{default}, more than "
            f"{unknown.share:g}"
        )
    if ask.rest:
        return f"{ask.name} takes what is left{many}, which is less than {gib(LEAST_REST_MIB)}. " + "; ".join(
            account(state.pools[key]) for key in keys
        )
    need = asked(ask, keys[0])
    if len(keys) == 1:
        pool = state.pools[keys[0]]
        total = sum(amount_of(item, pool.key) or 0.0 for item in (*guests(pool.key), ask))
        over = total - (pool.usable or 0.0)
        return f"{need}{many} does not fit: {account(pool)}; with {ask.name} that is {gib(total)}, {gib(over)} too much"
    return f"{need}{many} fits nowhere: " + "; ".join(account(state.pools[key]) for key in keys)


def _grants(asks: Sequence[Ask], state: _State, hardware: Hardware | None) -> tuple[Grant | None, ...]:
    running: dict[str, float] = dict.fromkeys(state.pools, 0.0)
    grants: list[Grant | None] = []
    for position, ask in enumerate(asks):
        if position not in state.devices:
            grants.append(None)
            continue
        devices = state.devices[position]
        known = [device for device in devices if device in state.pool_of]
        pools = tuple(state.pool_of[device] for device in known) if ask.count else (HOST_POOL,)
        lefts: list[float] = []
        for pool in pools:
            running[pool] += state.own(ask, pool, pools, state.amounts[position]) or 0.0
            usable = state.pools[pool].usable
            if usable is not None:
                lefts.append(usable - running[pool])
        total = state.pools[pools[0]].total if pools else None
        if ask.relative and all(state.pools[pool].total is not None for pool in pools):
            total = state.smallest(pools)
        grants.append(Grant(devices, pools, state.amounts[position], total, min(lefts) if lefts else None))
    return tuple(grants)


def find_device(name: str, devices: Sequence[Device]) -> Device | None:
    """The device that an index or a UUID means."""
    return next((device for device in devices if name in (device.index, device.key)), None)
