# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""A client for the few routes of Ollama's own API that module ollama_models needs."""

from __future__ import annotations

import http.client
import json
import typing as t
import urllib.error
import urllib.request

from ansible_collections.llmops.gpu_inference.plugins.module_utils._ollama import (
    Installed,
    Loaded,
    OllamaError,
    read_ps,
    read_pull,
    read_tags,
)


class UnreachableError(OllamaError):
    """Nothing answers at this address."""


class OllamaApi:
    """Without a proxy on purpose: the server is on this very host.

    C(timeout) is the longest silence, not the length of a call: a pull may take hours and says something all the time.
    """

    def __init__(self, base_url: str, timeout: float) -> None:
        self._base_url = base_url.rstrip("/")
        self._timeout = timeout
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def _open(self, method: str, path: str, body: t.Mapping[str, t.Any] | None = None) -> http.client.HTTPResponse:
        url = self._base_url + path
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310 -- http by contract
        try:
            response: http.client.HTTPResponse = self._opener.open(request, timeout=self._timeout)
        except urllib.error.HTTPError as error:
            with error:
                raise OllamaError(f"{method} {url} answered {error.code}: {_reason(error.read(2000))}") from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise UnreachableError(f"{method} {url} got no answer: {reason}") from error
        return response

    def _get(self, path: str) -> object:
        with self._open("GET", path) as response:
            try:
                return json.loads(response.read())
            except (ValueError, OSError, http.client.HTTPException) as error:
                raise OllamaError(f"GET {self._base_url}{path} did not answer with JSON: {error}") from error

    def tags(self) -> tuple[Installed, ...]:
        return read_tags(self._get("/api/tags"))

    def loaded(self) -> tuple[Loaded, ...]:
        return read_ps(self._get("/api/ps"))

    def pull(self, tag: str) -> None:
        with self._open("POST", "/api/pull", {"model": tag, "stream": True}) as response:
            try:
                for _progress in read_pull(response):
                    pass
            except (OSError, http.client.HTTPException) as error:
                raise OllamaError(f"the connection broke: {error}. The next attempt resumes it.") from error

    def delete(self, tag: str) -> None:
        with self._open("DELETE", "/api/delete", {"model": tag}):
            pass


def _reason(body: bytes) -> str:
    try:
        answer = json.loads(body)
        return str(answer["error"])
    except (ValueError, KeyError, TypeError):
        return body.decode("utf-8", "replace").strip()[:200]
