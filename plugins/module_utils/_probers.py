# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Ways to run the probe beside the waiting loop: in threads with requests, or inside a container with `docker exec`."""

from __future__ import annotations

import json
import queue
import shutil
import threading
import time
import typing as t
import warnings
from dataclasses import asdict

from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import Cause, classify_log
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import Docker
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import NOT_FOUND, TIMED_OUT
from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe import Endpoint, Observation, probe
from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe_http import (
    BODY_LIMIT,
    Reply,
    Request,
    Transport,
    TransportError,
    transport_error,
    urllib_transport,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._shipped import BOOTSTRAP, sources

try:
    import requests

    HAS_REQUESTS = True
except ImportError:
    HAS_REQUESTS = False

_CONNECT_TIMEOUT = 10.0


def requests_transport(request: Request) -> Reply:
    """One request without proxy, netrc or redirect, so that the answer is the endpoint's own."""
    if request.ca:
        # requests takes authorities from files alone.
        return urllib_transport(request)
    ends = time.monotonic() + request.timeout
    if not request.validate_certs:
        warnings.filterwarnings("ignore", message="Unverified HTTPS request")  # the user decided so
    with requests.Session() as session:
        session.trust_env = False
        try:
            with session.request(
                request.method,
                request.url,
                headers=dict(request.headers),
                data=request.body,
                timeout=(min(request.timeout, _CONNECT_TIMEOUT), request.timeout),
                allow_redirects=False,
                stream=True,
                verify=(request.ca_path or True) if request.validate_certs else False,
            ) as response:
                body = b""
                for chunk in response.iter_content(65536):
                    body += chunk
                    if len(body) >= BODY_LIMIT:
                        break
                    if time.monotonic() > ends:
                        raise TransportError("timeout", "the answer was still incomplete")
                return Reply(response.status_code, body, response.headers.get("Location") or "")
        except TransportError:
            raise
        except (requests.RequestException, OSError, ValueError) as exc:
            raise transport_error(exc) from exc


class ThreadProber:
    """Every probe in a thread of its own; a hung one holds up nobody, not even the end of the program."""

    def __init__(self, transport: Transport, request_timeout: float) -> None:
        self.transport = transport
        self.request_timeout = request_timeout
        self.answers: queue.Queue[tuple[int, Observation]] = queue.Queue()

    def start(self, number: int, endpoint: Endpoint) -> None:
        threading.Thread(target=self._run, args=(number, endpoint), daemon=True).start()

    def _run(self, number: int, endpoint: Endpoint) -> None:
        try:
            observation = probe(endpoint, self.request_timeout, transport=self.transport)
        except Exception as exc:
            observation = Observation(False, None, "unknown", f"{endpoint.base_url}: {type(exc).__name__}: {exc}")
        self.answers.put((number, observation))

    def finished(self, wait: float) -> list[tuple[int, Observation]]:
        found: list[tuple[int, Observation]] = []
        try:
            found.append(self.answers.get(timeout=wait))
            while True:
                found.append(self.answers.get_nowait())
        except queue.Empty:
            return found


class ContainerProber:
    """All probes that are due together go into the container with one `docker exec`."""

    def __init__(self, container: str, request_timeout: float, docker: str = "docker") -> None:
        self.container = container
        self.request_timeout = request_timeout
        self.docker = Docker(docker)
        self.sources = list(sources("_probe").items())
        self.waiting: list[tuple[int, Endpoint]] = []
        self.answers: queue.Queue[list[tuple[int, Observation]]] = queue.Queue()

    def start(self, number: int, endpoint: Endpoint) -> None:
        self.waiting.append((number, endpoint))

    def finished(self, wait: float) -> list[tuple[int, Observation]]:
        if self.waiting:
            batch, self.waiting = self.waiting, []
            threading.Thread(target=self._run, args=(batch,), daemon=True).start()
        found: list[tuple[int, Observation]] = []
        try:
            found += self.answers.get(timeout=wait)
            while True:
                found += self.answers.get_nowait()
        except queue.Empty:
            return found

    def _run(self, batch: t.Sequence[tuple[int, Endpoint]]) -> None:
        try:
            observations = self._ask([endpoint for _number, endpoint in batch])
        except Exception as exc:
            observations = [Observation(False, None, "unknown", f"docker exec {self.container}: {type(exc).__name__}: {exc}")] * len(batch)
        self.answers.put([(number, seen) for (number, _endpoint), seen in zip(batch, observations)])

    def _ask(self, endpoints: t.Sequence[Endpoint]) -> list[Observation]:
        asked = {"endpoints": [asdict(one) for one in endpoints], "timeout": self.request_timeout}
        given = json.dumps({"sources": self.sources, "request": asked})
        argv = ["exec", "-i", self.container, "python3", "-c", BOOTSTRAP]
        done = self.docker.feed(given, *argv, timeout=4 * self.request_timeout + 15)
        if done.rc == NOT_FOUND and not shutil.which(self.docker.program):
            return [Observation(False, None, str(Cause.DOCKER_DOWN), "the docker command does not exist on this host", True)] * len(
                endpoints
            )
        if done.rc == TIMED_OUT:
            told = f"docker exec {self.container}: no result within {4 * self.request_timeout + 15:.0f} s"
            return [Observation(False, None, "timeout", told)] * len(endpoints)
        if done.rc == 0:
            try:
                rows = json.loads(done.out)
                return [Observation(**{**row, "models": tuple(row["models"])}) for row in rows]
            except (ValueError, TypeError, KeyError):
                pass
        return [self._docker_error(done.rc, done.err.strip().split("\n"))] * len(endpoints)

    def _docker_error(self, status: int, lines: t.Sequence[str]) -> Observation:
        told = " ".join(line.strip() for line in lines[-3:]) or f"exit status {status}"
        message = f"docker exec {self.container} python3: {told}"
        if any(text in told for text in ("No such container", "is not running", "is restarting", "is paused")):
            return Observation(False, None, str(Cause.UNIT_FAILED), message)
        return Observation(False, None, str(classify_log("docker", lines).cause), message)
