# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Engines before and after a change, played with a clock of their own: what is seen of each trouble, and that what is well stays."""

from __future__ import annotations

import base64
import json
import typing as t
from dataclasses import dataclass, field, replace

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _proof as proof
from ansible_collections.llmops.gpu_inference.plugins.module_utils import _proof_interview as interview
from ansible_collections.llmops.gpu_inference.plugins.module_utils import _proof_own as proof_own
from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe import Endpoint
from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe_http import Reply, Request, TransportError

SAYS = {
    interview.QUESTIONS[0]: "Paris",
    interview.QUESTIONS[1]: "42",
    interview.QUESTIONS[2]: "The quick brown fox jumps over the lazy dog.",
    interview.QUESTIONS[3]: "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday",
    interview.LONG: " ".join(["one", "two", "three"] * 20),
}
OWN = [{"prompt": "Say blue.", "contains": "blue"}]
VECTORS = {text: [1.0, 0.5, number] for number, text in enumerate(interview.SENTENCES)}


@dataclass
class Engine:
    """Answers as OpenAI's API does; each token takes its time."""

    says: dict[str, str] = field(default_factory=lambda: dict(SAYS))
    tool: str | None = "get_weather"
    vectors: dict[str, list[float]] = field(default_factory=lambda: dict(VECTORS))
    scores: list[float] = field(default_factory=lambda: [0.9, 0.1])
    hears: dict[bytes, t.Any] = field(default_factory=dict)
    context: int | None = 4096
    per_token: float = 0.01
    first: float = 0.05
    ends_after: int = 1000  # requests
    thinks: str = ""
    now: float = 0.0
    asked: list[dict[str, t.Any]] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def __call__(self, request: Request) -> Reply:
        if len(self.asked) >= self.ends_after:
            raise TransportError("refused", "connection refused")
        assert request.headers["Authorization"] == "Bearer sk-engine"
        if request.url.endswith("/models"):
            return self._reply({"data": [{"id": "other"}, {"id": "chat", **({"max_model_len": self.context} if self.context else {})}]})
        if request.url.endswith("/audio/transcriptions"):
            self.asked.append({"body": request.body})
            said = [text for content, text in self.hears.items() if content in (request.body or b"")]
            return self._reply({"text": said[0] if said else ""})
        body = json.loads(request.body or b"null")
        self.asked.append(body)
        self.now += self.first
        if request.url.endswith("/embeddings"):
            if isinstance(body["input"], list):
                return self._reply({"data": [{"embedding": [1.0]}]})
            return self._reply({"data": [{"embedding": self.vectors.get(body["input"])}]})
        if request.url.endswith("/rerank"):
            return self._reply({"results": [{"index": n, "relevance_score": score} for n, score in enumerate(self.scores)]})
        return self._chat(body)

    def _chat(self, body: dict[str, t.Any]) -> Reply:
        prompt = body["messages"][0]["content"]
        if isinstance(prompt, list):
            prompt = prompt[0]["text"]
        text = self.says.get(prompt, "I do not know.")
        calls = [{"function": {"name": self.tool, "arguments": "{}"}}] if body.get("tools") and self.tool else []
        tokens = min(body["max_tokens"], len(text.split()) or 1)
        self.now += self.per_token * (tokens - 1)
        message = {"content": None if calls else " ".join(text.split()[:tokens]), "tool_calls": calls, "reasoning_content": self.thinks}
        return self._reply({"choices": [{"message": message}], "usage": {"completion_tokens": tokens}})

    @staticmethod
    def _reply(document: t.Any) -> Reply:
        return Reply(200, json.dumps(document).encode())


ENDPOINT = Endpoint("vllm/chat", "http://127.0.0.1:8070/v1", model="chat", api_key="sk-engine")


def ask(engine: Engine, own: t.Sequence[t.Mapping[str, t.Any]] = (), **endpoint: t.Any) -> interview.Measured:
    return interview.measure(replace(ENDPOINT, **endpoint), own, interview.Bounds(), engine, engine.clock)


