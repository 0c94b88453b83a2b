#!/usr/bin/env python3
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small server that plays Crawl4AI's, for tests where the real one can't be had.

It reads what the server of Crawl4AI 0.9 reads (deploy/docker/utils.py and entrypoint.sh there): LLM_PROVIDER, LLM_BASE_URL, LLM_API_KEY,
LLM_TEMPERATURE and CRAWL4AI_API_TOKEN, without which it listens on its own loopback alone. `GET /llm/ADDRESS?q=QUESTION` asks the model
for real. No page is fetched: the address stands for its content.
"""

from __future__ import annotations

import hmac
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = 11235
TOKEN = os.environ.get("CRAWL4AI_API_TOKEN", "")


class ModelError(Exception):
    """Why there is no answer."""


def ask(page: str, question: str) -> str:
    """As LiteLLM does it, which Crawl4AI leaves this to: the prefix says whose protocol is spoken, the rest is the model."""
    provider, _, model = os.environ.get("LLM_PROVIDER", "openai/gpt-4o-mini").partition("/")
    if provider not in ("openai", "hosted_vllm"):
        raise ModelError(f"LLM Provider NOT provided. You passed model={provider}/{model}")
    body = {
        "model": model,
        "messages": [{"role": "user", "content": f"Content:\n{page}\n\nQuestion: {question}\n\nAnswer:"}],
        "temperature": float(os.environ.get("LLM_TEMPERATURE") or 1),
    }
    base = os.environ.get(f"{provider.upper()}_BASE_URL") or os.environ.get("LLM_BASE_URL", "")
    headers = {"Authorization": f"Bearer {os.environ.get('LLM_API_KEY', '')}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{base}/chat/completions", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return str(json.load(answer)["choices"][0]["message"]["content"])
    except urllib.error.HTTPError as error:
        raise ModelError(f"{error.code} {error.read().decode(errors='replace')}") from error
    except OSError as error:
        raise ModelError(f"{base}: {error}") from error


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path == "/health":
            self.reply(200, {"status": "ok", "timestamp": time.time(), "version": "0.9.5"})
        elif not self.allowed():
            self.reply(401, {"detail": "Authentication required"})
        elif path.startswith("/llm/"):
            question = "".join(urllib.parse.parse_qs(query).get("q", []))
            try:
                self.reply(200, {"answer": ask(urllib.parse.unquote(path.removeprefix("/llm/")), question)})
            except ModelError as error:
                self.reply(500, {"detail": str(error)})
        else:
            self.reply(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.allowed():
            self.reply(405, {"detail": "Method Not Allowed"})
        else:
            self.reply(401, {"detail": "Authentication required"})

    def allowed(self) -> bool:
        return bool(TOKEN) and hmac.compare_digest(self.headers.get("Authorization") or "", f"Bearer {TOKEN}")

    def reply(self, status: int, answer: object) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        print(format % args, file=sys.stderr, flush=True)


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0" if TOKEN else "127.0.0.1", PORT), Handler).serve_forever()
