# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""TLS of the gateway, as a server and as a client of the servers behind it.

LiteLLM has uvicorn read a certificate once, when it starts. Here the files are looked at for every connection that begins, so that one that
was renewed is served from then on: nothing restarts, and connections that are there go on. One that cannot be read changes nothing.
"""

from __future__ import annotations

import logging
import ssl
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

LOG = logging.getLogger("gateway")
FOLDER = "/etc/litellm-live"
#: The certificate of this host by our own authority, and the one that its user has for clients; each with its key.
OWN, PUBLIC = "tls.pem", "public.pem"
#: Names of the host itself; who connects by address sends none.
LOCAL = frozenset({"localhost", "litellm-gateway"})
#: Our own authority, beside the configuration.
CA = Path(__file__).with_name("ca.pem")
BUNDLE = Path("/tmp/gateway-ca.pem")  # noqa: S108 -- in the container, whose other folders are read-only
#: For TLS 1.2; 1.3 has none that are weak. uvicorn's own choice has only old ones.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"

Seen = tuple[int, int, int]


def harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)


@dataclass
class Certificate:
    """One file, and the context that was made of it."""

    path: Path
    context: ssl.SSLContext | None = None
    seen: Seen | None = field(default=None, repr=False)

    def current(self) -> ssl.SSLContext | None:
        try:
            found = self.path.stat()
        except OSError:
            self.context = self.seen = None
            return None
        seen = found.st_ino, found.st_mtime_ns, found.st_size
        if seen != self.seen:
            self.seen = seen
            try:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(self.path)
                harden(context)
            except (OSError, ValueError) as error:
                LOG.error("the certificate %s cannot be read: %s", self.path.name, type(error).__name__)
            else:
                self.context = context
        return self.context


class Certificates:
    def __init__(self, folder: Path) -> None:
        self.own, self.public = Certificate(folder / OWN), Certificate(folder / PUBLIC)
        self._watched: ssl.SSLContext | None = None

    @classmethod
    def from_environment(cls, environment: t.Mapping[str, str]) -> Certificates:
        return cls(Path(environment.get("GATEWAY_LIVE_FOLDER") or FOLDER))

    def of(self, name: str | None) -> ssl.SSLContext | None:
        """For who asks for this name."""
        public = None if name is None or name.lower() in LOCAL else self.public.current()
        return public or self.own.current()

    def choose(self, connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        found = self.of(name)
        if found is not None:
            connection.context = found

    def watch(self, context: ssl.SSLContext) -> None:
        """Have each connection that begins with this context take the certificate of its moment."""
        if self._watched is None:
            self._watched = context
            context.sni_callback = self.choose
            harden(context)


def serve(certificates: Certificates, protocols: t.Iterable[t.Any]) -> None:
    """The first connection, which is the launcher's question whether the gateway is ready, tells which context uvicorn has."""
    for protocol in protocols:
        _watch_connections(protocol, certificates)


def _watch_connections(protocol: t.Any, certificates: Certificates) -> None:
    made = protocol.connection_made

    def connection_made(self: t.Any, transport: t.Any) -> None:
        found = transport.get_extra_info("ssl_object")
        if found is not None:
            certificates.watch(found.context)
        made(self, transport)

    protocol.connection_made = connection_made


def trust(environment: t.MutableMapping[str, str], authority: Path = CA, bundle: Path = BUNDLE) -> None:
    """Have LiteLLM accept certificates of our authority beside those it accepts anyway: nodes have them."""
    if not authority.exists():
        return
    import certifi
    from litellm.llms.custom_httpx import http_handler

    known = Path(environment.get("SSL_CERT_FILE") or certifi.where())
    bundle.write_text(known.read_text(encoding="utf-8") + "\n" + authority.read_text(encoding="utf-8"), encoding="utf-8")
    environment["SSL_CERT_FILE"] = str(bundle)
    # Clients that are there already have made up their mind.
    for context in getattr(http_handler, "_ssl_context_cache", {}).values():
        context.load_verify_locations(authority)
