# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server that plays Ollama, in the test's own process on a free port."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.recipes.ollama.server import Config, make_server


def free_port(address: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


@contextmanager
def played_ollama(models: Path, **environment: str) -> Iterator[str]:
    """The URL of a server with its models in this folder; ``environment`` goes on top of a fast default."""
    given = {"OLLAMA_MODELS": str(models), "OLLAMA_KEEP_ALIVE": "-1", "PLAY_PULL_SECONDS": "1", **environment}
    server = make_server("127.0.0.1", 0, Config.from_environment(given))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
