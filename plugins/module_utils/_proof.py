# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Whether an engine is as good as the one that it replaced: the same questions to both, before and after, and how fast they answer.

A server that says 200 may answer garbage (vllm#29341, vllm#15622), and an upgrade may be five times slower (vllm#51663). What the engine
before said is the measure: nobody knows what a model should say, but it should not say something else after a change that is not its own.
"""

from __future__ import annotations

import base64
import json
import math
import re
import time
import typing as t
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher

from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe import Endpoint, answer_request, multipart, tiny_png
from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe_http import (
    Reply,
    Request,
    Transport,
    TransportError,
    urllib_transport,
)

#: Short answers that models of all sizes give the same way again and again.
QUESTIONS = (
    "Name the capital of France in one word.",
    "What is 7 times 6? Answer with the number.",
    "Repeat this sentence: The quick brown fox jumps over the lazy dog.",
    "List the days of the week.",
)
SENTENCES = ("The cat sleeps on the sofa.", "A kitten naps on the couch.", "Interest rates rose again in spring.")
LONG = "Count from one to fifty in words."
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
#: Tokens of an answer: to a question, and of the one whose speed is measured.
SHORT_ANSWER, LONG_ANSWER = 24, 96
#: How far the lengths of two answers may be apart, as a share of the longer one, for their speeds to be compared.
ALIKE = 0.8
#: Seconds that a request may take longer whatever it took before: a moment of another process.
SLACK = 0.25
#: Sentences in the request by which the speed of embeddings is measured.
BATCH = 32
#: Share of the words of a recording that may be heard wrong, where its user says nothing else.
WORD_ERRORS = 0.2

Measured = dict[str, t.Any]


@dataclass(frozen=True)
class Bounds:
    """What must hold against the engine before. Shares of what it had, but for C(similarity) and C(cosine)."""

    speed: float = 0.8  # tokens per second, and the other way round the time to the first one; 0 is no bound
    similarity: float = 0.5  # of the words of all answers, 1 for the same ones
    cosine: float = 0.98  # of an embedding with the one before
    rounds: int = 5  # of measuring speed; the best one counts
    timeout: float = 120.0  # seconds for one request


@dataclass(frozen=True)
class Problem:
    """What does not hold. C(about) is a word for programs."""

    about: str
    text: str


@dataclass
class Interview:
    """Asks one engine."""

    endpoint: Endpoint
    timeout: float
    transport: Transport = urllib_transport
    clock: Callable[[], float] = time.monotonic
    took: float = field(default=0.0, init=False)  # seconds of the last request

    def ask(self, path: str, body: bytes | None = None, content_type: str = "application/json", root: bool = False) -> t.Any:
        """The answer, or a text with what is wrong in its C(error)."""
        base = self.endpoint.base_url.rstrip("/")
        url = (base.removesuffix("/v1") if root else base) + path
        headers = {"Accept": "application/json", "Connection": "close", "Content-Type": content_type}
        if self.endpoint.api_key:
            headers["Authorization"] = "Bearer " + self.endpoint.api_key
        began = self.clock()
        try:
            reply: Reply = self.transport(
                Request("GET" if body is None else "POST", url, headers, body, self.timeout, ca_path=self.endpoint.ca_path)
            )
        except TransportError as error:
            return {"error": f"{error.cause}: {error.detail}"}
        self.took = self.clock() - began
        if self.endpoint.api_key:  # a server may repeat it, and what is measured is kept
            reply = replace(reply, body=reply.body.replace(self.endpoint.api_key.encode(), b"********"))
        document = reply.json()
        if reply.status != 200 or document is None:
            return {"error": f"HTTP {reply.status}: {reply.text(200)}"}
        return document

    def chat(self, content: t.Any, tokens: int, **more: t.Any) -> Measured:
        """C(text), C(tool) and C(tokens) of an answer, or C(error)."""
        messages = content if isinstance(content, list) and content and "role" in content[0] else [{"role": "user", "content": content}]
        body = {"model": self.endpoint.model, "messages": messages, "max_tokens": tokens, "temperature": 0, **more}
        document = self.ask("/chat/completions", json.dumps(body).encode())
        try:
            if "error" in document:
                return {"error": _error(document, "it failed")}
            message = document["choices"][0]["message"]
            calls = message.get("tool_calls") or ()
            said = (message.get("reasoning_content") or message.get("reasoning") or "", message.get("content") or "")
            return {
                "text": " ".join(filter(None, said)),
                "tool": str(calls[0]["function"]["name"]) if calls else None,
                "tokens": int((document.get("usage") or {}).get("completion_tokens") or 0),
            }
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError):
            return {"error": "the answer is not that of a chat"}


def _error(document: t.Any, otherwise: str) -> str:
    """What an answer says is wrong, in one short line."""
    told = document.get("error") if isinstance(document, dict) else None
    return " ".join(str(told or "").split())[:300] or otherwise


def measure(
    endpoint: Endpoint,
    own: Sequence[Mapping[str, t.Any]] = (),
    bounds: Bounds | None = None,
    transport: Transport = urllib_transport,
    clock: Callable[[], float] = time.monotonic,
) -> Measured:
    """Answers, speed and context of an engine. C(own): the user's prompts. Some 20 requests; the first failed one of a kind is enough."""
    bounds = bounds or Bounds()
    interview = Interview(endpoint, bounds.timeout, transport, clock)
    found: Measured = {"capability": endpoint.capability, "answers": {}, "speed": {}, "context": _context(interview)}
    ask = {"chat": _chat, "embedding": _embedding, "transcription": _transcription}.get(endpoint.capability, _other)
    ask(interview, own, bounds, found)
    return found


def _context(interview: Interview) -> int | None:
    """Tokens, where the server tells it (vLLM does)."""
    listed = interview.ask("/models")
    rows = listed.get("data") if isinstance(listed, dict) else None
    for row in rows if isinstance(rows, list) else ():
        length = row.get("max_model_len") if isinstance(row, dict) and row.get("id") == interview.endpoint.model else None
        if isinstance(length, int) and not isinstance(length, bool):
            return length
    return None


def _chat(interview: Interview, own: Sequence[Mapping[str, t.Any]], bounds: Bounds, found: Measured) -> None:
    answers = found["answers"]
    for question in QUESTIONS:
        answers[question] = interview.chat(question, SHORT_ANSWER)
        if "error" in answers[question]:
            return  # the others would each take their time-out
    answers["tool"] = interview.chat("What is the weather in Paris? Use the tool.", LONG_ANSWER, tools=[TOOL])
    if "image" in interview.endpoint.modalities:
        url = "data:image/png;base64," + base64.b64encode(tiny_png()).decode()
        answers["image"] = interview.chat(
            [{"type": "text", "text": "What is in this picture?"}, {"type": "image_url", "image_url": {"url": url}}], SHORT_ANSWER
        )
    for number, one in enumerate(own):
        more = {"tools": one["tools"]} if one.get("tools") else {}
        asked = one.get("messages") or one.get("prompt") or ""
        answers[f"own {number + 1}"] = interview.chat(asked, int(one.get("max_tokens") or 256), **more)
    first: list[tuple[float, int]] = []
    longer: list[tuple[float, int]] = []
    for _round in range(bounds.rounds):
        for most, rounds in ((1, first), (LONG_ANSWER, longer)):
            said = interview.chat(LONG, most)
            if "error" in said:
                found["failed"] = said["error"]
                return
            rounds.append((interview.took, said["tokens"]))
    took, tokens = min(longer)
    found["speed"]["first_token"] = round(min(seconds for seconds, _tokens in first), 4)
    if tokens and took > 0:
        found["speed"].update(tokens_per_second=round(tokens / took, 3), tokens=tokens, seconds=round(took, 4))


def _embedding(interview: Interview, own: Sequence[Mapping[str, t.Any]], bounds: Bounds, found: Measured) -> None:
    named = [str(one[key]) for one in own for key in ("prompt", "nearer", "than") if one.get(key)]
    for text in dict.fromkeys([*SENTENCES, *named]):
        document = interview.ask("/embeddings", json.dumps({"model": interview.endpoint.model, "input": text}).encode())
        vector = _vector_in(document)
        if vector is None:
            found["answers"][text] = {"error": _error(document, "the answer holds no vector of numbers")}
            return
        found["answers"][text] = {"vector": vector}
    _time(
        interview,
        "/embeddings",
        json.dumps({"model": interview.endpoint.model, "input": (list(SENTENCES) * BATCH)[:BATCH]}).encode(),
        bounds,
        found,
    )


def _vector_in(document: t.Any) -> list[float] | None:
    try:
        values = document["data"][0]["embedding"]
        vector = [round(float(value), 6) for value in values] if isinstance(values, list) else []
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):
        return None
    return vector if vector and all(map(math.isfinite, vector)) else None


