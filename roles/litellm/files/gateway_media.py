# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which media a request may name, and how many images it may carry. Needs no LiteLLM.

The same rule judges a request twice: as the client sent it (``gateway_requests``) and as it leaves for an engine (``gateway_exit``).
It doesn't rely on the type that a content part claims to have: vLLM takes ``image_url`` from a part of type ``text`` once the part has
a ``uuid``. What counts is the name under which a value stands, at any depth:

- under a name of media every text has to be an allowed address, a ``data:`` URL, or bare base64;
- under a name of text (``content``, ``prompt``, ...) every text goes on;
- under any other name a text goes on unless it reads like an address: then it has to be an allowed one.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway_policy import Policy

Path = tuple[str, ...]

#: Names whose texts an engine or LiteLLM fetches (vLLM 0.32 ``renderers/chat_utils.py``, OpenAI, Anthropic, Ollama).
ADDRESS_KEYS = frozenset(
    {"image_url", "video_url", "audio_url", "file_url", "document_url", "server_url", "input_image", "input_video", "url", "uri"}
)
#: Names of media that are sent along: base64, or an id.
DATA_KEYS = frozenset(
    {
        *("image", "images", "image_pil", "image_embeds", "video", "videos", "video_embeds", "audio", "audios", "audio_embeds"),
        *("input_audio", "prompt_embeds", "file", "files", "file_data", "file_id", "b64_json"),
    }
)
#: Inside media, and otherwise harmless: how to read it, or what it is called.
LABEL_KEYS = frozenset({"detail", "filename", "format", "id", "media_type", "mime_type", "name", "title", "transcript", "type", "uuid"})
#: Names whose texts are read by the model, never fetched.
TEXT_KEYS = frozenset(
    {
        *("content", "text", "input", "prompt", "suffix", "system", "instructions", "query", "queries", "documents", "instruction"),
        *("thinking", "reasoning", "reasoning_content", "refusal", "summary", "arguments", "output", "description", "name", "title"),
        *("context", "stop", "stop_sequences", "bad_words", "hotwords", "user", "safety_identifier", "signature", "chat_template"),
        *("text_1", "text_2", "partial_json", "input_text", "output_text", "user_id", "prompt_cache_key", "cache_salt"),
        *("encrypted_content", "pattern"),
    }
)
#: Names below which there are the model's own words or notes, wherever they stand.
OPAQUE_KEYS = frozenset({"annotations", "citations", "logprobs"})
#: Top-level names whose values shape the answer's grammar, or are notes of the client.
OPAQUE_ROOTS = frozenset(
    {"response_format", "structured_outputs", "guided_json", "guided_regex", "guided_choice", "guided_grammar", "logit_bias", "metadata"}
)
#: Names below which there are schemas, where they stand in the definition of a tool or of a format.
SCHEMA_KEYS = frozenset({"parameters", "input_schema", "output_schema", "schema", "input_examples", "definition", "json_schema"})
SCHEMA_ROOTS = frozenset({"tools", "functions", "text", "output_format", "output_config"})
#: Calls of tools that a client sends back: their arguments are the model's own words.
TOOL_CALL_TYPES = frozenset({"tool_use", "server_tool_use", "mcp_tool_use", "function_call", "custom_tool_call", "mcp_call"})
IMAGE_TYPES = frozenset({"image_url", "input_image", "image", "image_pil", "image_embeds", "computer_screenshot"})
IMAGE_KEYS = frozenset({"image_url", "input_image", "image_pil", "image_embeds"})
#: Below these an image is none for an engine.
_NO_IMAGES = OPAQUE_ROOTS | OPAQUE_KEYS | SCHEMA_KEYS | (SCHEMA_ROOTS - {"text"}) | {"arguments"}
FILE_TYPES = frozenset({"file", "input_file", "document"})
#: An engine's own way to have it connect to another machine.
ENGINE_ADDRESS_PARAMETERS = frozenset({"kv_transfer_params", "ec_transfer_params"})
OMITTED = "[an earlier image was left out]"

_ADDRESS = re.compile(r"[\s\x00-\x20]*(?:[A-Za-z][A-Za-z0-9+.-]*:[\\/]{2}|[\\/]{2}|(?:data|file|https?|ftp)[\s\x00-\x20]*:)", re.IGNORECASE)
#: What every program takes for the same host. hostname is in lower case already, and without the brackets of IPv6.
_HOST = re.compile(r"[a-z0-9_.-]+|[0-9a-f:.]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/=_\s-]*")


class MediaRefusedError(ValueError):
    """A request names media that the gateway does not let through."""


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
    if any(character <= " " or character in "\\#\x7f" for character in url):
        raise MediaRefusedError(f"media address {_shorten(url)!r} holds blanks, control characters, backslashes or #")
    try:
        parsed = urlsplit(url)
        host = parsed.hostname or ""
    except ValueError:
        raise MediaRefusedError(f"media address {_shorten(url)!r} is not a valid URL") from None
    if "@" in parsed.netloc:
        raise MediaRefusedError("media addresses with a user name or password are refused")
    if _HOST.fullmatch(host) is None:
        raise MediaRefusedError(f"media address {_shorten(url)!r} has no plain host name")
    if not _domain_allowed(host, policy.allowed_domains):
        allowed = ", ".join(policy.allowed_domains) or "none"
        raise MediaRefusedError(
            f"media from {host!r} is not allowed at this gateway (allowed: {allowed}). Send the file itself as a data: URL, "
            "or have the domain added to inference_gateway.media.allowed_domains"
        )


def looks_like_address(text: str) -> bool:
    return _ADDRESS.match(text) is not None


