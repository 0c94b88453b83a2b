# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real LiteLLM on loopback, with what `gateway_folder` has written."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from support.containers import LITELLM, docker_run
from support.ollama import free_port


@dataclass(frozen=True)
class LocalGateway:
    url: str
    process: subprocess.Popen[bytes]
    log: Path
    #: Of the authority that its certificate is by.
    ca: Path | None = None

    def wait(self) -> None:
        """Until it is ready; its log where it ends before."""
        deadline = time.monotonic() + 180
        while True:
            try:
                if requests.get(self.url + "/health/readiness", timeout=10, verify=str(self.ca) if self.ca else True).status_code == 200:
                    return
            except requests.ConnectionError:
                pass
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.5)


@contextmanager
def local_gateway(folder: Path, environment: Mapping[str, str]) -> Iterator[LocalGateway]:
    """Started, and not yet waited for."""
    port, log = free_port(), folder / "log"
    certificate = folder / "live/tls.pem"
    tls = ["--ssl_certfile_path", str(certificate), "--ssl_keyfile_path", str(certificate)] if certificate.exists() else []
    arguments = ["litellm", "--config", str(folder / "config.yaml"), "--host", "127.0.0.1", "--port", str(port), *tls]
    with log.open("w") as stream:
        argv = docker_run(LITELLM, folder, *arguments, environment=environment, network="host")
        process = subprocess.Popen(argv, stdout=stream, stderr=stream)
    try:
        yield LocalGateway(f"http{'s' if tls else ''}://127.0.0.1:{port}", process, log, folder / "ca.pem" if tls else None)
    finally:
        process.terminate()
        process.wait(30)