def _transcription(interview: Interview, own: Sequence[Mapping[str, t.Any]], bounds: Bounds, found: Measured) -> None:
    answers = found["answers"]
    _other(interview, own, bounds, found)
    if "error" in answers["request"]:
        return
    for number, one in enumerate(own):
        answers[f"own {number + 1}"] = _heard(interview, one)


def _heard(interview: Interview, one: Mapping[str, t.Any]) -> Measured:
    """What is heard in a recording, asked for as readiness does it."""
    try:
        content = base64.b64decode(one["content"], validate=True)
    except (KeyError, TypeError, ValueError):
        return {"error": "its audio has not come to the host"}
    ending = re.search(r"\.([A-Za-z0-9]+)$", str(one.get("audio")))
    kind = ending[1].lower() if ending else "wav"
    fields = {"model": interview.endpoint.model or "", "response_format": "json"}
    document = interview.ask("/audio/transcriptions", *multipart(fields, f"speech.{kind}", content, f"audio/{kind}"))
    text = document.get("text") if isinstance(document, dict) and "error" not in document else None
    return {"text": text} if isinstance(text, str) else {"error": _error(document, "the answer holds no text")}


def _other(interview: Interview, _own: Sequence[Mapping[str, t.Any]], bounds: Bounds, found: Measured) -> None:
    """Rerank, and transcription before all else: the request by which readiness is proved."""
    path, body, content_type = answer_request(interview.endpoint, interview.endpoint.model or "")
    root = interview.endpoint.speaks == "tei"
    document = interview.ask(path, body, content_type, root)
    failed = isinstance(document, dict) and "error" in document
    found["answers"]["request"] = {"error": _error(document, "it failed")} if failed else {"scores": _scores(document)}
    if not failed:
        _time(interview, path, body, bounds, found, content_type, root)


