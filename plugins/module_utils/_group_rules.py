# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""What the launchers of one model on several hosts tell each other, and what follows from it; free of side effects.

A model that is spread over hosts lives in generations: every container of one generation was started for it, and none is ever joined by
another. The launcher of rank 0 leads. A generation begins when every member is prepared, which means that nothing of an older one is left
on its host, and has promised to start; it ends on all members as soon as one has ended it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

#: Seconds between two questions to a member.
ASK_EVERY = 1.0
#: Seconds that one question may take.
ANSWER_WITHIN = 3.0
#: A launcher that was killed is back after RestartSec, which is 5 s, and takes over its container. After so many seconds it will not.
COMES_BACK_WITHIN = 10.0
#: Seconds of silence after which a member counts as out of reach, in words and for the watchdog.
AWAY_AFTER = 5.0

REFUSED, UNREACHABLE, STRANGER = "refused", "unreachable", "stranger"


@dataclass(frozen=True)
class Word:
    """What the leader tells a member."""

    group: str
    digest: str  # of the configuration that all members share
    wants: int | None  # the generation that is to run
    ready: bool = False  # whether it has answered
    why: str = ""  # what the leader waits for, or why it has ended a generation
    ended_for: float | None = None  # seconds since its own part ended
    gave_up: bool = False  # its unit has failed for good

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Word:
        wants = document.get("wants")
        return cls(
            group=str(document["group"]),
            digest=str(document["digest"]),
            wants=None if wants is None else int(wants),
            ready=bool(document.get("ready")),
            why=str(document.get("why") or ""),
            ended_for=_seconds(document.get("ended_for")),
            gave_up=bool(document.get("gave_up")),
        )


@dataclass(frozen=True)
class Reply:
    """What a member answers."""

    group: str
    digest: str
    images: tuple[str, ...] = ()  # digests by which Docker knows its image: its id, and those of registries
    generation: int | None = None  # which it has promised to run, and has not ended
    begun: int = 0  # the newest that it ever promised
    obstacle: str = "is starting"  # why it could not begin one now
    trouble: str = ""  # why it has ended the last one
    gave_up: bool = False  # its unit has failed for good
    leaving: bool = False  # its unit is being stopped
    ended_for: float | None = None  # seconds since its part ended

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Reply:
        generation = document.get("generation")
        return cls(
            group=str(document["group"]),
            digest=str(document["digest"]),
            images=tuple(str(item) for item in document.get("images") or ()),
            generation=None if generation is None else int(generation),
            begun=int(document.get("begun") or 0),
            obstacle=str(document.get("obstacle") or ""),
            trouble=str(document.get("trouble") or ""),
            gave_up=bool(document.get("gave_up")),
            leaving=bool(document.get("leaving")),
            ended_for=_seconds(document.get("ended_for")),
        )


def _seconds(value: Any) -> float | None:
    return None if value is None else float(value)


def document(told: Word | Reply) -> dict[str, Any]:
    return asdict(told)


@dataclass(frozen=True)
class Seen:
    """What the leader knows of a member. Times are monotonic."""

    host: str
    since: float  # of the present state: reachable, or not for this reason
    reply: Reply | None = None  # the last one, also of a member that does not answer now
    error: str = ""  # REFUSED, UNREACHABLE, STRANGER; empty while it answers
    detail: str = ""
    ended_at: float | None = None  # its part

    def heard(self, reply: Reply, now: float) -> Seen:
        since = self.since if self.reply is not None and not self.error else now
        ended_at = None if reply.ended_for is None else now - reply.ended_for
        return replace(self, reply=reply, error="", detail="", since=since, ended_at=ended_at)

    def missed(self, error: str, detail: str, now: float) -> Seen:
        return replace(self, error=error, detail=detail, since=self.since if self.error == error else now)

    def away(self, now: float) -> str:
        """That nothing is heard of it, in words; a member that was not heard for a moment is not away."""
        seconds = now - self.since
        if not self.error or seconds < AWAY_AFTER:
            return ""
        if self.error == REFUSED:
            # Only its last word says whether that is for good.
            if self.reply is not None and self.reply.gave_up:
                return f"{self.host} has given up: {self.reply.trouble}"
            return f"{self.host}: its unit does not run, for {_fives(seconds)} s"
        if self.error == STRANGER:
            return f"{self.host}: {self.detail}"
        return f"{self.host}: out of reach for {_fives(seconds)} s ({self.detail})"


