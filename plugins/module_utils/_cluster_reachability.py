# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Whether the members of a group reach each other, tried by all of them at the same time, before one of them has its unit.

Each listens where its launcher will, and connects to every other one; both say who they are and whom they have not reached. Beside that go
datagrams as large as the interfaces take. Nothing that is said is secret, and it decides nothing but what a person is told, so it is not
signed: who has taken a member's address could as well drop its packets. What is not of this group, or comes from elsewhere, is not heard.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import re
import socket
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any

from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Run
from ansible_collections.llmops.gpu_inference.plugins.module_utils._instance_spec import GroupSpec, SpecError, parse_spec
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import SERVICE_FILE, Paths, read_json, unit_name
from ansible_collections.llmops.gpu_inference.plugins.module_utils._systemd import Systemd

#: Seconds for all of it: by so much one member may begin later than another.
LIMIT = 15.0
#: Seconds for one connection or answer, and between two of them.
ATTEMPT, PAUSE = 2.0, 0.2
#: Seconds after which what has not come does not come any more: a word of one that accepts, or the large datagram.
SETTLED = 2.0
#: Bytes of one line.
LONGEST = 4096
REFUSED = "it refuses the connection"
#: Headers of a datagram, and the option by which Linux never fragments one, whatever it believes of the path (PMTUDISC_PROBE).
_HEADERS = {socket.AF_INET: 28, socket.AF_INET6: 48}
_PROBE = {socket.AF_INET: (socket.IPPROTO_IP, 10, 3), socket.AF_INET6: (socket.IPPROTO_IPV6, 23, 3)}


def _placed(paths: Paths, group: GroupSpec) -> Iterator[tuple[str, str, GroupSpec]]:
    """Parts of engines on this host whose launchers have the port: kind, name, and what is known of the group."""
    for file in paths.instances.glob(f"*/*/{SERVICE_FILE}"):
        kind, name = file.parts[-3:-1]
        try:
            found = parse_spec(file.read_text(encoding="utf-8"), kind, name).group
        except (OSError, SpecError):
            continue
        if found is not None and found.port == group.port:
            yield kind, name, found


def is_new(paths: Paths, group: GroupSpec) -> bool:
    """Whether this host has had no part of it. What has served is not stopped by a check, which may not know all."""
    return not any(_placed(paths, group))


def has_its_unit(paths: Paths, run: Run, group: GroupSpec) -> bool:
    """Whether a launcher that runs has the port, or leads these very members through a start that all of them have promised.

    The one that leads does not listen. As long as it waits for members, one of them may be new, and need an answer. One that listens at
    another address than is wanted now is in nobody's way.
    """
    for kind, name, found in _placed(paths, group):
        state = Systemd(run).call("is-active", unit_name(kind, name)).out.strip()
        begun = found.members == group.members and (read_json(paths.state(kind, name)) or {}).get("container_id")
        listens = found.rank > 0 and found.members[found.rank] == group.members[group.rank]
        if state in ("active", "activating", "reloading", "deactivating") and (listens or begun):
            return True
    return False


@dataclass(frozen=True)
class Link:
    """Where a member is on the members' network. C(mtu): 0 where it is not known."""

    interface: str = ""
    mtu: int = 0
    carrier: bool = True


def link_of(run: Run, address: str) -> Link:
    try:
        # Older releases of ip show other interfaces too, as empty objects.
        found = next(filter(None, json.loads(run(["ip", "-json", "address", "show", "to", address], 10).out)))
        return Link(str(found["ifname"]), int(found["mtu"]), "NO-CARRIER" not in found["flags"])
    except (ValueError, KeyError, TypeError, StopIteration):
        return Link()


@dataclass
class Peer:
    """Another member, as this one sees it. Times are monotonic."""

    host: str
    address: str
    error: str = "it was not tried"
    reached_at: float | None = None
    link: Link | None = None  # once it has said who it is
    heard_at: float = 0.0
    missing: frozenset[str] = frozenset()  # whom it has not reached, by its last word; itself where it cannot listen
    done: bool = False  # it knows all that it wants to know
    told: bool = False  # it has heard that this one does
    small: bool = False  # datagrams that came
    large: bool = False

    def __str__(self) -> str:
        return f"{self.host} ({self.address}{f' on {self.link.interface}' if self.link and self.link.interface else ''})"