def _scores(document: t.Any) -> list[float]:
    """Of a rerank, in the order of the documents."""
    rows: t.Any = document.get("results") if isinstance(document, dict) else document
    try:
        pairs = [(int(row["index"]), float(row.get("relevance_score", row.get("score")))) for row in rows]
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return []
    return [score for _index, score in sorted(pairs)]


def _time(
    interview: Interview,
    path: str,
    body: bytes,
    bounds: Bounds,
    found: Measured,
    content_type: str = "application/json",
    root: bool = False,
) -> None:
    took = []
    for _round in range(bounds.rounds):
        document = interview.ask(path, body, content_type, root)
        if isinstance(document, dict) and "error" in document:
            found["failed"] = document["error"]
            return
        took.append(interview.took)
    if took and min(took) > 0:
        found["speed"] = {"requests_per_second": round(1 / min(took), 3), "seconds": round(min(took), 4)}


# -- the verdict


def judge(
    before: Measured | None,
    after: Measured,
    bounds: Bounds,
    *,
    own: Sequence[Mapping[str, t.Any]] = (),
    same_model: bool = True,
    context_declared: bool = False,
) -> list[Problem]:
    """What is worse than before. C(same_model): whether the change left the model as it is; another one may say something else, and take
    longer for it. C(context_declared): whether the inventory says how long a context is to be."""
    answers = after["answers"]
    failed = [f"{name!r}: {answer['error']}" for name, answer in answers.items() if "error" in answer and _was_well(before, name)]
    problems = [Problem("error", f"a request failed that the engine before answered: {text}") for text in failed]
    problems += _of_own(own, after, bounds)
    if before is None:
        return problems
    if after.get("failed") and not before.get("failed"):
        failed.append(str(after["failed"]))
        problems.append(Problem("error", f"one of many requests failed: {after['failed']}"))
    if not failed:
        problems += [*_garbage(before, after), *_tools(before, after)]
        if same_model:
            problems += [*_similarity(before, after, bounds), *_vectors(before, after, bounds, own), *_ranks(before, after)]
    if same_model:
        problems += _slower(before, after, bounds)
    if not context_declared and before.get("context") and after.get("context") and after["context"] < before["context"]:
        problems.append(Problem("context", f"a context of {after['context']} tokens, {before['context']} before"))
    return problems


