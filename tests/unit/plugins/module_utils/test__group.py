# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A launcher of a model on two hosts, with the other one played. Two real ones, over real sockets: test__group_run.py."""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.virtual_node import GOOD, KEY, RELOADED, SILENT, VirtualNode, container

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _group as group
from ansible_collections.llmops.gpu_inference.plugins.module_utils import _group_link as link
from ansible_collections.llmops.gpu_inference.plugins.module_utils import _group_rules as rules
from ansible_collections.llmops.gpu_inference.plugins.module_utils._group_rules import Reply, Word
from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_ends import EXIT_FAILED, EXIT_PERMANENT, EXIT_STOPPED
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import LABEL, FileLock, read_json, write_atomically

IMAGE_ID = "sha256:0123456789abcdef"
MEMBERS = [{"host": "spark1", "address": "10.0.0.1"}, {"host": "spark2", "address": "10.0.0.2"}]
PREPARED = Reply("vllm/chat", "abc", (IMAGE_ID,), obstacle="")


def configure(node: VirtualNode, rank: int, **changes: Any) -> None:
    of = {"rank": rank, "port": 18070, "digest": "abc", "key_variable": "VLLM_API_KEY", "members": MEMBERS}
    node.instance(group=of, networks=["host"], **({} if rank == 0 else {"probe": None}), **changes)


