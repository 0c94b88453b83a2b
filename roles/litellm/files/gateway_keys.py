# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who a key of a request belongs to, and which keys the servers behind the gateway ask for. Needs no LiteLLM.

All of them are in one file, ``keys.json`` of a folder that is mounted beside ``config.yaml``. It is looked at again for every request, so
that a key is good, or no longer good, from the moment on in which the file is replaced: nothing restarts.

``{"master": [SHA-256, ...], "clients": {NAME: [SHA-256, ...]}, "servers": {ORIGIN: {VARIABLE: [KEY, ...]}}}``: several where one takes the
place of another. ``"limits": {NAME: {"parallel": 4, ...}}`` is beside them where clients have limits,
and ``"redis": {"host": ..., ...}`` where gateways count together.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import typing as t
from dataclasses import dataclass, field, replace
from pathlib import Path

from gateway_quotas import Quota

LOG = logging.getLogger("gateway")
FOLDER = "/etc/litellm-live"
FILE = "keys.json"

#: Where clients of the OpenAI, Anthropic, Azure and Google kind put their key.
KEY_HEADERS = frozenset({b"authorization", b"x-api-key", b"api-key", b"x-litellm-api-key", b"x-goog-api-key", b"ocp-apim-subscription-key"})

#: By the origin of a server and the variable that the configuration names: the keys that it may ask for, the new one first.
Servers = t.Mapping[str, t.Mapping[str, tuple[str, ...]]]


def _texts(value: t.Any) -> tuple[str, ...]:
    return tuple(str(item) for item in value or ())


@dataclass(frozen=True)
class Known:
    """The content of the file. Of callers the gateway knows the SHA-256 of their keys and no key."""

    masters: tuple[str, ...] = ()
    clients: t.Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    servers: Servers = field(default_factory=dict, repr=False)
    limits: t.Mapping[str, Quota] = field(default_factory=dict)
    #: Where gateways count together: host, port, db, username, ssl, and the variable with the password.
    redis: t.Mapping[str, t.Any] | None = None

    @classmethod
    def from_document(cls, document: t.Mapping[str, t.Any]) -> Known:
        return cls(
            limits={str(name): Quota.from_mapping(quota) for name, quota in (document.get("limits") or {}).items()},
            redis=document.get("redis"),
            masters=_texts(document.get("master")),
            clients={str(name): _texts(digests) for name, digests in (document.get("clients") or {}).items()},
            servers={
                str(origin): {str(variable): _texts(keys) for variable, keys in variables.items()}
                for origin, variables in (document.get("servers") or {}).items()
            },
        )


def kept_servers(old: Servers, new: Servers) -> Servers:
    """The new keys, and behind them those that were there before.

    A server takes a new key when it restarts, and not when the file is replaced. Until then it asks for the one that is no longer there.
    """
    found = {origin: dict(variables) for origin, variables in new.items()}
    for origin, variables in old.items():
        for variable, keys in variables.items():
            mine = found.setdefault(origin, {}).get(variable, ())
            found[origin][variable] = (*mine, *(key for key in keys if key not in mine))[: len(mine) + 2]
    return found


class Keys:
    """The keys that are good now."""

    def __init__(self, path: Path | None = None, known: Known | None = None) -> None:
        self._path = path
        self._known = known or Known()
        self._seen: tuple[int, int, int] | None = None
        if path is not None and path.parent.is_dir():
            # Where there is the folder there is the file: without it nobody could use the gateway, so it had better not start.
            try:
                self._read(path, self._look(path))
            except (ValueError, AttributeError, TypeError) as error:
                # Not what stands in it: these are keys.
                raise ValueError(f"{path} is not what the role litellm writes ({type(error).__name__}); run the playbook again") from None

    @classmethod
    def from_environment(cls, environment: t.Mapping[str, str]) -> Keys:
        return cls(Path(environment.get("GATEWAY_LIVE_FOLDER") or FOLDER) / FILE)

    @classmethod
    def from_document(cls, document: t.Mapping[str, t.Any]) -> Keys:
        return cls(known=Known.from_document(document))

    @staticmethod
    def _look(path: Path) -> tuple[int, int, int]:
        found = path.stat()
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _read(self, path: Path, seen: tuple[int, int, int]) -> None:
        known = Known.from_document(json.loads(path.read_text(encoding="utf-8")))
        self._known = replace(known, servers=kept_servers(self._known.servers, known.servers))
        self._seen = seen

    @property
    def known(self) -> Known:
        if self._path is not None:
            try:
                seen = self._look(self._path)
                if seen != self._seen:
                    self._read(self._path, seen)
            except (OSError, ValueError, AttributeError, TypeError) as error:
                # A file that cannot be read is nothing that a client or an operator has said: what was good stays good.
                if self._seen is not None:
                    LOG.error("the keys of the gateway cannot be read again: %s", type(error).__name__)
        return self._known

    def is_master(self, key: str) -> bool:
        return _is_among(key, self.known.masters)

    def client_of(self, key: str) -> str | None:
        """The client a key belongs to. Every digest is compared, so the time taken tells nothing."""
        found: str | None = None
        for name, digests in self.known.clients.items():
            if _is_among(key, digests):
                found = name
        return found

    def quota_of(self, client: str) -> Quota | None:
        return self.known.limits.get(client)

    @property
    def redis(self) -> t.Mapping[str, t.Any] | None:
        return self.known.redis

    @property
    def servers(self) -> Servers:
        return self.known.servers


def _is_among(key: str, digests: t.Iterable[str]) -> bool:
    digest = hashlib.sha256(key.encode()).hexdigest().encode()
    return sum(hmac.compare_digest(digest, expected.lower().encode()) for expected in digests) > 0


def strip_bearer(value: str) -> str:
    value = value.strip()
    return value[len("bearer ") :].strip() if value.lower().startswith("bearer ") else value


def offered_keys(headers: t.Iterable[tuple[bytes, bytes]]) -> list[str]:
    """Every key that a request carries, in whatever header."""
    keys = (strip_bearer(value.decode("latin-1")) for name, value in headers if name.lower() in KEY_HEADERS)
    return [key for key in keys if key]