class Check:
    """One group, on one of its members. C(hosts): who takes part in this run."""

    def __init__(self, group: GroupSpec, hosts: Collection[str], run: Run) -> None:
        self.group, self.run = group, run
        self.me = Peer(*group.members[group.rank])
        self.link = self.me.link = link_of(run, self.me.address)
        self.peers = {host: Peer(host, address) for host, address in group.members if host != self.me.host and host in hosts}
        self.trouble = ""  # why it cannot listen
        self._family = socket.AF_INET6 if ":" in self.me.address else socket.AF_INET
        self._datagrams: socket.socket | None = None
        self._ended = False

    async def watch(self, limit: float = LIMIT) -> None:
        deadline = monotonic() + (limit if self.peers else 0)
        with contextlib.ExitStack() as stack:
            await self._listen(stack)
            following = [asyncio.ensure_future(self._follow(peer)) for peer in self.peers.values()]
            while not self._over() and monotonic() < deadline:
                await asyncio.sleep(PAUSE / 4)
            self._ended = True
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)

    async def _listen(self, stack: contextlib.ExitStack) -> None:
        opened, datagrams = (stack.enter_context(socket.socket(self._family, kind)) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM))
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            opened.bind((self.me.address, self.group.port))
        except OSError as error:
            self.trouble = self._why_not(error)
            return
        server = await asyncio.start_server(self._serve, sock=opened, limit=LONGEST)
        stack.callback(server.close)
        with contextlib.suppress(OSError):  # then no more than the MTU of the path is not known
            datagrams.setblocking(False)
            datagrams.setsockopt(*_PROBE[self._family])
            datagrams.bind((self.me.address, self.group.port))
            asyncio.get_running_loop().add_reader(datagrams, self._receive, datagrams)
            stack.callback(asyncio.get_running_loop().remove_reader, datagrams)
            self._datagrams = datagrams

    def _why_not(self, error: OSError) -> str:
        if error.errno != errno.EADDRINUSE:
            return f"{error.strerror}. See ip address on this host."
        shown = self.run(["ss", "-Hltnp", f"sport = :{self.group.port}"], 10).out
        holder = re.search(r'"([^"]+)",pid=(\d+)', shown)
        who = f"{holder[1]} (process {holder[2]})" if holder else "another program"
        return f"{who} listens there. Stop it (ss -ltnp shows it), or give the service another port."

    async def _follow(self, peer: Peer) -> None:
        # Until Python 3.12 wait_for may swallow that this was cancelled. And a launcher is not asked again.
        while not self._ended and (peer.reached_at is None or peer.link is not None):
            await self._ask(peer)
            if self._datagrams is not None and self._compares(peer):
                for size in (1, self._largest):
                    with contextlib.suppress(OSError):
                        self._datagrams.sendto(b"\0" * size, (peer.address, self.group.port))
            await asyncio.sleep(PAUSE)

    async def _ask(self, peer: Peer) -> None:
        try:
            opening = asyncio.open_connection(peer.address, self.group.port, limit=LONGEST, local_addr=(self.me.address, 0))
            reader, writer = await asyncio.wait_for(opening, ATTEMPT)
        except ConnectionRefusedError:
            peer.error, peer.told = REFUSED, peer.told or peer.done  # one that was done has ended
        except (asyncio.TimeoutError, TimeoutError):
            peer.error = "no answer"
        except OSError as error:
            peer.error = os.strerror(error.errno) if error.errno else str(error)  # asyncio has words of its own
        else:
            with contextlib.suppress(OSError, ValueError, asyncio.TimeoutError), contextlib.closing(writer):
                done = self._tell(writer)
                if self._hear(await asyncio.wait_for(reader.readline(), ATTEMPT), peer.address) is peer:
                    peer.told = peer.told or done
            # A launcher accepts, and says nothing of ours.
            peer.reached_at = peer.reached_at or monotonic()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, asyncio.TimeoutError), contextlib.closing(writer):
            peer = self._hear(await asyncio.wait_for(reader.readline(), ATTEMPT), writer.get_extra_info("peername")[0])
            if peer is not None:
                done = self._tell(writer)
                await writer.drain()
                peer.told = peer.told or done

    def _tell(self, writer: asyncio.StreamWriter) -> bool:
        missing = [peer.host for peer in self.peers.values() if peer.reached_at is None] + [self.me.host] * bool(self.trouble)
        done = bool(self.trouble) or all(map(self._settled, self.peers.values()))
        said = {"group": self.group.digest, "host": self.me.host, "interface": self.link.interface, "mtu": self.link.mtu}
        writer.write(json.dumps({**said, "missing": missing, "done": done}).encode() + b"\n")
        return done

    def _hear(self, line: bytes, address: str) -> Peer | None:
        """Who has said it; nobody where it is no word of a member."""
        try:
            said: Any = json.loads(line)
        except (ValueError, RecursionError):
            return None
        peer = self.peers.get(str(said.get("host"))) if isinstance(said, dict) and said.get("group") == self.group.digest else None
        if peer is None or peer.address != address:
            return None
        interface, mtu, missing = str(said.get("interface")), said.get("mtu"), said.get("missing")
        if peer.link is None:
            peer.heard_at = monotonic()
        # It gets into messages.
        peer.link = Link(interface, mtu) if isinstance(mtu, int) and re.fullmatch(r"[\w.:@-]{1,15}", interface) else Link()
        peer.missing = frozenset(host for host, _address in self.group.members if isinstance(missing, list) and host in missing)
        peer.done = said.get("done") is True
        return peer

    def _settled(self, peer: Peer) -> bool:
        """Whether nothing more is to be found out of it."""
        if peer.reached_at is None or peer.link is None:
            return peer.reached_at is not None and monotonic() > peer.reached_at + SETTLED
        return peer.large or not self._compares(peer) or monotonic() > peer.heard_at + SETTLED

    def _over(self) -> bool:
        return all(self._settled(peer) and (peer.link is None or (peer.done and peer.told)) for peer in self.peers.values())

    def _compares(self, peer: Peer) -> bool:
        return self._datagrams is not None and peer.link is not None and 0 < self.link.mtu == peer.link.mtu

    @property
    def _largest(self) -> int:
        return min(self.link.mtu, 65535) - _HEADERS[self._family]

    def _receive(self, datagrams: socket.socket) -> None:
        with contextlib.suppress(OSError):
            data, sender = datagrams.recvfrom(65535)
            for peer in self.peers.values():
                if peer.address == sender[0]:
                    peer.small, peer.large = peer.small or len(data) == 1, peer.large or len(data) == self._largest

    def verdict(self, forks_suffice: bool = True) -> tuple[list[str], list[str]]:
        """Errors and warnings. With too few forks another member may not have begun, so what it has not done is no error."""
        if self.trouble:
            return [f"{self.me} cannot listen at port {self.group.port}: {self.trouble}"], []
        errors: list[str] = []
        warnings: list[str] = []
        for peer in self.peers.values():
            late = peer.link is None and peer.error == REFUSED
            if peer.reached_at is None and peer.host not in peer.missing:
                text = f"{self.me} does not reach {peer} at port {self.group.port}: {peer.error}. {self._remedy(peer, late)}"
                (warnings if late and not forks_suffice else errors).append(text)
            warnings += self._sizes(peer)
        for teller in self.peers.values():
            for host in sorted(teller.missing):
                what = f"cannot listen at port {self.group.port}" if host == teller.host else f"does not reach {host}"
                (errors if forks_suffice else warnings).append(f"{teller} says that it {what}: see there.")
        return errors, warnings

    def interfaces(self) -> dict[str, dict[str, Any]]:
        links = {peer.host: peer.link for peer in (self.me, *self.peers.values()) if peer.link is not None}
        return {host: {"interface": link.interface, "mtu": link.mtu} for host, link in links.items()}

    def _remedy(self, peer: Peer, late: bool) -> str:
        if late:
            return (
                f"Nothing listens there. {peer.host} checks the same at the same time, unless its own task has failed or Ansible has fewer "
                "forks than the run has hosts: raise forks in ansible.cfg, or --forks."
            )
        if not self.link.carrier:
            return f"{self.link.interface} of {self.me.host} has no carrier: look at the cable and at its other end."
        firewalls = "firewalls: they have to let members through to each other (docs/multinode.md, Firewall)."
        return f"Look at {'' if peer.error == REFUSED else 'the cable, at the addresses of both (ip address), and at '}{firewalls}"

    def _sizes(self, peer: Peer) -> list[str]:
        mine, its = self.link.mtu, peer.link.mtu if peer.link is not None else 0
        hangs = "TCP may find out what passes; where it does not, NCCL hangs without a word."
        if 0 not in (mine, its) and mine != its and self.me.host < peer.host:  # one of both says it
            return [f"{self.me} has MTU {mine}, and {peer} has {its}; give both the same. {hangs}"]
        if self._compares(peer) and peer.small and not peer.large:
            lost = f"packets of {mine} bytes, the MTU of both, do not pass from {peer} to {self.me}, and small ones do"
            return [f"{lost}: turn on jumbo frames at the switch between them, or set a lower MTU on both. {hangs}"]
        return []