def found(before: Engine, after: Engine, own: t.Sequence[t.Mapping[str, t.Any]] = (), **options: t.Any) -> list[str]:
    endpoint = {name: options.pop(name) for name in ("capability", "modalities") if name in options}
    problems = proof.judge(ask(before, own, **endpoint), ask(after, own, **endpoint), interview.Bounds(), own=own, **options)
    return [problem.about for problem in problems]


def saying(text: str) -> dict[str, str]:
    return dict.fromkeys(SAYS, text)


@pytest.mark.parametrize(
    ("after", "about"),
    [
        (Engine(), []),
        (Engine(per_token=0.011), []),
        (Engine(says={**SAYS, interview.QUESTIONS[0]: "Paris."}), []),  # one word less alike
        (Engine(context=8192), []),
        (Engine(context=None), []),
        (Engine(says=saying("!!!!!!!!")), ["garbage", "answers"]),
        (Engine(says=saying("")), ["garbage", "answers"]),
        (Engine(says=saying("sea " * 20)), ["garbage", "answers"]),
        (Engine(says=saying("The weather is nice today, and the sea is blue.")), ["answers"]),
        (Engine(per_token=0.03), ["speed"]),
        (Engine(first=1.0), ["speed", "speed"]),
        (Engine(tool=None), ["tools"]),
        (Engine(context=2048), ["context"]),
        (Engine(ends_after=0), ["error"]),
        (Engine(ends_after=3), ["error"]),
        (Engine(ends_after=12), ["error"]),  # while its speed is measured
    ],
)
def test_what_is_seen_of_a_change(after: Engine, about: list[str]) -> None:
    assert found(Engine(), after) == about


def test_another_model_may_say_something_else_and_take_its_time() -> None:
    other = Engine(says=saying("Whatever comes to its mind, in many words."), per_token=0.1)
    assert found(Engine(), other, same_model=False) == []
    assert found(Engine(), Engine(says=saying("!!!!!!!!")), same_model=False) == ["garbage"]


def test_a_context_that_the_inventory_declares_may_be_smaller() -> None:
    assert found(Engine(), Engine(context=2048), context_declared=True) == []


def test_what_was_no_better_before_is_no_reason() -> None:
    """Tiny models repeat themselves, and one without a parser calls no tool."""
    engine = Engine(says=saying("!!!!!!!!"), tool=None)
    assert found(engine, replace(engine, asked=[])) == []
    broken = Engine(ends_after=0)
    assert found(broken, replace(broken, asked=[])) == []


def test_an_engine_without_one_before_is_not_compared() -> None:
    assert proof.judge(None, ask(Engine(says=saying("!!!!!!!!"))), interview.Bounds()) == []
    assert [one.about for one in proof.judge(None, ask(Engine(ends_after=0)), interview.Bounds())] == ["error"]


def test_words_of_thought_count_as_an_answer() -> None:
    thinking = Engine(says=saying(""), thinks="The user asks for a city.")
    assert ask(thinking)["answers"][interview.QUESTIONS[0]]["text"] == "The user asks for a city."


def test_an_image_is_shown_where_the_model_sees() -> None:
    engine = Engine(says={**SAYS, "What is in this picture?": "A black square."})
    assert ask(engine, modalities=("image",))["answers"]["image"]["text"] == "A black square."
    assert found(engine, Engine(says={**SAYS, "What is in this picture?": "!!!!!!!!"}), modalities=("image",)) == ["garbage"]