def _fives(seconds: float) -> int:
    """So that what is told changes every few seconds only."""
    return int(seconds // 5 * 5)


def obstacle(seen: Seen, mine: Reply, now: float) -> str:
    """Why no generation can begin with this member, or nothing."""
    if seen.error or seen.reply is None:
        return seen.away(now) or f"{seen.host}: no answer yet"
    reply = seen.reply
    if reply.digest != mine.digest:
        return f"{seen.host} has another configuration of this group; run site.yml for all of its hosts"
    if reply.generation is not None:
        return f"{seen.host} has yet to end generation {reply.generation}"
    if reply.obstacle:
        return f"{seen.host}: {reply.obstacle}"
    # An id is of the same bytes on all hosts, but for hosts whose Docker keeps its images in different ways.
    if not set(reply.images) & set(mine.images):
        return f"{seen.host} has another image of the same name ({_short(reply)}, here {_short(mine)}); pull it on both"
    return ""


def _short(reply: Reply) -> str:
    return reply.images[0].rpartition(":")[2][:12] if reply.images else "none"


def next_generation(begun: Sequence[int]) -> int:
    """Above all that any member has ever begun: a host that was installed anew has forgotten them."""
    return max(begun, default=0) + 1


def ended_by(seen: Seen, generation: int, now: float) -> str:
    """Why the generation has ended with this member, or nothing. A member that is out of reach has ended nothing."""
    if seen.error in (REFUSED, STRANGER) and now - seen.since > COMES_BACK_WITHIN:
        # With another key it has started anew, as a unit does when its key changes.
        return f"the unit on {seen.host} does not run any more" + (f" as it did: {seen.detail}" if seen.error == STRANGER else "")
    if seen.error or seen.reply is None:
        return ""
    if seen.reply.leaving:
        return f"the unit on {seen.host} is being stopped"
    if seen.reply.generation != generation or seen.ended_at is not None:
        return f"its part on {seen.host} has ended" + (f": {seen.reply.trouble}" if seen.reply.trouble else "")
    return ""


@dataclass(frozen=True)
class Membership:
    """Where a member stands that follows: what it has promised, and what it was told."""

    reply: Reply
    word: Word | None = None
    heard: float | None = None
    ended: str = ""  # why its generation is to end
    leader_ended_at: float | None = None  # the part of the leader

    def hear(self, word: Word, now: float) -> Membership:
        """The leader's word, in the order in which it was said: only it begins and ends generations."""
        reply = self.reply
        ended = self.ended
        if reply.generation is not None and (word.wants != reply.generation or word.ended_for is not None):
            ended = ended or word.why or "it was ended where rank 0 runs"
        elif self._may_begin(word):
            reply = replace(reply, generation=word.wants, begun=word.wants or 0, trouble="")
        ended_at = None if word.ended_for is None else now - word.ended_for
        return replace(self, reply=reply, word=word, heard=now, ended=ended, leader_ended_at=ended_at)

    def _may_begin(self, word: Word) -> bool:
        mine = self.reply
        if mine.generation is not None or mine.obstacle or word.digest != mine.digest:
            return False
        return word.wants is not None and word.wants > mine.begun

    @property
    def ready(self) -> bool:
        word = self.word
        return word is not None and word.ready and word.wants is not None and word.wants == self.reply.generation

    def waits_for(self, leader: str, now: float) -> str:
        if self.heard is None or self.word is None:
            return f"{leader}: nothing heard of it yet"
        silent = now - self.heard
        if silent > AWAY_AFTER:
            return f"{leader}: nothing heard of it for {_fives(silent)} s"
        return self.word.why or f"{leader} to begin"
