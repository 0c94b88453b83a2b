# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One model on two hosts: two real launchers that speak over real sockets, with a played docker command on each host."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.launched_node import Node, wait_for
from support.ollama import free_port
from support.played_server import Play, Server
from support.virtual_node import IMAGE, KEY

from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_ends import EXIT_FAILED, EXIT_PERMANENT, EXIT_STOPPED
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import LABEL, write_atomically

pytestmark = pytest.mark.slow

MEMBERS = [{"host": "spark1", "address": "127.0.0.1"}, {"host": "spark2", "address": "127.0.0.2"}]


class Pair:
    """Two hosts with a rank each. systemd's part, starting again, is played by the tests."""

    def __init__(self, folder: Path, engine: Server) -> None:
        self.engine = engine
        self.port = free_port()
        self.nodes: list[Node] = []
        for host in ("spark1", "spark2"):
            (folder / host).mkdir()
            self.nodes.append(Node(folder / host))
            self.configure(len(self.nodes) - 1)

    @property
    def leader(self) -> Node:
        return self.nodes[0]

    @property
    def follower(self) -> Node:
        return self.nodes[1]

    def configure(self, rank: int, **changes: Any) -> None:
        group = {"rank": rank, "port": self.port, "digest": "abc", "key_variable": "VLLM_API_KEY", "members": MEMBERS, **changes}
        self.nodes[rank].instance(self.engine.base_url if rank == 0 else None, group=group, networks=["host"])

    def start(self) -> None:
        for node in self.nodes:
            node.start()

    def both(self, phase: str) -> None:
        for node in self.nodes:
            node.until(phase)

    def said(self) -> str:
        return "\n".join(f"--- {node.docker.folder.name}\n{node.said()}{self.shown(node)}" for node in self.nodes)

    @staticmethod
    def shown(node: Node) -> str:
        path = node.paths.state(node.kind, "chat")
        return path.read_text(encoding="utf-8") if path.exists() else ""

    @staticmethod
    def generation(node: Node) -> str | None:
        found = node.docker.find("vllm-chat")
        return found["Config"]["Labels"][LABEL + "generation"] if found and found["State"]["Running"] else None

    def serve(self, generation: str) -> None:
        """Both run it and are ready."""
        self.until(lambda: [self.generation(node) for node in self.nodes] == [generation] * 2)
        self.both("ready")

    def until(self, what: Callable[[], Any], seconds: float = 60.0) -> None:
        wait_for(what, self.said, seconds)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    engine = Server(Play(key=KEY)).start()
    made = Pair(tmp_path, engine)
    yield made
    for node in made.nodes:
        if hasattr(node, "thread") and node.thread.is_alive():
            node.launcher.life.on_signal(15, None)
    for node in made.nodes:
        if hasattr(node, "thread"):
            node.thread.join(30)
        node.close()
    engine.stop()


def detail(node: Node) -> str:
    return str(node.state()["detail"]) if Pair.shown(node) else ""


def test_hosts_start_and_stop_together_in_any_order(pair: Pair) -> None:
    pair.leader.start()
    waits = pair.leader.until("waiting_for_members")
    wait_for(lambda: "spark2: its unit does not run, for 5 s" in detail(pair.leader), pair.said)
    assert waits["failures"] == 0
    pair.follower.start()
    pair.serve("1")
    assert "--label io.llmops.gpu-inference.generation=1" in next(call for call in pair.follower.calls() if call.startswith("create"))
    # The one that answers ends its requests while the other still works.
    began = time.monotonic()
    pair.follower.launcher.life.on_signal(15, None)
    assert pair.leader.ends() == EXIT_FAILED
    assert pair.follower.ends() == EXIT_STOPPED
    assert time.monotonic() - began < 15
    assert pair.leader.state()["message"] == "the unit on spark2 is being stopped"
    assert pair.leader.state()["failures"] == 0, "nothing has failed"
    assert any(call.startswith("stop --time") for call in pair.leader.calls()), "requests in work may end"
    assert pair.leader.docker.containers() == pair.follower.docker.containers() == []


