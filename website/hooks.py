# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What MkDocs does differently for this repository. Its pages lie where they are read on GitHub too, and nothing is copied.

A page keeps its path on the site, so that links between pages are the same in both places. What is a file and no page leads to the
repository. Anchors are made as GitHub makes them.
"""

from __future__ import annotations

import html
import posixpath
import re
import urllib.parse
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
REPOSITORY = "https://github.com/llmops/ansible-gpu-inference"
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**/*.md", "roles/*/README.md")
PICTURES = ("docs/**/*.svg",)
#: A page that only the site has: on GitHub it is the folder.
ROLES = "roles/README.md"
#: Code first, so that what looks like a link in it stays.
_LINK = re.compile(r"^```.*?^```|`[^`\n]+`|(?<=\]\()([^)\s]+)(?=\))", re.S | re.M)


def slug(heading: str, separator: str) -> str:
    """As GitHub makes an anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", html.unescape(heading).lower()).strip().replace(" ", separator)


def roles() -> list[str]:
    return sorted(path.parent.name for path in ROOT.glob("roles/*/README.md"))


def first_words(markdown: str, limit: int = 160) -> str:
    """The first paragraph of a page without its markup, cut after a whole word."""
    prose = re.sub(r"^```.*?^```|<!--.*?-->", "", markdown, flags=re.S | re.M)
    blocks = [block.strip() for block in prose.split("\n\n")]
    text = next((block for block in blocks if block and not re.match(r"[#|!\-<>]", block)), "")
    text = re.sub(r"[`*]|!?\[|\]\([^)]*\)", "", " ".join(text.split()))
    return text if len(text) <= limit else text[: limit - 1].rsplit(" ", 1)[0].rstrip(",;:") + " …"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    config.mdx_configs.setdefault("toc", {})["slugify"] = slug
    pages: list[Any] = [{"All roles": ROLES}, *({name: f"roles/{name}/README.md"} for name in roles())]
    config.nav = [*(config.nav or []), {"Roles": pages}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for path in sorted({found for pattern in (*PAGES, *PICTURES) for found in ROOT.glob(pattern)}):
        files.append(File(path.relative_to(ROOT).as_posix(), str(ROOT), config.site_dir, config.use_directory_urls))
    rows = [f"| [{name}]({name}/README.md) | {first_words((ROOT / 'roles' / name / 'README.md').read_text('utf-8'))} |" for name in roles()]
    text = "\n".join(["# Roles", "", "Each role's variables are on its page.", "", "| role | what it does |", "| --- | --- |", *rows, ""])
    files.append(File.generated(config, ROLES, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    page.meta.setdefault("description", first_words(markdown))
    folder = posixpath.dirname(page.file.src_uri)

    def target(match: re.Match[str]) -> str:
        link = match[1]
        if not link or re.match(r"[a-z]+:|#", link):
            return match[0]
        path, hash_, anchor = link.partition("#")
        wanted = posixpath.normpath(posixpath.join(folder, urllib.parse.unquote(path)))
        if files.get_file_from_path(wanted):
            return link
        if files.get_file_from_path(f"{wanted}/README.md"):
            return f"{path.rstrip('/')}/README.md{hash_}{anchor}"
        if not (ROOT / wanted).exists():
            # MkDocs says where the dead link is.
            return link
        return f"{REPOSITORY}/{'tree' if (ROOT / wanted).is_dir() else 'blob'}/main/{wanted}{hash_}{anchor}"

    # In a row a pipe within code is escaped, which Python-Markdown would show.
    rows = re.compile(r"^\|.*$", re.M)
    unescaped = rows.sub(lambda row: re.sub(r"`[^`\n]+`", lambda code: code[0].replace(r"\|", "|"), row[0]), markdown)
    return _LINK.sub(target, unescaped)


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Tables scroll by themselves, by the keyboard too. With a class the theme's script leaves them alone."""
    wide = '<div class="wide" tabindex="0" role="group" aria-label="Table"><table class="rows">'
    return content.replace("<table>", wide).replace("</table>", "</table></div>")


def search_with_a_name(output: str) -> str:
    """The theme's search has none for those who hear it."""
    return output.replace('data-md-component="search" role="dialog"', 'data-md-component="search" role="dialog" aria-label="Search"')


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    return search_with_a_name(output)


def on_post_template(output: str, template_name: str, config: MkDocsConfig) -> str:
    return search_with_a_name(output)
