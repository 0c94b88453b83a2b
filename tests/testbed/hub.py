# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model hub in small: gives folders away as repositories, in the way that the PyPI client `huggingface_hub` asks for them.

    python3 hub.py PORT Qwen/Qwen3-4B=/srv/models/tiny-chat meta-llama/gated=/srv/models/tiny-chat=hf_secret

A third part is the token without which the hub answers that the repository is gated. Only what downloads need is there: repository
information, file trees, and files with ETag and commit (https://huggingface.co/docs/hub/api). Each request becomes a line on stdout.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True)
class Repository:
    """One model: its name at the hub, its files, and the token that opens it where it is gated."""

    name: str
    folder: Path
    token: str

    @property
    def commit(self) -> str:
        return hashlib.sha1(self.name.encode()).hexdigest()

    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.iterdir() if path.is_file())


class Hub(BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    protocol_version = "HTTP/1.1"
    repositories: ClassVar[dict[str, Repository]] = {}

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        found = re.fullmatch(r"(?:/api/models)?/([^/]+/[^/]+?)(?:/(resolve|tree|revision)/([^/]+))?(?:/(.+))?", path)
        repository = self.repositories.get(found[1]) if found else None
        if found is None or repository is None:
            return self.refuse(404, "RepoNotFound", f"Repository not found: {path}")
        if repository.token and self.headers.get("Authorization") != f"Bearer {repository.token}":
            return self.refuse(401, "GatedRepo", f"Access to model {repository.name} is restricted. You must have access to it.")
        if found[3] not in (None, "main", repository.commit):
            return self.refuse(404, "RevisionNotFound", f"Invalid rev id: {found[3]}")
        if found[2] == "resolve":
            return self.give(repository, found[4] or "")
        if found[2] == "tree":
            entries = [{"type": "file", "path": file.name, "size": file.stat().st_size, "oid": etag(file)} for file in repository.files()]
            return self.answer(200, json.dumps(entries).encode())
        about = {
            "id": repository.name,
            "modelId": repository.name,
            "sha": repository.commit,
            "private": False,
            "gated": "manual" if repository.token else False,
            "disabled": False,
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "siblings": [{"rfilename": file.name} for file in repository.files()],
        }
        return self.answer(200, json.dumps(about).encode())

    def give(self, repository: Repository, name: str) -> None:
        file = next((file for file in repository.files() if file.name == name), None)
        if file is None:
            return self.refuse(404, "EntryNotFound", f"Entry not found: {name}", **{"X-Repo-Commit": repository.commit})
        return self.answer(
            200, file.read_bytes(), "application/octet-stream", **{"ETag": f'"{etag(file)}"', "X-Repo-Commit": repository.commit}
        )

    def refuse(self, status: int, code: str, message: str, **headers: str) -> None:
        self.answer(status, json.dumps({"error": message}).encode(), **{"X-Error-Code": code, "X-Error-Message": message, **headers})

    def answer(self, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        print(format % arguments, flush=True)


def etag(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()


def main(arguments: list[str]) -> None:
    for argument in arguments[1:]:
        name, folder, token = (argument + "==").split("=")[:3]
        Hub.repositories[name] = Repository(name, Path(folder), token)
    ThreadingHTTPServer(("", int(arguments[0])), Hub).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
