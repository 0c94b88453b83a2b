# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Members on addresses of this machine's own, with real sockets, each in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _cluster_reachability as reachability
from ansible_collections.llmops.gpu_inference.plugins.module_utils._cluster_reachability import Check, Link, has_its_unit, link_of
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran
from ansible_collections.llmops.gpu_inference.plugins.module_utils._instance_spec import GroupSpec
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import OWNER, Paths

NAMES = ("spark1", "spark2", "spark3")
HOLDER = 'LISTEN 0 5 127.0.0.3:18070 0.0.0.0:* users:(("nginx",pid=812,fd=6))\n'


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"PAUSE": 0.02, "SETTLED": 0.3, "ATTEMPT": 0.3}.items():
        monkeypatch.setattr(reachability, name, seconds)


@pytest.fixture(name="port")
def _port() -> int:
    """One that is free at all addresses, and none of those that Linux gives to the connections that the members open."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    while True:
        found = random.randrange(first // 2, first)
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for number in range(2, 2 + len(NAMES)):
                stack.enter_context(socket.socket()).bind((f"127.0.0.{number}", found))
            return found


def programs(mtu: int = 9000, interface: str = "enp1", flags: Sequence[str] = ("UP",)) -> Callable[..., Ran]:
    def run(argv: Sequence[str], _timeout: float, _text: str = "") -> Ran:
        shown = {"ip": json.dumps([{}, {"ifname": interface, "mtu": mtu, "flags": flags}]), "ss": HOLDER}
        return Ran(0, shown[argv[0]])

    return run


def group(rank: int, port: int, count: int = 2) -> GroupSpec:
    members = tuple((name, f"127.0.0.{number + 2}") for number, name in enumerate(NAMES[:count]))
    return GroupSpec(rank, port, "digest", "KEY", members)


def checks(port: int, count: int = 2, mtus: Mapping[int, int] | None = None) -> list[Check]:
    return [Check(group(rank, port, count), NAMES, programs((mtus or {}).get(rank, 9000))) for rank in range(count)]


def watch(these: Sequence[Check], limit: float = 5.0) -> float:
    """All of them at the same time. How long it took."""
    threads = [threading.Thread(target=lambda check=check: asyncio.run(check.watch(limit))) for check in these]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.monotonic() - began


@contextmanager
def program_at(address: str, port: int, says: bytes) -> Iterator[None]:
    """Somebody else's server."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, port))
        server.listen(50)

        def serve() -> None:
            while True:
                try:
                    connection, _peer = server.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(says)

        threading.Thread(target=serve, daemon=True).start()
        yield
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("count", [2, 3])
def test_members_that_reach_each_other_end_as_soon_as_all_know_it(port: int, count: int) -> None:
    members = checks(port, count)
    assert watch(members) < 4
    assert [member.verdict() for member in members] == [([], [])] * count
    assert members[1].interfaces() == {name: {"interface": "enp1", "mtu": 9000} for name in NAMES[:count]}
    assert all(peer.large for member in members for peer in member.peers.values())


def test_a_member_that_comes_late_is_waited_for(port: int) -> None:
    early, late = checks(port)
    thread = threading.Thread(target=watch, args=([early],))
    thread.start()
    time.sleep(0.4)
    watch([late])
    thread.join()
    assert [early.verdict(), late.verdict()] == [([], [])] * 2


def test_one_that_is_not_there_is_named(port: int) -> None:
    members = checks(port, 3)
    assert watch(members[:2], 2.0) < 5
    (missing, beside), _warnings = members[0].verdict()
    assert missing.startswith(f"spark1 (127.0.0.2 on enp1) does not reach spark3 (127.0.0.4) at port {port}: it refuses the connection. ")
    assert "fewer forks than the run has hosts" in missing
    assert beside == "spark2 (127.0.0.3 on enp1) says that it does not reach spark3: see there."


def test_one_that_may_not_have_begun_is_a_warning(port: int) -> None:
    members = checks(port, 3)
    watch(members[:2], 2.0)
    errors, warnings = members[0].verdict(forks_suffice=False)
    assert errors == []
    assert "--forks" in warnings[0]


def test_members_that_take_no_part_are_not_waited_for(port: int) -> None:
    alone = Check(group(0, port), ["spark1", "gateway"], programs())
    assert watch([alone]) < 3
    assert alone.verdict() == ([], [])