class Led:
    """A leader, and a member that is played: it promises what is wanted as long as nobody says otherwise."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.node = VirtualNode(tmp_path, monkeypatch)
        self.reply: Reply | Exception = PREPARED
        self.words: list[Word] = []
        self.asks: list[Callable[[], None]] = []
        configure(self.node, 0)
        monkeypatch.setattr(group, "threading", SimpleNamespace(Lock=threading.Lock, Thread=self._thread))
        monkeypatch.setattr(link, "ask", self._ask)

    def _thread(self, target: Any, args: tuple[str, str], daemon: bool) -> Any:
        leader = target.__self__
        moment = [-1.0]

        def look() -> None:
            if self.node.passed - moment[0] >= rules.ASK_EVERY:
                moment[0] = self.node.passed
                leader._ask(*args)

        return SimpleNamespace(start=lambda: self.node.watch(SimpleNamespace(look=look)))

    def _ask(self, address: str, port: int, key: bytes, question: dict[str, Any], seconds: float, source: str) -> dict[str, Any]:
        assert (address, port, source) == ("10.0.0.2", 18070, "10.0.0.1")
        assert key == link.group_key(KEY, "vllm/chat")
        word = Word.read(question)
        self.words.append(word)
        if isinstance(self.reply, Exception):
            raise self.reply
        if word.wants is None and self.reply.generation is not None:
            self.reply = replace(self.reply, generation=None)
        elif word.wants is not None and word.wants > self.reply.begun and not self.reply.obstacle:
            self.reply = replace(self.reply, generation=word.wants, begun=word.wants)
        return rules.document(self.reply)

    def change(self, **changes: Any) -> Callable[[], None]:
        def change() -> None:
            assert isinstance(self.reply, Reply)
            self.reply = replace(self.reply, **changes)

        return change

    def fail(self, error: Exception) -> Callable[[], None]:
        return self.change_to(error)

    def change_to(self, reply: Reply | Exception) -> Callable[[], None]:
        def change() -> None:
            self.reply = reply

        return change


@pytest.fixture
def led(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Led:
    return Led(tmp_path, monkeypatch)


def test_a_generation_begins_when_all_are_prepared_and_have_promised(led: Led) -> None:
    node = led.node
    led.reply = replace(PREPARED, obstacle="pulling 40 %", begun=6)
    node.when("waiting_for_members", node.after(30, led.change(obstacle="")))
    node.when("ready", node.after(100, node.signal))
    assert node.run() == EXIT_STOPPED, node.said()
    assert "waiting for members (spark2: pulling 40 %)" in node.statuses()
    create = next(call for call in node.calls() if call.startswith("create"))
    assert f"--label {LABEL}generation=7" in create
    assert "generation 7 begins on spark1, spark2" in node.said()
    before, after = led.words[0], led.words[-1]
    assert (before.wants, before.ready) == (None, False)
    assert (after.wants, after.why) == (None, "the unit of rank 0 is being stopped")
    assert any(word.wants == 7 and word.ready for word in led.words)
    # The one that answers has ended its requests before the others are told.
    stopped = node.calls().index("stop --time 1 id-of-vllm-chat")
    assert stopped < len(node.calls())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generation": None, "trouble": "out of memory"}, "its part on spark2 has ended: out of memory"),
        ({"leaving": True}, "the unit on spark2 is being stopped"),
    ],
)
def test_the_end_of_a_part_is_the_end_of_all_and_no_failure_of_this_one(led: Led, changes: dict[str, Any], message: str) -> None:
    node = led.node
    node.when("ready", node.after(400, led.change(**changes)))
    assert node.run() == EXIT_FAILED
    state = node.state()
    assert (state["cause"], state["failures"], state["message"]) == ("group_ended", 0, message)
    assert led.words[-1].wants is None
    assert led.words[-1].why == message
    assert node.docker.containers() == []


def runs(node: VirtualNode) -> bool:
    found = node.docker.find("vllm-chat")
    return found is not None and bool(found["State"]["Running"])


@pytest.mark.parametrize(
    ("ago", "cause", "failures", "message"),
    [
        (5.0, "group_ended", 0, "its part on spark2 has ended: out of memory"),
        # The other way round: it ended because this one had.
        (0.5, "unknown", 1, "exit code 1"),
    ],
)
def test_the_part_that_ended_first_is_the_one_to_blame(led: Led, ago: float, cause: str, failures: int, message: str) -> None:
    node = led.node
    node.when("ready", node.after(400, lambda: node.end(1)))
    node.when(lambda: not runs(node), node.after(1, led.change(ended_for=ago, trouble="out of memory")))
    assert node.run() == EXIT_FAILED
    state = node.state()
    assert (state["cause"], state["failures"]) == (cause, failures)
    assert message in state["message"]


def test_a_cut_link_ends_nothing_and_is_told(led: Led) -> None:
    node = led.node
    node.answer = lambda *_asked: SILENT if isinstance(led.reply, Exception) else GOOD
    cut = OSError(errno.EHOSTUNREACH, "No route to host")

    def mend() -> None:
        led.reply = replace(PREPARED, generation=1, begun=1)

    node.when("ready", node.after(100, led.fail(cut)), node.after(2000, mend), node.after(2300, node.signal))
    assert node.run() == EXIT_STOPPED, node.said()
    assert any(status.startswith("ready (waiting for spark2: out of reach for 1500 s (No route to host))") for status in node.statuses())
    assert node.statuses().count("ready") == 1


def test_a_group_that_hangs_although_all_are_there_begins_anew(led: Led) -> None:
    node = led.node

    def hang() -> None:
        node.answer = lambda *_asked: SILENT

    node.when("ready", node.after(100, hang))
    assert node.run() == EXIT_FAILED
    state = node.state()
    assert "hung: no sign of life" in state["message"]
    assert led.words[-1].why.startswith("rank 0 has failed: hung")


def test_a_unit_that_does_not_come_back_ends_the_generation(led: Led) -> None:
    node = led.node
    node.when("ready", node.after(100, led.fail(link.Refused("refused"))))
    assert node.run() == EXIT_FAILED
    assert node.state()["message"] == "the unit on spark2 does not run any more"


def test_a_launcher_that_was_killed_comes_back_to_its_generation(led: Led) -> None:
    node = led.node
    node.when("ready", node.after(10, lambda: node.signal(1)))
    assert node.run() == RELOADED
    words = len(led.words)
    node.when("ready", node.after(100, led.fail(link.Refused("refused"))))
    assert node.run() == EXIT_FAILED
    assert {word.wants for word in led.words[words:-5]} == {1}, "it never said that the generation had ended"


def test_what_was_adopted_ends_too_when_a_member_was_never_heard(led: Led) -> None:
    led.node.docker.write(container(generation="5"))
    led.reply = link.Refused("refused")
    assert led.node.run() == EXIT_FAILED
    assert led.node.state()["message"] == "the unit on spark2 does not run any more"


def test_a_member_that_has_given_up_is_a_cause_while_waiting(led: Led) -> None:
    node = led.node
    led.reply = replace(PREPARED, obstacle="failed", gave_up=True, trouble="no such model")
    node.when("waiting_for_members", node.after(20, led.fail(link.Refused("refused"))), node.after(60, node.signal))
    causes: list[Any] = []
    node.when(lambda: node.passed > 50, lambda: causes.append((node.state()["cause"], node.state()["message"])))
    assert node.run() == EXIT_STOPPED
    assert causes == [("group_ended", "spark2 has given up: no such model")]


def test_that_a_member_has_given_up_is_known_to_the_next_attempt(led: Led) -> None:
    node = led.node
    causes: list[Any] = []

    def tell() -> None:
        causes.append((node.state()["cause"], node.state()["message"]))

    node.when("ready", led.change(generation=None, gave_up=True, trouble="no such model"))
    assert node.run() == EXIT_FAILED
    # Started again by systemd, while the unit there has failed for good.
    led.reply = link.Refused("refused")
    node.when("waiting_for_members", node.after(20, tell), led.change_to(replace(PREPARED, begun=1)))
    node.when("ready", node.signal)
    assert node.run() == EXIT_STOPPED, node.said()
    assert causes == [("group_ended", "spark2 has given up: no such model")]
    assert read_json(node.paths.group("vllm", "chat")) == {"gave_up": {}}


def test_who_starts_the_leader_anew_is_not_told_what_a_member_said_before(led: Led) -> None:
    node = led.node
    path = node.paths.group("vllm", "chat")
    path.parent.mkdir(parents=True)
    path.write_text('{"gave_up": {"spark2": "no such model"}}', encoding="utf-8")
    led.reply = link.Refused("refused")
    causes: list[Any] = []
    node.when("waiting_for_members", node.after(20, lambda: causes.append(node.state()["cause"]), node.signal))
    assert node.run() == EXIT_STOPPED
    assert causes == [None]
    assert not path.exists()


def test_a_leader_that_gives_up_says_so_until_the_others_are_back_to_hear_it(led: Led) -> None:
    node = led.node
    node.failed_before(9)
    node.answer = lambda *_asked: SILENT
    away = link.Refused("refused")
    # The member ends with it, and its unit is started again a few seconds later.
    began: list[float] = []
    node.when(lambda: runs(node), led.fail(away), lambda: began.append(node.passed), lambda: node.end(1))
    node.when(lambda: node.passed > began[0] + 12, lambda: setattr(led, "reply", replace(PREPARED, begun=1)))
    assert node.run() == EXIT_PERMANENT, node.said()
    last = led.words[-1]
    assert (last.gave_up, last.wants) == (True, None)
    assert last.why.startswith("rank 0 has failed: ")
    assert not any(word.gave_up for word in led.words if word.wants is not None)
    assert 12 < node.passed - began[0] < 16


def test_a_leader_that_gives_up_does_not_wait_for_ever_to_be_heard(led: Led) -> None:
    node = led.node
    node.failed_before(9)
    node.answer = lambda *_asked: SILENT
    began: list[float] = []
    node.when(lambda: runs(node), led.fail(link.Refused("refused")), lambda: began.append(node.passed), lambda: node.end(1))
    assert node.run() == EXIT_PERMANENT
    assert led.words[-1].gave_up
    assert 20 < node.passed - began[0] < 30


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.EADDRNOTAVAIL, "x"), "spark2: out of reach for 5 s (the cluster address 10.0.0.1 is not one of this host)"),
        (TimeoutError("timed out"), "spark2: out of reach for 5 s (timed out)"),
        (link.LinkError("it has another key"), "spark2: it has another key"),
        (KeyError("digest"), "spark2: 'digest'"),
    ],
)
def test_what_keeps_a_member_away_is_told(led: Led, error: Exception, told: str) -> None:
    node = led.node
    led.reply = error
    node.when("waiting_for_members", node.after(20, node.signal))
    assert node.run() == EXIT_STOPPED
    assert f"waiting for members ({told})" in node.statuses()


def test_a_member_that_promises_and_goes_does_not_hold_the_others(led: Led, monkeypatch: pytest.MonkeyPatch) -> None:
    node = led.node

    def ask(*given: Any) -> dict[str, Any]:
        word = Word.read(given[3])
        led.words.append(word)
        if word.wants == 1 and node.passed < 60:
            raise OSError(errno.EHOSTUNREACH, "No route to host")
        return led._ask(*given)

    monkeypatch.setattr(link, "ask", ask)
    node.when("ready", node.signal)
    assert node.run() == EXIT_STOPPED, node.said()
    wants = [word.wants for word in led.words]
    assert None in wants[wants.index(1) : -5], "what was promised by some is taken back"


def test_a_gpu_that_starts_another_is_waited_for_before_others_are_held(led: Led) -> None:
    node = led.node
    lock = FileLock(node.paths.gpu_lock("GPU-a"))
    assert lock.try_lock("vllm@ocr.service 1\n")
    node.when("waiting_for_members", node.after(30, lock.release))
    node.when("ready", node.signal)
    assert node.run() == EXIT_STOPPED
    assert "waiting for members (another instance starts on GPU-a)" in node.statuses()
    assert all(word.wants is None for word in led.words[:20])


def test_without_the_key_there_is_no_group(led: Led) -> None:
    configure(led.node, 0)
    (led.node.paths.folder("vllm", "chat") / "env").write_text("A=b\n", encoding="utf-8")
    assert led.node.run() == EXIT_PERMANENT
    assert "the group's key VLLM_API_KEY is not in its environment" in led.node.state()["message"]


class Following:
    """A member, and the leader's words as the test says them."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.node = VirtualNode(tmp_path, monkeypatch)
        self.wants: int | None = None
        self.ready = False
        self.silent = False
        self.gave_up = False
        self.ended_for: float | None = None
        self.replies: list[Reply] = []
        self.refuses: OSError | None = None
        configure(self.node, 1)
        monkeypatch.setattr(link, "Listener", self._listener)

    def _listener(self, address: str, port: int, key: bytes, members: set[str], answer: Any, _seconds: float) -> Any:
        assert (address, port, members) == ("10.0.0.2", 18070, {"10.0.0.1"})
        moment = [-1.0]

        def look() -> None:
            if self.node.passed - moment[0] >= rules.ASK_EVERY and not self.silent:
                moment[0] = self.node.passed
                why = "rank 0 has failed: x" if self.ended_for else "" if self.wants else "it waits"
                said = answer(rules.document(Word("vllm/chat", "abc", self.wants, self.ready, why, self.ended_for, self.gave_up)))
                self.replies.append(Reply.read(json.loads(json.dumps(said))))

        def start() -> None:
            if self.refuses is not None:
                raise self.refuses
            self.node.watch(SimpleNamespace(look=look))

        self.answer = answer
        return SimpleNamespace(start=start, close=lambda: None)

    def want(self, generation: int | None, ready: bool = False) -> Callable[[], None]:
        def want() -> None:
            self.wants, self.ready = generation, ready

        return want