@pytest.mark.parametrize(
    ("vectors", "about"),
    [
        (VECTORS, []),
        ({text: [2 * value for value in vector] for text, vector in VECTORS.items()}, []),  # a length says nothing
        ({text: vector[::-1] for text, vector in VECTORS.items()}, ["vectors"]),
        ({text: [*vector, 0.0] for text, vector in VECTORS.items()}, ["vectors"]),
        ({text: [0.0] * 3 for text in VECTORS}, ["vectors"]),
    ],
)
def test_embeddings(vectors: dict[str, list[float]], about: list[str]) -> None:
    assert found(Engine(), Engine(vectors=vectors), capability="embedding") == about


CAT, KITTEN, RATES = interview.SENTENCES
MEANT = {**VECTORS, "cat": [1.0, 0.1, 0.0], "kitten": [1.0, 0.2, 0.0], "rates": [0.0, 0.1, 1.0]}


def told(engine: Engine, own: t.Sequence[t.Mapping[str, t.Any]], capability: str) -> list[str]:
    """Of a first release."""
    return [one.text for one in proof.judge(None, ask(engine, own, capability=capability), interview.Bounds(), own=own)]


@pytest.mark.parametrize(
    ("own", "wrong"),
    [
        ({"prompt": "cat", "nearer": "kitten", "than": "rates"}, ""),
        (
            {"prompt": "cat", "nearer": "rates", "than": "kitten"},
            "the vector of 'cat': it is no nearer to 'rates' (cosine 0.010) than to 'kitten' (0.995)",
        ),
        ({"prompt": "cat", "nearer": "kitten", "than": "kitten"}, "it is no nearer to 'kitten' (cosine 0.995) than to 'kitten' (0.995)"),
        ({"prompt": "cat", "vector": [1.0, 0.1, 0.0]}, ""),
        ({"prompt": "cat", "vector": [1.0, 0.2, 0.0]}, ""),
        ({"prompt": "cat", "vector": [1.0, 0.2, 0.0], "cosine": 0.999}, "the vector of 'cat': cosine 0.995 with yours, below 0.999"),
        ({"prompt": "cat", "vector": [0.1, 1.0, 0.0]}, "cosine 0.198 with yours, below 0.98"),
        ({"prompt": "cat", "vector": [0.1, 1.0, 0.0], "cosine": 0.1}, ""),
        ({"prompt": "cat", "vector": [1.0, 0.1]}, "it has 3 numbers, and yours 2"),
        ({"prompt": "cat"}, ""),
        ({"messages": [{"role": "user", "content": "x"}], "contains": "x"}, ""),  # for another model
    ],
)
def test_what_a_text_must_mean(own: dict[str, t.Any], wrong: str) -> None:
    problems = told(Engine(vectors=MEANT), [own], "embedding")
    assert len(problems) == bool(wrong)
    assert all(wrong in text for text in problems)
    before, after = (ask(Engine(vectors=MEANT), [own], capability="embedding") for _engine in range(2))
    problems = [one.about for one in proof.judge(before, after, interview.Bounds(), own=[own], same_model=False)]
    assert problems == ["own"] * bool(wrong)  # also of another model


@pytest.mark.parametrize(
    ("own", "about"),
    [
        ([{"prompt": "cat"}], []),
        ([{"prompt": "cat", "cosine": 0.999}], ["vectors"]),
        ([{"prompt": "cat", "cosine": 0.9}, {"prompt": "cat", "cosine": 0.999}], ["vectors"]),  # each must hold
        ([{"prompt": "cat", "cosine": 0.999}, {"prompt": "cat", "nearer": "kitten", "than": "rates"}], ["vectors"]),
        ([{"prompt": "cat", "vector": [1.0, 0.2, 0.0], "cosine": 0.999}], ["vectors"]),
    ],
)
def test_a_text_with_a_bound_of_its_own(own: list[dict[str, t.Any]], about: list[str]) -> None:
    after = Engine(vectors={**MEANT, "cat": [1.0, 0.2, 0.0]})
    assert found(Engine(vectors=MEANT), after, own, capability="embedding") == about
    assert found(Engine(vectors=MEANT), after, own, capability="embedding", same_model=False) == []


