# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The authority of a deployment and the certificates of its hosts, kept on the controller beside the keys::

tls-authority.pem   its certificate and its key
gateway-ca.pem      its certificate alone, for whoever is to trust it
tls/HOST.pem        certificate of a host with the authority's behind it, and its key
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

from .certificates import (
    CertificateError,
    Pair,
    is_fresh,
    make_authority,
    make_certificate,
)
from .store import SecretError, SecretStore

FOLDER, AUTHORITY, ALONE = "tls", "tls-authority.pem", "gateway-ca.pem"
_KEY = "-----BEGIN PRIVATE" + " KEY-----"


class Authority:
    """Makes what is missing, and replaces what is near its end; in check mode for this run alone."""

    def __init__(self, directory: Path, *, write: bool = True, renew: bool = True, now: datetime | None = None) -> None:
        self._store = SecretStore(directory, write=write)
        self._renew = renew
        self._now = now or datetime.now(timezone.utc)
        #: Hosts, or C(authority), for which one was made.
        self.made: list[str] = []

    def certificates(self, hosts: Mapping[str, Sequence[str]]) -> tuple[str, dict[str, str]]:
        """The authority's certificate, and of each host certificate and key in one text; C(hosts): their names and addresses."""
        try:
            authority = self._authority()
            if self._store.write and self._store.read(ALONE) != authority.certificate.strip():
                self._store.put(authority.certificate.strip(), ALONE)
            found = {host: self._of(host, names, authority) for host, names in hosts.items()}
        except (OSError, CertificateError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise SecretError(
                f"inference_gateway.tls: can't use {self._store.directory}: {reason}. Check inference_secrets_dir; a file there that "
                "is damaged may go: another one is made."
            ) from error
        return authority.certificate, {host: pair.text for host, pair in found.items()}

    def _authority(self) -> Pair:
        stored = self._read(AUTHORITY)
        if stored is not None:
            return stored
        self.made.append(AUTHORITY)
        made = make_authority(self._now)
        # Two runs at once agree on one.
        return _pair(self._store.create(made.text, AUTHORITY)) if self._store.write else made

    def _of(self, host: str, names: Sequence[str], authority: Pair) -> Pair:
        stored = self._read(FOLDER, f"{host}.pem")
        if stored is not None and (not self._renew or is_fresh(stored, authority, names, self._now)):
            return stored
        self.made.append(host)
        made = make_certificate(authority, names, self._now)
        if self._store.write:
            self._store.put(made.text, FOLDER, f"{host}.pem")
        return made

    def _read(self, *path: str) -> Pair | None:
        text = self._store.read(*path)
        return _pair(text) if text else None


def _pair(text: str) -> Pair:
    certificate, begin, key = text.partition(_KEY)
    if not begin:
        raise CertificateError("a file has no key in it")
    return Pair(certificate, f"{begin}{key.rstrip()}\n")