def _check_data(text: str, policy: Policy) -> None:
    """Bare base64, or an id such as ``file-123``. Anything else has to be an allowed address."""
    if looks_like_address(text) or _BASE64.fullmatch(text) is None:
        check_url(text, policy)
    elif not policy.allow_data and len(text) > 64:
        raise MediaRefusedError("media inside the request is switched off at this gateway")


def _is_of(node: t.Mapping[str, t.Any], types: t.Collection[str]) -> bool:
    """Whether an object is of one of these types. A client may send anything for a type, an object too."""
    kind = node.get("type")
    return isinstance(kind, str) and kind in types


def _walk_media(value: t.Any, policy: Policy, *, address: bool) -> None:
    """A value under a name of media: every text in it is judged."""
    if isinstance(value, str):
        (check_url if address else _check_data)(value, policy)
    elif isinstance(value, list):
        for item in value:
            _walk_media(item, policy, address=address)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in LABEL_KEYS and isinstance(item, str):
                if looks_like_address(item):
                    check_url(item, policy)
            else:
                _walk_media(item, policy, address=key in ADDRESS_KEYS)


def _walk_source(part: t.Mapping[str, t.Any], policy: Policy) -> None:
    """Anthropic's ``source``: an address, data, an id, or plain text; of a search result, its name."""
    source = part["source"]
    if not isinstance(source, dict):
        if part.get("type") != "search_result":
            _walk_media(source, policy, address=False)
    elif source.get("type") == "text" and isinstance(source.get("data"), str) and not looks_like_address(source["data"]):
        _walk_media({**source, "data": ""}, policy, address=False)
    elif source.get("type") == "content":
        _walk(source, (), policy)
    else:
        _walk_media(source, policy, address=False)


def _walk_mapping(node: t.Mapping[str, t.Any], path: Path, policy: Policy) -> None:
    for key, value in node.items():
        root = path[0] if path else key
        if key in OPAQUE_KEYS or (not path and key in OPAQUE_ROOTS) or (path and root in SCHEMA_ROOTS and key in SCHEMA_KEYS):
            continue
        if (key == "input" and _is_of(node, TOOL_CALL_TYPES)) or (key == "arguments" and path):
            continue
        if root == "documents" and isinstance(value, str) and key in ("file", "source", "uri", "url"):
            continue  # Where a document that the model is to read comes from is a text like any other.
        if key == "source":
            _walk_source(node, policy)
        elif key in ADDRESS_KEYS:
            _walk_media(value, policy, address=True)
        elif key in DATA_KEYS:
            _walk_media(value, policy, address=False)
        else:
            _walk(value, (*path, key), policy)


def _walk(value: t.Any, path: Path, policy: Policy) -> None:
    if isinstance(value, dict):
        _walk_mapping(value, path, policy)
    elif isinstance(value, list):
        for item in value:
            _walk(item, path, policy)
    elif isinstance(value, str) and path[-1] not in TEXT_KEYS and path[0] != "documents" and looks_like_address(value):
        check_url(value, policy)


def check_media(body: t.Mapping[str, t.Any], policy: Policy) -> None:
    """Raise unless every address in a body, whatever its route, may be fetched."""
    for name in ENGINE_ADDRESS_PARAMETERS:
        if body.get(name) is not None:
            raise MediaRefusedError(f"{name} would have the engine connect to a machine of the client's choice")
    _walk_mapping(body, (), policy)


@dataclass(frozen=True)
class _Image:
    """Where an image stands: its list and the part, or no list where it can't be taken out by itself."""

    parts: list[t.Any] | None
    part: t.Any


def _is_image(part: t.Any) -> bool:
    if not isinstance(part, dict):
        return False
    if _is_of(part, IMAGE_TYPES) or any(part.get(key) is not None for key in IMAGE_KEYS):
        return True
    return _is_of(part, FILE_TYPES) and _holds_image(part)


def _holds_image(node: t.Any) -> bool:
    """Whether a file says of itself that it is an image."""
    if isinstance(node, dict):
        return any(_holds_image(value) for value in node.values())
    return isinstance(node, str) and node[:40].strip().lower().startswith(("data:image/", "image/"))


def _images(node: t.Any, key: str = "", parts: list[t.Any] | None = None) -> t.Iterator[_Image]:
    """Every image of a body, oldest first."""
    if _is_image(node) or (key == "images" and isinstance(node, str)):
        yield _Image(parts, node)
    elif isinstance(node, dict):
        for name, value in node.items():
            if name not in _NO_IMAGES:
                yield from _images(value, name)
    elif isinstance(node, list):
        for item in node:
            yield from _images(item, key, node)


def count_images(body: t.Mapping[str, t.Any]) -> int:
    return sum(1 for _image in _images(body))


def trim_images(body: t.Mapping[str, t.Any], limit: int | None) -> int:
    """Keep the latest ``limit`` images of a request, in place; the number taken out. Raise where too many are left."""
    if limit is None or limit < 0:
        return 0
    found = list(_images(body))
    surplus = len(found) - limit
    removable = [image for image in found if image.parts is not None][: max(surplus, 0)]
    for image in removable:
        assert image.parts is not None  # noqa: S101 -- for the type checker
        position = next(index for index, part in enumerate(image.parts) if part is image.part)
        if len(image.parts) > 1 or isinstance(image.part, str):
            del image.parts[position]
        else:
            kind = "input_text" if image.part.get("type") == "input_image" else "text"
            image.parts[position] = {"type": kind, "text": OMITTED}
    if surplus > len(removable):
        raise MediaRefusedError(f"this model takes at most {limit} images in a request")
    return len(removable)
