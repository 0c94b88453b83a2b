# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Ask an OpenAI-compatible endpoint how ready it is, and say why when it is not.

Without third-party packages (Python 3.9), because it runs in three places: in the module endpoint_ready, in the launcher on the node, and
inside the gateway's container, where it sees what the gateway sees.
"""

from __future__ import annotations

import base64
import io
import json
import math
import re
import struct
import threading
import time
import typing as t
import urllib.parse
import wave
import zlib
from dataclasses import asdict, dataclass, replace

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe_http import (
        Reply,
        Request,
        Transport,
        TransportError,
        speaks_tls,
        urllib_transport,
    )
except ImportError:  # on the node the files lie side by side
    from _probe_http import (  # type: ignore[import-not-found,no-redef]
        Reply,
        Request,
        Transport,
        TransportError,
        speaks_tls,
        urllib_transport,
    )


#: From weakest to strongest: HTTP answers; health is 200; the expected model is listed; one real request was answered.
LEVELS: tuple[str, ...] = ("open", "health", "model", "answer")
CAPABILITIES: tuple[str, ...] = ("chat", "embedding", "rerank", "transcription")
#: OpenAI's API, with Jina's rerank; or that of Text Embeddings Inference, which lists no models and wants C(texts) to rank.
DIALECTS: tuple[str, ...] = ("openai", "tei")

#: The light requests never take as long as a first generation may.
LIGHT_TIMEOUT = 10.0


@dataclass(frozen=True)
class Endpoint:
    name: str
    base_url: str  # the API's root, with /v1 where the server has one
    health_path: str = "/health"  # at the server's root; empty: the server has none
    level: str = "answer"
    capability: str = "chat"
    modalities: tuple[str, ...] = ()
    model: str | None = None
    api_key: str | None = None
    dimension: int | None = None
    validate_certs: bool = True
    ca_path: str | None = None
    ca: str | None = None  # authorities to trust beside the others, as PEM
    further_models: tuple[str, ...] = ()  # that must be listed beside the model
    speaks: str = "openai"

    @classmethod
    def from_mapping(cls, data: t.Mapping[str, t.Any]) -> Endpoint:
        known = {key: value for key, value in data.items() if key in cls.__dataclass_fields__ and value is not None}
        known.update({key: tuple(known.get(key) or ()) for key in ("modalities", "further_models")})
        return cls(**known)


@dataclass(frozen=True)
class Observation:
    ok: bool
    level_reached: str | None = None
    cause: str | None = None
    message: str = ""
    certain: bool = False  # waiting will not mend it
    latency: float | None = None  # seconds of the last request
    models: tuple[str, ...] = ()
    dimension: int | None = None


# --- what is sent ----------------------------------------------------------------------------------------------------


def tiny_png(side: int = 64) -> bytes:
    """A white square with a black one in it. Vision encoders refuse images of a few pixels."""
    row = bytearray()
    third = side // 3
    for y in range(side):
        row.append(0)
        for x in range(side):
            row += b"\x00\x00\x00" if third <= x < 2 * third and third <= y < 2 * third else b"\xff\xff\xff"

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) & 0xFFFFFFFF)

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(row), 9)) + chunk(b"IEND", b"")


def tiny_wav(seconds: float = 1.0, rate: int = 16000) -> bytes:
    """A tone, 16 kHz mono: the one format every speech engine reads without further packages."""
    count = int(seconds * rate)
    frames = struct.pack(f"<{count}h", *(int(6000 * math.sin(2 * math.pi * 440 * n / rate)) for n in range(count)))
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(frames)
    return buffer.getvalue()


def multipart(fields: t.Mapping[str, str], filename: str, content: bytes, content_type: str) -> tuple[bytes, str]:
    boundary = "gpu-inference-probe-7b4a1c9e2d"
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()]
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\nContent-Type: {content_type}\r\n\r\n'
    body = "".join(parts).encode() + head.encode() + content + (f"\r\n--{boundary}--\r\n").encode()
    return body, f"multipart/form-data; boundary={boundary}"


def answer_request(endpoint: Endpoint, model: str) -> tuple[str, bytes, str]:
    """Path below the base URL, body and content type of one tiny real request."""
    if endpoint.capability == "transcription":
        body, content_type = multipart({"model": model, "response_format": "json"}, "probe.wav", tiny_wav(), "audio/wav")
        return "/audio/transcriptions", body, content_type
    path, data = "/chat/completions", t.cast("dict[str, t.Any]", {"model": model})
    if endpoint.capability == "embedding":
        path, data["input"] = "/embeddings", "Is it ready?"
    elif endpoint.capability == "rerank":
        documents = "texts" if endpoint.speaks == "tei" else "documents"
        path, data["query"], data[documents] = "/rerank", "Is it ready?", ["Yes, it is.", "The sea is blue."]
    else:
        content: t.Any = "Say ok."
        if "image" in endpoint.modalities:
            url = "data:image/png;base64," + base64.b64encode(tiny_png()).decode()
            content = [{"type": "text", "text": content}, {"type": "image_url", "image_url": {"url": url}}]
        data["messages"] = [{"role": "user", "content": content}]
        data["max_tokens"] = 2
    return path, json.dumps(data).encode(), "application/json"


def _is_number(value: t.Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def judge_answer(endpoint: Endpoint, data: t.Any) -> tuple[str | None, int | None]:
    """What is wrong with the answer to the tiny request (None: nothing), and the dimension of an embedding."""
    if endpoint.speaks == "tei" and endpoint.capability == "rerank":
        ranked = isinstance(data, list) and data and all(isinstance(row, dict) and _is_number(row.get("score")) for row in data)
        return (None if ranked else "the answer holds no scores"), None
    if not isinstance(data, dict):
        return "the answer is not a JSON object", None
    if endpoint.capability == "embedding":
        rows = data.get("data")
        vector = rows[0].get("embedding") if isinstance(rows, list) and rows and isinstance(rows[0], dict) else None
        if not isinstance(vector, list) or not vector or not all(_is_number(one) for one in vector):
            return "the answer holds no vector of numbers", None
        if not any(vector):
            return "the embedding consists of zeros", len(vector)
        if endpoint.dimension and endpoint.dimension != len(vector):
            return f"the embedding has {len(vector)} dimensions, expected {endpoint.dimension}", len(vector)
        return None, len(vector)
    if endpoint.capability == "rerank":
        results = data.get("results")
        if (
            not isinstance(results, list)
            or not results
            or not all(isinstance(r, dict) and _is_number(r.get("relevance_score")) for r in results)
        ):
            return "the answer holds no relevance scores", None
        return None, None
    if endpoint.capability == "transcription":
        return (None if isinstance(data.get("text"), str) else "the answer holds no text"), None
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict) or not isinstance(choices[0].get("message"), dict):
        return "the answer holds no choices", None
    return None, None


# --- the probe -------------------------------------------------------------------------------------------------------


class _NotReadyError(Exception):
    def __init__(self, cause: str, message: str, certain: bool = False) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message
        self.certain = certain


@dataclass
class _Probing:
    endpoint: Endpoint
    transport: Transport
    timeout: float
    reached: str | None = None
    latency: float | None = None
    models: tuple[str, ...] = ()
    dimension: int | None = None

    def ask(self, method: str, url: str, body: bytes | None = None, content_type: str | None = None) -> Reply:
        headers = {"Accept": "application/json", "User-Agent": "llmops-gpu-inference-probe", "Connection": "close"}
        if self.endpoint.api_key:
            headers["Authorization"] = "Bearer " + self.endpoint.api_key
        if content_type:
            headers["Content-Type"] = content_type
        timeout = self.timeout if body is not None else min(self.timeout, LIGHT_TIMEOUT)
        request = Request(method, url, headers, body, timeout, self.endpoint.validate_certs, self.endpoint.ca_path, self.endpoint.ca)
        began = time.monotonic()
        try:
            reply = self.transport(request)
        except TransportError as exc:
            raise self.no_answer(exc, method, url, timeout) from exc
        self.latency = round(time.monotonic() - began, 4)
        if self.reached is None:
            self.reached = "open"
        self.refuse_wrong_scheme(method, url, reply)
        return reply

    def no_answer(self, exc: TransportError, method: str, url: str, timeout: float) -> _NotReadyError:
        parts = urllib.parse.urlsplit(url)
        tried = f"{method} {url}"
        if exc.cause == "dns":
            # A container's name resolves only while it runs; a full name that does not exist will not appear.
            certain = exc.certain and "." in (parts.hostname or "").rstrip(".")
            return _NotReadyError("dns", f"{tried}: the host name {parts.hostname} cannot be resolved ({exc.detail})", certain)
        if exc.cause == "timeout":
            return _NotReadyError("timeout", f"{tried}: {exc.detail} (limit {timeout:.0f} s)")
        if exc.cause == "tls_mismatch":
            if "does not speak TLS" in exc.detail:
                return _NotReadyError(
                    "tls_mismatch",
                    f"{tried}: the base URL says https, but the server speaks plain http; use http://{parts.netloc}",
                    True,
                )
            return _NotReadyError("tls_mismatch", f"{tried}: {exc.detail}", exc.certain)
        if exc.cause in ("closed", "not_http") and parts.scheme == "http" and speaks_tls(url, min(timeout, 3.0)):
            return _NotReadyError(
                "tls_mismatch", f"{tried}: the base URL says http, but the server speaks https; use https://{parts.netloc}", True
            )
        if exc.cause == "not_http":
            return _NotReadyError("not_openai", f"{tried}: {exc.detail}; another program holds this port", True)
        return _NotReadyError("refused", f"{tried}: {exc.detail}")

    def refuse_wrong_scheme(self, method: str, url: str, reply: Reply) -> None:
        parts = urllib.parse.urlsplit(url)
        told = reply.text(400).lower()
        spoke_plain = reply.status == 400 and ("http request was sent to https port" in told or "http request to an https server" in told)
        redirected = 300 <= reply.status < 400 and parts.scheme == "http" and reply.location.startswith("https:")
        if spoke_plain or redirected:
            message = f"{method} {url}: the base URL says http, but the server wants https; use https://{parts.netloc}"
            raise _NotReadyError("tls_mismatch", message, True)

    def quote(self, reply: Reply) -> str:
        text = reply.text()
        if self.endpoint.api_key:
            text = text.replace(self.endpoint.api_key, "********")
        return f"HTTP {reply.status}" + (f", {text}" if text else "")

    def refuse_key(self, method: str, url: str, reply: Reply) -> None:
        """401 and 403, and what LiteLLM without a database says instead."""
        told = reply.text(2000).lower()
        if reply.status in (401, 403) or (reply.status == 400 and "no connected db" in told) or (reply.status == 500 and "prisma" in told):
            how = "the key was refused" if self.endpoint.api_key else "a key is required and none was given"
            raise _NotReadyError("auth", f"{method} {url}: {how} ({self.quote(reply)})", True)

    def health(self, last: bool) -> None:
        parts = urllib.parse.urlsplit(self.endpoint.base_url)
        path = self.endpoint.health_path
        if not path and not last:
            return
        url = "{}://{}/{}".format(parts.scheme, parts.netloc, path.lstrip("/")) if path else self.endpoint.base_url
        reply = self.ask("GET", url)
        if 200 <= reply.status < 300:
            self.reached = "health"
        elif self.endpoint.level != "open" and (last or reply.status >= 500):
            # A server may have no health path (404) and still list its models: that says more than a health path does.
            raise _NotReadyError("bad_answer", f"GET {url}: not healthy ({self.quote(reply)})")

    def model(self) -> str:
        if self.endpoint.speaks == "tei":
            # It has one model, and asks nobody for its name.
            self.reached = "model"
            return self.endpoint.model or ""
        base = self.endpoint.base_url.rstrip("/")
        url = base + "/models"
        reply = self.ask("GET", url)
        self.refuse_key("GET", url, reply)
        if reply.status in (404, 405) or (300 <= reply.status < 400):
            raise self.wrong_path(base, url, reply)
        if reply.status != 200:
            raise _NotReadyError("bad_answer", f"GET {url}: {self.quote(reply)}")
        data = reply.json()
        rows = data.get("data") if isinstance(data, dict) else None
        if not isinstance(rows, list):
            raise _NotReadyError(
                "not_openai", f"GET {url}: the answer is not a list of models ({self.quote(reply)})", self.reached == "health"
            )
        rows = [row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]
        self.models = tuple(row["id"] for row in rows)
        wanted = self.endpoint.model
        names = [name for name in (wanted, *self.endpoint.further_models) if name is not None]
        absent = [name for name in names if not {name, f"{name}:latest"} & set(self.models)]
        if self.models and not absent:
            self.reached = "model"
            return self.models[0] if wanted is None else wanted
        # Ollama lists a model as soon as it was pulled, and an empty list may still fill.
        may_come = not rows or any(row.get("owned_by") == "library" for row in rows)
        listed = ", ".join(self.models[:12]) + (", ..." if len(self.models) > 12 else "") if self.models else "none"
        raise _NotReadyError(
            "wrong_model",
            "GET {}: the model {} is not served there; served: {}".format(url, (absent or ["(any)"])[0], listed),
            not may_come,
        )

    def wrong_path(self, base: str, url: str, reply: Reply) -> _NotReadyError:
        message = f"GET {url}: no OpenAI API at this path ({self.quote(reply)})"
        root = re.sub(r"(/v1)+(/(models|chat|chat/completions|completions|embeddings))?$", "", base)
        parts = urllib.parse.urlsplit(base)
        for better in dict.fromkeys((base + "/v1", root + "/v1", f"{parts.scheme}://{parts.netloc}/v1")):
            if better == base:
                continue
            try:
                status = self.ask("GET", better + "/models").status
            except _NotReadyError:
                continue
            if status in (200, 400, 401, 403):
                return _NotReadyError("not_openai", f"{message}; it is at {better}: use that as base URL", True)
        return _NotReadyError("not_openai", message, self.reached == "health")

    def answer(self, model: str) -> None:
        path, body, content_type = answer_request(self.endpoint, model)
        base = self.endpoint.base_url.rstrip("/")
        if self.endpoint.speaks == "tei" and path == "/rerank":
            base = re.sub(r"/v1$", "", base)
        url = base + path
        reply = self.ask("POST", url, body, content_type)
        self.refuse_key("POST", url, reply)
        if reply.status != 200:
            told = reply.text(2000).lower()
            if reply.status == 503 and '"out_of_rotation"' in told:
                # A gateway of ours: somebody has taken all servers of this model out, and waiting brings none back.
                self.reached = "answer"
                return
            if (reply.status == 400 and "invalid model name" in told) or (reply.status == 404 and "does not exist" in told):
                raise _NotReadyError("wrong_model", f"POST {url}: the model {model} is not served there ({self.quote(reply)})", True)
            # 4xx is a verdict on the request, except "too early", "too many" and a timeout on the way.
            certain = 400 <= reply.status < 500 and reply.status not in (408, 425, 429)
            with_image = self.endpoint.capability == "chat" and "image" in self.endpoint.modalities
            what = "chat with an image" if with_image else self.endpoint.capability
            hint = f"this server does not do {what}" if reply.status == 404 else f"{what} failed"
            raise _NotReadyError("bad_answer", f"POST {url}: {hint} ({self.quote(reply)})", certain)
        problem, self.dimension = judge_answer(self.endpoint, reply.json())
        if problem:
            raise _NotReadyError("bad_answer", f"POST {url}: {problem}", "dimensions" in problem)
        self.reached = "answer"


def probe(
    endpoint: Endpoint,
    timeout: float = 10.0,
    level: str | None = None,
    transport: Transport = urllib_transport,
) -> Observation:
    """Climb the levels up to the wanted one, and report how far it went and what stood in the way."""
    endpoint = replace(endpoint, level=level) if level else endpoint
    wanted = LEVELS.index(endpoint.level)
    probing = _Probing(endpoint, transport, timeout)
    try:
        probing.health(last=wanted <= 1)
        if wanted >= 2:
            model = probing.model()
            if wanted >= 3:
                probing.answer(model)
    except _NotReadyError as stop:
        return Observation(
            False, probing.reached, stop.cause, stop.message, stop.certain, probing.latency, probing.models, probing.dimension
        )
    return Observation(True, probing.reached, None, "", False, probing.latency, probing.models, probing.dimension)


def probe_all(
    endpoints: t.Sequence[Endpoint],
    timeout: float = 10.0,
    level: str | None = None,
    transport: Transport = urllib_transport,
) -> list[Observation]:
    """All at once; an endpoint whose name lookup hangs costs its own answer only."""
    results: list[Observation | None] = [None] * len(endpoints)

    def one(number: int) -> None:
        try:
            results[number] = probe(endpoints[number], timeout, level, transport)
        except Exception as exc:
            results[number] = Observation(False, None, "unknown", f"{type(exc).__name__}: {exc}")

    threads = [threading.Thread(target=one, args=(number,), daemon=True) for number in range(len(endpoints))]
    for thread in threads:
        thread.start()
    ends = time.monotonic() + 3 * timeout + 5
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()))
    late = Observation(False, None, "timeout", "the probe itself did not end in time")
    return [result or late for result in results]


def run(request: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """In a container: C(endpoints), C(timeout) and C(level) in, an observation of each endpoint out."""
    endpoints = [Endpoint.from_mapping(one) for one in request["endpoints"]]
    return [asdict(one) for one in probe_all(endpoints, float(request.get("timeout") or 10.0), request.get("level"))]