def test_a_port_that_another_program_has(port: int) -> None:
    members = checks(port)
    with program_at("127.0.0.3", port, b"SSH-2.0-x\r\n"):
        assert watch(members) < 4
    ((told,), _warnings) = members[1].verdict()
    assert told.startswith(f"spark2 (127.0.0.3 on enp1) cannot listen at port {port}: nginx (process 812) listens there. ")
    ((told,), _warnings) = members[0].verdict()
    assert told == f"spark2 (127.0.0.3 on enp1) says that it cannot listen at port {port}: see there."


def test_an_address_of_another_host(port: int) -> None:
    elsewhere = GroupSpec(0, port, "digest", "KEY", (("spark1", "198.51.100.1"), ("spark2", "127.0.0.3")))
    check = Check(elsewhere, NAMES, programs())
    watch([check], 0.2)
    assert "Cannot assign requested address" in check.verdict()[0][0]


@pytest.mark.parametrize(
    "greeting", [b"1-0123456789abcdef\n", b"", b"x" * 9000, b"[" * 4000 + b"\n", b'{"group": "digest", "host": "spark3"}\n']
)
def test_a_launcher_that_accepts_is_reached(port: int, greeting: bytes) -> None:
    new, _runs = checks(port)
    with program_at("127.0.0.3", port, greeting):
        assert watch([new]) < 2
    assert new.verdict() == ([], [])


@pytest.mark.parametrize(
    "rubbish", [b"GET / HTTP/1.1\r\n\r\n", b"\xff\n", b"x" * 9000, b"{}\n", b'{"group": "digest", "host": ["spark2"]}\n', None]
)
def test_strangers_end_nothing(port: int, rubbish: bytes | None) -> None:
    first, second = checks(port)
    thread = threading.Thread(target=watch, args=([first],))
    thread.start()
    time.sleep(0.1)
    with socket.create_connection(("127.0.0.2", port), 2.0) as stranger:
        if rubbish is not None:
            stranger.sendall(rubbish)
        watch([second])
        thread.join()
    assert [first.verdict(), second.verdict()] == [([], [])] * 2


def test_what_comes_from_elsewhere_is_not_believed(port: int) -> None:
    first, second = checks(port)
    said = json.dumps({"group": "digest", "host": "spark2", "interface": "x", "mtu": 1, "missing": ["spark1"], "done": False}).encode()
    assert first._hear(said, "127.0.0.9") is None
    assert first._hear(said.replace(b"digest", b"other"), "127.0.0.3") is None
    assert first._hear(said, "127.0.0.3") is first.peers["spark2"]
    watch([first, second])
    assert first.verdict() == ([], [])


@pytest.mark.parametrize("interface", ["\x1b[31m", "", "a" * 40])
def test_what_is_no_name_of_an_interface_gets_into_no_message(port: int, interface: str) -> None:
    first, _second = checks(port)
    first._hear(json.dumps({"group": "digest", "host": "spark2", "interface": interface, "mtu": 9000, "missing": 7}).encode(), "127.0.0.3")
    assert (first.peers["spark2"].link, first.peers["spark2"].missing) == (Link(), frozenset())


