# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which media a request may name. Needs no LiteLLM."""

from __future__ import annotations

import typing as t
from urllib.parse import urlsplit

from gateway_policy import Policy

IMAGE_TYPES = frozenset({"image_url", "input_image", "image"})
OMITTED = "[an earlier image was left out]"


class MediaRefusedError(ValueError):
    """A request names media that the gateway does not let through."""


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
