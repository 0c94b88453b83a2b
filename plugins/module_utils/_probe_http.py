# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""One request over HTTP, and what it means where no answer comes. It goes wherever C(_probe) goes."""

from __future__ import annotations

import errno
import http.client
import json
import re
import socket
import ssl
import time
import typing as t
import urllib.parse
from dataclasses import dataclass

BODY_LIMIT = 8 * 1024 * 1024


@dataclass(frozen=True)
class Request:
    method: str
    url: str
    headers: t.Mapping[str, str]
    body: bytes | None
    timeout: float
    validate_certs: bool = True
    ca_path: str | None = None
    ca: str | None = None


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    location: str = ""

    def text(self, limit: int = 300) -> str:
        return " ".join(self.body[: limit * 4].decode("utf-8", "replace").split())[:limit]

    def json(self) -> t.Any:
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


class TransportError(Exception):
    """No HTTP answer came. `cause` is dns, refused, timeout, tls_mismatch, or closed (accepted, then closed without an answer)."""

    def __init__(self, cause: str, detail: str, certain: bool = False) -> None:
        super().__init__(detail)
        self.cause = cause
        self.detail = detail
        self.certain = certain


class Transport(t.Protocol):
    def __call__(self, request: Request) -> Reply: ...


def ssl_context(request: Request) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=request.ca_path)
    if request.ca:
        context.load_verify_locations(cadata=request.ca)
    if not request.validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def urllib_transport(request: Request) -> Reply:
    """One request with the standard library. No proxy from the environment, no redirect, one limit for all of it."""
    parts = urllib.parse.urlsplit(request.url)
    ends = time.monotonic() + request.timeout
    connection: http.client.HTTPConnection | None = None
    try:
        if parts.scheme == "https":
            connection = http.client.HTTPSConnection(
                parts.hostname or "", parts.port, timeout=request.timeout, context=ssl_context(request)
            )
        else:
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=request.timeout)
        target = parts.path or "/"
        connection.request(
            request.method, target + ("?" + parts.query if parts.query else ""), body=request.body, headers=dict(request.headers)
        )
        sock = connection.sock
        response = connection.getresponse()
        chunks: list[bytes] = []
        size = 0
        while size < BODY_LIMIT and not response.isclosed():  # the last byte closes it, and the socket with it
            remaining = ends - time.monotonic()
            if remaining <= 0:
                raise socket.timeout(f"the answer was still incomplete after {request.timeout:.0f} s")
            sock.settimeout(remaining)
            chunk = response.read1(65536)
            if not chunk:
                break
            chunks.append(chunk)
            size += len(chunk)
        return Reply(response.status, b"".join(chunks), response.getheader("Location") or "")
    except (OSError, http.client.HTTPException, ValueError) as exc:
        raise transport_error(exc) from exc
    finally:
        if connection is not None:
            connection.close()


def _chain(exc: BaseException) -> t.Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[t.Any] = [exc]
    while waiting:
        current = waiting.pop(0)
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [getattr(current, "reason", None), current.__cause__, current.__context__, *current.args]


def _by_name(one: BaseException) -> TransportError | None:
    if isinstance(one, socket.gaierror):
        return TransportError("dns", one.strerror or str(one), one.errno == getattr(socket, "EAI_NONAME", None))
    return None


def _by_certificate(one: BaseException) -> TransportError | None:
    if isinstance(one, ssl.SSLCertVerificationError):
        return TransportError("tls_mismatch", f"the certificate is not accepted: {one.verify_message or one}", True)
    return None


_NOT_TLS = r"WRONG_VERSION_NUMBER|HTTP_REQUEST|UNKNOWN_PROTOCOL|RECORD_LAYER|PACKET_LENGTH"


def _by_handshake(one: BaseException) -> TransportError | None:
    if not isinstance(one, ssl.SSLError) or isinstance(one, (ssl.SSLEOFError, ssl.SSLZeroReturnError, socket.timeout)):
        return None
    if "timed out" in str(one):
        return TransportError("timeout", "TLS handshake timed out")
    if re.search(_NOT_TLS, str(one).upper().replace(" ", "_")):
        return TransportError("tls_mismatch", f"the server does not speak TLS ({one.reason or one})", True)
    return TransportError("tls_mismatch", f"the TLS handshake failed ({one.reason or one})", True)


def _by_patience(one: BaseException) -> TransportError | None:
    if isinstance(one, socket.timeout) or "Timeout" in type(one).__name__:
        return TransportError("timeout", "no answer in time")
    return None


def _by_connection(one: BaseException) -> TransportError | None:
    if isinstance(one, ConnectionRefusedError):
        return TransportError("refused", "connection refused")
    if isinstance(one, OSError) and one.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ETIMEDOUT):
        return TransportError("timeout", one.strerror or str(one))
    return None


def _by_end(one: BaseException) -> TransportError | None:
    if isinstance(one, (ConnectionError, http.client.RemoteDisconnected, http.client.IncompleteRead, ssl.SSLError)):
        return TransportError("closed", "the connection was closed without an answer")
    return None


def _by_answer(one: BaseException) -> TransportError | None:
    if isinstance(one, http.client.BadStatusLine):
        return TransportError("not_http", "the answer is not HTTP")
    if isinstance(one, FileNotFoundError) or "suitable TLS CA certificate bundle" in str(one):
        return TransportError("tls_mismatch", "ca_path does not exist on this host", True)
    return None


#: What says most of a failure comes first.
_JUDGES = (_by_name, _by_certificate, _by_handshake, _by_patience, _by_connection, _by_end, _by_answer)


def transport_error(exc: BaseException) -> TransportError:
    """What a failed request means, whichever library it went through: the innermost reason counts, not the wrapping."""
    chain = list(_chain(exc))
    found = (judge(one) for judge in _JUDGES for one in chain)
    last = chain[-1]
    return next(filter(None, found), TransportError("closed", f"{type(last).__name__}: {last}"))


def speaks_tls(url: str, timeout: float) -> bool:
    """Whether a TLS handshake succeeds at this address: the question after a plain request was cut off."""
    parts = urllib.parse.urlsplit(url)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=timeout) as sock, context.wrap_socket(sock):
            return True
    except (OSError, ValueError):
        return False