def test_a_bound_of_its_own_may_be_lower() -> None:
    after = Engine(vectors={**MEANT, "cat": [1.0, 1.0, 0.0]})
    assert found(Engine(vectors=MEANT), after, [{"prompt": "cat", "cosine": 0.5}], capability="embedding") == []
    before, after_it = (ask(one, [{"prompt": "cat"}], capability="embedding") for one in (Engine(vectors=MEANT), after))
    (problem,) = proof.judge(before, after_it, interview.Bounds())
    assert problem.text == "cosine 0.774 of 'cat' with the embedding before, below 0.98"


def test_each_text_is_asked_once() -> None:
    engine = Engine(vectors=MEANT)
    ask(
        engine,
        [{"prompt": "cat", "nearer": "kitten", "than": "rates"}, {"prompt": "kitten", "nearer": "cat", "than": CAT}],
        capability="embedding",
    )
    texts = [body["input"] for body in engine.asked if isinstance(body["input"], str)]
    assert texts == [CAT, KITTEN, RATES, "cat", "kitten", "rates"]


SPOKEN = b"RIFF of a recording"
HELLO = {"audio": "/speech/hello.FLAC", "says": "Hello, my name is Ann.", "content": base64.b64encode(SPOKEN).decode()}


@pytest.mark.parametrize(
    ("heard", "own", "wrong"),
    [
        ("hello my name is ann", {}, ""),
        ("Hello, my name is Anne.", {}, ""),  # one of five
        (
            "Hello, my game is Anne.",
            {},
            "the answer to 'hello.FLAC': 'Hello, my game is Anne.' has a word error rate of 0.40, above 0.2",
        ),
        ("Hello, my game is Anne.", {"word_error_rate": 0.4}, ""),
        ("Hello, my name is Anne.", {"word_error_rate": 0.0}, "a word error rate of 0.20, above 0"),
        ("", {}, "'' has a word error rate of 1.00, above 0.2"),
        ("Hello, my name is Ann. " * 3, {}, "a word error rate of 2.00"),
        (None, {}, "the answer holds no text"),
        (["Hello, my name is Ann."], {}, "the answer holds no text"),
        (5, {}, "the answer holds no text"),
        ("Hello, my name is Ann.", {"content": None}, "its audio has not come to the host"),
        ("Hello, my name is Ann.", {"content": "no Base64!"}, "its audio has not come to the host"),
    ],
)
def test_what_is_said_in_a_recording(heard: t.Any, own: dict[str, t.Any], wrong: str) -> None:
    problems = told(Engine(hears={SPOKEN: heard}), [{**HELLO, **own}], "transcription")
    assert bool(problems) == bool(wrong)
    assert not wrong or wrong in problems[-1]


def test_a_recording_is_sent_as_readiness_does_it_and_not_kept() -> None:
    engine = Engine(hears={SPOKEN: "Hello."})
    measured = ask(engine, [HELLO], capability="transcription")
    body = engine.asked[-1]["body"]
    assert b'name="file"; filename="speech.flac"\r\nContent-Type: audio/flac\r\n\r\n' + SPOKEN + b"\r\n" in body
    assert b'name="model"\r\n\r\nchat\r\n' in body
    assert measured["answers"]["own 1"] == {"text": "Hello."}
    assert HELLO["content"] not in json.dumps(measured)
    assert "'Hello.'" in "".join(proof.columns(None, measured))


def test_no_recording_is_sent_to_an_engine_that_does_not_answer() -> None:
    engine = Engine(ends_after=0)
    assert list(ask(engine, [HELLO], capability="transcription")["answers"]) == ["request"]
    (problem,) = told(Engine(ends_after=0), [HELLO], "transcription")
    assert problem.startswith("a request failed that the engine before answered: 'request'")


