# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who a key of a request belongs to. Needs no LiteLLM; lies beside ``config.yaml`` in the gateway's container."""

from __future__ import annotations

import hashlib
import hmac
import json
import typing as t
from dataclasses import dataclass, field

#: Where clients of the OpenAI, Anthropic, Azure and Google kind put their key.
KEY_HEADERS = frozenset({b"authorization", b"x-api-key", b"api-key", b"x-litellm-api-key", b"x-goog-api-key", b"ocp-apim-subscription-key"})


@dataclass(frozen=True)
class Keys:
    """The master key, and the SHA-256 of each client's key: a client's key itself never reaches the gateway's environment."""

    master_key: str
    clients: t.Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_environment(cls, environment: t.Mapping[str, str]) -> Keys:
        return cls(
            master_key=environment.get("LITELLM_MASTER_KEY", ""),
            clients={str(name): str(digest).lower() for name, digest in json.loads(environment.get("GATEWAY_CLIENT_KEYS") or "{}").items()},
        )

    def is_master(self, key: str) -> bool:
        return bool(self.master_key) and hmac.compare_digest(key.encode(), self.master_key.encode())

    def client_of(self, key: str) -> str | None:
        """The client a key belongs to. Every digest is compared, so the time taken tells nothing."""
        digest = hashlib.sha256(key.encode()).hexdigest()
        found: str | None = None
        for name, expected in self.clients.items():
            if hmac.compare_digest(digest.encode(), expected.encode()):
                found = name
        return found


def strip_bearer(value: str) -> str:
    value = value.strip()
    return value[len("bearer ") :].strip() if value.lower().startswith("bearer ") else value


def offered_keys(headers: t.Iterable[tuple[bytes, bytes]]) -> list[str]:
    """Every key that a request carries, in whatever header."""
    keys = (strip_bearer(value.decode("latin-1")) for name, value in headers if name.lower() in KEY_HEADERS)
    return [key for key in keys if key]