def _was_well(before: Measured | None, name: str) -> bool:
    return before is None or "error" not in before["answers"].get(name, {})


def _pairs(before: Measured, after: Measured, key: str) -> list[tuple[str, t.Any, t.Any]]:
    """What both have answered."""
    old = before["answers"]
    return [(name, old[name][key], answer[key]) for name, answer in after["answers"].items() if key in answer and key in old.get(name, {})]


def is_garbage(text: str) -> bool:
    """Nothing, or the same sign or word again and again."""
    words = text.split()
    letters = "".join(words)
    return len(letters) == 0 or (len(letters) >= 6 and len(set(letters)) == 1) or (len(words) >= 8 and len(set(words)) == 1)


def _garbage(before: Measured, after: Measured) -> list[Problem]:
    worse = [
        (name, new)
        for name, old, new in _pairs(before, after, "text")
        if name != "tool" and not is_garbage(old) and is_garbage(new) and not after["answers"][name].get("tool")
    ]
    return [Problem("garbage", f"{name!r} is answered with {new[:40]!r}") for name, new in worse[:1]]


def _tools(before: Measured, after: Measured) -> list[Problem]:
    lost = [old for name, old, new in _pairs(before, after, "tool") if name == "tool" and old and not new]
    return [Problem("tools", f"tool {old} is not called any more") for old in lost]


def _similarity(before: Measured, after: Measured, bounds: Bounds) -> list[Problem]:
    pairs = [(old, new) for name, old, new in _pairs(before, after, "text") if name in QUESTIONS]
    if not pairs:
        return []
    alike = sum(SequenceMatcher(None, old.split(), new.split(), autojunk=False).ratio() for old, new in pairs) / len(pairs)
    if alike >= bounds.similarity:
        return []
    old, new = min(pairs, key=lambda pair: SequenceMatcher(None, pair[0].split(), pair[1].split(), autojunk=False).ratio())
    return [
        Problem("answers", f"answers are {alike:.2f} like those before, below {bounds.similarity:.2f}; now {new[:60]!r}, then {old[:60]!r}")
    ]


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    norm = math.sqrt(sum(value * value for value in one)) * math.sqrt(sum(value * value for value in other))
    return sum(a * b for a, b in zip(one, other)) / norm if norm and len(one) == len(other) else 0.0


def _vectors(before: Measured, after: Measured, bounds: Bounds, own: Sequence[Mapping[str, t.Any]]) -> list[Problem]:
    pairs = _pairs(before, after, "vector")
    if not pairs:
        return []
    _name, old, new = pairs[0]
    if len(old) != len(new):
        return [Problem("vectors", f"an embedding has {len(new)} dimensions, {len(old)} before")]
    bound: dict[str, float] = {}
    for one in own:
        if one.get("cosine") is not None:
            bound[str(one.get("prompt"))] = max(one["cosine"], bound.get(str(one.get("prompt")), -1.0))
    found = [(cosine(old, new), bound.get(name, bounds.cosine), name) for name, old, new in pairs]
    worse = [one for one in found if not one[0] >= one[1]]
    if not worse:
        return []
    least, wanted, name = min(worse, key=lambda one: one[0] - one[1])
    return [Problem("vectors", f"cosine {least:.3f} of {name[:60]!r} with the embedding before, below {wanted:g}")]


