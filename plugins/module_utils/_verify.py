# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Ask a gateway for every model by every name, with requests of its capability, and say what came back.

Standard library and Python 3.9 only: the module verify_gateway runs it on a node, and inside a throw-away container on the
clients' network, where it sees what a client sees.
"""

from __future__ import annotations

import base64
import json
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes_base import REMEDIES, Cause
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe import (
        Endpoint,
        _NotReadyError,
        _Probing,
        judge_answer,
        multipart,
        tiny_png,
        tiny_wav,
    )
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe_http import Reply, Transport, urllib_transport
except ImportError:  # in the container the files lie side by side
    from _causes_base import REMEDIES, Cause  # type: ignore[import-not-found,no-redef]
    from _probe import (  # type: ignore[import-not-found,no-redef]
        Endpoint,
        _NotReadyError,
        _Probing,
        judge_answer,
        multipart,
        tiny_png,
        tiny_wav,
    )
    from _probe_http import Reply, Transport, urllib_transport  # type: ignore[import-not-found,no-redef]

#: What the shipped samples show and say.
IMAGE_TEXT = "GPU READY 42"
SPOKEN_TEXT = "the gateway is ready to listen"

_ANSWER_LIMIT = 120
_MAX_TOKENS = 32


@dataclass(frozen=True)
class Target:
    """A model as the gateway is to serve it."""

    name: str
    capability: str = "chat"
    modalities: tuple[str, ...] = ("text",)
    aliases: tuple[str, ...] = ()
    dimension: int | None = None
    required: bool = True

    @classmethod
    def from_mapping(cls, data: t.Mapping[str, t.Any]) -> Target:
        return cls(
            name=data["name"],
            capability=data.get("capability") or "chat",
            modalities=tuple(data.get("modalities") or ("text",)),
            aliases=tuple(data.get("aliases") or ()),
            dimension=data.get("dimension"),
            required=data.get("required") is not False,
        )


@dataclass(frozen=True)
class Check:
    """One request: which model, by which name, and what is to be proved."""

    target: Target
    name: str
    kind: str  # text, stream, image, embedding, rerank, transcription, passthrough, key
    path: str = ""


@dataclass(frozen=True)
class Row:
    """What came of a check."""

    model: str
    name: str
    check: str
    ok: bool
    latency: float | None = None  # seconds
    cause: str | None = None
    message: str = ""
    remedy: str | None = None
    answer: str = ""
    prompt_tokens: int | None = None
    dimension: int | None = None
    recognised: bool | None = None  # whether the answer repeats what the sample shows or says; small models need not
    required: bool = True  # whether it is a failure where it is not ok


@dataclass(frozen=True)
class Passthrough:
    """A path that the gateway forwards as it is, for requests that have no OpenAI form (multimodal embeddings)."""

    path: str
    model: str  # the model of ours behind it
    upstream_model: str  # the name that the engine itself knows it by

    @classmethod
    def from_mapping(cls, data: t.Mapping[str, t.Any]) -> Passthrough:
        return cls(path=data["path"], model=data["model"], upstream_model=data.get("upstream_model") or data["model"])


@dataclass(frozen=True)
class Samples:
    image: bytes
    audio: bytes
    audio_name: str = "speech.wav"
    shipped: bool = True  # whether they are the ones whose text we know


def plan_checks(targets: t.Sequence[Target], passthroughs: t.Sequence[Passthrough] = ()) -> list[Check]:
    """Everything that a model can do by its name, and its main capability by each alias."""
    checks: list[Check] = []
    for target in targets:
        main = _main_check(target)
        if target.capability == "chat":
            checks += [Check(target, target.name, "text"), Check(target, target.name, "stream")]
        if main != "text":
            checks.append(Check(target, target.name, main))
        checks += [Check(target, alias, main) for alias in target.aliases if alias != target.name]
    by_name = {target.name: target for target in targets}
    for passthrough in passthroughs:
        # What another capability takes on a path of its own is not known here.
        if passthrough.model in by_name and by_name[passthrough.model].capability == "embedding":
            checks.append(Check(by_name[passthrough.model], passthrough.upstream_model, "passthrough", passthrough.path))
    if targets:
        checks.append(Check(targets[0], targets[0].name, "key"))
    return checks


def _main_check(target: Target) -> str:
    if target.capability == "chat":
        return "image" if "image" in target.modalities else "text"
    return target.capability


# --- one check -------------------------------------------------------------------------------------------------------


class Verifier:
    """Sends the requests. One per gateway; safe to use from several threads."""

    def __init__(
        self,
        root_url: str,
        api_key: str | None,
        samples: Samples,
        timeout: float = 60.0,
        transport: Transport = urllib_transport,
        ca: str | None = None,
    ) -> None:
        self.root_url = root_url
        self.endpoint = Endpoint(name="gateway", base_url=f"{root_url}/v1", api_key=api_key, ca=ca)
        self.samples = samples
        self.timeout = timeout
        self.transport = transport

    def run(self, check: Check) -> Row:
        # What comes back without a key is the gateway's own doing, whoever serves the model.
        required = check.target.required or check.kind == "key"
        row = Row(model=check.target.name, name=check.name, check=check.kind, ok=True, required=required)
        try:
            return self._checks()[check.kind](check, row)
        except _NotReadyError as stop:
            return failed(row, stop.cause, stop.message)
        except Exception as error:
            return failed(row, "unknown", f"{type(error).__name__}: {error}")

    def _checks(self) -> t.Mapping[str, t.Callable[[Check, Row], Row]]:
        return {
            "text": self._text,
            "stream": self._stream,
            "image": self._image,
            "embedding": self._embedding,
            "rerank": self._rerank,
            "transcription": self._transcription,
            "passthrough": self._passthrough,
            "key": self._key,
        }

    def _text(self, check: Check, row: Row) -> Row:
        data, latency = self._post(check, "/chat/completions", _chat(check.name, "Say in one short sentence that you are ready."))
        return self._chat_row(check, replace(row, latency=latency), data)

    def _stream(self, check: Check, row: Row) -> Row:
        body = {**_chat(check.name, "Count from one to five."), "stream": True}
        reply, latency = self._ask(check, "/chat/completions", json.dumps(body).encode(), "application/json")
        chunks, text, ended, error = read_stream(reply.body)
        row = replace(row, latency=latency, answer=_short(text))
        if error:
            return failed(row, "bad_answer", f"the stream held an error: {_short(error)}")
        if not chunks:
            return failed(row, "bad_answer", f"no stream came back, but {_short(reply.text())!r}")
        if not ended:
            return failed(row, "bad_answer", f"the stream broke off after {chunks} parts, without [DONE]")
        return row

    def _image(self, check: Check, row: Row) -> Row:
        prompt = "Read the text in the image. Answer with the text alone."
        url = "data:image/png;base64," + base64.b64encode(self.samples.image).decode()
        content = [{"type": "text", "text": prompt}, {"type": "image_url", "image_url": {"url": url}}]
        data, latency = self._post(check, "/chat/completions", _chat(check.name, content))
        row = self._chat_row(check, replace(row, latency=latency), data)
        if not row.ok:
            return row
        if self.samples.shipped:
            row = replace(row, recognised=_words(IMAGE_TEXT) <= _words(_content(data)))
        bare, _latency = self._post(check, "/chat/completions", _chat(check.name, prompt))
        without = _prompt_tokens(bare)
        # The count of prompt tokens tells that the image arrived, whatever the model makes of it.
        if row.prompt_tokens is not None and without is not None and row.prompt_tokens <= without:
            return failed(
                row, "bad_answer", f"the image did not reach the model: {without} prompt tokens without it, {row.prompt_tokens} with it"
            )
        return row

    def _embedding(self, check: Check, row: Row) -> Row:
        data, latency = self._post(check, "/embeddings", {"model": check.name, "input": ["Is it ready?", "The sea is blue and wide."]})
        row = self._vector_row(check, replace(row, latency=latency), data)
        vectors = [entry.get("embedding") for entry in data.get("data", [])] if row.ok else []
        if row.ok and (len(vectors) != 2 or vectors[0] == vectors[1]):
            return failed(row, "bad_answer", f"two different texts gave {len(vectors)} vectors that do not differ")
        return row

    def _passthrough(self, check: Check, row: Row) -> Row:
        url = "data:image/png;base64," + base64.b64encode(self.samples.image).decode()
        content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "What does it say?"}]
        body = {"model": check.name, "messages": [{"role": "user", "content": content}], "encoding_format": "float"}
        data, latency = self._post(check, check.path, body, below="")
        return self._vector_row(check, replace(row, latency=latency), data)

    def _rerank(self, check: Check, row: Row) -> Row:
        documents = ["The sea is blue.", "A GPU computes with many cores at once."]
        data, latency = self._post(check, "/rerank", {"model": check.name, "query": "What is a GPU?", "documents": documents})
        row = replace(row, latency=latency)
        problem, _dimension = judge_answer(self._as(check, "rerank"), data)
        if problem:
            return failed(row, "bad_answer", problem)
        best = max(data["results"], key=lambda result: t.cast("float", result["relevance_score"]))
        return replace(row, answer=f"best: document {best.get('index')}", recognised=best.get("index") == 1)

    def _transcription(self, check: Check, row: Row) -> Row:
        fields = {"model": check.name, "response_format": "json"}
        body, content_type = multipart(fields, self.samples.audio_name, self.samples.audio, "audio/wav")
        reply, latency = self._ask(check, "/audio/transcriptions", body, content_type)
        data = reply.json()
        row = replace(row, latency=latency)
        problem, _dimension = judge_answer(self._as(check, "transcription"), data)
        if problem:
            return failed(row, "bad_answer", problem)
        text = data["text"].strip()
        if not text:
            return failed(row, "bad_answer", "the transcription of a spoken sentence is empty; did the sound reach the model?")
        recognised = None
        if self.samples.shipped:
            said = _words(SPOKEN_TEXT)
            recognised = len(said & _words(text)) * 2 > len(said)
        return replace(row, answer=_short(text), recognised=recognised)

    def _key(self, check: Check, row: Row) -> Row:
        """Without a key there must be no answer."""
        probing = _Probing(replace(self.endpoint, api_key=None), self.transport, self.timeout)
        url = f"{self.root_url}/v1/chat/completions"
        reply = probing.ask("POST", url, json.dumps(_chat(check.name, "Hello")).encode(), "application/json")
        row = replace(row, latency=probing.latency, answer=f"HTTP {reply.status}")
        if reply.status in (401, 403):
            return row
        try:
            probing.refuse_key("POST", url, reply)
        except _NotReadyError:
            return row
        if reply.status < 400:
            return failed(
                row, "auth", f"POST {url}: a request without a key was answered (HTTP {reply.status}); anybody can use the models"
            )
        return failed(row, "bad_answer", f"POST {url} without a key: {probing.quote(reply)}, expected 401")

    # -- parts

    def _as(self, check: Check, capability: str) -> Endpoint:
        return replace(self.endpoint, capability=capability, dimension=check.target.dimension)

    def _ask(self, check: Check, path: str, body: bytes, content_type: str, below: str = "/v1") -> tuple[Reply, float | None]:
        probing = _Probing(self.endpoint, self.transport, self.timeout)
        url = f"{self.root_url}{below}{path}"
        reply = probing.ask("POST", url, body, content_type)
        probing.refuse_key("POST", url, reply)
        if reply.status != 200:
            told = reply.text(2000).lower()
            unknown = (reply.status == 400 and "invalid model name" in told) or (reply.status == 404 and "does not exist" in told)
            raise _NotReadyError("wrong_model" if unknown else "bad_answer", f"POST {url}, model {check.name}: {probing.quote(reply)}")
        return reply, probing.latency

    def _post(self, check: Check, path: str, body: t.Mapping[str, t.Any], below: str = "/v1") -> tuple[t.Any, float | None]:
        reply, latency = self._ask(check, path, json.dumps(body).encode(), "application/json", below)
        return reply.json(), latency

    def _chat_row(self, check: Check, row: Row, data: t.Any) -> Row:
        problem, _dimension = judge_answer(self._as(check, "chat"), data)
        if problem:
            return failed(row, "bad_answer", problem)
        row = replace(row, answer=_short(_content(data)), prompt_tokens=_prompt_tokens(data))
        if not row.answer:
            return failed(row, "bad_answer", "the answer is empty")
        return row

    def _vector_row(self, check: Check, row: Row, data: t.Any) -> Row:
        problem, dimension = judge_answer(self._as(check, "embedding"), data)
        row = replace(row, dimension=dimension, answer="" if dimension is None else f"{dimension} numbers")
        return failed(row, "bad_answer", problem) if problem else row


def failed(row: Row, cause: str, message: str) -> Row:
    try:
        remedy: str | None = REMEDIES.get(Cause(cause))
    except ValueError:
        remedy = None
    return replace(row, ok=False, cause=cause, message=message, remedy=remedy)


def _chat(model: str, content: t.Any) -> dict[str, t.Any]:
    return {"model": model, "messages": [{"role": "user", "content": content}], "max_tokens": _MAX_TOKENS}


def _content(data: t.Mapping[str, t.Any]) -> str:
    """What was said; a reasoning model may spend all its tokens on thinking."""
    message = data["choices"][0]["message"]
    return str(message.get("content") or message.get("reasoning_content") or message.get("reasoning") or "")


def _prompt_tokens(data: t.Any) -> int | None:
    usage = data.get("usage") if isinstance(data, dict) else None
    count = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return count if isinstance(count, int) and not isinstance(count, bool) else None


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _ANSWER_LIMIT else words[: _ANSWER_LIMIT - 3] + "..."


def _words(text: str) -> set[str]:
    return set("".join(character.lower() if character.isalnum() else " " for character in text).split())


def read_stream(body: bytes) -> tuple[int, str, bool, str]:
    """Number of parts, the text in them, whether [DONE] came, and an error found on the way (an event inside a 200)."""
    parts, text, ended, error = 0, "", False, ""
    for line in body.decode("utf-8", "replace").split("\n"):
        if not line.startswith("data:"):
            continue
        payload = line[len("data:") :].strip()
        if payload == "[DONE]":
            ended = True
            continue
        try:
            data = json.loads(payload)
        except ValueError:
            continue
        if not isinstance(data, dict):
            continue
        if data.get("error"):
            error = json.dumps(data["error"])
            continue
        parts += 1
        for choice in data.get("choices") or ():
            delta = choice.get("delta") or {}
            text += delta.get("content") or ""
    return parts, text, ended, error


# --- all of them -----------------------------------------------------------------------------------------------------


def verify(
    base_url: str,
    targets: t.Sequence[Target],
    *,
    samples: Samples,
    api_key: str | None = None,
    passthroughs: t.Sequence[Passthrough] = (),
    parallel: int = 4,
    timeout: float = 60.0,
    transport: Transport = urllib_transport,
    ca: str | None = None,
) -> list[Row]:
    """Rows in the order of the models, whatever order the answers came in."""
    root = base_url.rstrip("/")
    if root.endswith("/v1"):
        root = root[: -len("/v1")].rstrip("/")
    verifier = Verifier(root, api_key, samples, timeout, transport, ca)
    checks = plan_checks(targets, passthroughs)
    with ThreadPoolExecutor(max_workers=max(1, parallel)) as pool:
        return list(pool.map(verifier.run, checks))


def run(request: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """The same from and to plain data: this is what is called inside a container."""
    image, audio = request.get("image"), request.get("audio")
    samples = Samples(
        image=base64.b64decode(image) if image else tiny_png(),
        audio=base64.b64decode(audio) if audio else tiny_wav(),
        shipped=bool(request.get("shipped")) and bool(image) and bool(audio),
    )
    rows = verify(
        request["base_url"],
        [Target.from_mapping(model) for model in request["models"]],
        samples=samples,
        api_key=request.get("api_key"),
        passthroughs=[Passthrough.from_mapping(entry) for entry in request.get("passthrough") or ()],
        parallel=int(request.get("parallel") or 4),
        timeout=float(request.get("timeout") or 60.0),
        ca=request.get("ca") or None,
    )
    return [asdict(row) for row in rows]
