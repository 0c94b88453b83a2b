# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clients that send requests all the time while something changes, for scenarios and real gateways."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def all_the_time(*clients: Callable[[], str], pause: float) -> Iterator[Counter[str]]:
    """One loop for each client, which sends a request and says what became of it; counted. C(pause): seconds after each."""
    told: Counter[str] = Counter()
    done = threading.Event()

    def loop(ask: Callable[[], str]) -> None:
        while not done.is_set():
            told[ask()] += 1
            time.sleep(pause)

    threads = [threading.Thread(target=loop, args=(ask,)) for ask in clients]
    for thread in threads:
        thread.start()
    try:
        yield told
    finally:
        done.set()
        for thread in threads:
            thread.join()
        print(f"\n{dict(told)}")
