# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules of the gateway that need no LiteLLM: who a key belongs to, what a client may call, which media a request may name.

Lies beside ``config.yaml`` in the gateway's container; the plug-ins ``gateway_auth`` and ``gateway_hooks`` hand over to it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import typing as t
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

#: Answer without a key: they say that the gateway is up, nothing more.
PUBLIC_PATHS = frozenset({"/health/liveliness", "/health/liveness", "/health/readiness", "/health_check"})
#: Where clients of the OpenAI, Anthropic, Azure and Google kind put their key.
KEY_HEADERS = frozenset({b"authorization", b"x-api-key", b"api-key", b"x-litellm-api-key", b"x-goog-api-key", b"ocp-apim-subscription-key"})
IMAGE_TYPES = frozenset({"image_url", "input_image", "image"})
OMITTED = "[an earlier image was left out]"


class MediaRefusedError(ValueError):
    """A request names media that the gateway does not let through."""


@dataclass(frozen=True)
class Policy:
    max_images: t.Mapping[str, int] = field(default_factory=dict)
    allow_data: bool = True
    allowed_domains: tuple[str, ...] = ()
    client_routes: tuple[str, ...] = ()

    @classmethod
    def from_mapping(cls, data: t.Mapping[str, t.Any]) -> Policy:
        media = data.get("media") or {}
        return cls(
            max_images={str(name): int(limit) for name, limit in (data.get("max_images") or {}).items()},
            allow_data=bool(media.get("allow_data", True)),
            allowed_domains=tuple(str(domain).lower() for domain in media.get("allowed_domains") or ()),
            client_routes=tuple(data.get("client_routes") or ()),
        )

    @classmethod
    def load(cls, path: Path) -> Policy:
        if not path.exists():
            return cls()
        return cls.from_mapping(json.loads(path.read_text(encoding="utf-8")))


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


@dataclass(frozen=True)
class Refusal:
    status: int
    message: str


def _offered(headers: t.Iterable[tuple[bytes, bytes]]) -> list[str]:
    keys = (strip_bearer(value.decode("latin-1")) for name, value in headers if name.lower() in KEY_HEADERS)
    return [key for key in keys if key]


def wants_plain_health(path: str, headers: t.Iterable[tuple[bytes, bytes]], keys: Keys) -> bool:
    """Whether ``/health`` is asked by somebody else than the holder of the master key.

    LiteLLM's report sends a request to every engine. Client programs mean whether the gateway is up, and many ask without a key.
    """
    if path != "/health":
        return False
    offered = _offered(headers)
    return not any(map(keys.is_master, offered)) and (not offered or any(map(keys.client_of, offered)))


def refusal(path: str, headers: t.Iterable[tuple[bytes, bytes]], keys: Keys, policy: Policy) -> Refusal | None:
    """Why a request goes no further, or None. All but the health paths needs a key, also what LiteLLM leaves open (its login pages)."""
    if path in PUBLIC_PATHS:
        return None
    offered = _offered(headers)
    if not offered:
        return Refusal(401, "No API key. Send it as 'Authorization: Bearer <key>'.")
    if any(keys.is_master(key) for key in offered):
        return None
    client = next((name for name in map(keys.client_of, offered) if name is not None), None)
    if client is None:
        return Refusal(401, "This API key is not known to the gateway.")
    if not client_may_call(path, policy.client_routes):
        return Refusal(403, f"The key of client {client!r} is for inference only; {path} needs the master key.")
    return None


def client_may_call(path: str, routes: t.Iterable[str]) -> bool:
    """Whether a client key is good for this path, with or without ``/v1`` (``/v2`` for rerank) in front."""
    path = path.rstrip("/") or "/"
    if ".." in path.split("/"):
        return False
    candidates = {path}
    for version in ("/v1", "/v2"):
        if path.startswith(version + "/"):
            candidates.add(path[len(version) :])
    for route in routes:
        for candidate in candidates:
            if candidate == route or (route.endswith("/*") and candidate.startswith(route[:-1])):
                return True
    return False