@pytest.mark.parametrize(
    ("said", "heard", "rate"),
    [
        ("one two three four", "one two three four", 0),
        ("one two three four", "ONE, two: three... four!", 0),
        ("one two three four", "one three four", 0.25),
        ("one two three four", "one two and three four", 0.25),
        ("one two three four", "four three two one", 1),
        ("don't do it", "Don\N{RIGHT SINGLE QUOTATION MARK}t do it", 0),
        ("twenty-one", "twenty one", 0),
        ("stra\N{LATIN SMALL LETTER SHARP S}e", "STRASSE", 0),
        ("\u4eca\u5929\u5929\u6c14", "\u4eca\u5929\u5929\u7a7a\u3002", 0.25),  # a sign of four
        ("one", "", 1),
        ("", "one", 1),
    ],
)
def test_word_error_rates(said: str, heard: str, rate: float) -> None:
    assert proof_own.word_error_rate(said, heard) == rate


ODD = [
    b"",
    b"<html><body>502 Bad Gateway</body></html>",
    b"null",
    b"5",
    b"[]",
    b"[[1]]",
    b"[" * 100_000,
    b"{}",
    b'{"error": null}',
    b'{"error": ["a", {"b": "\\n"}]}',
    b'{"data": 5, "text": 5, "choices": 5, "results": 5}',
    b'{"data": [], "text": [], "choices": [], "results": [5]}',
    b'{"data": [{"embedding": []}], "text": {}, "choices": [{"message": 5}], "results": [[1]]}',
    b'{"data": [{"embedding": [NaN, 1]}], "text": null, "choices": [{"message": {"content": NaN}}]}',
    b'{"data": [{"embedding": [1e999, 1]}], "choices": [{"message": {"content": "x"}}], "usage": {"completion_tokens": 1e999}}',
    b'{"data": [{"embedding": [1' + b"0" * 400 + b"]}], " + b'"results": [{"index": 1e999, "relevance_score": 1}]}',
    b'{"data": [{"embedding": "123"}], "choices": [{"message": {"content": ["x"]}}]}',
    b'{"data": [{"embedding": {"1": 1}}], "choices": [{"message": {"content": {}, "tool_calls": 5}}]}',
]


@pytest.mark.parametrize("capability", ["chat", "embedding", "rerank", "transcription"])
@pytest.mark.parametrize("body", ODD)
def test_an_odd_answer_is_told_in_a_short_line(body: bytes, capability: str) -> None:
    own = {"embedding": {"prompt": "cat", "nearer": "kitten", "than": "rates"}, "transcription": HELLO}.get(capability, OWN[0])
    after = interview.measure(replace(ENDPOINT, capability=capability), [own], interview.Bounds(), lambda _request: Reply(200, body))
    problems = proof.judge(None, after, interview.Bounds(), own=[own])
    problems += proof.judge(ask(Engine(vectors=MEANT), [own], capability=capability), after, interview.Bounds(), own=[own])
    assert problems or capability == "rerank"
    assert [one.text for one in problems if "\n" in one.text or len(one.text) > 400] == []
    assert proof.columns(None, after)


def test_embeddings_that_take_longer() -> None:
    assert found(Engine(), Engine(first=0.5), capability="embedding") == ["speed"]
    assert found(Engine(), Engine(first=0.2), capability="embedding") == []  # a moment of another process


def test_without_a_bound_speed_does_not_count() -> None:
    before, after = ask(Engine()), ask(Engine(per_token=1.0))
    assert proof.judge(before, after, interview.Bounds(speed=0.0)) == []


@pytest.mark.parametrize(("scores", "about"), [([0.8, 0.2], []), ([0.1, 0.9], ["ranks"])])
def test_ranks(scores: list[float], about: list[str]) -> None:
    assert found(Engine(), Engine(scores=scores), capability="rerank") == about


