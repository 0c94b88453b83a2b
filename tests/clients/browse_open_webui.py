# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""browse_open_webui.py ADDRESS PICTURE: use Open WebUI as a person does, in Chromium. Prints the models that it lists, as JSON.

Log in as CHAT_EMAIL with CHAT_PASSWORD, ask CHAT_QUESTION, and see CHAT_ANSWER.
"""

from __future__ import annotations

import json
import os
import sys

from browser import chromium
from playwright.sync_api import Page, sync_playwright

WINDOW = {"width": 1280, "height": 800}
#: Milliseconds that a page may take.
PATIENCE = 60_000


def log_in(page: Page, address: str) -> None:
    page.goto(f"{address}/auth")
    page.fill("input[type=email]", os.environ["CHAT_EMAIL"])
    page.fill("input[type=password]", os.environ["CHAT_PASSWORD"])
    page.click("button[type=submit]")
    page.wait_for_selector("#chat-input")


def models(page: Page) -> list[str]:
    page.get_by_role("button", name="Selected model").click()
    page.get_by_role("option").first.wait_for()
    found = [option.inner_text().split("\n")[0].strip() for option in page.get_by_role("option").all()]
    page.keyboard.press("Escape")
    return found


def ask(page: Page, question: str, answer: str) -> None:
    page.click("#chat-input")
    page.keyboard.type(question)
    page.keyboard.press("Enter")
    page.locator("#messages-container").get_by_text(answer).wait_for()


def main(address: str, picture: str) -> None:
    with sync_playwright() as playwright:
        browser = chromium(playwright)
        page = browser.new_page(viewport=WINDOW)
        page.set_default_timeout(PATIENCE)
        # What is new in this release is shown to an administrator once, over everything else.
        page.add_locator_handler(page.get_by_role("button", name="Okay, Let's Go!"), lambda button: button.click())
        try:
            log_in(page, address)
            listed = models(page)
            ask(page, os.environ["CHAT_QUESTION"], os.environ["CHAT_ANSWER"])
        finally:
            page.screenshot(path=picture)
        browser.close()
    print(json.dumps(listed))


if __name__ == "__main__":
    main(*sys.argv[1:])