@pytest.fixture
def following(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Following:
    return Following(tmp_path, monkeypatch)


def test_a_member_starts_what_it_has_promised_and_is_ready_with_the_model(following: Following) -> None:
    node = following.node
    node.when("waiting_for_members", node.after(30, following.want(4)))
    node.when(lambda: following.replies[-1].generation == 4, node.after(60, following.want(4, ready=True)))
    node.when("ready", node.after(100, following.want(None)))
    assert node.run() == EXIT_FAILED, node.said()
    assert f"--label {LABEL}generation=4" in next(call for call in node.calls() if call.startswith("create"))
    assert read_json(node.paths.group("vllm", "chat")) == {"begun": 4}
    state = node.state()
    assert (state["cause"], state["message"], state["failures"]) == ("group_ended", "it waits", 0)
    last = following.replies[-1]
    assert (last.generation, last.begun, last.trouble) == (None, 4, "it waits")
    assert node.docker.containers() == []
    # The same one is never begun again.
    following.wants = 4
    node.when("waiting_for_members", node.after(20, node.signal))
    assert node.run() == EXIT_STOPPED


@pytest.mark.parametrize(("back_after", "heard"), [(8, True), (40, False)])
def test_a_member_that_gives_up_says_so_to_a_leader_that_is_just_started_again(
    following: Following, back_after: float, heard: bool
) -> None:
    node = following.node
    node.failed_before(9)
    following.want(4)()
    ended: list[float] = []

    def end() -> None:
        following.silent = True
        ended.append(node.passed)
        node.end(1)

    def back() -> None:
        following.silent = False
        following.want(None)()

    node.when(lambda: runs(node), end)
    node.when(lambda: node.passed > ended[0] + back_after, back)
    assert node.run() == EXIT_PERMANENT, node.said()
    assert following.replies[-1].gave_up is heard
    assert node.passed - ended[0] < (12 if heard else 30)


def test_that_the_leader_has_given_up_is_a_cause_also_after_it_has_gone_and_until_it_is_heard_again(following: Following) -> None:
    node = following.node
    told: list[tuple[Any, Any]] = []

    def tell() -> None:
        told.append((node.state()["cause"], node.state()["message"]))

    def hear(gave_up: bool) -> Callable[[], None]:
        def hear() -> None:
            following.silent, following.gave_up = False, gave_up

        return hear

    def hush() -> None:
        following.silent = True

    node.when("waiting_for_members", node.after(20, hear(True)), node.after(40, hush), node.after(200, tell, node.signal))
    assert node.run() == EXIT_STOPPED
    assert told == [("group_ended", "spark1 has given up: it waits")]
    # Started again by systemd, while the leader says nothing any more.
    moments = (node.after(50, tell), node.after(60, hear(False)), node.after(100, tell, node.signal))
    node.when("waiting_for_members", *moments)
    node.run()
    assert told[1:] == [("group_ended", "spark1 has given up: it waits"), (None, None)]
    assert read_json(node.paths.group("vllm", "chat")) == {"begun": 0}


def test_who_starts_a_member_anew_is_not_told_what_the_leader_said_before(following: Following) -> None:
    node = following.node
    path = node.paths.group("vllm", "chat")
    path.parent.mkdir(parents=True)
    path.write_text('{"begun": 3, "gave_up": "rank 0 has failed: bad flag"}', encoding="utf-8")
    following.silent = True
    causes: list[Any] = []
    node.when("waiting_for_members", node.after(60, lambda: causes.append(node.state()["cause"]), node.signal))
    assert node.run() == EXIT_STOPPED
    assert causes == [None]


def test_a_promise_that_cannot_be_written_is_not_made(following: Following, monkeypatch: pytest.MonkeyPatch) -> None:
    node = following.node
    path = node.paths.group("vllm", "chat")
    path.parent.mkdir(parents=True)
    path.write_text('{"begun": "rubbish"}', encoding="utf-8")

    def full(where: Path, text: str) -> None:
        if where == path and node.passed < 60:
            raise OSError(errno.ENOSPC, "No space left on device")
        write_atomically(where, text)

    monkeypatch.setattr(group, "write_atomically", full)
    following.want(4, ready=True)()
    node.when("ready", node.signal)
    assert node.run() == EXIT_STOPPED
    refused = [reply for reply in following.replies if "No space left" in reply.obstacle]
    assert refused
    assert {(reply.generation, reply.begun) for reply in refused} == {(None, 0)}


def test_a_promise_that_is_taken_back_before_the_start_starts_nothing(following: Following) -> None:
    node = following.node
    following.wants = 4
    node.when(lambda: bool(following.replies) and following.replies[-1].generation == 4, following.want(None))
    node.when(lambda: len(following.replies) > 30, node.signal)
    code = node.run()
    assert code in (EXIT_STOPPED, EXIT_FAILED)
    assert following.replies[-1].generation is None


def test_a_part_that_ends_tells_why_before_its_launcher_goes(following: Following) -> None:
    node = following.node
    following.want(4, ready=True)()
    node.when("ready", lambda: node.docker.log("RuntimeError: CUDA error: an illegal memory access"), lambda: node.end(1))
    assert node.run() == EXIT_FAILED
    last = following.replies[-1]
    assert last.generation is None
    assert "illegal memory access" in last.trouble
    assert not last.gave_up
    assert node.state()["failures"] == 1


@pytest.mark.parametrize(("ago", "cause", "failures"), [(3.0, "group_ended", 0), (None, "unknown", 1)])
def test_a_part_that_ends_since_the_leaders_has_ended_is_not_to_blame(
    following: Following, ago: float | None, cause: str, failures: int
) -> None:
    node = following.node
    following.want(4, ready=True)()

    def both() -> None:
        following.ended_for = ago
        node.end(1)

    node.when("ready", node.after(400, both))
    assert node.run() == EXIT_FAILED
    assert (node.state()["cause"], node.state()["failures"]) == (cause, failures)


def test_a_leader_that_is_silent_is_told_and_ends_nothing(following: Following) -> None:
    node = following.node
    following.want(4, ready=True)()

    def hush() -> None:
        following.silent = True

    node.when("ready", node.after(10, hush), node.after(500, node.signal))
    assert node.run() == EXIT_STOPPED
    assert "ready (waiting for spark1: nothing heard of it for 400 s)" in node.statuses()


def test_a_member_that_is_stopped_waits_for_the_end_of_requests(following: Following) -> None:
    node = following.node
    configure(node, 1, stop_timeout=60)
    following.want(4, ready=True)()
    node.when("ready", node.signal, node.after(30, following.want(None)))
    assert node.run() == EXIT_STOPPED
    assert any(reply.leaving for reply in following.replies)
    assert 30 <= node.passed < 50


def test_a_member_takes_over_its_container(following: Following) -> None:
    following.node.docker.write(container(generation="5"))
    following.want(5, ready=True)()
    following.node.when("ready", following.node.after(20, following.node.signal))
    assert following.node.run() == EXIT_STOPPED
    assert following.replies[0].generation == 5
    assert not any(call.startswith("create") for call in following.node.calls())


def test_a_container_of_no_generation_is_nobodys(following: Following) -> None:
    following.node.docker.write(container(generation="x"))
    following.wants = 7
    assert following.node.run() == EXIT_FAILED
    assert following.replies[0].generation == 0


def test_a_port_that_is_taken_is_named(following: Following) -> None:
    following.refuses = OSError(errno.EADDRINUSE, "Address already in use")
    assert following.node.run() == EXIT_FAILED
    assert "cannot listen on 10.0.0.2 port 18070 for the group: Address already in use" in following.node.state()["message"]


def test_a_question_of_another_group_is_not_answered(following: Following) -> None:
    following.node.when("waiting_for_members", following.node.signal)
    following.node.run()
    with pytest.raises(ValueError, match="vllm/other"):
        following.answer(rules.document(Word("vllm/other", "abc", 4)))


def test_a_gpu_is_not_waited_for_for_ever_while_others_wait_for_this_host(following: Following) -> None:
    node = following.node
    lock = FileLock(node.paths.gpu_lock("GPU-a"))
    following.wants = 4

    def take() -> None:
        assert lock.try_lock("vllm@ocr.service 1\n")

    node.when(lambda: bool(following.replies) and following.replies[-1].generation == 4, take)
    assert node.run() == EXIT_FAILED
    assert "its GPU was not free within" in node.state()["message"]
    lock.release()
