# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A client that asks all the time while an engine changes, and how long it is without right answers, against what a change may cost."""

from __future__ import annotations

import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests
from one_gpu_node import ENVIRONMENT, PROJECT, Play, chat, key, node, playbook, starts_since, url

RIGHT = "Hello from tiny-chat."
#: Seconds beside loads and proof.
ALLOWED = {"kept": 10.0, "taken back": 15.0, "refused": float("inf"), "booted": float("inf")}


@dataclass(frozen=True)
class StampedPlay(Play):
    """With the moment of each line."""

    lines: tuple[tuple[float, str], ...] = ()

    def at(self, start: str) -> float | None:
        return next((moment for moment, line in self.lines if line.startswith(start)), None)

    @property
    def verdict(self) -> float:
        """When it told that something does not hold; else its end."""
        return self.at("fatal:") or self.ended

    @property
    def proofs(self) -> list[float]:
        """Seconds of each, with what Ansible takes for it: of a change, and of what served before, where that comes back."""
        found = []
        began = None
        for moment, line in self.lines:
            if line.startswith("TASK [llmops.gpu_inference.engines : Prove | Prove what has changed"):
                began = moment
            elif began is not None and line.startswith(("fatal:", "ok:", "changed:")):
                found.append(moment - began)
                began = None
        return found


def stamped(argv: list[str], limit: float = 900) -> StampedPlay:
    began = time.monotonic()
    lines: list[tuple[float, str]] = []
    with subprocess.Popen(
        argv, cwd=PROJECT, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        watch = threading.Timer(limit, running.kill)
        watch.start()
        assert running.stdout is not None
        for line in running.stdout:
            lines.append((time.time(), line.rstrip("\n")))
        code = running.wait()
        watch.cancel()
    return StampedPlay(code, "\n".join(line for _at, line in lines), time.monotonic() - began, time.time(), tuple(lines))


def site_stamped(*arguments: str, **variables: Any) -> StampedPlay:
    return stamped(playbook(*(arguments or ("--tags", "engines")), **variables))


@dataclass
class Client:
    """What it was told, by the moment of the answer: a text, a status, or that nobody was there."""

    told: list[tuple[float, str]] = field(default_factory=list)
    began: float = field(default_factory=time.time)

    def ask(self, base: str, headers: dict[str, str]) -> None:
        try:
            reply = chat(base, headers, 20)  # a host that went down does not close its connections
            said = str(reply.json()["choices"][0]["message"]["content"]) if reply.ok else str(reply.status_code)
        except requests.RequestException as error:
            said = type(error).__name__
        self.told.append((time.time(), said))

    def counted(self) -> Counter[str]:
        return Counter(said for _at, said in self.told)

    def wrong(self, after: float = 0.0) -> int:
        """Answers with 200 that are not the right one."""
        return sum(
            said != RIGHT and not said.isdecimal() and not said.endswith(("Error", "Timeout")) for at, said in self.told if at > after
        )

    def failed(self) -> int:
        return sum(said.isdecimal() or said.endswith(("Error", "Timeout")) for _at, said in self.told)

    def gap(self) -> float:
        """The longest time from one right answer to the next."""
        right = [at for at, said in self.told if said == RIGHT]
        return max((later - earlier for earlier, later in zip(right, right[1:], strict=False)), default=float("inf"))

    def has_right_answer_since(self, moment: float) -> bool:
        return any(said == RIGHT for at, said in self.told if at > moment)


@contextmanager
def asked_all_the_time() -> Iterator[Client]:
    """From a right answer to a right answer."""
    client, done = Client(), threading.Event()
    base, headers = url(), key()

    def loop() -> None:
        while not done.is_set():
            client.ask(base, headers)
            time.sleep(0.2)

    asking = threading.Thread(target=loop)
    asking.start()
    try:
        yield client
        patience, moment = time.time() + 60, time.time()
        while not client.has_right_answer_since(moment) and time.time() < patience:
            time.sleep(0.1)
    finally:
        done.set()
        asking.join()
        print(f"\n{dict(client.counted())}")


# -- the table at the end


@dataclass(frozen=True)
class Row:
    change: str
    became: str
    gap: float
    loads: float
    proof: float
    wrong: int
    wrong_after_verdict: int
    failed: int

    @property
    def beside(self) -> float:
        return self.gap - self.loads - self.proof

    @property
    def holds(self) -> bool:
        return self.beside <= ALLOWED[self.became]


ROWS: list[Row] = []


def counted(change: str, became: str, client: Client, done: StampedPlay, kept_away: bool = False) -> Row:
    """C(kept_away): clients wait until all is proved; they have the answers of what proves itself otherwise.

    C(loads): from the start of each container until it was ready or had failed, of those that began during the run.
    """
    spans = starts_since(client.began)
    row = Row(
        change,
        became,
        client.gap(),
        sum(ended - started for started, ended, _name in spans),
        sum(done.proofs if kept_away else done.proofs[:1] if became == "taken back" else ()),
        client.wrong(),
        client.wrong(done.verdict),
        client.failed(),
    )
    ROWS.append(row)
    return row


def table() -> str:
    """Times in seconds; C(wrong): right answers apart, what came with 200; C(after): those after the verdict."""
    names = ("gap", "loads", "proof", "beside", "allowed", "wrong", "after", "failed")
    lines = [f"{'change':26} {'became':11}" + "".join(f"{name:>8}" for name in names)]
    for row in ROWS:
        seconds = (row.gap, row.loads, row.proof, row.beside, ALLOWED[row.became])
        counts = (row.wrong, row.wrong_after_verdict, row.failed)
        figures = "".join(f"{value:8.1f}" for value in seconds) + "".join(f"{value:8}" for value in counts)
        lines.append(f"{row.change:26} {row.became:11}{figures}{'' if row.holds else '  over'}")
    return "\n".join(lines)


def boots() -> bool:
    return str(node.run("systemctl is-system-running").stdout).strip() in ("running", "degraded")
