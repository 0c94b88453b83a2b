# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Messages, task titles and pages say it in the field's usual words: a short list of those that readers stumbled over."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from support.repository import ROOT, tracked_files

#: What is not written, and what is written instead.
WORDS = {
    r"\bplayed\b": "simulated",
    r"\b(anew|afresh)\b": "again",
    r"\b[Ff]orese(e|en|eable)\b": "predict",
    r"\b[Ii]mitations? of\b": "simulated",
    r"\bby other means\b": "in another way",
    r"\b[Aa]n own\b": "a separate, its own",
    r"\bin small\b": "small",
    r"\bmust be through\b": "must finish within",
    r"\bof which (no|are)\b": "two sentences",
    r"(?<![Tt]here )\b(is|are) no (?!longer)\w+ (of|in)\b": "is not defined in, is not a",
}
#: The guard's files are part of the gateway's hash, so that a word there would restart it.
HASHED = re.compile(r"roles/litellm/files/gateway_\w+\.py")
PAGES = tracked_files("README.md", "CONTRIBUTING.md", "docs/*.md", "roles/*.md", "roles/*/meta/argument_specs.yml", "plugins/*.yml")
TASKS = tracked_files("playbooks/*.yml", "roles/*/tasks/*.yml")
PROGRAMS = [path for path in tracked_files("plugins/*.py", "roles/*.py") if not HASHED.search(str(path))]


def texts(source: str) -> Iterator[str]:
    """Texts of a program that a person may read, without docstrings; what an f-string fills in is a blank word."""
    tree = ast.parse(source)
    inner: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            inner |= {id(one.value) for one in node.body if isinstance(one, ast.Expr)}
        elif isinstance(node, ast.JoinedStr):
            inner |= {id(part) for part in node.values}
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "_" for part in node.values)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            yield node.value


def found(text: str) -> list[str]:
    flat = re.sub(r"\s+", " ", text)
    return [
        f"{flat[max(0, hit.start() - 40) : hit.end() + 40]!r}: write {better}"
        for word, better in WORDS.items()
        for hit in re.finditer(word, flat)
    ]


def test_pages() -> None:
    assert len(PAGES) > 60, "the pages are not found any more"
    assert [f"{path.relative_to(ROOT)}: {hit}" for path in PAGES for hit in found(path.read_text(encoding="utf-8"))] == []


def test_titles_of_tasks() -> None:
    titles = [title for path in TASKS for title in re.findall(r"^ *- name: (.+)$", path.read_text(encoding="utf-8"), re.M)]
    assert len(titles) > 200, "the titles are not found any more"
    assert [hit for title in titles for hit in found(title)] == []


def test_messages() -> None:
    assert [
        f"{path.relative_to(ROOT)}: {hit}" for path in PROGRAMS for text in texts(path.read_text(encoding="utf-8")) for hit in found(text)
    ] == []


def test_what_is_found() -> None:
    source = 'def f(x):\n    """Played anew."""\n    return f"{x!r} is no model of "\n\nMESSAGE = "the proxy is\\n  played"\n'
    assert [hit.split(": ")[-1] for text in texts(source) for hit in found(text)] == [
        "write is not defined in, is not a",
        "write simulated",
    ]
    assert found("there is no image of vLLM") == []
