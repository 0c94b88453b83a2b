# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Redis of a test's own."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.ollama import free_port
from support.programs import installed


@contextmanager
def redis_server(folder: Path, password: str) -> Iterator[int]:
    """Its port on 127.0.0.1."""
    port = free_port()
    options = {"port": str(port), "bind": "127.0.0.1", "save": "", "dir": str(folder), "requirepass": password}
    argv = [installed("redis-server"), *(word for name, value in options.items() for word in (f"--{name}", value))]
    server = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    try:
        for _try in range(100):
            with socket.socket() as asks:
                if asks.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait(10)
