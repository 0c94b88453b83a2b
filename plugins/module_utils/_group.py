# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""The other hosts of an instance: none for most, and those of its group where one model runs on several (docs/multinode.md).

Whatever ends a generation ends the launcher's attempt, as any failure does: its container goes, systemd starts it again, and it waits for
the others. So there is one way to start, on one host or on ten.
"""

from __future__ import annotations

import contextlib
import errno
import json
import random
import threading
from collections.abc import Mapping
from dataclasses import replace

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _group_link as link
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _group_rules as rules
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _progress as progress
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._alone import Alone
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import Cause, Diagnosis, redact
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import Container
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._instance_spec import GroupSpec
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_events import GroupEnded
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_life import Life
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import LABEL, is_locked, read_json, write_atomically
except ImportError:  # on the node the files lie side by side
    import _group_link as link  # type: ignore[import-not-found,no-redef]
    import _group_rules as rules  # type: ignore[import-not-found,no-redef]
    import _progress as progress  # type: ignore[import-not-found,no-redef]
    from _alone import Alone  # type: ignore[import-not-found,no-redef]
    from _causes import Cause, Diagnosis, redact  # type: ignore[import-not-found,no-redef]
    from _docker_cli import Container  # type: ignore[import-not-found,no-redef]
    from _instance_spec import GroupSpec  # type: ignore[import-not-found,no-redef]
    from _launcher_events import GroupEnded  # type: ignore[import-not-found,no-redef]
    from _launcher_life import Life  # type: ignore[import-not-found,no-redef]
    from _node import LABEL, is_locked, read_json, write_atomically  # type: ignore[import-not-found,no-redef]

GENERATION = "generation"
#: Seconds for which a launcher that ends lets the others hear of it.
LINGER = 4.0
#: And one that will not come back: the others end with it, and are there again after RestartSec, which is 5 s.
LAST_WORD = 20.0
#: Seconds for which it listens whether another part had ended before its own: one that loses the others often ends by itself.
BLAME_WITHIN = 3.0


def of(life: Life) -> Alone:
    """The group of an instance, once its folder is read."""
    group = life.spec.group
    if group is None:
        return Alone()
    secret = life.env.get(group.key_variable, "")
    if not secret:
        raise life.failure(Cause.UNKNOWN, f"the group's key {group.key_variable} is not in its environment", permanent=True)
    key = link.group_key(secret, life.spec.instance)
    return Leader(life, group, key) if group.rank == 0 else Follower(life, group, key)


class _Member(Alone):
    def __init__(self, life: Life, group: GroupSpec, key: bytes) -> None:
        self._life = life
        self._group = group
        self._key = key
        self._lock = threading.Lock()
        self._address = group.members[group.rank][1]
        self._waited_for = ""
        self._ended_at: float | None = None  # monotonic
        self._trouble = ""

    @property
    def labels(self) -> Mapping[str, str]:
        return {GENERATION: str(self._life.generation)}

    @property
    def patience(self) -> float | None:
        # By chance, so that two groups that hold a GPU each and want the other's do not give up together for ever.
        return random.uniform(20, 60)  # noqa: S311

    def _images(self) -> tuple[str, ...]:
        form = "{{.Id}}{{range .RepoDigests}} {{.}}{{end}}"
        shown = self._life.docker.call("image", "inspect", "--format", form, self._life.spec.image)
        return tuple(word.rpartition("@")[2] for word in shown.out.split()) if shown.rc == 0 else ()

    def _busy(self) -> str:
        """What holds a GPU of this instance now."""
        held = [lock for lock in self._life.spec.locks if is_locked(self._life.paths.gpu_lock(lock))]
        return f"another instance starts on {', '.join(held)}" if held else ""

    def _wait(self, text: str) -> None:
        self._life.update(progress.WAITING_FOR_MEMBERS, None, text, force=text != self._waited_for)
        self._waited_for = text
        self._life.pause(0.25)

    def blame(self, diagnosis: Diagnosis) -> Diagnosis:
        life = self._life
        if life.generation is None or diagnosis.cause is Cause.GROUP_ENDED:
            return diagnosis
        now = life.clock.monotonic()
        with self._lock:
            self._ended_at, self._trouble = now, redact(diagnosis.message, life.secrets)
        while life.clock.monotonic() < now + BLAME_WITHIN:
            why = self._ended_before(now)
            if why:
                return life.diagnose(Cause.GROUP_ENDED, why)
            life.alive()
            life.sleep(0.1)
        return diagnosis

    def _ended_before(self, moment: float) -> str:
        """Why a part on another host had ended by then."""
        raise NotImplementedError

    def _ended_for(self) -> float | None:
        return None if self._ended_at is None else self._life.clock.monotonic() - self._ended_at

    @staticmethod
    def _generation_of(container: Container) -> int:
        try:
            return int(container.labels.get(LABEL + GENERATION, ""))
        except ValueError:
            return 0  # none that anybody would want


class Leader(_Member):
    """Rank 0: asks all others every second, begins generations and ends them."""

    def __init__(self, life: Life, group: GroupSpec, key: bytes) -> None:
        super().__init__(life, group, key)
        now = life.clock.monotonic()
        self._path = life.paths.group(life.kind, life.name)
        # By host why its unit has failed for good, as the attempt before has heard. Who starts the unit anew wants no word of before.
        if not life.previous:
            with contextlib.suppress(OSError):
                self._path.unlink()
        kept = (read_json(self._path) or {}).get("gave_up")
        self._gone: dict[str, str] = {str(host): str(why) for host, why in kept.items()} if isinstance(kept, dict) else {}
        self._seen = {host: self._known(host, now) for host, _address in group.members[1:]}
        self._asked = dict.fromkeys(self._seen, 0.0)
        self._wants: int | None = None
        self._why = f"{group.members[0][0]} is starting"
        self._adopted = False
        self._left = False
        self._told_end: int | None = None  # of which generation
        self._gave_up = False

    def _known(self, host: str, now: float) -> rules.Seen:
        if host not in self._gone:
            return rules.Seen(host, now)
        return rules.Seen(host, now, rules.Reply(self._life.spec.instance, self._group.digest, trouble=self._gone[host], gave_up=True))

    def join(self, adopted: Container | None) -> None:
        if adopted is not None:
            self._adopted = True
            self._propose(self._generation_of(adopted))
        for host, address in self._group.members[1:]:
            threading.Thread(target=self._follow, args=(host, address), daemon=True).start()

    def begin(self) -> None:
        life = self._life
        mine = rules.Reply(life.spec.instance, self._group.digest, self._images())
        while True:
            seen = self._look()
            obstacles = [rules.obstacle(member, mine, life.clock.monotonic()) for member in seen]
            waits = next((text for text in obstacles if text), "") or self._busy()
            if not waits:
                self._propose(rules.next_generation([member.reply.begun for member in seen if member.reply is not None]))
                if self._promised():
                    life.say(f"generation {life.generation} begins on {', '.join(host for host, _address in self._group.members)}")
                    return
                continue
            self._tell(waits)
            self._judge(seen)
            self._wait(waits)

    def _propose(self, generation: int) -> None:
        with self._lock:
            self._wants = self._life.generation = generation

    def _tell(self, why: str) -> None:
        with self._lock:
            self._wants = self._life.generation = None
            self._why = why

    def _judge(self, seen: list[rules.Seen]) -> None:
        """A member that has given up is worth a cause, since waiting does not mend it."""
        gone = next((member for member in seen if member.error and member.reply is not None and member.reply.gave_up), None)
        text = gone.away(self._life.clock.monotonic()) if gone is not None else ""
        state = self._life.state
        if text and state.diagnosis is None:
            state.diagnosis = self._life.diagnose(Cause.GROUP_ENDED, text)

    def _promised(self) -> bool:
        """Whether all members have promised to run the generation; one that does not answer in time gets another chance later."""
        life = self._life
        deadline = life.clock.monotonic() + 3 * rules.ANSWER_WITHIN
        while life.clock.monotonic() < deadline:
            if all(not member.error and member.reply is not None and member.reply.generation == life.generation for member in self._look()):
                return True
            life.pause(0.1)
        self._tell("it begins again, since a member did not answer")
        return False

    def _look(self) -> list[rules.Seen]:
        with self._lock:
            return list(self._seen.values())

    def _follow(self, host: str, address: str) -> None:
        """Asks one member for as long as this process lives."""
        while not self._left:
            self._ask(host, address)
            self._life.sleep(rules.ASK_EVERY)

    def _ask(self, host: str, address: str) -> None:
        life = self._life
        with self._lock:
            why = f"rank 0 has failed: {self._trouble}" if self._trouble else self._why
            ready = life.state.ready is not None
            word = rules.Word(life.spec.instance, self._group.digest, self._wants, ready, why, self._ended_for(), self._gave_up)
        try:
            said = link.ask(address, self._group.port, self._key, rules.document(word), rules.ANSWER_WITHIN, self._address)
            seen = self._seen[host].heard(rules.Reply.read(said), life.clock.monotonic())
            self._keep(host, seen.reply)
        except link.Refused as error:
            seen = self._seen[host].missed(rules.REFUSED, str(error), life.clock.monotonic())
        except (link.LinkError, KeyError, TypeError, ValueError) as error:
            seen = self._seen[host].missed(rules.STRANGER, str(error), life.clock.monotonic())
        except OSError as error:
            seen = self._seen[host].missed(rules.UNREACHABLE, self._why_not(error), life.clock.monotonic())
        with self._lock:
            self._seen[host] = seen
            # Only what was said to this very word tells of its generation.
            current = (word.wants, word.gave_up) == (self._wants, self._gave_up)
            if current and not (self._gave_up and seen.error == rules.REFUSED):
                self._asked[host] = life.clock.monotonic()
        if current and word.wants is not None and self._has_promised(seen, word.wants):
            self._end(word.wants, rules.ended_by(seen, word.wants, life.clock.monotonic()), bool(seen.reply and seen.reply.leaving))

    def _keep(self, host: str, reply: rules.Reply | None) -> None:
        """That a member has given up: it says so once, and this launcher may be about to end, too."""
        with self._lock:
            before = dict(self._gone)
            self._gone.pop(host, None)
            if reply is not None and reply.gave_up:
                self._gone[host] = reply.trouble
            if self._gone != before:
                with contextlib.suppress(OSError):  # then it is not known after a restart
                    write_atomically(self._path, json.dumps({"gave_up": self._gone}) + "\n")

    def _has_promised(self, seen: rules.Seen, generation: int) -> bool:
        """What was adopted all had promised, also those that have not been heard since."""
        return self._adopted if seen.reply is None else seen.reply.begun >= generation

    def _end(self, generation: int, why: str, planned: bool) -> None:
        if not why or self._told_end == generation:
            return
        self._told_end = generation
        self.planned = planned
        self._life.events.put(GroupEnded(generation, why))

    def _ended_before(self, moment: float) -> str:
        for seen in self._look():
            if seen.ended_at is not None and seen.ended_at < moment and seen.reply is not None:
                return rules.ended_by(seen, seen.reply.begun, moment)
        return ""

    def _why_not(self, error: OSError) -> str:
        if error.errno == errno.EADDRNOTAVAIL:
            return f"the cluster address {self._address} is not one of this host"
        return error.strerror or str(error) or type(error).__name__

    @property
    def away(self) -> str:
        now = self._life.clock.monotonic()
        return next((text for text in (member.away(now) for member in self._look()) if text), "")

    def ended(self, diagnosis: Diagnosis | None) -> None:
        life = self._life
        why = f"rank 0 has failed: {diagnosis.message}" if diagnosis is not None else "the unit of rank 0 is being stopped"
        if diagnosis is not None and diagnosis.cause is Cause.GROUP_ENDED:
            why = diagnosis.message
        self._trouble = ""
        self._tell(redact(why, life.secrets))
        with self._lock:
            self._gave_up = diagnosis is not None and diagnosis.permanent
            self._asked = dict.fromkeys(self._asked, 0.0)

    def linger(self) -> None:
        life = self._life
        deadline = life.clock.monotonic() + (LAST_WORD if self._gave_up else LINGER)
        while life.clock.monotonic() < deadline:
            with self._lock:
                if all(self._asked.values()):
                    return
            life.alive()
            life.sleep(0.1)

    def leave(self) -> None:
        self._left = True


class Follower(_Member):
    """Any other rank: answers the leader, promises generations, and runs what it has promised."""

    def __init__(self, life: Life, group: GroupSpec, key: bytes) -> None:
        super().__init__(life, group, key)
        self._leader = group.members[0][0]
        self._path = life.paths.group(life.kind, life.name)
        kept = read_json(self._path) or {}
        begun = kept.get("begun")
        # Heard by the attempt before. Who starts the unit anew wants no word of before.
        self._gave_up = str(kept.get("gave_up") or "") if life.previous else ""
        trouble = str((life.previous.get("last_failure") or {}).get("message") or "")
        self._state = rules.Membership(
            rules.Reply(life.spec.instance, group.digest, begun=begun if isinstance(begun, int) else 0, trouble=trouble)
        )
        self._prepared = False
        self._answers = 0
        self._last = False  # whether this attempt was the last one
        self._listener = link.Listener(self._address, group.port, key, {group.members[0][1]}, self._answer, rules.ANSWER_WITHIN)

    def join(self, adopted: Container | None) -> None:
        life = self._life
        if adopted is not None:
            life.generation = self._generation_of(adopted)
            reply = self._state.reply
            reply = replace(reply, generation=life.generation, begun=max(reply.begun, life.generation), trouble="")
            self._state = replace(self._state, reply=reply)
        try:
            self._listener.start()
        except OSError as error:
            text = f"cannot listen on {self._address} port {self._group.port} for the group: {error.strerror or error}"
            raise life.failure(Cause.PORT_IN_USE, text) from error

    def _answer(self, question: dict[str, object]) -> dict[str, object]:
        life = self._life
        word = rules.Word.read(question)
        if word.group != life.spec.instance:
            raise ValueError(word.group)
        with self._lock:
            reply = replace(self._state.reply, obstacle=self._busy() if self._prepared else life.state.where)
            state = replace(self._state, reply=reply).hear(word, life.clock.monotonic())
            gave_up = word.why if word.gave_up else ""
            if (state.reply.begun, gave_up) != (reply.begun, self._gave_up):
                self._gave_up = gave_up
                # Before it is said: a promise that was forgotten would be made twice.
                try:
                    write_atomically(
                        self._path, json.dumps({"begun": state.reply.begun, **({"gave_up": gave_up} if gave_up else {})}) + "\n"
                    )
                except OSError as error:
                    state = replace(state, reply=replace(reply, obstacle=f"cannot write {self._path}: {error.strerror or error}"))
            if state.ended and not self._state.ended and state.reply.generation is not None:
                life.events.put(GroupEnded(state.reply.generation, state.ended))
            self._state = state
            self._answers += 1
            ended_for = self._ended_for()
            return rules.document(replace(state.reply, ended_for=ended_for, trouble=self._trouble or state.reply.trouble))

    def begin(self) -> None:
        life = self._life
        with self._lock:
            self._state = replace(self._state, reply=replace(self._state.reply, images=self._images()))
            self._prepared = True
        while True:
            with self._lock:
                if self._state.ended:  # before anything of it was started
                    self._state = replace(self._state, ended="", reply=replace(self._state.reply, generation=None))
                state = self._state
            if state.reply.generation is not None:
                life.generation = state.reply.generation
                life.say(f"generation {life.generation} begins, led by {self._leader}")
                return
            self._wait(self._judged() or state.waits_for(self._leader, life.clock.monotonic()))

    def _judged(self) -> str:
        """That the leader has given up, in words: it is worth a cause, since waiting does not mend it, until the leader is heard again."""
        state, why = self._life.state, self._gave_up
        text = f"{self._leader} has given up: {why}" if why else ""
        if state.diagnosis is None or state.diagnosis.cause is Cause.GROUP_ENDED:
            state.diagnosis = self._life.diagnose(Cause.GROUP_ENDED, text) if text else None
        return text

    def _ended_before(self, moment: float) -> str:
        with self._lock:
            ended_at = self._state.leader_ended_at
            return self._state.ended if ended_at is not None and ended_at < moment else ""

    @property
    def ready(self) -> bool:
        with self._lock:
            return self._state.ready

    @property
    def away(self) -> str:
        now = self._life.clock.monotonic()
        with self._lock:
            heard = self._state.heard
            return self._state.waits_for(self._leader, now) if heard is None or now - heard > rules.AWAY_AFTER else ""

    def before_stop(self) -> None:
        """The rank that answers ends its requests first; it cannot do so without this one."""
        life = self._life
        with self._lock:
            if self._state.reply.generation is None:
                return
            self._state = replace(self._state, reply=replace(self._state.reply, leaving=True))
        deadline = life.clock.monotonic() + life.spec.stop_timeout + LINGER
        while life.clock.monotonic() < deadline and not self._state.ended and not self.away:
            life.alive()
            life.sleep(0.2)

    def ended(self, diagnosis: Diagnosis | None) -> None:
        """Said once the container is gone."""
        life = self._life
        with self._lock:
            self._prepared = False
            self._answers = 0
            self._trouble = ""
            trouble = redact(diagnosis.message, life.secrets) if diagnosis is not None else "it was stopped"
            gave_up = self._last = diagnosis is not None and diagnosis.permanent
            self._state = replace(self._state, reply=replace(self._state.reply, generation=None, trouble=trouble, gave_up=gave_up))

    def linger(self) -> None:
        life = self._life
        deadline = life.clock.monotonic() + (LAST_WORD if self._last else LINGER)
        while life.clock.monotonic() < deadline and not self._answers and (self._last or not self.away):
            life.alive()
            life.sleep(0.1)

    def leave(self) -> None:
        self._listener.close()
