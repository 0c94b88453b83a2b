# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests that try to get by the guard: bodies of real clients with something wrong in them. The same seed gives the same requests."""

from __future__ import annotations

import copy
import gzip
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from engine import ORACLE

Body = dict[str, Any]
PIXEL = "data:image/png;base64,iVBORw0KGgo="
SCHEMES = (
    *(
        "http://{}/x.png",
        "https://{}:8000/metrics",
        "HTTP://{}/x",
        " http://{}/x",
        "\thttp://{}/",
        "http:\\\\{}\\x",
        "//{}/x",
        "ftp://{}/x",
    ),
    *("http://img.example@{}/x", "http://img.example#@{}/", "http://{}\\@img.example/", "file://{}/etc/passwd", "http://img.example.{}/x"),
    *("http:/{}/x", "http:{}/x", "h\ttp://{}/x", "http://{}%00.img.example/", "ws://{}/", "gopher://{}:6379/_x", "\u2028http://{}/x"),
    *("http://[::ffff:10.89.17.1]/{}", "http://10.89.17.1:9911/{}", "http://0x0a591101/{}", "{}", "{}/x.png", "data,http://{}/"),
)
STEERING = (
    *("api_base", "base_url", "api_key", "custom_llm_provider", "model_list", "fallbacks", "user_config", "router_settings_override"),
    *("mock_response", "num_retries", "timeout", "headers", "extra_headers", "ssl_verify", "guardrails", "prompt_id", "litellm_metadata"),
    *("proxy_server_request", "secret_fields", "use_litellm_proxy", "specific_deployment", "success_callback", "cache", "tags", "rust"),
    *("litellm_params", "aws_sts_endpoint", "vertex_credentials", "langfuse_host", "metadata[api_base]", "deployment_id", "_target_order"),
    *("kv_transfer_params", "context_window_fallbacks", "litellm_credential_name", "shared_session", "client", "mock_delay", "model_id"),
)
JUNK: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 10**30, 1e308, "", " ", "null", "[]", "{}", [], {}, [[]], [None], {"": None}, {"type": None}, {"type": "x"}),
    *(
        "\u0000",
        "\ud83d",
        "os.environ/LITELLM_MASTER_KEY",
        "x" * 3000,
        {"type": "text"},
        {"type": ["text"]},
        [{"type": "image_url"}],
        {"a": [{}]},
    ),
)
PATHS = (
    *("/v1/chat/completions", "/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/messages", "/v1/responses", "/v1/rerank"),
    *("/openai/deployments/chat/chat/completions", "/engines/chat/chat/completions", "/openai/v1/responses", "/v1/messages/count_tokens"),
    *(
        "/embeddings/v1/embeddings",
        "/v2/rerank",
        "/v1/audio/transcriptions",
        "/v1/models",
        "/v1/chat/completions/",
        "//v1/chat/completions",
    ),
    *(
        "/v1/images/generations",
        "/v1/../v1/chat/completions",
        "/key/generate",
        "/openai/deployments/http%3A%2F%2Foracle.engines.test/embeddings",
    ),
)