def test_a_rank_that_dies_ends_all_and_a_new_generation_begins(pair: Pair) -> None:
    pair.start()
    pair.serve("1")
    pair.follower.docker.log("RuntimeError: CUDA error: an illegal memory access was encountered")
    began = time.monotonic()
    pair.follower.docker.end("vllm-chat", 1)
    assert pair.follower.ends() == EXIT_FAILED
    assert pair.leader.ends() == EXIT_FAILED
    assert time.monotonic() - began < 15
    told = pair.leader.state()
    assert told["cause"] == "group_ended"
    assert "its part on spark2 has ended" in told["message"], told
    assert "illegal memory access" in told["message"], told
    assert (told["failures"], pair.follower.state()["failures"]) == (0, 1)
    assert pair.leader.docker.containers() == []
    pair.start()
    pair.serve("2")
    # And the other way round: now the one that answers.
    pair.leader.docker.end("vllm-chat", 0)
    assert pair.leader.ends() == EXIT_FAILED
    assert pair.follower.ends() == EXIT_FAILED
    assert "rank 0 has failed" in pair.follower.state()["message"]
    pair.start()
    pair.serve("3")


def test_launchers_that_were_killed_adopt_what_runs(pair: Pair) -> None:
    pair.start()
    pair.serve("1")
    for node in pair.nodes:
        node.launcher.life.on_signal(1, None)
        assert node.ends() == -1
        node.start()
        wait_for(lambda node=node: "adopts the running container" in node.said(), pair.said)  # type: ignore[misc]
        node.until("ready")
    time.sleep(3)
    assert [pair.generation(node) for node in pair.nodes] == ["1", "1"], pair.said()
    assert not any(call.startswith("stop") for node in pair.nodes for call in node.calls())


def test_a_host_that_was_booted_again_ends_the_generation(pair: Pair) -> None:
    pair.start()
    pair.serve("1")
    # Its launcher and container are gone at once, and nobody hears a last word.
    pair.follower.docker.remove("vllm-chat")
    pair.follower.launcher.life.group.linger = lambda: None  # type: ignore[method-assign]
    pair.follower.launcher.life.group.leave()
    assert pair.follower.ends() == EXIT_FAILED
    pair.follower.start()
    assert pair.leader.ends() == EXIT_FAILED
    assert "its part on spark2 has ended" in pair.leader.state()["message"]
    pair.leader.start()
    pair.serve("2")


def test_a_member_that_cannot_take_part_is_named(pair: Pair) -> None:
    pair.follower.play(images=[IMAGE], image_id="sha256:fedcba9876543210")
    pair.start()
    pair.until(
        lambda: detail(pair.leader) == ("spark2 has another image of the same name (fedcba987654, here 0123456789ab); pull it on both")
    )
    pair.until(lambda: detail(pair.follower) == detail(pair.leader))
    pair.follower.stop()
    pair.follower.play(images=[IMAGE])
    pair.configure(1, digest="def")
    pair.follower.start()
    pair.until(lambda: "has another configuration of this group" in detail(pair.leader))
    pair.follower.stop()
    pair.configure(1)
    env = pair.follower.paths.folder("vllm", "chat") / "env"
    kept = env.read_text(encoding="utf-8")
    write_atomically(env, "VLLM_API_KEY=another-key-0123456789\n")
    pair.follower.start()
    pair.until(lambda: "spark2: it has another key" in detail(pair.leader))
    pair.follower.stop()
    write_atomically(env, kept)
    pair.follower.start()
    pair.serve("1")
    assert KEY not in json.dumps([node.state() for node in pair.nodes]) + pair.said()


def test_a_member_that_gives_up_is_told_with_its_cause(pair: Pair) -> None:
    pair.follower.play(images=[IMAGE], exit=2, log=["vllm serve: error: unrecognized arguments: --x"])
    pair.start()
    assert pair.follower.ends() == EXIT_PERMANENT
    assert pair.leader.ends() == EXIT_FAILED
    told = pair.leader.state()
    assert told["cause"] == "group_ended"
    assert "unrecognized arguments: --x" in told["message"]