def test_a_path_that_carries_less_than_both_interfaces(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    members = checks(port)
    # As a switch does it that has no jumbo frames.
    monkeypatch.setattr(Check, "_receive", lambda check, datagrams: _small_only(check, datagrams))
    assert watch(members) < 4
    for me, other in ((0, 1), (1, 0)):
        errors, (warning,) = members[me].verdict()
        assert errors == []
        path = f"from {NAMES[other]} (127.0.0.{other + 2} on enp1) to {NAMES[me]} (127.0.0.{me + 2} on enp1)"
        assert warning.startswith(f"packets of 9000 bytes, the MTU of both, do not pass {path}, and small ones do: turn on jumbo frames")
        assert "NCCL hangs" in warning


def _small_only(check: Check, datagrams: socket.socket) -> None:
    data, sender = datagrams.recvfrom(65535)
    for peer in check.peers.values():
        if peer.address == sender[0] and len(data) == 1:
            peer.small = True


def test_a_path_that_carries_no_datagrams_at_all_says_nothing_of_sizes(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    members = checks(port)
    monkeypatch.setattr(Check, "_receive", lambda _check, datagrams: datagrams.recvfrom(65535) and None)
    assert watch(members) < 4
    assert [member.verdict() for member in members] == [([], [])] * 2


def test_interfaces_that_differ_are_told_once(port: int) -> None:
    members = checks(port, mtus={1: 1500})
    assert watch(members) < 4
    told = [member.verdict() for member in members]
    assert told[1] == ([], [])
    assert told[0][1][0].startswith("spark1 (127.0.0.2 on enp1) has MTU 9000, and spark2 (127.0.0.3 on enp1) has 1500; give both the same.")


@pytest.mark.parametrize(
    ("error", "heard", "flags", "told"),
    [
        ("no answer", False, ("UP",), "Look at the cable, at the addresses of both (ip address), and at firewalls"),
        ("No route to host", False, ("UP", "NO-CARRIER"), "enp1 of spark1 has no carrier"),
        (reachability.REFUSED, True, ("UP",), "Look at firewalls"),
    ],
)
def test_each_reason_has_its_remedy(port: int, error: str, heard: bool, flags: Sequence[str], told: str) -> None:
    check = Check(group(0, port), NAMES, programs(flags=flags))
    check.peers["spark2"].error, check.peers["spark2"].link = error, Link("enp2", 9000) if heard else None
    for forks_suffice in (True, False):
        (message,), _warnings = check.verdict(forks_suffice)
        assert f"{error}. {told}" in message


def test_an_answer_that_does_not_come(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    check, _other = checks(port)

    async def never(*_arguments: Any, **_options: Any) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(asyncio, "open_connection", never)
    watch([check], 0.5)
    assert "does not reach spark2 (127.0.0.3)" in check.verdict()[0][0]
    assert ": no answer. " in check.verdict()[0][0]


def test_connections_that_were_broken_off_end_nothing(port: int) -> None:
    first, second = checks(port)
    thread = threading.Thread(target=watch, args=([first],))
    thread.start()
    time.sleep(0.1)
    for _number in range(3):
        stranger = socket.create_connection(("127.0.0.2", port), 2.0)
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stranger.close()
    watch([second])
    thread.join()
    assert first.verdict() == ([], [])


@pytest.mark.parametrize(
    ("shown", "link"),
    [
        ('[{},{"ifname": "enp1", "mtu": 9000, "flags": ["UP", "LOWER_UP"]}]', Link("enp1", 9000)),
        ('[{"ifname": "enp1", "mtu": 1500, "flags": ["NO-CARRIER", "UP"]}]', Link("enp1", 1500, carrier=False)),
        ("[]", Link()),
        ("", Link()),
        ('{"a": 1}', Link()),
    ],
)
def test_the_interface_of_an_address(shown: str, link: Link) -> None:
    assert link_of(lambda _argv, _timeout, _text="": Ran(0, shown), "10.0.0.1") == link


@pytest.mark.parametrize(
    ("rank", "changes", "active", "container", "is_there"),
    [
        (1, {}, "active", None, True),
        (1, {}, "activating", None, True),
        (1, {"members": [{"host": "spark2", "address": "127.0.0.3"}] * 2}, "active", None, True),
        (1, {}, "failed", None, False),
        (1, {}, "", None, False),
        (1, {"port": 1}, "active", None, False),
        (0, {}, "active", "abc", True),
        (0, {}, "active", None, False),
        (0, {"members": [{"host": "spark1", "address": "127.0.0.2"}]}, "active", "abc", False),
    ],
)
def test_a_unit_that_runs_is_left_alone(
    tmp_path: Path, port: int, rank: int, changes: dict[str, Any], active: str, container: str | None, is_there: bool
) -> None:
    paths = Paths(tmp_path / "instances", tmp_path / "run")
    spec = group(rank, port)
    members = [{"host": host, "address": address} for host, address in spec.members]
    recorded = {"rank": rank, "port": port, "digest": "of before", "key_variable": "KEY", "members": members, **changes}
    document = {"owner": OWNER, "kind": "vllm", "name": "big", "image": "i", "config_hash": "h", "group": recorded}
    for name, text in {"big": json.dumps(document), "other": "{}"}.items():
        folder = paths.folder("vllm", name)
        folder.mkdir(parents=True)
        (folder / "service.json").write_text(text)
    paths.state("vllm", "big").parent.mkdir(parents=True)
    paths.state("vllm", "big").write_text(json.dumps({"container_id": container}))
    asked: list[list[str]] = []

    def run(argv: Sequence[str], _timeout: float, _text: str = "") -> Ran:
        asked.append(list(argv))
        return Ran(0, f"{active}\n")

    assert has_its_unit(paths, run, spec) is is_there
    assert asked == ([] if changes.get("port") else [["systemctl", "is-active", "vllm@big.service"]])