@pytest.mark.parametrize(
    ("own", "says", "wrong"),
    [
        ({"contains": "BLUE"}, "It is blue.", ""),
        ({"contains": "red"}, "It is blue.", "does not contain 'red'"),
        ({"exact": "blue"}, " blue\n", ""),
        ({"exact": "blue"}, "blue!", "not exactly 'blue'"),
        ({"json": {"type": "object", "required": ["a"]}}, '{"a": 1}', ""),
        ({"json": {"type": "object", "required": ["a"]}}, '{"b": 1}', "lacks 'a'"),
        ({"json": {}}, "no", "is no JSON"),
    ],
)
def test_what_the_user_wants(own: dict[str, t.Any], says: str, wrong: str) -> None:
    engine = Engine(says={**SAYS, "What?": says})
    mine = [{"prompt": "What?", **own}]
    problems = proof.judge(None, ask(engine, mine), interview.Bounds(), own=mine)
    assert [one.about for one in problems] == (["own"] if wrong else [])
    assert all(wrong in one.text for one in problems)


def test_the_user_wants_a_tool_called() -> None:
    mine = [{"messages": [{"role": "user", "content": "What?"}], "tools": [interview.TOOL], "tool": "get_weather"}]
    assert proof.judge(None, ask(Engine(), mine), interview.Bounds(), own=mine) == []
    problems = proof.judge(None, ask(Engine(tool=None), mine), interview.Bounds(), own=mine)
    assert "calls no tool and not get_weather" in problems[0].text


@pytest.mark.parametrize(
    ("value", "schema", "wrong"),
    [
        ({"a": [1, 2]}, {"properties": {"a": {"type": "array", "items": {"type": "integer"}}}}, ""),
        ({"a": [1, "2"]}, {"properties": {"a": {"type": "array", "items": {"type": "integer"}}}}, "a[1] is not of type integer"),
        (True, {"type": "integer"}, "not of type integer"),
        (True, {"type": ["boolean", "null"]}, ""),
        ("c", {"enum": ["a", "b"]}, "not one of"),
        ([], {"type": "object"}, "not of type object"),
    ],
)
def test_schemas(value: t.Any, schema: dict[str, t.Any], wrong: str) -> None:
    told = proof_own.mismatch(value, schema)
    assert bool(told) == bool(wrong)
    assert wrong in told


def test_both_columns_are_shown() -> None:
    lines = proof.columns(ask(Engine()), ask(Engine(per_token=0.05, says={**saying("!!!!!!!!"), interview.LONG: SAYS[interview.LONG]})))
    text = "\n".join(lines)
    assert lines[0].split() == ["before", "after"]
    assert "'Paris'" in text
    assert "'!!!!!!!!'" in text
    assert "calls get_weather" in text
    speeds = next(line for line in lines if line.startswith("tokens/s")).split()
    assert float(speeds[1]) > float(speeds[2])
    shown = proof.columns(None, {"answers": {"x": {"error": "refused"}, "y": {"vector": [1.0]}, "z": {"scores": [1.0]}}, "speed": {}})
    assert [line.split(maxsplit=2)[2] for line in shown[1:]] == ["error: refused", "1 numbers", "1.000"]


def test_speed_is_seen_of_short_answers_too_and_not_of_other_ones() -> None:
    short = {**SAYS, interview.LONG: "one two three four five"}
    assert found(Engine(says=short), Engine(says=short, per_token=0.1)) == ["speed"]
    assert found(Engine(), Engine(says=short)) == []  # the way to its first token weighs more


@pytest.mark.parametrize("status", [200, 502])
def test_a_key_that_a_server_repeats_is_not_kept(status: int) -> None:
    body = json.dumps({"choices": [{"message": {"content": "You are sk-engine"}}], "usage": {"completion_tokens": 3}}).encode()
    told = interview.measure(ENDPOINT, (), interview.Bounds(), lambda _request: Reply(status, body))
    assert "sk-engine" not in json.dumps(told)
    assert "********" in json.dumps(told)


def test_it_takes_few_requests() -> None:
    engine = Engine()
    ask(engine)
    assert len(engine.asked) <= 20