def _ranks(before: Measured, after: Measured) -> list[Problem]:
    for _name, old, new in _pairs(before, after, "scores"):
        orders = [sorted(range(len(scores)), key=scores.__getitem__) for scores in (old, new)]
        if old and orders[0] != orders[1]:
            return [Problem("ranks", f"documents are ranked in another order: scores {new}, before {old}")]
    return []


def _slower(before: Measured, after: Measured, bounds: Bounds) -> list[Problem]:
    old, new = before["speed"], after["speed"]
    lengths = [speed.get("tokens", 1) for speed in (old, new)]
    if not bounds.speed or min(lengths) < ALIKE * max(lengths):
        return []

    def longer(name: str) -> bool:
        return bool(name in old and name in new and new[name] > old[name] / bounds.speed + SLACK)

    problems = []
    if longer("seconds"):
        rate = "tokens_per_second" if "tokens_per_second" in new else "requests_per_second"
        told = f"{new[rate]:.1f} {rate.replace('_', ' ')}, {old.get(rate, 0):.1f} before"
        problems.append(Problem("speed", f"{told}; at least {bounds.speed:.2f} of it is wanted"))
    if longer("first_token"):
        problems.append(Problem("speed", f"{new['first_token']:.2f} s to the first token, {old['first_token']:.2f} s before"))
    return problems


# -- what the user says must hold


def _of_own(own: Sequence[Mapping[str, t.Any]], after: Measured, bounds: Bounds) -> list[Problem]:
    answers, vectors = after["answers"], after.get("capability") == "embedding"
    problems = []
    for number, one in enumerate(own):
        wrong = _unmet_by_vector(one, answers, bounds) if vectors else _unmet_by_answer(one, answers.get(f"own {number + 1}"))
        if wrong:
            named = str(one.get("prompt") or one.get("messages") or str(one.get("audio")).rpartition("/")[2])[:60]
            problems.append(Problem("own", f"the {'vector of' if vectors else 'answer to'} {named!r}: {wrong}"))
    return problems


def _unmet_by_answer(one: Mapping[str, t.Any], answer: Mapping[str, t.Any] | None) -> str:
    if answer is None:  # not asked, since another one failed
        return ""
    return str(answer["error"]) if "error" in answer else _unmet(one, str(answer["text"]), answer.get("tool"))


def _unmet_by_vector(one: Mapping[str, t.Any], answers: Mapping[str, Mapping[str, t.Any]], bounds: Bounds) -> str:
    """Nothing where there is no vector: that its request failed is told already."""
    mine, nearer, than = (answers.get(str(one.get(key)), {}).get("vector") for key in ("prompt", "nearer", "than"))
    wanted = one.get("vector")
    if mine and wanted:
        if len(mine) != len(wanted):
            return f"it has {len(mine)} numbers, and yours {len(wanted)}"
        alike, bound = cosine(mine, wanted), one.get("cosine", bounds.cosine)
        if not alike >= bound:
            return f"cosine {alike:.3f} with yours, below {bound:g}"
    if mine and nearer and than:
        near, far = cosine(mine, nearer), cosine(mine, than)
        if not near > far:
            return f"it is no nearer to {str(one['nearer'])[:60]!r} (cosine {near:.3f}) than to {str(one['than'])[:60]!r} ({far:.3f})"
    return ""