@dataclass
class Request:
    """A request, and what was done to it."""

    path: str
    body: Any
    query: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)
    raw: bytes | None = None
    done: list[str] = field(default_factory=list)

    def bytes(self) -> bytes:
        return self.raw if self.raw is not None else json.dumps(self.body).encode()


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value of a body."""
    if path:
        yield path
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


def reach(body: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        body = body[step]
    return body


class Mutator:
    def __init__(self, corpus: list[dict[str, Any]], seed: int) -> None:
        self.corpus = corpus
        self.random = random.Random(seed)

    def address(self) -> str:
        return self.random.choice(SCHEMES).format(ORACLE)

    def hostile(self) -> Any:
        """A piece of media, in one of the forms that somebody fetches."""
        url = self.address()
        forms: tuple[Any, ...] = (
            {"type": "image_url", "image_url": {"url": url}},
            {"type": "image_url", "image_url": url},
            {"type": "image_url", "image_url": {"url": PIXEL, "detail": {"url": url}}},
            {"type": "input_image", "image_url": url},
            {"type": "input_image", "file_id": url},
            {"type": "image", "source": {"type": "url", "url": url}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": url}},
            {"type": "image", "image": url},
            {"type": "video_url", "video_url": {"url": url}},
            {"type": "audio_url", "audio_url": {"url": url}},
            {"type": "input_audio", "input_audio": {"data": url, "format": "wav"}},
            {"type": "file", "file": {"file_id": url}},
            {"type": "file", "file": {"file_id": url, "format": "video/mp4"}},
            {"type": "file", "file": {"file_data": url}},
            {"type": "input_file", "file_url": url},
            {"type": "document", "source": {"type": "url", "url": url}},
            {"type": "text", "text": "x", "uuid": "1", "image_url": url},
            {"type": "text", "text": "x", "uuid": "1", "video_url": {"url": url}},
            {"image_url": url},
            {"image_url": {"url": url}},
            {"audio_url": url},
            {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image", "source": {"type": "url", "url": url}}]},
            {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image", "image_url": url}]},
            {"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot", "image_url": url}},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]},
            {"role": "user", "content": {"type": "image_url", "image_url": {"url": url}}},
            {"role": "user", "content": "x", "images": [url]},
            {"type": "mcp", "server_label": "s", "server_url": url},
            url,
        )
        return copy.deepcopy(self.random.choice(forms))

    def pick(self, request: Request, kinds: tuple[type, ...]) -> tuple[Any, ...] | None:
        if not isinstance(request.body, dict):
            return None
        found = [path for path in ((), *places(request.body)) if isinstance(reach(request.body, path), kinds)]
        return self.random.choice(found) if found else None

    # --- what is done to a request ---

    def plant(self, request: Request) -> None:
        path = self.pick(request, (list, dict))
        if path is None:
            return
        node = reach(request.body, path)
        if isinstance(node, list):
            node.insert(self.random.randint(0, len(node)), self.hostile())
        else:
            names = ("image_url", "images", "content", "input", "messages", "extra", "url", "output", "source", "video_url", *node)
            node[self.random.choice(names)] = self.hostile()

    def plant_in_content(self, request: Request) -> None:
        """Where a client of an engine would put it."""
        messages = request.body.get("messages") or request.body.get("input") if isinstance(request.body, dict) else None
        if not isinstance(messages, list) or not messages or not isinstance(messages[-1], dict):
            return
        content = messages[-1].get("content")
        messages[-1]["content"] = [*(content if isinstance(content, list) else [{"type": "text", "text": "x"}]), self.hostile()]

    def plant_in_extra_body(self, request: Request) -> None:
        if not isinstance(request.body, dict):
            return
        message = {"role": "user", "content": [self.hostile()]}
        extra: Any = self.random.choice(
            (
                {"messages": [message]},
                {"input": [message]},
                {"input": [{"type": "function_call_output", "call_id": "c", "output": [self.hostile()]}]},
                {"documents": [self.hostile()]},
                {"extra_body": {"messages": [message]}},
                {"model": self.address()},
                {"zork": self.hostile()},
                {self.random.choice(STEERING): self.address()},
                json.dumps({"messages": [message]}),
                [{"messages": [message]}],
                {"chat_template_kwargs": {"messages": [message]}},
            )
        )
        request.body["extra_body"] = extra

    def steer(self, request: Request) -> None:
        if isinstance(request.body, dict):
            value = self.random.choice((self.address(), True, 1, [], {}, {"api_base": self.address()}, [{"model": self.address()}]))
            where = request.body
            if self.random.random() < 0.3:
                where = request.body.setdefault(self.random.choice(("metadata", "extra_body", "litellm_metadata")), {})
            if isinstance(where, dict):
                where[self.random.choice(STEERING)] = value

    def junk(self, request: Request) -> None:
        path = self.pick(request, (object,))
        if path:
            reach(request.body, path[:-1])[path[-1]] = copy.deepcopy(self.random.choice(JUNK))

    def drop(self, request: Request) -> None:
        path = self.pick(request, (object,))
        if path:
            del reach(request.body, path[:-1])[path[-1]]

    def rename(self, request: Request) -> None:
        path = self.pick(request, (object,))
        if path and isinstance(path[-1], str):
            node = reach(request.body, path[:-1])
            names = (*node, "content", "messages", "input", "prompt", "type", "role", "text", path[-1].upper(), path[-1] + " ")
            node[self.random.choice(names)] = node.pop(path[-1])

    def as_text(self, request: Request) -> None:
        path = self.pick(request, (list, dict))
        if path:
            reach(request.body, path[:-1])[path[-1]] = json.dumps(reach(request.body, path))

    def nest(self, request: Request) -> None:
        path = self.pick(request, (object,))
        if path:
            value = reach(request.body, path)
            for _level in range(self.random.choice((1, 2, 50, 300))):
                value = [value] if self.random.random() < 0.5 else {"content": value}
            reach(request.body, path[:-1])[path[-1]] = value

    def many_images(self, request: Request) -> None:
        for _number in range(self.random.randint(2, 5)):
            path = self.pick(request, (list,))
            if path is None:
                return
            kinds: tuple[Body, ...] = (
                {"type": "image_url", "image_url": {"url": PIXEL}},
                {"type": "input_image", "image_url": PIXEL},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
                {"type": "text", "text": "x", "uuid": "u", "image_url": PIXEL},
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": PIXEL}}]},
            )
            reach(request.body, path).append(copy.deepcopy(self.random.choice(kinds)))

    def other_model(self, request: Request) -> None:
        if isinstance(request.body, dict):
            names = (
                "chat",
                "small",
                "embedding",
                "rerank",
                "asr",
                "org/Model-1",
                "nope",
                self.address(),
                "hosted_vllm/m",
                "*",
                5,
                None,
                ["chat"],
            )
            request.body["model"] = self.random.choice(names)

    def other_path(self, request: Request) -> None:
        request.path = self.random.choice(PATHS)

    def ask_in_address(self, request: Request) -> None:
        name = self.random.choice(("model", "api-version", "stream", "extra_body", "image_url", "url", *STEERING))
        request.query = f"{quote(name)}={quote(self.address())}".encode()

    def header(self, request: Request) -> None:
        names = (
            "x-litellm-timeout",
            "x-litellm-tags",
            "x-litellm-model",
            "x-pass-url",
            "baggage",
            "anthropic-beta",
            "x-forwarded-host",
            "referer",
        )
        request.headers.append((self.random.choice(names), self.address().strip().replace("\t", "").replace("\u2028", "")))

    def transport(self, request: Request) -> None:
        """Bytes that programs read in different ways."""
        text = json.dumps(request.body)
        hostile = json.dumps({"role": "user", "content": [self.hostile()]})
        kind = self.random.randrange(12)
        if kind == 0:
            request.raw = text.encode("utf-16")
        elif kind == 1:
            request.raw = b"\xef\xbb\xbf" + text.encode()
        elif kind == 2:
            request.raw = gzip.compress(text.encode())
            request.headers.append(("content-encoding", self.random.choice(("gzip", "zstd", "br", "identity, gzip"))))
        elif kind == 3:
            request.raw = (text[:-1] + f', "messages": [{hostile}]}}').encode()
        elif kind == 4:
            request.raw = (f'{{"messages": [{hostile}], ' + text[1:]).encode()
        elif kind == 5:
            request.raw = text.replace('"model"', '"\\u006dodel"').replace('"messages"', '"m\\u0065ssages"').encode()
        elif kind == 6:
            request.raw = text.encode()[: self.random.randint(0, len(text))]
        elif kind == 7:
            request.raw = (text + self.random.choice(("\n" + text, "}", "\x00", " // x"))).encode()
        elif kind == 8:
            request.raw = text.replace("1", "NaN").encode()
        elif kind == 9:
            form = f"model=chat&messages={quote('[' + hostile + ']')}"
            request.raw, request.headers = form.encode(), [("content-type", "application/x-www-form-urlencoded")]
        elif kind == 10:
            request.headers.append(
                ("content-type", self.random.choice(("text/plain", "application/x-protobuf", "application/json; charset=utf-16", "x")))
            )
        else:
            request.raw = bytes(self.random.randrange(256) for _byte in range(50))

    def upload(self, request: Request) -> None:
        """A form, good or broken, for a route that takes one or doesn't."""
        fields = [
            ("model", self.random.choice(("asr", "chat", self.address()))),
            ("response_format", self.random.choice(("json", "text", "srt", "x"))),
        ]
        for _number in range(self.random.randint(0, 4)):
            names = (
                "file",
                "prompt",
                "language",
                "stream",
                "image_url",
                "messages",
                "extra_body",
                "metadata",
                "timestamp_granularities[]",
                "model",
                "url",
            )
            values = (self.address(), "true", "en", json.dumps([self.hostile()]), "word", "\u0000", "")
            fields.append((self.random.choice((*names, *STEERING)), self.random.choice(values)))
        mark = "mark"
        text = "".join(f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields)
        for number in range(self.random.choice((0, 1, 1, 1, 2))):
            name = self.random.choice(("file", "file", "image", f"file{number}"))
            file = self.random.choice(("a.wav", "", ORACLE))
            text += f'--{mark}\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\n\r\nRIFF\r\n'
        text += self.random.choice((f"--{mark}--\r\n", f"--{mark}--\r\n", ""))
        request.path = self.random.choice(
            ("/v1/audio/transcriptions", "/v1/audio/transcriptions", "/v1/chat/completions", "/embeddings/v1/embeddings")
        )
        request.raw = text.encode("utf-8", "surrogatepass")
        request.headers = [("content-type", self.random.choice((f"multipart/form-data; boundary={mark}",) * 6 + ("multipart/form-data",)))]

    def make(self) -> Request:
        entry = copy.deepcopy(self.random.choice(self.corpus))
        path, _mark, query = entry["path"].partition("?")
        request = Request(path, entry["body"], query.encode(), [])
        body_changes: tuple[Callable[[Request], None], ...] = (
            *(self.plant, self.plant_in_content, self.plant_in_content, self.plant_in_extra_body, self.steer, self.junk, self.drop),
            *(self.rename, self.as_text, self.nest, self.many_images, self.other_model),
        )
        for change in self.random.choices(body_changes, k=self.random.choice((1, 1, 1, 2, 3))):
            change(request)
            request.done.append(change.__name__)
        others: tuple[Callable[[Request], None], ...] = (self.other_path, self.ask_in_address, self.header, self.transport, self.upload)
        if self.random.random() < 0.25:
            change = self.random.choice(others)
            change(request)
            request.done.append(change.__name__)
        if request.raw is None and not any(name == "content-type" for name, _value in request.headers):
            request.headers.append(("content-type", "application/json"))
        return request
