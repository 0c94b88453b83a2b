# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""check.py SITE [--pictures FOLDER] [--alone] [PAGE...]: read every page of the built site in Chromium, on a telephone and on a desk,
light and dark.

A page fails that is wider than the window, asks another server for anything, tells of an error on the console, or in which axe-core finds
what it calls serious or critical. With --alone they are pages by themselves, not of a site that can be searched.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import sys
import threading
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from browser import chromium
from playwright.sync_api import Browser, Page, sync_playwright

#: Width and height in pixels.
WINDOWS = {"narrow": (390, 844), "wide": (1280, 900)}
SCHEMES = ("light", "dark")
COLOUR_RULES = ["color-contrast", "link-in-text-block"]
FORM = {"resultTypes": ["violations"], "rules": {rule: {"enabled": False} for rule in COLOUR_RULES}}
COLOURS = {"resultTypes": ["violations"], "runOnly": {"type": "rule", "values": COLOUR_RULES}}
#: What a wide window shows besides. The text has the same colours in both, and looking at all of them is what takes the time.
BESIDES = {"include": [[".md-header"], [".md-sidebar"]]}
GRAVE = ("serious", "critical")
#: Searched for, and the page that has to be found.
SEARCHED = ("kv_cache_too_small", "troubleshooting.html")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


def grave(page: Page, part: dict[str, Any] | None, options: dict[str, Any]) -> list[str]:
    """The first of each kind of what axe-core finds, with the element."""
    violations = Axe().run(page, context=part, options=options).response["violations"]
    found = [(violation["id"], violation["nodes"]) for violation in violations if violation["impact"] in GRAVE]
    return [f"{rule} {len(nodes)} times: {nodes[0]['html'][:160]} {nodes[0]['failureSummary'][:300]!r}" for rule, nodes in found]


def faults_of(browser: Browser, base: str, path: str, pictures: Path | None, alone: bool = False) -> list[str]:
    page = browser.new_page(color_scheme="light")
    faults: list[str] = []
    page.on("request", lambda request: None if request.url.startswith((base, "data:", "blob:")) else faults.append(f"asks {request.url}"))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(base + path)
    for window, (width, height) in WINDOWS.items():
        page.set_viewport_size({"width": width, "height": height})
        inside = page.evaluate("document.documentElement.scrollWidth")
        if inside > width:
            faults.append(f"{window}: {inside} pixels wide in a window of {width}")
        faults += [f"{window}: {line}" for line in grave(page, None, FORM)]
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            # The theme fades from one to the other.
            page.wait_for_timeout(300)
            faults += [f"{window}, {scheme}: {line}" for line in grave(page, BESIDES if window == "wide" and not alone else None, COLOURS)]
            if pictures:
                page.screenshot(path=pictures / f"{path.replace('/', '-').removesuffix('.html')}-{window}-{scheme}.png")
    page.close()
    return faults


def search_faults(browser: Browser, base: str) -> list[str]:
    words, wanted = SEARCHED
    page = browser.new_page(viewport=dict(zip(("width", "height"), WINDOWS["wide"], strict=True)))
    page.goto(base + "index.html")
    page.fill("input[name=query]", words)
    page.wait_for_timeout(2000)
    links = page.eval_on_selector_all(".md-search-result__link", "links => links.map(link => link.href)")
    page.close()
    if any(wanted in link for link in links):
        return []
    fault = f"a search for {words} does not find {wanted}: {links}"
    print(fault, flush=True)
    return [fault]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("site", type=Path)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("pages", nargs="*")
    given = parser.parse_args()
    pages = given.pages or sorted(path.relative_to(given.site).as_posix() for path in given.site.rglob("*.html"))
    if given.pictures:
        given.pictures.mkdir(parents=True, exist_ok=True)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=given.site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}/"
    with sync_playwright() as playwright:
        browser = chromium(playwright)
        faults = [] if given.alone else search_faults(browser, base)
        for path in pages:
            found = [f"{path}: {fault}" for fault in faults_of(browser, base, path, given.pictures, given.alone)]
            print(*found, sep="\n", end="\n" if found else "", flush=True)
            faults += found
        browser.close()
    print(f"{len(pages)} pages, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