def _parts(data: t.Mapping[str, t.Any]) -> t.Iterator[list[t.Any]]:
    """Every list of content parts in a chat, responses or messages request, oldest first."""
    for key in ("messages", "input"):
        messages = data.get(key)
        if not isinstance(messages, list):
            continue
        for message in messages:
            content = message.get("content") if isinstance(message, dict) else None
            if isinstance(content, list):
                yield content


def _is_image(part: t.Any) -> bool:
    return isinstance(part, dict) and part.get("type") in IMAGE_TYPES


def trim_images(data: t.MutableMapping[str, t.Any], limit: int | None) -> int:
    """Keep the latest ``limit`` images of a request, in place; the number taken out."""
    if limit is None or limit < 0:
        return 0
    lists = list(_parts(data))
    surplus = sum(1 for parts in lists for part in parts if _is_image(part)) - limit
    removed = 0
    for parts in lists:
        kept: list[t.Any] = []
        for part in parts:
            if removed < surplus and _is_image(part):
                removed += 1
                continue
            kept.append(part)
        if len(kept) != len(parts):
            parts[:] = kept or [{"type": "text", "text": OMITTED}]
    return removed


def _urls(node: t.Any) -> t.Iterator[str]:
    """The media addresses in one content part, tool results and nested content included."""
    if isinstance(node, list):
        for item in node:
            yield from _urls(item)
        return
    if not isinstance(node, dict):
        return
    for key in ("image_url", "video_url", "audio_url", "file_url"):
        value = node.get(key)
        if isinstance(value, dict):
            value = value.get("url")
        if isinstance(value, str):
            yield value
    file = node.get("file")
    if isinstance(file, dict) and "://" in str(file.get("file_id")):
        yield str(file["file_id"])
    source = node.get("source")
    if isinstance(source, dict) and isinstance(source.get("url"), str):
        yield source["url"]
    yield from _urls(node.get("content"))


def _shorten(url: str) -> str:
    return url if len(url) <= 80 else url[:77] + "..."


def _domain_allowed(host: str, allowed: t.Iterable[str]) -> bool:
    host = host.rstrip(".").lower()
    return any(domain in ("*", host) or (domain.startswith("*.") and host.endswith(domain[1:])) for domain in allowed)


def check_url(url: str, policy: Policy) -> None:
    scheme = url.split(":", 1)[0].strip().lower() if ":" in url else ""
    if scheme == "data":
        if not policy.allow_data:
            raise MediaRefusedError("media inside the request (data: URLs) is switched off at this gateway")
        return
    if scheme not in ("http", "https"):
        raise MediaRefusedError(f"media address {_shorten(url)!r} is neither a data: URL nor http(s)")
    # Programs differ in how they read these: what is checked here must be what is fetched later.
    if any(character <= " " or character == "\\" or character == "\x7f" for character in url):
        raise MediaRefusedError(f"media address {_shorten(url)!r} holds blanks, control characters or backslashes")
    try:
        parsed = urlsplit(url)
        host = parsed.hostname or ""
    except ValueError:
        raise MediaRefusedError(f"media address {_shorten(url)!r} is not a valid URL") from None
    if "@" in parsed.netloc:
        raise MediaRefusedError("media addresses with a user name or password are refused")
    if not _domain_allowed(host, policy.allowed_domains):
        allowed = ", ".join(policy.allowed_domains) or "none"
        raise MediaRefusedError(
            f"media from {host!r} is not allowed at this gateway (allowed: {allowed}). Send the file itself as a data: URL, "
            "or have the domain added to inference_gateway.media.allowed_domains"
        )


def check_media(data: t.Mapping[str, t.Any], policy: Policy) -> None:
    for parts in _parts(data):
        for url in _urls(parts):
            check_url(url, policy)