def _unmet(one: Mapping[str, t.Any], text: str, tool: str | None) -> str:
    shown = repr(text[:80])
    if one.get("exact") is not None and text.strip() != str(one["exact"]).strip():
        return f"is {shown} and not exactly {str(one['exact'])[:60]!r}"
    if one.get("contains") is not None and str(one["contains"]).lower() not in text.lower():
        return f"{shown} does not contain {str(one['contains'])[:60]!r}"
    if one.get("tool") is not None and tool != one["tool"]:
        return f"calls {tool or 'no tool'} and not {one['tool']}"
    if one.get("says") is not None:
        rate, most = word_error_rate(str(one["says"]), text), one.get("word_error_rate", WORD_ERRORS)
        if rate > most:
            return f"{shown} has a word error rate of {rate:.2f}, above {most:g}"
    if one.get("json") is not None:
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            return f"{shown} is no JSON"
        return mismatch(document, one["json"])
    return ""


def words_of(text: str) -> list[str]:
    """In small letters and without punctuation. Chinese and Japanese are written without blanks: there each sign is a word."""
    signs = []
    for sign in unicodedata.normalize("NFKC", text).casefold():
        if sign in "'\N{RIGHT SINGLE QUOTATION MARK}":
            continue
        if "\u3040" <= sign <= "\u30ff" or "\u3400" <= sign <= "\u9fff":
            signs.append(f" {sign} ")
        else:
            signs.append(" " if unicodedata.category(sign)[0] in "PSZ" else sign)
    return "".join(signs).split()


def word_error_rate(said: str, heard: str) -> float:
    """Words that are wrong, missing or too many, as a share of those that were said."""
    wanted, got = words_of(said), words_of(heard)
    row = list(range(len(got) + 1))
    for number, word in enumerate(wanted, 1):
        corner, row[0] = row[0], number
        for column, other in enumerate(got, 1):
            corner, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, corner + (word != other))
    return row[-1] / max(1, len(wanted))


_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}


def mismatch(value: t.Any, schema: Mapping[str, t.Any], where: str = "the answer") -> str:
    """What does not fit a JSON Schema, by its C(type), C(enum), C(required), C(properties) and C(items)."""
    wanted = schema.get("type")
    names = wanted if isinstance(wanted, list) else [wanted] if wanted else []
    if names and not any(isinstance(value, _TYPES.get(name, ())) and (name == "boolean" or not isinstance(value, bool)) for name in names):
        return f"{where} is not of type {' or '.join(map(str, names))}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{where} is not one of {schema['enum']}"
    if isinstance(value, dict):
        for name in schema.get("required") or ():
            if name not in value:
                return f"{where} lacks {name!r}"
        for name, inner in (schema.get("properties") or {}).items():
            found = mismatch(value[name], inner, f"{where}.{name}") if name in value else ""
            if found:
                return found
    if isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        for position, item in enumerate(value):
            found = mismatch(item, schema["items"], f"{where}[{position}]")
            if found:
                return found
    return ""


# -- for people


def columns(before: Measured | None, after: Measured) -> list[str]:
    """Both engines side by side."""
    old: Measured = before or {"answers": {}, "speed": {}}
    rows = [("", "before", "after")]
    for name, words in (
        ("tokens_per_second", "tokens/s"),
        ("first_token", "first token, s"),
        ("requests_per_second", "requests/s"),
    ):
        if name in old["speed"] or name in after["speed"]:
            rows.append((words, str(old["speed"].get(name, "-")), str(after["speed"].get(name, "-"))))
    if old.get("context") or after.get("context"):
        rows.append(("context", str(old.get("context") or "-"), str(after.get("context") or "-")))
    for name, answer in after["answers"].items():
        rows.append((name[:32], _shown(old["answers"].get(name)), _shown(answer)))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return [f"{row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[2]}".rstrip() for row in rows]


def _shown(answer: Mapping[str, t.Any] | None) -> str:
    if answer is None:
        return "-"
    if "error" in answer:
        return f"error: {answer['error']}"[:48]
    if "vector" in answer:
        return f"{len(answer['vector'])} numbers"
    if "scores" in answer:
        return ", ".join(f"{score:.3f}" for score in answer["scores"]) or "answered"
    return f"calls {answer['tool']}" if answer.get("tool") else repr(answer["text"][:40])
